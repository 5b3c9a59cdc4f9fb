//! `diva predict`

use super::elsewhere::Elsewhere;
use super::{note, percent, say, say_json};
use crate::config::{ModelConfig, Networks, Source};
use crate::data::pictures::{self, depth};
use crate::data::{Dataset, class_in_words, image};
use crate::error::{Error, Result};
use crate::experiments::latents;
use crate::models::{LabelPredictor, SIDE};
use crate::names::{printable_name, shown};
use crate::parallel;
use crate::store::input;
use crate::store::run_folder::RunFolder;
use crate::tables::csv_line;
use crate::tensor::Tensor;
use crate::train::predictions::{Prediction, mark_unlike, predict, table};
use crate::train::saved_run::SavedRun;
use crate::train::seals::{self, Standing};
use crate::train::unlike::UnlikeTraining;
use clap::Args;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// So many images are not looked through line by line.
const WORTH_A_SENTENCE: usize = 10;

/// The class, and the most similar training domain, of images, and whether they look unlike the training images.
///
/// Of digits these are PNG images of 28 x 28 pixels; of other data PNG and JPEG images of any size, which are treated as those
/// that were trained on.
///
/// To rank images, take the log-odds that --csv and --json give, ln p / (1 - p): of a confident model the probabilities of many
/// images round to the same number, and the log-odds do not. --csv has those of the positive class, the second, in the
/// column log_odds where there are two classes, and a column log_odds CLASS for each where there are more; --json has
/// class_log_odds by class.
///
/// An image is marked as unlike the training images if its ELBO is lower or higher than those of all but 1 in 100 images of the
/// training domain that it looks most like. The ELBO is a lower bound of the logarithm of the density that the model gives to the
/// image, in nats, at the means of its latents and whatever its domain and class.
///
/// What the mark is: a sign that the image is not of the kind that the model was made from, such as another stain, bright on dark
/// instead of dark on bright, noise. Its probabilities then rest on nothing, however near to 0 or 1 they are. About 1 in 100
/// images like the training images are marked as well, more where no images were held back to take the limits from; for a whole new
/// domain, look at the share that is marked.
///
/// Of DIVA trained on handwritten digits, upright and turned by 30 and 60 degrees, it marks 0.6 % of fresh ones, 2.6 % of those turned
/// by 90 degrees and 0.2 % of upside-down ones, 64 % of printed digits, 73 % of printed letters, 62 % of handwritten digits of
/// another source, and all of noise and of digits dark on bright.
///
/// What it is not: a sign that the answer is wrong; and no mark does not mean that the answer is right or the domain known.
/// An image of quite another kind can happen to have the ELBO of one like the training images, and what shows in few pixels, such
/// as a new kind of parasite, does not move it.
///
/// The limits are in the run's unlike.json. Models without a decoder (classifier, dann), imported weights, runs that are not finished
/// and those of earlier versions have none, and mark nothing.
#[derive(Args, Debug)]
pub(super) struct Predict {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Images, or folders of them, with all folders below.
    #[arg(value_name = "IMAGE_OR_FOLDER", required = true)]
    images: Vec<PathBuf>,
    /// Print one JSON object instead of a line per image.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print a table instead: a line an image, with all probabilities and log-odds. What could be taken for an end of a line or for
    /// a formula is shown escaped in it; --json has names as they are.
    #[arg(long)]
    csv: bool,
    /// Leave out pictures that cannot be read, and say how many, instead of stopping at the first.
    #[arg(long)]
    skip_unreadable: bool,
    /// Do not ask whether images are unlike the training images, which takes three quarters of the time.
    #[arg(long)]
    no_unlike: bool,
    /// Add the means of the latents: with --csv the columns "zd 0", "zd 1" and so on, with --json by the name of the latent.
    #[arg(long)]
    latents: bool,
}

#[derive(Serialize)]
struct Predictions {
    classes: Vec<String>,
    domains: Vec<String>,
    predictions: Vec<Prediction>,
    /// Between which ELBOs an image is like the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    unlike: Option<UnlikeTraining>,
    /// Files that are left out, a sentence each.
    unreadable: Vec<String>,
}

/// What was read of the files that were asked for.
struct Pictures {
    /// Those that can be read.
    files: Vec<PathBuf>,
    /// Their values.
    images: Vec<Vec<u8>>,
    /// The smallest and the largest value of each that is of 16 bits.
    ranges: Vec<Option<[u16; 2]>>,
    /// Those that cannot, a sentence each.
    unreadable: Vec<String>,
}

impl Predict {
    pub(super) fn run(&self) -> Result<()> {
        let saved = Elsewhere::default().load(&self.run)?;
        // All are read before the first answer: a wrong one is named before anything is printed.
        let is_of_digits = matches!(saved.config.data.source, Source::Embedded | Source::Idx);
        // What the networks take decides, not where images came from: imported weights have no images of their own.
        let Pictures { files, images, ranges, unreadable } = match saved.config.model.networks {
            Networks::Lenet if is_of_digits => {
                let files: Vec<Vec<PathBuf>> =
                    self.images.iter().map(|path| image::png_files(path)).collect::<Result<_>>()?;
                self.read(files.concat(), |file| {
                    image::read_grey(file, SIDE, SIDE).map(|grey| (grey.pixels, grey.range))
                })?
            }
            Networks::Lenet | Networks::Resnet => {
                let ModelConfig { image_size, channels, .. } = saved.config.model;
                let size = [image_size, image_size, channels];
                self.read(pictures(&self.images)?, |file| pictures::read_picture(file, size))?
            }
        };
        depth::notice(ranges).iter().for_each(|sentence| note(sentence));
        let of_class = saved.model.class_predictor(&saved.params);
        let class_name = |class: usize| saved.config.data.classes.get(class).cloned();
        let classes: Vec<String> = (0..of_class.labels())
            .map(|class| class_name(class).unwrap_or_else(|| class.to_string()))
            .collect();
        let of_domain = saved.model.domain_predictor(&saved.params);
        let mut domains = saved.domain_names();
        if let Some(labels) = of_domain.as_ref().map(LabelPredictor::labels)
            && labels != domains.len()
        {
            // Imported weights need not be of the configuration's domains, which then name none of theirs.
            domains = (0..labels).map(|domain| domain.to_string()).collect();
        }
        let names: Vec<String> = files.iter().map(shown).collect();
        let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
        let mut predictions = predict((&saved.model, &saved.params), (&classes, &domains), &names, &images)?;
        if self.latents {
            add_latents(&saved, &images, &mut predictions)?;
        }
        let unlike = self.mark_unlike(&saved, &images, &mut predictions)?;
        let marked = predictions.iter().filter(|p| p.unlike_training == Some(true)).count();
        // Of few images each line says enough.
        if predictions.len() >= WORTH_A_SENTENCE && 2 * marked > predictions.len() {
            note(&format!(
                "{marked} of {} images look unlike the training images: what is said of their classes rests on nothing",
                predictions.len()
            ));
        }
        if self.json {
            return say_json(&Predictions { classes, domains, predictions, unlike, unreadable });
        }
        if let Some(sentence) = pictures::left_out(files.len() + unreadable.len(), &unreadable) {
            note(&sentence);
        }
        if self.csv {
            let rows = table(&classes, &domains, &predictions);
            return rows.iter().try_for_each(|row| say(&csv_line(row)));
        }
        for p in &predictions {
            let share = percent(p.probability);
            let domain = p.domain.as_ref().map_or(String::new(), |name| {
                format!(", most like training domain {}", printable_name(name))
            });
            let class = printable_name(&class_in_words(&classes, p.class));
            let unlike =
                if p.unlike_training == Some(true) { ", looks unlike the training images" } else { "" };
            say(&format!("{}: {class} ({share}){domain}{unlike}", printable_name(&p.file)))?;
        }
        Ok(())
    }

    /// Says of each prediction whether its image is unlike the training images, if the run says which are.
    fn mark_unlike(
        &self,
        saved: &SavedRun,
        images: &[&[u8]],
        predictions: &mut [Prediction],
    ) -> Result<Option<UnlikeTraining>> {
        let Some(model) = saved.model.latent_variables().filter(|_| !self.no_unlike) else {
            return Ok(None);
        };
        let folder = RunFolder::new(&self.run);
        let path = folder.unlike();
        let text = input::text_if_there(&path, input::SHORT_TEXT)?;
        let bytes = text.as_deref().map(str::as_bytes);
        if let Standing::OfOthers(why) = seals::check_unlike("use", &folder, bytes, &saved.best_sha256)? {
            note(&format!("no image is marked as unlike the training images: {why}"));
            return Ok(None);
        }
        let Some(unlike) = text.map(|text| UnlikeTraining::parse(&text, &path)).transpose()? else {
            note(&format!(
                "no image is marked as unlike the training images: there is no {}; imported weights, unfinished runs and \
                 those of earlier versions have none",
                path.display()
            ));
            return Ok(None);
        };
        let classes = model.settings().classes;
        if unlike.prior_y.len() != classes {
            let (path, found) = (path.display(), unlike.prior_y.len());
            return Err(Error::request(format!(
                "cannot use {path}: prior_y has {found} probabilities, expected one for each of {classes} classes"
            )));
        }
        let known = predictions.first().and_then(|p| p.domain_probabilities.as_ref()).map_or(1, Vec::len);
        let found = unlike.limits.len();
        if ![1, known].contains(&found) {
            return Err(Error::request(format!(
                "cannot use {}: it has {found} limits, expected one for each of {known} training domains",
                path.display()
            )));
        }
        mark_unlike(predictions, &unlike, (model, &saved.params), images);
        Ok(Some(unlike))
    }

    /// Reads the files, of which there is at least one.
    fn read(
        &self,
        files: Vec<PathBuf>,
        read: impl Fn(&Path) -> Result<(Vec<u8>, Option<[u16; 2]>)> + Sync,
    ) -> Result<Pictures> {
        let mut found =
            Pictures { files: Vec::new(), images: Vec::new(), ranges: Vec::new(), unreadable: Vec::new() };
        let (count, images) = (files.len(), parallel::map(files.len(), |i| read(&files[i])));
        for (file, image) in files.into_iter().zip(images) {
            match image {
                Ok((image, range)) => {
                    found.files.push(file);
                    found.images.push(image);
                    found.ranges.push(range);
                }
                Err(cause) if self.skip_unreadable => found.unreadable.push(cause.to_string()),
                Err(cause) => return Err(cause),
            }
        }
        match &found.unreadable[..] {
            [first, ..] if found.files.is_empty() => Err(Error::request(format!(
                "cannot predict: none of {count} files can be read; the first: {first}"
            ))),
            _ => Ok(found),
        }
    }
}

/// The files, and those in the folders and all folders below, that are taken for pictures.
fn pictures(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let (mut files, mut hidden) = (Vec::new(), Vec::new());
    for path in paths {
        // What is not there at all was named by mistake.
        match fs::metadata(path).map_err(|cause| Error::reading(path, &cause))?.is_dir() {
            true => files.extend(pictures::pictures_below(path, &mut hidden)?),
            false => files.push(path.clone()),
        }
    }
    if let Some(first) = hidden.first() {
        let count = hidden.len();
        note(&format!("hidden folders are passed over: {count}, the first is {}", shown(first)));
    }
    if files.is_empty() {
        return Err(Error::request(format!("cannot predict: {} holds no picture", shown(&paths[0]))));
    }
    Ok(files)
}

/// Adds the means of the latents to what is said of each image.
fn add_latents(saved: &SavedRun, images: &[&[u8]], predictions: &mut [Prediction]) -> Result<()> {
    let Some(variables) = saved.model.latent_variables() else {
        return Err(Error::request("cannot give --latents: a model of this kind has none"));
    };
    let none = vec![0; images.len()];
    let data = Dataset::new(variables.settings().image, images.concat(), none.clone(), none);
    let latents = latents::encode(&saved.model, &saved.params, &data, "asked")?;
    for (image, prediction) in predictions.iter_mut().enumerate() {
        let row = |means: &Tensor| {
            let columns = means.shape().columns();
            means.data()[image * columns..][..columns].to_vec()
        };
        prediction.latents = Some(latents.iter().map(|latent| (latent.name, row(&latent.means))).collect());
    }
    Ok(())
}
