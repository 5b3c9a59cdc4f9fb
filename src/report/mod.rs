//! What a run looks like, for people: grids of images and line plots as PNG bytes, and a report as one page.
//!
//! Everything is drawn here, pixel by pixel, with one built-in font and one palette: no font file, no system
//! library and no clock, so the same results give the same bytes everywhere and a picture can be tested like a
//! number. Sizes follow from the contents: a label makes its picture larger, it is never cut off.
//!
//! In reading order: [`palette`] (the colours), `font` (the letters), `text` (lines and their measures), `canvas`
//! (drawing), [`Picture`] (what comes out), [`Grid`], [`Chart`] (with `axis`, its ticks, and `plot`, which draws it); then
//! what they show of a run: [`generated`], [`curves`], and [`run_pictures`], all that a finished run has in its folder;
//! [`html`] (pages by hand, charts in them), [`live`] (what its reader can try) and [`run_report`], the page about runs; [`tensorboard`], files for that program.

mod answer;
mod axis;
mod canvas;
mod chart;
pub mod compare;
pub mod curves;
mod font;
pub mod gather;
pub mod generated;
mod grid;
pub mod html;
pub mod latents;
pub mod live;
pub mod palette;
mod picture;
mod plot;
mod probabilities;
pub mod run_pictures;
pub mod run_report;
pub mod tensorboard;
mod text;

pub use chart::Chart;
pub use grid::Grid;
pub use picture::Picture;
