//! Which picture plays which part in a run: `division.csv`.

use diva::data::division::Division;
use std::path::Path;

/// A division.csv.
pub fn division(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let path = Path::new("division.csv");
    let Ok(division) = Division::parse(text, path) else { return false };
    assert_eq!(Division::parse(&division.to_csv(), path).as_ref(), Ok(&division));
    true
}
