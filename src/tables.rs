//! Tables as text that nothing in a name can break: CSV to be computed with, Markdown to be read.
//!
//! A cell may be a name that somebody gave a folder, a file or an arm of a sweep. What is not plain in it (`names.rs`) is shown
//! escaped, so that a row is a line and a terminal only shows it.
//!
//! **CSV** is that of RFC 4180. Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula, and run it, whatever
//! quotation marks stand around it. So such a cell gets an apostrophe in front, unless all of it is a number: `=1+1` becomes
//! `'=1+1`, and `-15` stays. One that begins with an apostrophe gets another, so that no two names share a cell's text.
//! (`division.csv` is no table of this kind: it is read back, and holds names as they are.)
//!
//! **Markdown** (CommonMark with tables) gets a backslash before what would end a cell, or be read as code, emphasis, a link, an
//! element or a reference. `_` is left as it is: within words it is nothing else.

use crate::names::{printable, printable_name};

/// A row of CSV, without the line's end.
pub fn csv_line(cells: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    let cells: Vec<String> = cells.into_iter().map(|cell| csv_text(cell.as_ref())).collect();
    table.write_record(cells).expect("memory takes all that is written");
    let mut line = table.into_inner().expect("memory takes all that is written");
    line.pop();
    String::from_utf8(line).expect("cells are text")
}

/// A cell before it is quoted.
fn csv_text(cell: &str) -> String {
    let text = printable_name(cell);
    // Some spreadsheets take the wide forms for the narrow ones.
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']);
    let is_guarded = text.starts_with('\'') || is_formula && text.parse::<f64>().is_err();
    if is_guarded { format!("'{text}") } else { text }
}

/// A row of a table in Markdown, with the line's end.
pub fn markdown_line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| markdown_text(&printable_name(cell))).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// A text that Markdown shows as it is, in a cell or within a line.
pub fn markdown_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in printable(text).chars() {
        let is_link = letter == '(' && shown.ends_with(']');
        if is_link || matches!(letter, '\\' | '|' | '`' | '*' | '~' | '<' | '&') {
            shown.push('\\');
        }
        shown.push(letter);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn csv_quotes_escapes_and_runs_nothing() {
        for (cell, expected) in [
            ("plain name_1", "plain name_1"),
            ("a \"b\", c", "\"a \"\"b\"\", c\""),
            ("a\nb\r\u{1b}", "a\\nb\\r\\u{1b}"),
            ("=1+1", "'=1+1"),
            ("=HYPERLINK(\"x\",1)", "\"'=HYPERLINK(\"\"x\"\",1)\""),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("'@SUM(A1)", "''@SUM(A1)"),
            ("'", "''"),
            ("a\\nb", "a\\u{5c}nb"),
            ("a\u{200b}", "a\\u{200b}"),
            (" =1", "' =1"),
            ("\t=1", "\\t=1"),
            ("＝1", "'＝1"),
            ("-x", "'-x"),
            ("+3 subsets", "'+3 subsets"),
            ("+3", "+3"),
            ("-15", "-15"),
            ("-0.5", "-0.5"),
            ("1e-300", "1e-300"),
            ("", ""),
        ] {
            assert_eq!(csv_line([cell, "1"]), format!("{expected},1"), "{cell:?}");
        }
    }

    #[test]
    fn markdown_is_shown_as_it_is_written() {
        for (text, expected) in [
            ("model.kind_1 = [\"diva\", 0.5] ± 1 (n = 2)", "model.kind_1 = [\"diva\", 0.5] ± 1 (n = 2)"),
            ("a | b", "a \\| b"),
            ("a\\", "a\\\\"),
            ("`code` *b*", "\\`code\\` \\*b\\*"),
            ("<img src=x>&amp;", "\\<img src=x>\\&amp;"),
            ("![x](y)", "![x]\\(y)"),
            ("a\nb", "a\\\\nb"),
        ] {
            assert_eq!(markdown_text(text), expected);
        }
        assert_eq!(markdown_line(&["a|".into(), String::new()]), "| a\\| |  |\n");
    }

    proptest! {
        #[test]
        fn cells_are_read_back_by_a_reader_of_csv(
            cells in prop::collection::vec("[\\PC\\n\r\",=+-]{0,8}", 2..5)
        ) {
            let line = csv_line(&cells);
            prop_assert!(!line.contains(['\n', '\r']));
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(rows.len(), 1);
            let expected: Vec<String> = cells.iter().map(|cell| csv_text(cell)).collect();
            prop_assert_eq!(rows[0].iter().collect::<Vec<_>>(), expected);
        }

        /// Short texts of few letters, so that many that are nearly alike meet.
        #[test]
        fn no_two_texts_share_a_cell(
            texts in prop::collection::btree_set("['=@\\\\n\n\t\u{200b}u{}1 -]{0,3}", 2..200)
        ) {
            let texts: Vec<String> = texts.into_iter().collect();
            let csv: std::collections::BTreeSet<String> = texts.iter().map(|text| csv_line([text])).collect();
            prop_assert_eq!(csv.len(), texts.len());
            let line = |text: &String| markdown_line(std::slice::from_ref(text));
            let markdown: std::collections::BTreeSet<String> = texts.iter().map(line).collect();
            prop_assert_eq!(markdown.len(), texts.len());
        }

        #[test]
        fn no_cell_of_markdown_ends_early(cells in prop::collection::vec("[|\\\\`a \n]{0,8}", 1..5)) {
            let line = markdown_line(&cells);
            // A bar is of the table unless an odd number of backslashes stands before it.
            let bars = line.replace("\\\\", "").replace("\\|", "").matches('|').count();
            prop_assert_eq!(bars, cells.len() + 1);
            prop_assert_eq!(line.matches('\n').count(), 1);
        }
    }
}
