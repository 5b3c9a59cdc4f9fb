//! Where pictures of one's own lie, and what is said of them beside that.

use crate::config::{ModelKind, Source};
use crate::data::pictures::list;
use crate::error::{Error, Result};
use crate::names::{composed, shown};
use std::path::{Path, PathBuf};
use toml::Value;

/// A folder of pictures, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where it is.
    pub path: PathBuf,
    /// Which of the two.
    pub(super) source: Source,
}

impl Place {
    /// What lies there, or what its name says; nothing if that is neither a folder nor a list ([`list::is_list`]).
    pub fn at(path: &Path) -> Option<Self> {
        let source = match (path.is_dir(), list::is_list(path)) {
            (true, _) => Source::Folders,
            (false, true) => Source::List,
            (false, false) => return None,
        };
        Some(Place { path: path.to_path_buf(), source })
    }

    /// The same in the words of a configuration, as `--set` takes them.
    ///
    /// # Errors
    /// If the path is not UTF-8.
    pub fn settings(&self) -> Result<Vec<String>> {
        let path = self.path.to_str().ok_or_else(|| {
            Error::request(format!(
                "cannot write {} into a configuration: it is not UTF-8",
                shown(&self.path)
            ))
        })?;
        let source = Value::try_from(self.source).expect("a source has a name");
        Ok(vec![format!("data.source={source}"), format!("data.path={}", Value::from(path))])
    }

    /// What runs on it are called.
    ///
    /// # Errors
    /// If it is not there.
    pub fn name(&self) -> Result<String> {
        let whole = self.path.canonicalize().map_err(|cause| Error::reading(&self.path, &cause))?;
        let name = if self.source == Source::Folders { whole.file_name() } else { self.path.file_stem() };
        Ok(name.map_or("images".into(), |name| name.to_string_lossy().into_owned()))
    }
}

/// What a user says of pictures beside where they are; what is not said is assumed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// The domain that is held out.
    pub test_domain: Option<String>,
    /// The domains that are used; none stands for all.
    pub domains: Vec<String>,
    /// The classes that are used, in the order in which they are numbered; none stands for all, by name.
    pub classes: Vec<String>,
    /// What is trained.
    pub model: Option<ModelKind>,
    /// Rows and columns of an image.
    pub size: Option<usize>,
    /// What the columns of a list are called, as `data.columns` has it.
    pub columns: Vec<String>,
}

impl Wishes {
    /// The same with names as folders and lists have them, whichever way their accents are spelled.
    pub(super) fn composed(self) -> Self {
        let all = |names: Vec<String>| names.iter().map(|name| composed(name)).collect();
        Wishes {
            test_domain: self.test_domain.map(|name| composed(&name)),
            domains: all(self.domains),
            classes: all(self.classes),
            columns: all(self.columns),
            ..self
        }
    }

    /// The same in the words of a configuration, as `--set` takes them.
    pub fn settings(&self) -> Vec<String> {
        let listed = |key: &str, names: &[String]| {
            (!names.is_empty()).then(|| format!("{key}={}", Value::from(names.to_vec())))
        };
        let kind = |kind| Value::try_from(kind).expect("the kind of a model has a name");
        [
            self.test_domain.clone().map(|name| format!("data.test_domain={}", Value::from(name))),
            listed("data.domains", &self.domains),
            listed("data.classes", &self.classes),
            listed("data.columns", &self.columns),
            self.model.map(|model| format!("model.kind={}", kind(model))),
            self.size.map(|side| format!("model.image_size={side}")),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
