//! `diva generate`

use super::elsewhere::{Elsewhere, images};
use super::outputs::is_same;
use super::say;
use crate::error::{Error, Result};
use crate::models::networks::PixelValue;
use crate::report::generated::{self, Kind, NoPicture};
use crate::store::durable;
use crate::store::run_folder::RunFolder;
use clap::Args;
use std::path::PathBuf;

/// Pictures of what a run's selected model generates.
///
/// The kinds: reconstructions (images of every domain beside what the model makes of them); classes and domains (images
/// with their class or domain changed to each of the others); samples (drawn from the priors); latents (decoded from one
/// latent, the others zero); interpolations (from one image to another in one latent); all (each that the model can
/// generate, in a file of its own). A baseline without a decoder generates nothing.
#[derive(Args, Debug)]
pub(super) struct Generate {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// What to draw: reconstructions, classes, domains, samples, latents, interpolations, or all.
    #[arg(value_name = "KIND")]
    kind: String,
    /// Where to put the pictures, instead of the run's folder; made if it is not there. Not the folder of another run.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What to draw of each pixel, of which the decoder gives a distribution: by default the median of grey levels, the mean of
    /// mixtures, which are drawn as mean or sample alone.
    #[arg(long, value_name = "VALUE")]
    pixel: Option<PixelValue>,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

impl Generate {
    pub(super) fn run(&self) -> Result<()> {
        let kinds: Vec<Kind> =
            Kind::ALL.into_iter().filter(|kind| [kind.name(), "all"].contains(&self.kind.as_str())).collect();
        if kinds.is_empty() {
            return Err(Error::request(format!(
                "cannot generate {:?}; the kinds are {} and all",
                self.kind,
                Kind::ALL.map(Kind::name).join(", ")
            )));
        }
        let folder = self.out.as_ref().unwrap_or(&self.run);
        if RunFolder::new(folder).holds_a_run() && !is_same(folder, &self.run) {
            return Err(Error::request(format!(
                "cannot generate from {} into {}: it holds another run; name another folder with --out",
                self.run.display(),
                folder.display()
            )));
        }
        let saved = self.elsewhere.load(&self.run)?;
        let pixel = PixelValue::chosen(self.pixel, saved.config.model.networks).map_err(|why| {
            Error::request(format!("cannot generate {} from {}: {why}", self.kind, self.run.display()))
        })?;
        let split = images(&saved, "draw from", &self.run)?.split;
        let (model, seed) = ((&saved.model, &saved.params), saved.config.seed);
        let drawn: Vec<_> =
            kinds.into_iter().map(|kind| (kind, generated::draw(kind, model, &split, pixel, seed))).collect();
        let not_finite = |(kind, png): &(Kind, std::result::Result<Vec<u8>, NoPicture>)| match png {
            Err(cause @ NoPicture::NotFinite(_)) => Some((*kind, cause.to_string())),
            _ => None,
        };
        if let Some((kind, cause)) = drawn.iter().find_map(not_finite) {
            let (kind, run) = (kind.name(), self.run.display());
            return Err(Error::work(format!("cannot generate {kind} from {run}: {cause}")));
        }
        // Whoever asks for all gets what there is; whoever asks for what is not there is told why.
        if let Some((_, Err(lack))) = drawn.first()
            && drawn.iter().all(|(_, png)| png.is_err())
        {
            let (kind, run) = (&self.kind, self.run.display());
            return Err(Error::request(format!("cannot generate {kind} from {run}: {lack}")));
        }
        durable::create_folder(folder)?;
        durable::clear_temporaries(folder, |of| Kind::ALL.into_iter().any(|kind| kind.file() == of));
        for (kind, png) in drawn {
            match png {
                Ok(png) => {
                    let path = folder.join(kind.file());
                    durable::write_own(&path, &png)?;
                    say(&format!("the {} are in {}", kind.name(), path.display()))?;
                }
                Err(lack) => say(&format!("there are no {}: {lack}", kind.name()))?,
            }
        }
        Ok(())
    }
}
