//! The live part as HTML: what stands still of it, its program and its data.

use super::Live;
use crate::report::html::{Page, data_address, in_words};

/// What leads to it from the top of the page.
pub const LINK: &str = "<p><a href=\"#try\">Try what the model has learned</a></p>";

const TEMPLATE: &str = include_str!("../html/live/live.html");
const STYLE: &str = include_str!("../html/live/live.css");
const DECODER: &str = include_str!("../html/live/decoder.js");
const PROGRAM: &str = include_str!("../html/live/live.js");

/// The live part, or why there is none.
pub fn section(page: &mut Page, live: &Result<Live, String>) {
    page.html("<span id=\"try\"></span>");
    page.heading(3, "Try what the model has learned");
    let live = match live {
        Ok(live) => live,
        Err(why) => return page.paragraph(&format!("There is nothing to try here: {why}.")),
    };
    page.paragraph(
        "Pick an image, by its name or by touching a point; give it another domain or class, whose latent is then the mean of its \
         prior; move a latent along the directions in which these images differ most, in standard deviations from their mean; or \
         walk to another image. The page decodes the latents itself.",
    );
    page.html(TEMPLATE);
    page.html(&format!("<img id=\"live-sheet\" hidden alt=\"\" src=\"{}\">", data_address(&live.sheet)));
    page.html(&format!("<script id=\"live-data\" type=\"application/json\">{}</script>", live.data));
    let notes: Vec<&str> = live.notes.iter().map(String::as_str).collect();
    let size = in_words(live.data.len() + 4 * live.sheet.len() / 3);
    page.paragraph(&format!("The model and the images are {size} of this page. {}", notes.join(" ")));
    page.style(STYLE);
    page.script("live-decoder", DECODER);
    page.script("live-program", PROGRAM);
}
