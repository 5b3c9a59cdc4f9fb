//! The plain classifier beside a run: what `diva train --baseline` trains as well, and the table of both answers.

use super::say_lines;
use crate::config::{Config, ModelKind};
use crate::error::{Error, Result};
use crate::names::shown;
use crate::scores::Answer;
use crate::store::run_folder::RunFolder;
use std::path::Path;

/// The configuration of the classifier that a run is compared with, and the folder beside the run's that it goes to.
///
/// # Errors
/// If the run is of a classifier itself, or its folder has no name.
pub(super) fn beside(config: &Config, run: &Path) -> Result<(Config, RunFolder)> {
    let mut plain = config.clone();
    plain.model.kind = ModelKind::Classifier;
    if config.model.kind == ModelKind::Classifier {
        return Err(Error::request(
            "--baseline trains the plain classifier as well, and it is the plain classifier that is trained already",
        ));
    }
    let Some(name) = run.file_name() else {
        return Err(Error::request(format!(
            "--baseline puts the plain classifier into a folder beside {}, which has no name of its own; name one with --out",
            shown(run)
        )));
    };
    let mut name = name.to_os_string();
    name.push("-classifier");
    Ok((plain, RunFolder::new(run.with_file_name(name))))
}

/// Says both answers side by side.
pub(super) fn compare(kind: ModelKind, answer: &Answer, plain: &Answer) -> Result<()> {
    let kind = toml::Value::try_from(kind).expect("the kind of a model has a name");
    let head = [kind.as_str().unwrap_or_default(), "classifier"];
    let line = |name: &str, cells: [String; 2]| {
        format!("{name:<17}  {:<26}{}", cells[0], cells[1]).trim_end().to_owned()
    };
    let mut text = line("", head.map(|kind| format!("{kind:>7}"))) + "\n";
    for (of_run, of_plain) in answer.rows().into_iter().zip(plain.rows()) {
        let cell = |[_, value, interval, _]: &[String; 4]| format!("{value:>7}  {interval}");
        text += &(line(&of_run[0], [cell(&of_run), cell(&of_plain)]) + "\n");
    }
    say_lines(&text)
}
