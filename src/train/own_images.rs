//! What `diva train FOLDER` assumes of a folder of pictures, or `diva train images.csv` of a list of them, by rules that look at
//! the pictures and at no clock: the same folder gives the same configuration on every machine.
//!
//! * **Domains and classes** are the folders (`DOMAIN/CLASS/picture`), or what the list says; the last domain by name that has a
//!   class is held out, unless the list has one for test.
//! * **Size and colour** are read off a sample of at most [`SAMPLE`] pictures, spread evenly. Grey pictures of 28 x 28 stay as
//!   they are and get the network of digits. Others become square, with the largest multiple of 16 that is no longer than
//!   the median of their shorter sides, from 32 to 64 pixels, and are grey if no picture of the sample has a colour. Another size, up
//!   to 128, is for who asks for it: an epoch of 128 x 128 takes five times one of 64 x 64.
//! * **The length of the training** is that of a number of pixels: so many for 600 pictures (`WORK`), and with the root of their
//!   number for more or fewer, from 15 to 100 epochs.
//! * **The batch** is what makes 3,000 steps (`STEPS`) of the training, from 8 to 100 images, and at most half of the images, or of
//!   those without a class, of which a step takes as many.
//! * **The objective's weights** are the published ones (of digits for their network, of malaria cells for the other) in proportion to
//!   the values of an image and to the images trained on, over all epochs (`Published`): both published settings are what the rule
//!   gives for their data. The warm-up is half of the epochs, but no more than the published 100.
//!
//! docs/own-images.md says what was tried.

use crate::config::{Config, ModelKind, Source};
use crate::data::collection::{DomainCounts, UNLABELLED};
use crate::data::pictures::decode::decode;
use crate::data::pictures::{self, LONGEST_FILE, Listing, Loaded, folders, list};
use crate::error::{Error, Result};
use crate::names::shown;
use crate::parallel;
use crate::store::input;
use std::collections::BTreeSet;
use std::path::Path;
use toml::Value;

mod wishes;

pub use wishes::{Place, Wishes};

/// How many pictures are looked at.
pub const SAMPLE: usize = 256;

/// The work that 600 pictures get: images trained on, times their size in units of 32 x 32 pixels.
const WORK: f64 = 80_000.0;

/// How many steps a training is to have, whatever the number of pictures.
const STEPS: usize = 3_000;

/// The published warm-up, in epochs.
const WARMUP: usize = 100;

/// A published setting of the objective, and of what data it is.
struct Published {
    /// Of an image.
    values: usize,
    /// Images that the published training takes in all: those of an epoch times the epochs.
    images: usize,
    alpha_d: f64,
    alpha_y: f64,
}

/// Rotated MNIST: five domains of a thousand digits, 500 epochs.
const OF_DIGITS: Published =
    Published { values: DIGIT * DIGIT, images: 5_000 * 500, alpha_d: 2_000.0, alpha_y: 3_500.0 };

/// Malaria cells: four fifths of 5,854 of ten patients less one, 500 epochs.
const OF_CELLS: Published =
    Published { values: 64 * 64 * 3, images: 4_215 * 500, alpha_d: 100_000.0, alpha_y: 75_000.0 };

/// The largest difference of red, green and blue in a pixel that is still grey: JPEG rounds.
const GREY: u8 = 4;

/// The side of MNIST's digits, and of their network's images.
const DIGIT: usize = 28;

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

/// Pictures that have been listed and of which a sample was looked at.
#[derive(Clone, Debug)]
pub struct Survey {
    place: Place,
    wishes: Wishes,
    /// Of the domains and classes that are wished for.
    listing: Listing,
    look: Look,
}

/// Surveys the pictures at a place.
///
/// # Errors
/// If the folder is not one of domains and classes, or the list not one; if it has no domain or class of a name that is wished for, or
/// no picture of the sample can be read.
pub fn survey(place: Place, wishes: Wishes) -> Result<Survey> {
    let wishes = wishes.composed();
    let listing = listed(&place, &wishes)?;
    let look = look(&listing)?;
    Ok(Survey { place, wishes, listing, look })
}

impl Survey {
    /// What is assumed of the pictures.
    ///
    /// # Errors
    /// If they have no two domains with classes, or none of the name that is to be held out.
    pub fn assumed(&self) -> Result<Assumed> {
        let (test_domain, why) = self.held_out()?;
        self.assumed_with(&test_domain, self.beside(&test_domain), why)
    }

    /// What is assumed where each domain with a class is held out in turn, and these domains. The configuration has the last of
    /// them for the test domain, and is otherwise that of all: as long a training as where a domain of middling size is held
    /// out.
    ///
    /// # Errors
    /// As [`Survey::assumed`], and if a list says itself which domain is for test.
    pub fn assumed_of_each(&self) -> Result<(Assumed, Vec<String>)> {
        if let Some(split) = &self.listing.split {
            return Err(Error::request(format!(
                "cannot hold each domain of {} out: its column split has {:?} for test",
                shown(&self.place.path),
                split.test_domain
            )));
        }
        let domains: Vec<String> = self.labelled().into_iter().cloned().collect();
        let last = held_out(&self.labelled(), &self.place.path, None)?;
        let beside: Vec<TrainedOn> = domains.iter().map(|domain| self.beside(domain)).collect();
        let unlabelled = beside.iter().map(|others| others.unlabelled).filter(|&some| some > 0);
        let others = TrainedOn {
            images: beside.iter().map(|others| others.images).sum::<usize>() / domains.len(),
            unlabelled: unlabelled.min().unwrap_or(0),
        };
        let why = format!("each of the domains {} is held out in turn", domains.join(", "));
        Ok((self.assumed_with(last, others, Some(why))?, domains))
    }

    fn assumed_with(&self, test_domain: &str, others: TrainedOn, why: Option<String>) -> Result<Assumed> {
        let (files, kind) = (self.listing.files.len(), self.wishes.model.unwrap_or(ModelKind::Diva));
        // A fifth is held back.
        let trained_on = TrainedOn { images: others.images * 4 / 5, ..others };
        let choice = Choice::of(self.look.shape(self.wishes.size), files, trained_on);
        let mut sentences: Vec<String> = why.into_iter().collect();
        let mut settings = self.wishes.settings();
        settings.extend(self.of_data(test_domain, &mut sentences)?);
        sentences.push(self.look.sentence(choice.side, choice.channels, files));
        sentences.extend(choice.sentences(kind));
        settings.extend(choice.settings());
        Ok(Assumed { config: Config::resolve(None, Some("own-images"), &settings, None)?, sentences })
    }

    /// The files of each class in each domain, by name, and the number of groups there; without the domains that have none.
    pub fn domains(&self) -> Vec<(String, DomainCounts, usize)> {
        let classes = self.listing.class_names.len();
        let of_domain = |(domain, name): (u32, &String)| {
            let mut counts = DomainCounts { of_class: vec![0; classes], unlabelled: 0 };
            let mut groups = BTreeSet::new();
            for file in self.listing.files.iter().filter(|file| file.domain == domain) {
                match counts.of_class.get_mut(file.class as usize) {
                    Some(images) => *images += 1,
                    None => counts.unlabelled += 1,
                }
                if !file.group.is_empty() {
                    groups.insert(&file.group);
                }
            }
            (name.clone(), counts, groups.len())
        };
        let all = (0..).zip(&self.listing.domain_names).map(of_domain);
        all.filter(|(_, counts, _)| counts.all() > 0).collect()
    }

    /// The pictures as they would be looked at, whether or not they can be trained on; those that cannot be read are left out.
    ///
    /// # Errors
    /// If they do not fit into memory.
    pub fn load(&self, cache: Option<&Path>) -> Result<Loaded> {
        let Shape { side, channels, .. } = self.look.shape(self.wishes.size);
        let options = pictures::Options { size: [side; 2], channels, skip_unreadable: true, cache };
        pictures::load(self.listing.clone(), &options)
    }

    /// The domains that have a picture with a class.
    fn labelled(&self) -> Vec<&String> {
        let with_class = self.listing.files.iter().filter(|file| file.class != UNLABELLED);
        let found: BTreeSet<u32> = with_class.map(|file| file.domain).collect();
        found.into_iter().map(|domain| &self.listing.domain_names[domain as usize]).collect()
    }

    /// The images of other domains than this.
    fn beside(&self, test_domain: &str) -> TrainedOn {
        let is_test = |domain: u32| self.listing.domain_names[domain as usize] == test_domain;
        let others = || self.listing.files.iter().filter(|file| !is_test(file.domain));
        let unlabelled = others().filter(|file| file.class == UNLABELLED).count();
        TrainedOn { images: others().count(), unlabelled }
    }

    /// The domain that is held out, and why, if nobody has said so.
    fn held_out(&self) -> Result<(String, Option<String>)> {
        let (path, wished) = (&self.place.path, &self.wishes.test_domain);
        let of_list = self.listing.split.as_ref().map(|split| &split.test_domain);
        let test_domain = held_out(&self.labelled(), path, wished.as_ref().or(of_list))?;
        let why = match (wished, of_list) {
            (Some(wished), Some(named)) if wished != named => {
                return Err(Error::request(format!(
                    "cannot hold the domain {wished:?} of {} out: its column split has {named:?} for test",
                    shown(path)
                )));
            }
            (Some(_), _) => None,
            (None, Some(_)) => {
                Some(format!("the domain {test_domain} is held out, as the list has it for test"))
            }
            (None, None) => Some(format!(
                "the domain {test_domain} is held out, as the last by name; --test-domain names another"
            )),
        };
        Ok((test_domain.clone(), why))
    }

    /// The settings of the data, with this domain held out.
    fn of_data(&self, test_domain: &str, sentences: &mut Vec<String>) -> Result<Vec<String>> {
        let mut settings = self.place.settings()?;
        settings.push(format!("data.test_domain={}", Value::from(test_domain)));
        if self.listing.split.as_ref().is_some_and(|split| split.validation.is_empty()) {
            let sentence =
                "the epoch is selected by the training images, as the list has none for validation";
            sentences.push(sentence.to_owned());
            settings.push("data.validation=0".into());
        }
        Ok(settings)
    }
}

/// What images are made of pictures.
#[derive(Clone, Copy, Debug)]
struct Shape {
    side: usize,
    channels: usize,
    /// Whether they get the network of digits.
    are_digits: bool,
}

/// How many images there are to train on.
#[derive(Clone, Copy, Debug)]
struct TrainedOn {
    images: usize,
    /// Of these, those without a class.
    unlabelled: usize,
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
    /// Of so many files.
    fn of(shape: Shape, files: usize, trained_on: TrainedOn) -> Self {
        let work = WORK * (files as f64 / 600.0).sqrt();
        let size = (shape.side * shape.side) as f64 / (32.0 * 32.0);
        let epochs = (work / (size * trained_on.images.max(1) as f64)).round().clamp(15.0, 100.0) as usize;
        Choice::of_length(shape, trained_on, epochs)
    }

    fn of_length(shape: Shape, trained_on: TrainedOn, epochs: usize) -> Self {
        let Shape { side, channels, are_digits } = shape;
        let TrainedOn { images: trained_on, unlabelled } = trained_on;
        let images = epochs * trained_on;
        let published = if are_digits { OF_DIGITS } else { OF_CELLS };
        let values = (side * side * channels) as f64 / published.values as f64;
        let share = values * images as f64 / published.images as f64;
        let [alpha_d, alpha_y] =
            [published.alpha_d, published.alpha_y].map(|alpha| (alpha * share).round().max(1.0));
        // Half of the images at most, as there may be fewer than it seems; a step takes as many without a class as with one.
        let fewest = if unlabelled > 0 { unlabelled.min(trained_on) } else { trained_on };
        let batch = (images / STEPS).clamp(8, 100).min(fewest / 2).max(2);
        let warmup = epochs.div_ceil(2).min(WARMUP);
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
                    "alpha_d = {alpha_d} and alpha_y = {alpha_y}, the published weights of the labels for images of this many values \
                     and a training of this length"
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
fn listed(place: &Place, wishes: &Wishes) -> Result<Listing> {
    let (path, is_list) = (&place.path, place.source == Source::List);
    if !is_list && !wishes.columns.is_empty() {
        return Err(Error::request(format!(
            "cannot use --columns with the folder {}: they are those of a list",
            shown(path)
        )));
    }
    if !wishes.columns.is_empty() {
        // Refused here if it is not usable, before the list is.
        let columns = format!("data.columns={}", Value::from(wishes.columns.clone()));
        Config::resolve(None, None, &[columns], None)?;
    }
    let mut listing = if is_list { list::list(path, &wishes.columns)? } else { folders::list(path)? };
    keep_wished(&mut listing, path, wishes)?;
    Ok(listing)
}

/// Leaves the domains and classes that are wished for, classes in the order of the wish, with their files and those without a class.
fn keep_wished(listing: &mut Listing, folder: &Path, wishes: &Wishes) -> Result<()> {
    let kept = |what: &str, known: &[String], wished: &[String]| -> Result<Vec<String>> {
        match wished.iter().find(|&name| !known.contains(name)) {
            Some(name) => Err(not_there(what, name, folder, known)),
            None if wished.is_empty() => Ok(known.to_vec()),
            None => Ok(wished.to_vec()),
        }
    };
    let mut domains = kept("domain", &listing.domain_names, &wishes.domains)?;
    domains.sort_unstable();
    let classes = kept("class", &listing.class_names, &wishes.classes)?;
    let numbers = |known: &[String], kept: &[String]| -> Vec<Option<u32>> {
        known.iter().map(|name| kept.iter().position(|other| other == name).map(|i| i as u32)).collect()
    };
    let of_domain = numbers(&listing.domain_names, &domains);
    let of_class = numbers(&listing.class_names, &classes);
    listing.files.retain_mut(|file| {
        let class = of_class.get(file.class as usize).copied().unwrap_or(Some(UNLABELLED));
        let (Some(domain), Some(class)) = (of_domain[file.domain as usize], class) else { return false };
        (file.domain, file.class) = (domain, class);
        true
    });
    listing.files.sort_by_key(|file| (file.domain, file.class)); // stable
    let is_left = |domain: u32| listing.files.iter().any(|file| file.domain == domain);
    if let Some((_, name)) =
        (0..).zip(&domains).find(|&(domain, name)| wishes.domains.contains(name) && !is_left(domain))
    {
        return Err(Error::request(format!(
            "cannot use the domain {name}: none of its images is of the classes {}",
            classes.join(", ")
        )));
    }
    (listing.domain_names, listing.class_names) = (domains, classes);
    Ok(())
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
    /// What the images are made, of this size if one is asked for.
    fn shape(&self, size: Option<usize>) -> Shape {
        let is_grey = self.in_colour == 0;
        let are_digits = match size {
            Some(side) => side == DIGIT,
            None => is_grey && self.sizes == [[DIGIT; 2]; 2],
        };
        let by_look = if are_digits { DIGIT } else { (self.side / 16 * 16).clamp(32, 64) };
        let channels = if is_grey || are_digits { 1 } else { 3 };
        Shape { side: size.unwrap_or(by_look), channels, are_digits }
    }

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
