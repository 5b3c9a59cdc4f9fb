//! `diva weights`

use super::elsewhere::Elsewhere;
use super::outputs::refuse_taken;
use super::{ConfigArguments, note, say};
use crate::error::{Error, Result};
use crate::optim::Adam;
use crate::store::checkpoint::Checkpoint;
use crate::store::durable;
use crate::store::lock::Lock;
use crate::store::run_folder::RunFolder;
use crate::store::tensors::TensorFile;
use crate::train::saved_run::{SavedRun, empty_model, load_weights};
use crate::train::state::{Progress, State};
use crate::train::{recorded, seals, weights};
use clap::Subcommand;
use std::path::{Path, PathBuf};

/// Weights from and to PyTorch: state dicts of the published model as safetensors.
#[derive(Debug, Subcommand)]
pub(super) enum Weights {
    /// Write a run's parameters under their published names, in PyTorch's layout.
    Export {
        /// The run's folder.
        #[arg(value_name = "RUN")]
        run: PathBuf,
        /// The file to write.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The parameters of the checkpoint, not those of the selected epoch.
        #[arg(long)]
        last: bool,
    },
    /// Make a folder that evaluate, predict and generate accept, from a state dict.
    Import {
        /// The state dict.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The configuration that the weights belong to.
        #[command(flatten)]
        config: ConfigArguments,
        /// The folder to make.
        #[arg(long, value_name = "RUN")]
        out: PathBuf,
    },
}

impl Weights {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Weights::Export { run, out, last } => export(run, out, *last),
            Weights::Import { file, config, out } => import(file, config, out),
        }
    }
}

fn export(folder: &Path, out: &Path, last: bool) -> Result<()> {
    refuse_taken(out)?;
    let files = RunFolder::new(folder);
    let config = Elsewhere::default().config("export", &files)?;
    durable::clear_temporaries_of(out);
    if last {
        let file = last_parameters(&files, &config)?;
        file.write(out)?;
    } else {
        // Through the model: a file that is then complete, whoever made the one in the folder.
        let (saved, notice) = SavedRun::of("export", config, &files)?;
        notice.iter().for_each(|sentence| note(sentence));
        let steps = weights::steps(&TensorFile::read(&files.best())?)?;
        weights::export(&saved.params, steps).write(out)?;
    }
    say(&format!("the parameters of {} are in {}", folder.display(), out.display()))
}

/// The parameters of a run's checkpoint. How many domains and classes there are is asked of `best.safetensors`.
fn last_parameters(files: &RunFolder, config: &crate::config::Config) -> Result<TensorFile> {
    let path = files.best();
    let (_, params) =
        empty_model(config, &TensorFile::read(&path)?, &path, |classes| Some(vec![1; classes]))?;
    let adam = Adam::new(&params, config.train.learning_rate);
    let mut state =
        State { params, adam, progress: Progress::default(), images_sha256: None, best_sha256: None };
    let path = files.checkpoint();
    state.restore(&Checkpoint::load(&path)?, &config.identity(), &path)?;
    Ok(weights::export(&state.params, state.progress.steps))
}

fn import(file: &Path, config: &ConfigArguments, out: &Path) -> Result<()> {
    let config = config.resolve()?.effective_without_data()?;
    load_weights(&config, file, |classes| Some(vec![1; classes]))?;
    let folder = RunFolder::new(out);
    let refuse_a_run = || match folder.holds_a_run() {
        true => Err(Error::request(format!(
            "{} holds a run already; name another folder with --out",
            out.display()
        ))),
        false => Ok(()),
    };
    // Refuse before touching anything, and decide once nobody else can.
    refuse_a_run()?;
    durable::create_folder(out)?;
    let lock = Lock::take(out)?;
    refuse_a_run()?;
    lock.notice().into_iter().for_each(note);
    [folder.config(), folder.best(), folder.imported()]
        .iter()
        .for_each(|path| durable::clear_temporaries_of(path));
    let config = recorded::from_anywhere(config);
    durable::write_own(&folder.config(), config.to_toml().as_bytes())?;
    let best = TensorFile::read(file)?.to_bytes();
    durable::write_own(&folder.best(), &best)?;
    seals::seal_imported(&folder, &config, &best)?;
    say(&format!(
        "the weights of {} are in {}, ready for evaluate, predict and generate",
        file.display(),
        out.display()
    ))
}
