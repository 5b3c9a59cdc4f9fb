//! Anyone's own pictures: found in folders or by a list, decoded, made one size, kept packed.
//!
//! Three steps, each a function of what the disk holds: [`folders`] or [`malaria`] list the files and say from their
//! places which domain and class they have, or [`list`] reads it ([`Listing`]); [`load()`] decodes them ([`decode`]), puts them
//! upright ([`orientation`]) and makes them one size ([`resize`]), each on any thread, the results in the order of the list;
//! and what came out stays on the disk ([`packed`]), so that the next run need not decode again.

pub mod decode;
pub mod depth;
pub mod folders;
mod jpeg;
pub mod list;
pub mod listing;
mod load;
pub mod malaria;
pub mod orientation;
pub mod packed;
mod png_notes;
pub mod resize;
mod spelling;

pub use listing::{Listing, NamedSplit, PictureFile, pictures_below};
pub use load::{LONGEST_FILE, Loaded, Options, is_cache, left_out, load, read_picture};
