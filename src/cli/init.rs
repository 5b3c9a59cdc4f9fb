//! `diva init`

use super::{Asked, DataArguments, say};
use crate::error::{Error, Result};
use crate::names::shown;
use crate::store::durable;
use crate::train::{recorded, sources};
use clap::Args;
use std::fs;
use std::path::PathBuf;

/// Write down what `diva train` would assume of a folder or a list of pictures, and train nothing.
///
/// The file is a whole configuration, to be looked at and changed: `diva train FILE` trains it.
#[derive(Args, Debug)]
pub(super) struct Init {
    #[command(flatten)]
    config: DataArguments,
    /// The file to be written. One that is there is left as it is.
    #[arg(long, value_name = "FILE", default_value = "own-images.toml")]
    out: PathBuf,
}

impl Init {
    pub(super) fn run(&self) -> Result<()> {
        let out = shown(&self.out);
        if self.config.place()?.is_none() {
            let found = self
                .config
                .config
                .config
                .as_ref()
                .map_or("nothing was named".into(), |path| format!("{} is neither", shown(path)));
            return Err(Error::request(format!(
                "cannot write {out}: {found}, expected a folder of pictures or a list of them"
            )));
        }
        if fs::symlink_metadata(&self.out).is_ok() {
            return Err(Error::request(format!(
                "cannot write {out}: it is there, and stays as it is; --out FILE names another"
            )));
        }
        let Asked { config, assumed, .. } = self.config.resolve()?;
        let config = recorded::from_anywhere(sources::find(config)?.config);
        durable::write(&self.out, config.to_toml().as_bytes())?;
        assumed.iter().try_for_each(|sentence| say(&format!("assumed: {sentence}")))?;
        say(&format!("written: {out}"))?;
        say(&format!("to train with it: diva train {out}"))
    }
}
