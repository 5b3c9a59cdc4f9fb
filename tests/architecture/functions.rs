//! No function longer than a screen.

use super::{Source, breaches_in, is};
use proc_macro2::{Delimiter, TokenTree};

/// A function that does not fit on a screen should be several; tests aside, which tell one thing after another.
const MOST_LINES_OF_FUNCTION: usize = 80;

impl Source {
    /// Notes the function that has these trees before its body, which ends at line `end`, if it is too long.
    pub(super) fn measure(&mut self, before: &[TokenTree], end: usize) {
        let is_end = |tree: &TokenTree| {
            is(tree, ";") || matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
        };
        let item = &before[before.iter().rposition(is_end).map_or(0, |last| last + 1)..];
        let Some(TokenTree::Ident(name)) =
            item.iter().position(|tree| is(tree, "fn")).and_then(|at| item.get(at + 1))
        else {
            return;
        };
        let line = name.span().start().line;
        let lines = end + 1 - line;
        if lines > MOST_LINES_OF_FUNCTION {
            let path = &self.path;
            self.long_functions
                .push(format!("{path}:{line}: {name} has {lines} lines, at most {MOST_LINES_OF_FUNCTION}"));
        }
    }
}

#[test]
fn long_functions_are_found() {
    let function = |lines: usize| {
        format!("impl A {{\n  pub fn f<T>(x: T)\n  {{\n{}  }}\n}}", "    g();\n".repeat(lines - 3))
    };
    let breaches = |text: &str| breaches_in(&[("rng.rs", text)]);
    assert_eq!(breaches(&function(MOST_LINES_OF_FUNCTION)), [""; 0]);
    assert_eq!(breaches(&function(MOST_LINES_OF_FUNCTION + 1)), ["rng.rs:2: f has 81 lines, at most 80"]);
    assert_eq!(breaches(&format!("#[cfg(test)] mod tests {{ {} }}", function(200))), [""; 0]);
}
