//! The architecture as a test: which module may use which, and what belongs in one place alone.
//!
//! The sources are read as Rust's own tokens, so comments and strings never count. What is compiled for tests only, an
//! item or file behind `#[cfg(test)]`, may use any module and any mathematics: it takes no part in a result. A rule
//! that is in the way is a decision to be taken in the tables below, not around them.

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/functions.rs"]
mod functions;
#[path = "architecture/made_up.rs"]
mod made_up;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use std::fs;
use std::path::Path;
use std::rc::Rc;

/// Each module of the crate with the modules it may use. A row names rows above it only, so there are no cycles, and no
/// module of the autograd needs one of the application, whose rows come last.
const MODULES: &[(&str, &[&str])] = &[
    ("names", &[]),
    ("error", &["names"]),
    ("simd", &["error"]), // DIVA_ISA may ask for what the CPU lacks
    ("rng", &["simd"]),   // normal numbers are made of simd::math
    ("tensor", &[]),
    ("parallel", &["error", "simd", "tensor"]),
    ("kernels", &["simd", "parallel"]),
    ("autograd", &["simd", "rng", "tensor", "parallel"]),
    ("ops", &["simd", "tensor", "parallel", "kernels", "autograd"]),
    // Frozen layers run without a tape, so no op stands between them and the kernels.
    ("nn", &["rng", "tensor", "parallel", "kernels", "autograd", "ops"]),
    ("prob", &["rng", "tensor", "autograd", "ops"]),
    ("optim", &["tensor", "kernels", "autograd"]),
    ("tables", &["names"]),
    ("elementary", &[]),
    ("config", &["names", "error"]),
    ("store", &["error"]),
    ("scores", &["error", "elementary"]),
    ("data", &["names", "error", "simd", "rng", "tensor", "parallel", "store"]),
    ("models", &["error", "rng", "tensor", "autograd", "ops", "nn", "prob", "config"]),
    ("train", EVERYTHING_ABOVE),
    ("experiments", EVERYTHING_ABOVE),
    (
        "report",
        &[
            "names",
            "elementary",
            "error",
            "rng",
            "tensor",
            "autograd",
            "nn", // networks as they are written out for the page
            "prob",
            "config",
            "store",
            "scores",
            "data",
            "models",
            "train",
            "experiments",
        ],
    ),
    ("cli", EVERYTHING_ABOVE),
];
const EVERYTHING_ABOVE: &[&str] = &["*"];

/// The first row of the application: lib.rs declares it and all below it behind a feature, and nothing else.
const APPLICATION: &str = "tables";

/// Uses that are for types only: the first reads and writes the second's names, but calls its operations through `Var`.
const TYPES_ONLY: (&str, &str) = ("models", "ops");

/// Where unsafe code may be: intrinsics, the call of the matrix product, aligned memory.
const UNSAFE: &[&str] = &["simd/", "kernels/gemm/", "kernels/gemm.rs", "tensor/buffer.rs"];

/// The only file that knows of threads.
const THREADS: &str = "parallel.rs";

/// A file that cannot be read at one sitting should be two.
const MOST_LINES: usize = 500;

/// The standard library takes these from the system or leaves their last digits open; `simd::math` has its own.
const SYSTEM_MATHEMATICS: &[&str] = &[
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "exp", "exp2",
    "exp_m1", "hypot", "ln", "ln_1p", "log", "log10", "log2", "powf", "powi", "sin", "sin_cos", "sinh",
    "tan", "tanh",
];

/// Where which of them may be called as methods.
const MATHEMATICS_ALLOWED: &[(&str, &[&str])] = &[
    ("data/rotate.rs", &["sin", "cos"]), // in f64, rounded to 15 digits at once, as Pillow does
    // There it is the op: `Var::exp`, `Var::ln`.
    ("nn/", &["exp"]),
    ("prob/", &["exp"]),
    ("models/", &["exp", "ln"]),
    ("report/live/mod.rs", &["exp"]),
];

/// A token and where it stands. Literals have no text.
struct Token {
    text: String,
    line: usize,
    /// The path of the module around it.
    module: Rc<Vec<String>>,
    /// Whether it is compiled for tests only, as far as its own file tells.
    test: bool,
}

/// A file of src/.
struct Source {
    /// Relative to src/, with slashes.
    path: String,
    module: Rc<Vec<String>>,
    lines: usize,
    tokens: Vec<Token>,
    /// What is too long, tests aside.
    long_functions: Vec<String>,
    /// Modules in files of their own that are declared here for tests only.
    test_modules: Vec<Vec<String>>,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let stream = text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut module: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        module.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
        let module = Rc::new(module);
        let lines = text.lines().count();
        let mut source = Source {
            path: path.into(),
            module: module.clone(),
            lines,
            tokens: vec![],
            long_functions: vec![],
            test_modules: vec![],
        };
        source.read(stream, &module, false);
        source
    }

    /// Appends the tokens of `stream`, which lies in `module`.
    fn read(&mut self, stream: TokenStream, module: &Rc<Vec<String>>, test: bool) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let all_test = test || trees.windows(3).any(|three| is(&three[1], "!") && is_test_attribute(three));
        let mut item_test = false;
        for (i, tree) in trees.iter().enumerate() {
            item_test |= is_test_attribute(&trees[i..(i + 2).min(trees.len())]);
            let test = all_test || item_test;
            let line = tree.span().start().line;
            let mut push = |text: &str| {
                self.tokens.push(Token { text: text.into(), line, module: module.clone(), test });
            };
            match tree {
                TokenTree::Ident(name) => push(&name.to_string()),
                TokenTree::Literal(_) => push(""),
                TokenTree::Punct(mark) => {
                    let doubled = mark.as_char() == ':' && i > 0 && opens_double_colon(&trees[i - 1]);
                    if doubled {
                        self.tokens.last_mut().expect("the first colon").text = "::".into();
                    } else {
                        push(&mark.to_string());
                    }
                    if mark.as_char() == ';' {
                        if let [.., keyword, TokenTree::Ident(name)] = &trees[..i]
                            && is(keyword, "mod")
                            && test
                        {
                            self.test_modules.push(child(module, &name.to_string()));
                        }
                        item_test = false;
                    }
                }
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::None => ("", ""),
                    };
                    push(open);
                    if open == "{" && !test {
                        self.measure(&trees[..i], group.span_close().end().line);
                    }
                    let inside = match &trees[..i] {
                        [.., keyword, TokenTree::Ident(name)] if open == "{" && is(keyword, "mod") => {
                            Rc::new(child(module, &name.to_string()))
                        }
                        _ => module.clone(),
                    };
                    self.read(group.stream(), &inside, test);
                    self.tokens.push(Token { text: close.into(), line, module: module.clone(), test });
                    item_test &= open != "{";
                }
            }
        }
    }

    fn text(&self, i: usize) -> &str {
        self.tokens.get(i).map_or("", |token| &token.text)
    }

    /// Every path that starts at the crate, or at a module around it, from the crate's root on; with its first token.
    fn paths(&self) -> Vec<(&Token, Vec<String>)> {
        let mut all = vec![];
        for (i, token) in self.tokens.iter().enumerate() {
            let starts =
                matches!(token.text.as_str(), "crate" | "super" | "self") && self.text(i + 1) == "::";
            if starts && (i == 0 || self.text(i - 1) != "::") {
                let mut found = vec![];
                self.branches(i, token.module.to_vec(), &mut found);
                all.extend(found.into_iter().map(|path| (token, path)));
            }
        }
        all
    }

    /// Adds the paths of the use tree at token `i`, after `path`; the token after it.
    fn branches(&self, mut i: usize, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
        loop {
            match self.text(i) {
                "{" => {
                    i += 1;
                    while i < self.tokens.len() && self.text(i) != "}" {
                        i = self.branches(i, path.clone(), found);
                        while i < self.tokens.len() && !matches!(self.text(i), "," | "}") {
                            i += 1; // as NAME
                        }
                        i += usize::from(self.text(i) == ",");
                    }
                    return i + 1;
                }
                "crate" => path.clear(),
                "self" => {}
                "super" => drop(path.pop()),
                name => path.push(name.to_owned()),
            }
            i += 1;
            if self.text(i) != "::" || self.text(i + 1) == "<" {
                found.push(path);
                return i;
            }
            i += 1;
        }
    }
}

fn child(module: &[String], name: &str) -> Vec<String> {
    module.iter().map(String::as_str).chain([name]).map(str::to_owned).collect()
}

fn is(tree: &TokenTree, text: &str) -> bool {
    !matches!(tree, TokenTree::Literal(_)) && tree.to_string() == text
}

fn opens_double_colon(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(mark) if mark.as_char() == ':' && mark.spacing() == Spacing::Joint)
}

/// Whether `trees` is a `#`, perhaps a `!`, and `[cfg(test)]`, other conditions besides allowed.
fn is_test_attribute(trees: &[TokenTree]) -> bool {
    let (Some(hash), Some(TokenTree::Group(group))) = (trees.first(), trees.last()) else { return false };
    let condition = group.stream().to_string().replace(' ', "");
    is(hash, "#") && (condition == "cfg(test)" || condition.starts_with("cfg(all(test,"))
}

/// What `module` may use; None if it has no row.
fn may_use(module: &str) -> Option<Vec<&'static str>> {
    let place = MODULES.iter().position(|(name, _)| *name == module)?;
    let (_, uses) = MODULES[place];
    let above = MODULES[..place].iter().map(|(name, _)| *name);
    Some(if uses == EVERYTHING_ABOVE { above.collect() } else { uses.to_vec() })
}

/// Every breach of a rule in `files` (paths relative to src/, texts), as FILE:LINE: what is wrong.
fn breaches(files: &[(String, String)]) -> Vec<String> {
    let mut sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    let test_modules: Vec<Vec<String>> =
        sources.iter().flat_map(|source| &source.test_modules).cloned().collect();
    let mut found = vec![];
    for source in &sources {
        if source.lines > MOST_LINES {
            found.push(format!("{}: {} lines, at most {MOST_LINES}", source.path, source.lines));
        }
        one_place_alone(source, &mut found);
        if source.path == "lib.rs" {
            halves(source, &mut found);
        }
        if !test_modules.iter().any(|module| source.module.starts_with(module)) {
            dependencies(source, &mut found);
            mathematics(source, &mut found);
            found.extend(source.long_functions.iter().cloned());
        }
    }
    sources.retain(|source| !test_modules.iter().any(|module| source.module.starts_with(module)));
    circles::breaches(&sources, &mut found);
    found
}

fn one_place_alone(source: &Source, found: &mut Vec<String>) {
    for Token { text, line, .. } in &source.tokens {
        let wrong = match text.as_str() {
            "unsafe" => !UNSAFE.iter().any(|place| source.path.starts_with(place)),
            "HashMap" | "HashSet" => true,
            "rayon" | "available_parallelism" => source.path != THREADS,
            name => name.contains("num_threads") && source.path != THREADS,
        };
        if wrong {
            found.push(format!("{}:{line}: {text} has no place here", source.path));
        }
    }
}

/// Modules that lib.rs declares in the wrong half of the crate.
fn halves(source: &Source, found: &mut Vec<String>) {
    let row = |module: &str| MODULES.iter().position(|(name, _)| *name == module);
    let first = row(APPLICATION).expect("a row");
    for (i, Token { line, .. }) in source.tokens.iter().enumerate().filter(|(_, token)| token.text == "mod") {
        let module = source.text(i + 1);
        let declaration = i - usize::from(i > 0 && source.text(i - 1) == "pub");
        let attribute = &source.tokens[..declaration].iter().map(|token| &*token.text).collect::<Vec<_>>();
        let behind_feature = attribute.ends_with(&["cfg", "(", "feature", "=", "", ")", "]"]);
        if row(module).is_some_and(|row| behind_feature != (row >= first)) {
            let half =
                if behind_feature { "of the autograd, behind a feature" } else { "of the application" };
            found.push(format!("lib.rs:{line}: {module} is {half}"));
        }
    }
}

fn dependencies(source: &Source, found: &mut Vec<String>) {
    let Some(here) = source.module.first() else { return }; // lib.rs and main.rs show what there is
    let Some(allowed) = may_use(here) else {
        found.push(format!("{}: the module {here} has no row in the table", source.path));
        return;
    };
    for (token, path) in source.paths() {
        let there = path.first().map_or("", String::as_str);
        if token.test || there == here {
            continue;
        }
        let what = path.join("::");
        if !allowed.contains(&there) {
            found.push(format!("{}:{}: {here} may not use {what}", source.path, token.line));
        } else if (here.as_str(), there) == TYPES_ONLY
            && !path.get(1).is_some_and(|item| item.starts_with(char::is_uppercase))
        {
            found
                .push(format!("{}:{}: {here} may use types of {there}, not {what}", source.path, token.line));
        }
    }
}

fn mathematics(source: &Source, found: &mut Vec<String>) {
    let allowed = |name: &str| {
        MATHEMATICS_ALLOWED
            .iter()
            .any(|(place, names)| source.path.starts_with(place) && names.contains(&name))
    };
    for (i, Token { text, line, test, .. }) in source.tokens.iter().enumerate().skip(2) {
        let method = source.text(i - 1) == "." && source.text(i + 1) == "(" && !allowed(text);
        let function = source.text(i - 1) == "::" && matches!(source.text(i - 2), "f32" | "f64");
        if !test && (method || function) && SYSTEM_MATHEMATICS.contains(&text.as_str()) {
            found.push(format!("{}:{line}: {text} of the standard library", source.path));
        }
    }
}

/// Adds the files under `folder`, whose path from src/ is `place`.
fn read_folder(folder: &Path, place: &str, files: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder of src/ can be read") {
        let path = entry.expect("an entry of src/ can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names in src/ are UTF-8");
        if path.is_dir() {
            read_folder(&path, &format!("{place}{name}/"), files);
        } else if name.ends_with(".rs") {
            files.push((format!("{place}{name}"), fs::read_to_string(&path).expect("a source can be read")));
        }
    }
}

#[test]
fn the_sources_keep_the_rules() {
    let mut files = vec![];
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    for expected in ["lib.rs", "parallel.rs", "simd/mod.rs", "ops/add.rs"] {
        assert!(files.iter().any(|(path, _)| path == expected), "{expected} was not read");
    }
    let found = breaches(&files);
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

#[test]
fn rows_of_the_table_use_rows_above_them() {
    for (place, (module, uses)) in MODULES.iter().enumerate() {
        let above = &MODULES[..place];
        assert!(!above.iter().any(|(name, _)| name == module), "two rows for {module}");
        for used in may_use(module).expect("a row") {
            assert!(above.iter().any(|(name, _)| *name == used), "{module} uses {used} ({uses:?})");
        }
    }
}

/// The breaches in made-up sources.
fn breaches_in(files: &[(&str, &str)]) -> Vec<String> {
    breaches(&files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect::<Vec<_>>())
}
