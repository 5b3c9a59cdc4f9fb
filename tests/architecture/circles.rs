//! No circle between files: whoever reads one can begin with those that it uses.

use super::{Source, breaches_in};

impl Source {
    /// What is shown here of other modules' items, `pub use`: its name here, and its path.
    fn shown(&self) -> Vec<(String, Vec<String>)> {
        let mut found = vec![];
        for (i, token) in self.tokens.iter().enumerate().skip(1) {
            if token.text == "use" && matches!(self.text(i - 1), "pub" | ")") {
                self.branches(i + 1, token.module.to_vec(), &mut found);
            }
        }
        found.into_iter().filter_map(|path| Some((path.last()?.clone(), path))).collect()
    }

    /// The paths of everything used, what is only shown aside: those that start at the crate or a module around, and those
    /// that start at a module within.
    fn used(&self) -> Vec<Vec<String>> {
        let mut found = vec![];
        let mut is_shown = false;
        for (i, token) in self.tokens.iter().enumerate().filter(|(_, token)| !token.test) {
            let before = if i > 0 { self.text(i - 1) } else { "" };
            let starts =
                matches!(token.text.as_str(), "crate" | "super" | "self") && self.text(i + 1) == "::";
            match token.text.as_str() {
                "use" => is_shown = matches!(before, "pub" | ")"),
                ";" => is_shown = false,
                _ if starts && before != "::" && !is_shown => {
                    self.branches(i, token.module.to_vec(), &mut found);
                }
                _ => {}
            }
        }
        found
    }
}

/// Files that use each other in circles. A folder's `mod.rs` and the files below it are one room: they may.
pub(super) fn breaches(sources: &[Source], found: &mut Vec<String>) {
    let shown: Vec<_> = sources.iter().map(Source::shown).collect();
    let file_of = |mut path: Vec<String>| {
        // An item may be shown by a module that only shows it too.
        for _ in 0..4 {
            let is_around = |source: &&Source| !source.module.is_empty() && path.starts_with(&source.module);
            let (at, source) = sources
                .iter()
                .enumerate()
                .filter(|(_, source)| is_around(source))
                .max_by_key(|(_, source)| source.module.len())?;
            let rest = path.split_off(source.module.len());
            let item = rest.first().and_then(|name| shown[at].iter().find(|(shown, _)| shown == name));
            match item {
                Some((_, there)) if !there.starts_with(&path) || there.len() > path.len() + 1 => {
                    path = there.iter().chain(&rest[1..]).cloned().collect();
                }
                _ => return Some(at),
            }
        }
        None
    };
    let uses: Vec<Vec<usize>> = sources
        .iter()
        .map(|source| {
            let mut files: Vec<usize> = source.used().into_iter().filter_map(&file_of).collect();
            files.retain(|&file| {
                let (here, there) = (&source.module, &sources[file].module);
                !here.starts_with(there) && !there.starts_with(here)
            });
            files
        })
        .collect();
    let reached_from = |first: usize| {
        let mut reached = vec![first];
        let mut at = 0;
        while at < reached.len() {
            for &file in &uses[reached[at]] {
                if !reached.contains(&file) {
                    reached.push(file);
                }
            }
            at += 1;
        }
        reached
    };
    for (file, source) in sources.iter().enumerate() {
        if let Some(&next) = uses[file].iter().find(|&&next| reached_from(next).contains(&file)) {
            found.push(format!("{}: it uses {}, which uses it", source.path, sources[next].path));
        }
    }
}

#[test]
fn circles_between_files_are_found() {
    let one = ("rng/one.rs", "use super::two::A; pub struct B;");
    let both = |two| breaches_in(&[one, ("rng/two.rs", two)]);
    let circle =
        ["rng/one.rs: it uses rng/two.rs, which uses it", "rng/two.rs: it uses rng/one.rs, which uses it"];
    assert_eq!(both("use super::one::B;"), circle);
    assert_eq!(both("fn f() { crate::rng::one::B }"), circle);
    assert_eq!(both("use super::{one::B as C};"), circle);
    assert_eq!(both("pub use super::one::B;"), [""; 0], "shown and not used");
    assert_eq!(both("#[cfg(test)] mod tests { use crate::rng::one::B; }"), [""; 0]);
    let shown = ("rng/mod.rs", "mod one; mod two; mod three; pub use one::B; pub(crate) use self::three::C;");
    let three = ("rng/three.rs", "use super::B; pub struct C;");
    assert_eq!(breaches_in(&[one, shown, three, ("rng/two.rs", "use crate::rng::B;")]), circle);
    assert_eq!(
        breaches_in(&[one, shown, three, ("rng/two.rs", "use super::C;")]),
        [
            "rng/one.rs: it uses rng/two.rs, which uses it",
            "rng/three.rs: it uses rng/one.rs, which uses it",
            "rng/two.rs: it uses rng/three.rs, which uses it"
        ]
    );
    let room =
        [("rng/mod.rs", "mod one; pub fn f() { one::g() }"), ("rng/one.rs", "use super::f; pub fn g() {}")];
    assert_eq!(breaches_in(&room), [""; 0], "a folder is one room");
}
