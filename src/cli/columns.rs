//! Lines of text in columns, each as wide as its widest entry.

use crate::names::{at_right, printable_name, terminal_width};

/// The lines of a table, two spaces between its columns, every entry at the right. Names in it are shown as they are printed.
pub(super) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|entry| printable_name(entry)).collect()).collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|entry| terminal_width(entry)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0)).map(width).collect();
    let line = |row: &Vec<String>| {
        let entries: Vec<String> =
            row.iter().zip(&widths).map(|(entry, &wide)| at_right(entry, wide)).collect();
        entries.join("  ")
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_entry() {
        let rows = [vec!["a", "größe", ""], vec!["bcd", "1", "x\n"]];
        let rows = rows.map(|row| row.into_iter().map(str::to_owned).collect());
        assert_eq!(columns(&rows), ["  a  größe     ", "bcd      1  x\\n"]);
        assert!(columns(&[]).is_empty());
    }
}
