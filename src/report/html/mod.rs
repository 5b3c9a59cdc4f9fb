//! HTML by hand: one file that needs no server, no network and no other file.
//!
//! Only what a report needs is here: text that is escaped where it enters, tables, figures with captions, pictures and
//! drawings inside the page. The page adapts to narrow screens; what is wider than the screen scrolls for itself. Equal
//! contents give equal bytes: there is no clock and no random identifier.

pub mod chart;

use crate::names::{is_plain, printable_name};
use crate::store::digest::sha256;
use std::fmt::Write;

/// A page that grows section by section.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
    styles: Vec<&'static str>,
    /// Their identifiers, and the scripts.
    scripts: Vec<(&'static str, &'static str)>,
}

/// How everything looks, on screens from a phone's on and on paper.
const STYLE: &str = include_str!("style.css");

/// Shows the image of the point under the finger or the pointer; without it the page only lacks that.
const SCRIPT: &str = include_str!("hover.js");

impl Page {
    /// A page with nothing but its title.
    pub fn new(title: &str) -> Self {
        Page {
            title: title.into(),
            body: format!("<h1>{}</h1>\n", escape(title)),
            styles: vec![STYLE],
            scripts: vec![("hover", SCRIPT)],
        }
    }

    /// A heading of the given level, 2 to 4.
    pub fn heading(&mut self, level: usize, text: &str) {
        let _ = writeln!(self.body, "<h{level}>{}</h{level}>", escape(text));
    }

    /// A paragraph of plain text.
    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", escape(text));
    }

    /// A paragraph that stands out: what a reader must not miss.
    pub fn notice(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p class=\"notice\">{}</p>", escape(text));
    }

    /// A table; the first row of `rows` is its head, the first column names the rows.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        self.table_of_class("", rows);
    }

    /// The same of many columns, whose cells are broken into lines so that all fit.
    pub fn wrapped_table(&mut self, rows: &[Vec<String>]) {
        self.table_of_class(" class=\"wrapped\"", rows);
    }

    fn table_of_class(&mut self, class: &str, rows: &[Vec<String>]) {
        let row = |cells: &[String], head: bool| {
            let cell = |(column, text): (usize, &String)| {
                let tag = if head || column == 0 { "th" } else { "td" };
                format!("<{tag}>{}</{tag}>", escape(text))
            };
            format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
        };
        let rows: String = rows.iter().enumerate().map(|(i, cells)| row(cells, i == 0)).collect();
        let _ = writeln!(self.body, "<div class=\"wide\"><table{class}>\n{rows}</table></div>");
    }

    /// Counts as a table of shaded cells: `counts[row][column]`, shaded by their share of the row.
    pub fn matrix(&mut self, corner: &str, labels: &[String], counts: &[Vec<usize>]) {
        let head: String = labels.iter().map(|label| format!("<th>{}</th>", escape(label))).collect();
        let mut rows = format!("<tr><th>{}</th>{head}</tr>\n", escape(corner));
        for (label, row) in labels.iter().zip(counts) {
            let all: usize = row.iter().sum();
            let cell = |&count: &usize| {
                let share = (100 * count).checked_div(all).unwrap_or(0);
                format!("<td style=\"--share:{share}%\">{count}</td>")
            };
            let cells: String = row.iter().map(cell).collect();
            let _ = writeln!(rows, "<tr><th>{}</th>{cells}</tr>", escape(label));
        }
        let _ = writeln!(self.body, "<div class=\"wide\"><table class=\"matrix\">\n{rows}</table></div>");
    }

    /// A drawing or picture, given as HTML, with its caption.
    pub fn figure(&mut self, content: &str, caption: &str) {
        self.html(&captioned(content, caption));
    }

    /// What is HTML already.
    pub fn html(&mut self, content: &str) {
        self.body += content;
        self.body.push('\n');
    }

    /// A style sheet of the page.
    pub fn style(&mut self, style: &'static str) {
        self.styles.push(style);
    }

    /// A script of the page, run after all that stands in it.
    pub fn script(&mut self, id: &'static str, script: &'static str) {
        self.scripts.push((id, script));
    }

    /// Small figures side by side, as many as the screen has room for.
    pub fn gallery(&mut self, contents: &[String]) {
        let cells: String = contents.iter().map(|content| format!("<div>{content}</div>\n")).collect();
        let _ = writeln!(self.body, "<div class=\"gallery\">\n{cells}</div>");
    }

    /// Text as it is, in a box, folded away under `summary`.
    pub fn folded(&mut self, summary: &str, text: &str) {
        let _ = writeln!(
            self.body,
            "<details><summary>{}</summary><pre>{}</pre></details>",
            escape(summary),
            escape(text)
        );
    }

    /// Commands, to be copied.
    pub fn code(&mut self, text: &str) {
        let _ = writeln!(self.body, "<pre>{}</pre>", escape(text));
    }

    /// The whole file. Its browser is told to ask nobody for anything, and to run these scripts and no other.
    pub fn finish(self) -> String {
        // What a browser takes the fingerprint of is all between the tags.
        let fingerprint = |(_, script): &(&str, &str)| {
            format!(" 'sha256-{}'", base64(&sha256(format!("\n{script}").as_bytes())))
        };
        let element = |(id, script): &(&str, &str)| format!("<script id=\"{id}\">\n{script}</script>\n");
        let fingerprints: String = self.scripts.iter().map(fingerprint).collect();
        let scripts: String = self.scripts.iter().map(element).collect();
        let head = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
             style-src 'unsafe-inline'; worker-src blob:; script-src{fingerprints}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
             <style>\n{}</style>\n</head>\n<body>\n<main>\n",
            escape_plain(&self.title),
            self.styles.concat()
        );
        let size = in_words(head.len() + self.body.len() + scripts.len());
        format!(
            "{head}{}<footer>This page is one file of {size}.</footer>\n</main>\n{scripts}</body>\n</html>\n",
            self.body
        )
    }
}

/// A number of bytes, rounded.
pub fn in_words(bytes: usize) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

/// A drawing or picture, given as HTML, with its caption.
pub fn captioned(content: &str, caption: &str) -> String {
    format!(
        "<figure><div class=\"wide\">{content}</div>\n<figcaption>{}</figcaption></figure>",
        escape(caption)
    )
}

/// Unicode's marks around a text whose direction is its own (first strong isolate, pop directional isolate).
const ISOLATE: [char; 2] = ['\u{2068}', '\u{2069}'];

/// A name for a sentence: one that is written from right to left turns nothing beside it, and none brings controls along.
pub fn name(text: &str) -> String {
    // What is written from right to left begins with Hebrew.
    match text.chars().any(|letter| letter >= '\u{590}') {
        true => format!("{}{}{}", ISOLATE[0], printable_name(text), ISOLATE[1]),
        false => printable_name(text),
    }
}

/// Text that HTML shows as it is, within elements; [names](name) stand in `<bdi>`.
pub fn escape(text: &str) -> String {
    escape_with(text, ["<bdi>", "</bdi>"])
}

/// The same for quoted attributes, titles and drawings, where there are no elements: Unicode's marks stay.
pub fn escape_plain(text: &str) -> String {
    escape_with(text, ["\u{2068}", "\u{2069}"])
}

/// Breaks between lines stay; what else is not plain is shown escaped, and so is the end of a name that has no beginning.
fn escape_with(text: &str, [begin, end]: [&str; 2]) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut open = 0;
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' => escaped.push('\n'),
            _ if letter == ISOLATE[0] => {
                open += 1;
                escaped += begin;
            }
            _ if letter == ISOLATE[1] && open > 0 => {
                open -= 1;
                escaped += end;
            }
            _ if is_plain(letter) => escaped.push(letter),
            _ => escaped.extend(letter.escape_unicode()),
        }
    }
    escaped + &end.repeat(open)
}

/// A picture inside the page, from the bytes of a PNG file.
pub fn image(png: &[u8], description: &str) -> String {
    format!("<img src=\"{}\" alt=\"{}\">", data_address(png), escape_plain(description))
}

/// The bytes of a PNG file as an address that holds them.
pub fn data_address(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64(png))
}

/// RFC 4648, section 4, with padding.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0, |number, i| number << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for digit in 0..4 {
            let is_padding = digit > group.len();
            let value = (number >> (18 - 6 * digit)) & 63;
            text.push(if is_padding { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_gives_the_test_vectors_of_the_standard() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in vectors {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn what_users_name_cannot_become_markup() {
        let mut page = Page::new("<script>alert(1)</script>");
        page.paragraph("a < b & \"c\" > 'd'");
        page.table(&[vec!["<i>".into()], vec!["<b>".into()]]);
        page.matrix("<u>", &["<s>".into()], &[vec![1]]);
        page.folded("<q>", "<p>");
        page.code("</pre>");
        page.figure("", "<em>");
        let text = page.finish();
        for tag in ["<script>alert", "<i>", "<b>", "<u>", "<s>", "<q>", "<em>", "</pre></pre>"] {
            assert!(!text.contains(tag), "{tag}");
        }
        assert!(text.contains("a &lt; b &amp; &quot;c&quot; &gt; &#39;d&#39;"));
        assert_eq!(text.matches("<pre>").count(), text.matches("</pre>").count());
    }

    #[test]
    fn what_users_name_cannot_turn_or_break_what_stands_beside_it() {
        assert_eq!([name("75°"), name("a\nb")], ["75°", "a\\nb"]);
        assert_eq!(escape(&name("עברית <\u{202e}")), "<bdi>עברית &lt;\\u{202e}</bdi>");
        assert_eq!(escape_plain(&name("עברית")), "\u{2068}עברית\u{2069}");
        for (text, inside) in [
            ("\u{202e}\u{1b}\u{2028}\r", "\\u{202e}\\u{1b}\\u{2028}\\u{d}"),
            ("a\nb", "a\nb"),
            ("\u{2069}\u{2068}", "\\u{2069}<bdi></bdi>"),
            ("\u{2068}a", "<bdi>a</bdi>"),
        ] {
            assert_eq!(escape(text), inside);
        }
        let mut page = Page::new(&name("寄"));
        page.figure(&image(b"png", &name("寄")), &name("寄"));
        let text = page.finish();
        assert!(
            text.contains("<title>\u{2068}寄\u{2069}</title>") && text.contains("alt=\"\u{2068}寄\u{2069}\"")
        );
        assert!(
            text.contains("<h1><bdi>寄</bdi></h1>")
                && text.contains("<figcaption><bdi>寄</bdi></figcaption>")
        );
    }

    #[test]
    fn a_page_asks_for_nothing_from_elsewhere() {
        let mut page = Page::new("a");
        page.figure(&image(b"png", "b"), "c");
        let text = page.finish();
        for address in ["http:", "https:", "//", "@import", "<link", "src=\"/", "href"] {
            assert!(!text.contains(address), "{address}");
        }
    }
}
