//! What `diva train FOLDER` assumes of a folder of pictures, or `diva train images.csv` of a list of them, by rules that look at the pictures and at no clock: the same folder
//! gives the same configuration on every machine.
//!
//! * **Domains and classes** are the folders (`DOMAIN/CLASS/picture`), or what the list says; the last domain by name that has a
//!   class is held out, unless the list has one for test.
//! * **Size and colour** are read off a sample of at most [`SAMPLE`] pictures, spread evenly. Grey pictures of 28 x 28 stay as
//!   they are and get the network of digits. Others become square, with the largest multiple of 16 that is no longer than
//!   the median of their shorter sides, from 32 to 64 pixels, and are grey if no picture of the sample has a colour.
//! * **The length of the training** is that of a number of pixels: so many for 600 pictures (`WORK`), and with the root of their number
//!   for more or fewer, from 15 to 100 epochs.
//! * **The objective's weights** are the published ones: 2,000 and 3,500 for the network of digits, and for the others those of
//!   malaria, 100,000 and 75,000 for 64 x 64 x 3 values, in proportion to the values of an image. The warm-up is the published
//!   fifth of the epochs.

use crate::config::{Config, ModelKind};
use crate::data::collection::UNLABELLED;
use crate::data::pictures::decode::decode;
use crate::data::pictures::{LONGEST_FILE, Listing, folders, list};
use crate::error::{Error, Result};
use crate::names::shown;
use crate::parallel;
use crate::store::input;
use std::path::Path;
use toml::Value;

/// How many pictures are looked at.
pub const SAMPLE: usize = 256;

/// The work that 600 pictures get: images trained on, times their size in units of 32 x 32 pixels.
const WORK: f64 = 120_000.0;

/// The largest difference of red, green and blue in a pixel that is still grey: JPEG rounds.
const GREY: u8 = 4;

/// The side of MNIST's digits, and of their network's images.
const DIGIT: usize = 28;

/// What a user says of a folder beside its name; what is not said is assumed.
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
    /// What the columns of a list are called, as `data.columns` has it.
    pub columns: Vec<String>,
}

/// A configuration, as far as it depends on pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumed {
    /// The configuration.
    pub config: Config,
    /// What was assumed and why, a sentence each.
    pub sentences: Vec<String>,
}

/// What the sample of pictures has in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    pictures: usize,
    /// The median of the shorter sides.
    side: usize,
    /// The smallest and the largest height and width.
    sizes: [[usize; 2]; 2],
    in_colour: usize,
}

/// What is assumed of the pictures in `folder`, or of those that it names if it is a list ([`list::is_list`]).
///
/// # Errors
/// If the folder is not one of domains and classes, or the list not one; if it has no domain of a name that is wished for, or no
/// picture of the sample can be read.
pub fn of_folder(folder: &Path, wishes: &Wishes) -> Result<Assumed> {
    let is_list = !folder.is_dir() && list::is_list(folder);
    let listing = listed(folder, is_list, wishes)?;
    let look = look(&listing)?;
    let mut sentences = Vec::new();
    let (test_domain, mut settings) = of_data(folder, is_list, &listing, wishes, &mut sentences)?;
    let kind = wishes.model.unwrap_or(ModelKind::Diva);
    settings.push(format!("model.kind={}", Value::try_from(kind).expect("the kind of a model has a name")));
    let choice = Choice::of(&look, listing.files.len(), trained_on(&listing, &test_domain));
    sentences.push(look.sentence(choice.side, choice.channels, listing.files.len()));
    sentences.extend(choice.sentences(kind));
    settings.extend(choice.settings());
    Ok(Assumed { config: Config::resolve(None, Some("own-images"), &settings, None)?, sentences })
}

/// What follows from how the pictures look and from how many there are.
struct Choice {
    side: usize,
    channels: usize,
    /// Whether they get the network of digits.
    are_digits: bool,
    trained_on: usize,
    batch: usize,
    epochs: usize,
    warmup: usize,
    alpha_d: f64,
    alpha_y: f64,
}

impl Choice {
    fn of(look: &Look, files: usize, trained_on: usize) -> Self {
        let is_grey = look.in_colour == 0;
        let are_digits = is_grey && look.sizes == [[DIGIT; 2]; 2];
        let side = if are_digits { DIGIT } else { (look.side / 16 * 16).clamp(32, 64) };
        let channels = if is_grey { 1 } else { 3 };
        let work = WORK * (files as f64 / 600.0).sqrt();
        let size = (side * side) as f64 / (32.0 * 32.0);
        let epochs = (work / (size * trained_on.max(1) as f64)).round().clamp(15.0, 100.0) as usize;
        let share = (side * side * channels) as f64 / (64.0 * 64.0 * 3.0);
        let [alpha_d, alpha_y] = match are_digits {
            true => [2_000.0, 3_500.0],
            false => [100_000.0, 75_000.0].map(|published: f64| (published * share).round()),
        };
        let batch = (trained_on / 16).clamp(2, 100);
        let warmup = epochs.div_ceil(5);
        Choice { side, channels, are_digits, trained_on, batch, epochs, warmup, alpha_d, alpha_y }
    }

    /// What is said of it, as far as this kind of model reads it.
    fn sentences(&self, kind: ModelKind) -> Vec<String> {
        let Choice { trained_on, batch, epochs, warmup, alpha_d, alpha_y, .. } = self;
        let training = format!("{epochs} epochs in batches of {batch}");
        let images = format!("some {trained_on} images are trained on");
        match kind {
            ModelKind::Classifier | ModelKind::Dann => vec![format!("{training}: {images}")],
            _ => vec![
                format!("{training}, the divergences in full from epoch {warmup} on: {images}"),
                format!(
                    "alpha_d = {alpha_d} and alpha_y = {alpha_y}, the published weights of the labels for images of this many values"
                ),
            ],
        }
    }

    fn settings(&self) -> Vec<String> {
        let Choice { side, channels, batch, epochs, warmup, alpha_d, alpha_y, .. } = self;
        let of_digits: &[&str] = match self.are_digits {
            true => &[
                "model.networks=lenet",
                "model.likelihood=categorical",
                "model.encoder_width=1",
                "model.decoder_width=0.125",
            ],
            false => &[],
        };
        let of_pictures = [
            format!("model.image_size={side}"),
            format!("model.channels={channels}"),
            format!("train.batch={batch}"),
            format!("train.epochs={epochs}"),
            format!("train.warmup={warmup}"),
            format!("train.alpha_d={alpha_d}"),
            format!("train.alpha_y={alpha_y}"),
        ];
        of_pictures.into_iter().chain(of_digits.iter().map(ToString::to_string)).collect()
    }
}

/// The pictures of the folder or the list, of the domains and classes that are wished for.
fn listed(folder: &Path, is_list: bool, wishes: &Wishes) -> Result<Listing> {
    if !is_list && !wishes.columns.is_empty() {
        return Err(Error::request(format!(
            "cannot use --columns with the folder {}: they are those of a list",
            shown(folder)
        )));
    }
    if !wishes.columns.is_empty() {
        // Refused here if it is not usable, before the list is.
        let columns = format!("data.columns={}", Value::from(wishes.columns.clone()));
        Config::resolve(None, None, &[columns], None)?;
    }
    let mut listing = if is_list { list::list(folder, &wishes.columns)? } else { folders::list(folder)? };
    keep_wished(&mut listing, folder, wishes)?;
    Ok(listing)
}

/// The domain that is held out, and the settings of the data.
fn of_data(
    folder: &Path,
    is_list: bool,
    listing: &Listing,
    wishes: &Wishes,
    sentences: &mut Vec<String>,
) -> Result<(String, Vec<String>)> {
    let has_class =
        |domain: u32| listing.files.iter().any(|file| file.domain == domain && file.class != UNLABELLED);
    let labelled: Vec<&String> = (0..)
        .zip(&listing.domain_names)
        .filter(|&(domain, _)| has_class(domain))
        .map(|(_, name)| name)
        .collect();
    let of_list = listing.split.as_ref().map(|split| &split.test_domain);
    let test_domain = held_out(&labelled, folder, wishes.test_domain.as_ref().or(of_list))?;
    match (&wishes.test_domain, of_list) {
        (Some(wished), Some(named)) if wished != named => {
            return Err(Error::request(format!(
                "cannot hold the domain {wished:?} of {} out: its column split has {named:?} for test",
                shown(folder)
            )));
        }
        (Some(_), _) => (),
        (None, Some(_)) => {
            sentences.push(format!("the domain {test_domain} is held out, as the list has it for test"));
        }
        (None, None) => sentences.push(format!(
            "the domain {test_domain} is held out, as the last by name; --test-domain names another"
        )),
    }
    let path = folder.to_str().ok_or_else(|| {
        Error::request(format!("cannot write {} into a configuration: it is not UTF-8", shown(folder)))
    })?;
    let names = |names: &[String]| Value::from(names.to_vec());
    let mut settings = vec![
        format!("data.source={}", if is_list { "list" } else { "folders" }),
        format!("data.path={}", Value::from(path)),
        format!("data.columns={}", names(&wishes.columns)),
        format!("data.test_domain={}", Value::from(test_domain.clone())),
        format!("data.domains={}", names(&wishes.domains)),
        format!("data.classes={}", names(&wishes.classes)),
    ];
    if listing.split.as_ref().is_some_and(|split| split.validation.is_empty()) {
        let sentence = "the epoch is selected by the training images, as the list has none for validation";
        sentences.push(sentence.to_owned());
        settings.push("data.validation=0".into());
    }
    Ok((test_domain.clone(), settings))
}

/// Leaves the files of the domains and classes that are wished for, and those without a class.
fn keep_wished(listing: &mut Listing, folder: &Path, wishes: &Wishes) -> Result<()> {
    let is_wished = |what: &str, known: &[String], wished: &[String]| -> Result<Vec<bool>> {
        match wished.iter().find(|&name| !known.contains(name)) {
            Some(name) => Err(not_there(what, name, folder, known)),
            None => Ok(known.iter().map(|name| wished.is_empty() || wished.contains(name)).collect()),
        }
    };
    let domains = is_wished("domain", &listing.domain_names, &wishes.domains)?;
    let classes = is_wished("class", &listing.class_names, &wishes.classes)?;
    let is_kept = |class: u32| class == UNLABELLED || classes[class as usize];
    listing.files.retain(|file| domains[file.domain as usize] && is_kept(file.class));
    let is_left =
        |name: &String| listing.files.iter().any(|file| listing.domain_names[file.domain as usize] == *name);
    match wishes.domains.iter().find(|&name| !is_left(name)) {
        None => Ok(()),
        Some(name) => Err(Error::request(format!(
            "cannot use the domain {name}: none of its images is of the classes {}",
            wishes.classes.join(", ")
        ))),
    }
}

fn not_there(what: &str, name: &str, folder: &Path, known: &[String]) -> Error {
    Error::request(format!(
        "cannot find the {what} {name:?} in {}: it has {}",
        shown(folder),
        known.join(", ")
    ))
}

/// The domain that training never sees.
fn held_out<'a>(labelled: &[&'a String], folder: &Path, wished: Option<&String>) -> Result<&'a String> {
    if let [only] = labelled {
        return Err(Error::request(format!(
            "cannot hold a domain of {} out: {only} is the only one with classes, expected at least two",
            shown(folder)
        )));
    }
    match wished {
        None => labelled.last().copied().ok_or_else(|| {
            Error::request(format!(
                "cannot hold a domain of {} out: none has a picture with a class",
                shown(folder)
            ))
        }),
        Some(name) => labelled.iter().copied().find(|&other| other == name).ok_or_else(|| {
            let known: Vec<String> = labelled.iter().map(|&name| name.clone()).collect();
            not_there("domain", name, folder, &known)
        }),
    }
}

/// About how many images are trained on: those of other domains, and of these four fifths.
fn trained_on(listing: &Listing, test_domain: &str) -> usize {
    let is_test = |domain: u32| listing.domain_names[domain as usize] == test_domain;
    listing.files.iter().filter(|file| !is_test(file.domain)).count() * 4 / 5
}

/// Looks at a sample of the pictures.
fn look(listing: &Listing) -> Result<Look> {
    let files = &listing.files;
    let sample = files.len().min(SAMPLE);
    let one = |i: usize| -> std::result::Result<([usize; 2], bool), String> {
        let path = &files[i * files.len() / sample].path;
        let bytes = input::read(path, LONGEST_FILE).map_err(|cause| format!("{}: {cause}", shown(path)))?;
        let picture = decode(&bytes, 3).map_err(|cause| format!("{}: {cause}", shown(path)))?;
        let (pixels, _) = picture.pixels.as_chunks::<3>();
        let in_colour = pixels.iter().any(|[red, green, blue]| {
            red.abs_diff(*green) > GREY || green.abs_diff(*blue) > GREY || red.abs_diff(*blue) > GREY
        });
        Ok(([picture.height, picture.width], in_colour))
    };
    let seen = parallel::map(sample, one);
    let first_problem = seen.iter().find_map(|found| found.as_ref().err()).cloned();
    let seen: Vec<([usize; 2], bool)> = seen.into_iter().flatten().collect();
    let mut sides: Vec<usize> = seen.iter().map(|&([height, width], _)| height.min(width)).collect();
    sides.sort_unstable();
    let Some(&side) = sides.get(sides.len() / 2) else {
        return Err(Error::request(format!("cannot read {}", first_problem.unwrap_or_default())));
    };
    let extreme = |choose: fn(usize, usize) -> usize| {
        let sizes = seen.iter().map(|&(size, _)| size);
        sizes.reduce(|[a, b], [c, d]| [choose(a, c), choose(b, d)]).expect("a picture was seen")
    };
    Ok(Look {
        pictures: seen.len(),
        side,
        sizes: [extreme(usize::min), extreme(usize::max)],
        in_colour: seen.iter().filter(|(_, in_colour)| *in_colour).count(),
    })
}

impl Look {
    /// Why images of this size are made of so many files.
    fn sentence(&self, side: usize, channels: usize, files: usize) -> String {
        let [[lowest, narrowest], [highest, widest]] = self.sizes;
        let colour = if channels == 1 { "grey" } else { "in colour" };
        format!(
            "images of {side} x {side} pixels, {colour}: of {} of {files} pictures {} are in colour, and they are {lowest} x {narrowest} to \
             {highest} x {widest}",
            self.pictures, self.in_colour
        )
    }
}

#[cfg(test)]
mod tests;
