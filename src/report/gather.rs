//! What a report says of a run, gathered from its folder, its images and its selected model.

use super::Picture;
use super::generated::{self, Kind, NoPicture};
use super::latents::{KnowledgeRow, Views};
use super::live;
use super::run_report::{ModelPicture, RunReport};
use crate::autograd::Params;
use crate::config::Config;
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::experiments::knowledge::{self, Knowledge};
use crate::experiments::latents::{self, Latent};
use crate::experiments::pca::Plane;
use crate::experiments::tsne;
use crate::models::Model;
use crate::models::networks::PixelValue;
use crate::names::shown;
use crate::store::run_folder::RunFolder;
use crate::tensor::Tensor;
use crate::train::evaluate::{Evaluation, Unseen, WANTED_SENSITIVITY};
use crate::train::saved_run::{SavedRun, refuse_other_classes};
use crate::train::{metrics, recorded, seals};

/// How many steps it tells of at most.
pub const STEPS: usize = 5 + Kind::ALL.len();

/// All that a report says of the run in a folder, whose images are where `config` says; with what a reader can try if the
/// page is to be `live`. Its pictures show `pixel` of each pixel, or what such a model draws where nobody says.
/// `progress` hears of each step before it begins.
///
/// # Errors
/// If a file of the run cannot be read, is damaged or another's, or a model with such networks does not draw such pixels. That
/// its images are not there is no error.
pub fn gather(
    files: &RunFolder,
    config: Config,
    live: bool,
    pixel: Option<PixelValue>,
    progress: &mut dyn FnMut(&str),
) -> Result<RunReport> {
    let pixel = PixelValue::chosen(pixel, config.model.networks)
        .map_err(|why| Error::request(format!("cannot report {}: {why}", files.path().display())))?;
    // A run that goes on may select another epoch while it is read.
    const ATTEMPTS: usize = 3;
    let mut report = RunReport {
        name: shown(files.path()),
        classes: Vec::new(),
        domains: config.data.training_domains().into_iter().map(ToString::to_string).collect(),
        metrics: Vec::new(),
        result: None,
        notices: Vec::new(),
        not_asked: None,
        unseen: None,
        evaluation: None,
        knowledge: Vec::new(),
        views: None,
        pictures: Vec::new(),
        live: live.then(|| Err("no epoch of its training is recorded".into())),
        config,
    };
    read_progress(&mut report, files)?;
    if !files.best().exists() {
        if !report.metrics.is_empty() {
            let why = format!("The model could not be asked: {} is gone.", shown(files.best()));
            report.notices.push(why.clone());
            report.not_asked = Some(why);
        }
        without_model(&mut report);
        return Ok(report);
    }
    progress("reading the images");
    let split = match recorded::read(&format!("report {}", files.path().display()), &report.config, files) {
        Ok(images) => {
            report.notices.extend(images.left_out.into_iter().chain(images.notices));
            images.split
        }
        Err(error) => {
            let why = format!(
                "The model could not be asked: {error}. With --set data.path=... its images are looked for elsewhere."
            );
            report.notices.push(why.clone());
            report.not_asked = Some(why);
            without_model(&mut report);
            return Ok(report);
        }
    };
    report.classes.clone_from(&split.class_names);
    progress("asking the model for the classes");
    let mut selected = ask_classes(&mut report, files, &split)?;
    for _ in 1..ATTEMPTS {
        if report.answers_are_of_the_selected_epoch() {
            break;
        }
        read_progress(&mut report, files)?;
        selected = ask_classes(&mut report, files, &split)?;
    }
    if !report.answers_are_of_the_selected_epoch() {
        let why = "the run goes on, or was stopped between the two";
        report.notices.push(format!("The model that was asked is not that of the selected epoch: {why}."));
    }
    let predictor = selected.0.class_predictor(&selected.1);
    report.evaluation = Some(Evaluation::of(&predictor, &split, WANTED_SENSITIVITY)?);
    look_inside(&mut report, &selected, &split, pixel, progress);
    if let Some(live) = &mut report.live {
        progress("choosing what can be tried");
        *live = live::live(&selected.0, &selected.1, &split);
    }
    Ok(report)
}

/// There is nothing to try of a model that could not be asked.
fn without_model(report: &mut RunReport) {
    if let (Some(live), Some(_)) = (&mut report.live, &report.not_asked) {
        *live = Err("the model could not be asked".into());
    }
}

/// How far the run is.
fn read_progress(report: &mut RunReport, files: &RunFolder) -> Result<()> {
    // In this order: a run that ends in between has its last line before its result.
    let result = if files.result().exists() { Some(metrics::read_result(&files.result())?) } else { None };
    report.metrics =
        if files.metrics().exists() { metrics::read_recorded_epochs(files)? } else { Vec::new() };
    if let Some(result) = &result {
        seals::check_result(result, &report.metrics, &report.config).map_err(|what| {
            let path = shown(files.result());
            Error::request(format!("cannot report {}: {path} is not its result: {what}", report.name))
        })?;
    }
    // A run that is prolonged keeps its old result until there is a new one.
    report.result = result.filter(|result| result.epochs == report.metrics.len());
    Ok(())
}

/// What the selected model takes the images of the unseen domain for; the model.
fn ask_classes(report: &mut RunReport, files: &RunFolder, split: &Split) -> Result<(Model, Params)> {
    let (saved, notice) = SavedRun::of("report", report.config.clone(), files)?;
    let SavedRun { model, params, .. } = saved;
    report.notices.extend(notice.filter(|notice| !report.notices.contains(notice)));
    let predictor = model.class_predictor(&params);
    refuse_other_classes("report", files.path(), predictor.labels(), split.classes)?;
    report.unseen = Some(Unseen::of(&predictor, split, WANTED_SENSITIVITY)?);
    Ok((model, params))
}

/// What the selected model generates, and what its latents know.
fn look_inside(
    report: &mut RunReport,
    (model, params): &(Model, Params),
    split: &Split,
    pixel: PixelValue,
    progress: &mut dyn FnMut(&str),
) {
    for kind in Kind::ALL {
        progress(&format!("drawing {}", kind.name()));
        let (model, seed) = ((model, params), report.config.seed);
        match generated::draw(kind, model, split, pixel, seed) {
            Ok(png) => {
                let networks = report.config.model.networks;
                let caption = generated::caption(kind, pixel, networks, &report.unseen_domain());
                let measured = generated::measured(kind, model, split, pixel, seed);
                report.pictures.push(ModelPicture {
                    title: heading(kind).into(),
                    caption: [Some(caption), measured].into_iter().flatten().collect::<Vec<_>>().join(" "),
                    png,
                });
            }
            Err(NoPicture::Lack(_)) => {}
            Err(cause) => report.notices.push(format!("\"{}\" is left out: {cause}.", heading(kind))),
        }
    }
    let encode = |data, which| latents::encode(model, params, data, which);
    let encode_all = || -> Result<_> {
        let unlabelled = split.unlabelled.as_ref().map(|data| encode(data, "unlabelled")).transpose()?;
        Ok((encode(&split.train, "training")?, encode(&split.test, "test")?, unlabelled))
    };
    let (train, test, unlabelled) = match encode_all() {
        Ok(latents) => latents,
        Err(cause) => {
            let what = "What latents know of classes and domains, and where images lie in them,";
            report.notices.push(format!("{what} is left out: {cause}."));
            return;
        }
    };
    if !train.is_empty() {
        let row = |known: &Knowledge| KnowledgeRow {
            latent: known.latent,
            class: known.class.share(),
            domain: known.domain.share(),
            unseen_class: known.unseen_class.share(),
        };
        progress("asking what latents know");
        let known = knowledge::probe(&train, &test, split, report.config.data.protocol);
        report.knowledge = known.iter().map(row).collect();
        let mut parts = vec![(&split.train, train), (&split.test, test)];
        parts.extend(split.unlabelled.as_ref().zip(unlabelled));
        progress("laying images out by their latents");
        report.views = Some(views(&parts, split.classes));
    }
}

fn heading(kind: Kind) -> &'static str {
    match kind {
        Kind::Reconstructions => "Images and what the model makes of them",
        Kind::Classes => "The class changed, all else kept",
        Kind::Domains => "The domain changed, all else kept",
        Kind::Samples => "Images drawn from the priors",
        Kind::Latents => "One latent kept, the others zero",
        Kind::Interpolations => "From one image to another in a single latent",
    }
}

/// Images of all domains in two dimensions: at most [`POINTS`], evenly spaced among all.
fn views(parts: &[(&Dataset, Vec<Latent>)], known_classes: usize) -> Views {
    const COLUMNS: usize = 25;
    let all: Vec<(usize, usize)> = parts
        .iter()
        .enumerate()
        .flat_map(|(part, (data, _))| (0..data.len()).map(move |i| (part, i)))
        .collect();
    let count = all.len().min(POINTS);
    let chosen: Vec<(usize, usize)> = (0..count).map(|i| all[i * all.len() / count]).collect();
    let (data, rows) = (parts[0].0, count.div_ceil(COLUMNS));
    // A row of an image is as many bytes as of a grey one that is `channels` times as wide.
    let (height, row_bytes) = (data.height, data.width * data.channels);
    let mut sheet = vec![0; rows * height * COLUMNS * row_bytes];
    for (place, &(part, index)) in chosen.iter().enumerate() {
        let (top, left) = (place / COLUMNS * height, place % COLUMNS * row_bytes);
        for (row, pixels) in parts[part].0.image(index).chunks(row_bytes).enumerate() {
            sheet[(top + row) * COLUMNS * row_bytes + left..][..row_bytes].copy_from_slice(pixels);
        }
    }
    let labels = |of: fn(&Dataset) -> &Vec<u32>| -> Vec<usize> {
        chosen.iter().map(|&(part, index)| of(parts[part].0)[index] as usize).collect()
    };
    let mut planes = Vec::new();
    for (number, latent) in parts[0].1.iter().enumerate() {
        let columns = latent.means.shape().columns();
        let mut means = Tensor::zeros([count, columns]);
        for (to, &(part, index)) in means.data_mut().chunks_exact_mut(columns).zip(&chosen) {
            to.copy_from_slice(&parts[part].1[number].means.data()[index * columns..][..columns]);
        }
        planes.push((format!("{} by PCA", latent.name), Plane::of(&means).project(&means)));
        planes.push((format!("{} by t-SNE", latent.name), tsne::embed(&means).points));
    }
    Views {
        sheet: Picture::new(rows * height, COLUMNS * data.width, data.channels, sheet).to_png(),
        columns: COLUMNS,
        side: data.width,
        classes: labels(|data| &data.classes).into_iter().map(|class| class.min(known_classes)).collect(),
        domains: labels(|data| &data.domains),
        planes,
    }
}

/// More points hide each other, and t-SNE takes time in proportion to their square.
const POINTS: usize = 600;
