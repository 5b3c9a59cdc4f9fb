//! From a configuration to images: digits that are turned, pictures in folders or of a list, made-up cells.

use crate::config::{Config, DataConfig, DomainName, ModelKind, Protocol, Source, UnlabelledImages};
use crate::data::collection::Collection;
use crate::data::division::{Changes, Division};
use crate::data::held_out::{self, HeldOut};
use crate::data::idx::{self, Half};
use crate::data::pictures::{self, Listing, NamedSplit, folders, list as lists, malaria};
use crate::data::rotated::{self, RotatedDigits};
use crate::data::synthetic_cells::SyntheticCells;
use crate::data::{Split, embedded, subset, warnings};
use crate::error::{Error, Result};
use std::path::Path;

/// The images of a configuration, and what is to be known of them.
#[derive(Clone, Debug)]
pub struct Images {
    /// What is trained and tested on.
    pub split: Split,
    /// Which file plays which part, where the images are files of their own.
    pub division: Option<Division>,
    /// What has changed since the division was made, if it is an earlier one.
    pub changes: Changes,
    /// The smallest and the largest height and width of pictures before they were made one size:
    /// `[[lowest, narrowest], [highest, widest]]`.
    pub original_sizes: Option<[[u32; 2]; 2]>,
    /// The files that are left out because they cannot be read, a sentence each.
    pub unreadable: Vec<String>,
    /// How many these are of how many, in a sentence.
    pub left_out: Option<String>,
    /// What else the user should know, a sentence each.
    pub notices: Vec<String>,
}

/// Reads the data of a configuration and divides it into training and test images. Decoded pictures are kept packed in the
/// folder `cache`, if there is one.
///
/// # Errors
/// If the configuration cannot be trained, or its data is missing, damaged or too small.
pub fn read(config: &Config, cache: Option<&Path>) -> Result<Images> {
    read_as_divided(config, cache, None)
}

/// The same, divided as an earlier division of these images has it, if there is one.
///
/// # Errors
/// As [`read`], and if no image is left of a role that some had.
pub fn read_as_divided(config: &Config, cache: Option<&Path>, division: Option<Division>) -> Result<Images> {
    config.validate_for_training()?;
    read_listed(config, list(&config.data)?, cache, division)
}

/// What [`Found::read`] reads.
#[derive(Debug)]
pub struct Found {
    /// The configuration with the domains and classes written out that it left to be found in its folders.
    pub config: Config,
    listing: Option<Listing>,
}

impl Found {
    /// The images, as [`read_as_divided`].
    ///
    /// # Errors
    /// As [`read_as_divided`].
    pub fn read(self, cache: Option<&Path>, division: Option<Division>) -> Result<(Config, Images)> {
        let images = read_listed(&self.config, self.listing, cache, division)?;
        Ok((self.config, images))
    }
}

fn read_listed(
    config: &Config,
    listing: Option<Listing>,
    cache: Option<&Path>,
    division: Option<Division>,
) -> Result<Images> {
    let mut images = match config.data.source {
        Source::Embedded | Source::Idx => of_split(digits(config)?),
        Source::Folders | Source::List | Source::Malaria => {
            pictures(config, listing.expect("pictures have been listed"), cache, division)?
        }
        // What the program makes up does not change: it is divided anew each time.
        Source::SyntheticCells => {
            let (collection, left_out) = arranged(config, synthetic(config)?)?;
            let mut images = of_split(held_out(config, collection, None, None)?.0);
            images.notices.extend(left_out);
            images
        }
    };
    if config.model.kind == ModelKind::Classifier
        && let Some(unlabelled) = images.split.unlabelled.take()
    {
        images.notices.push(format!(
            "{} images without a class are left out: a classifier learns nothing from them",
            unlabelled.len()
        ));
    }
    images.notices.extend(images.split.untrained_classes());
    Ok(images)
}

/// The folder beside a run in which decoded pictures are kept packed, so that runs of one folder share them.
pub fn beside(run: &Path) -> &Path {
    run.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Lists the pictures of a configuration, if its images are pictures, and writes out what it leaves to be found there:
/// domains and classes.
///
/// # Errors
/// If the folder cannot be listed or does not hold what the configuration names.
pub fn find(mut config: Config) -> Result<Found> {
    config.validate_for_training()?;
    let listing = list(&config.data)?;
    let data = &mut config.data;
    match &listing {
        None => {
            if data.source == Source::SyntheticCells && data.classes.is_empty() {
                data.classes = malaria::CLASS_NAMES.map(str::to_owned).to_vec();
            }
        }
        Some(found) => {
            if data.classes.is_empty() {
                data.classes.clone_from(&found.class_names);
            }
            let used = used_domains(found, &data.classes);
            if data.domains.is_empty() {
                data.domains = used.iter().map(|(name, _)| name.clone()).collect();
            }
            for (name, _) in used.iter().filter(|(_, has_class)| !has_class) {
                let is_wanted = data.domains.contains(name) && data.test_domain != *name;
                if is_wanted && !data.unlabelled.domains.contains(name) {
                    data.unlabelled.domains.push(name.clone());
                }
            }
        }
    }
    config.validate_for_training()?;
    Ok(Found { config, listing })
}

/// The domains that have a picture without a class, or of one of these, and whether they have one of these.
fn used_domains(found: &Listing, classes: &[String]) -> Vec<(DomainName, bool)> {
    let is_named: Vec<bool> = found.class_names.iter().map(|name| classes.contains(name)).collect();
    let mut has = vec![(false, false); found.domain_names.len()];
    for file in &found.files {
        let (has_any, has_class) = &mut has[file.domain as usize];
        let is_named = is_named.get(file.class as usize).copied();
        *has_any |= is_named.unwrap_or(true);
        *has_class |= is_named.unwrap_or(false);
    }
    let names = found.domain_names.iter().zip(has).filter(|(_, (has_any, _))| *has_any);
    names.map(|(name, (_, has_class))| (DomainName::Name(name.clone()), has_class)).collect()
}

fn of_split(split: Split) -> Images {
    Images {
        split,
        division: None,
        changes: Changes::default(),
        original_sizes: None,
        unreadable: Vec::new(),
        left_out: None,
        notices: Vec::new(),
    }
}

fn digits(config: &Config) -> Result<Split> {
    let data = &config.data;
    let (train, test) = match &data.path {
        Some(path) if data.source == Source::Idx => {
            (idx::read_folder(Path::new(path), Half::Train)?, idx::read_folder(Path::new(path), Half::Test)?)
        }
        _ => (embedded::train(), embedded::test()),
    };
    let subset = data.subset_file.as_ref();
    let options = RotatedDigits {
        angles: data.domains.iter().map(angle).collect::<Result<_>>()?,
        test_angle: angle(&data.test_domain)?,
        per_class: data.per_class,
        subset: subset.map(|file| subset::read_indices(Path::new(file), train.len())).transpose()?,
        unlabelled_angles: data.unlabelled.domains.iter().map(angle).collect::<Result<_>>()?,
        with_unlabelled: data.unlabelled.images == UnlabelledImages::Used,
        unlabelled_subsets: data.unlabelled.subsets,
        protocol: match data.protocol {
            Protocol::Published => rotated::Protocol::Published,
            Protocol::DisjointTest => rotated::Protocol::DisjointTest,
        },
        with_disjoint_test: true,
    };
    rotated::build(&options, &train, Some(&test), config.seed)
}

fn angle(domain: &DomainName) -> Result<f64> {
    match domain {
        DomainName::Angle(angle) => Ok(*angle),
        DomainName::Name(name) => Err(Error::request(format!("the domain \"{name}\" is not an angle"))),
    }
}

/// The files that the configuration means, if its images are pictures.
fn list(data: &DataConfig) -> Result<Option<Listing>> {
    let root = || Path::new(data.path.as_deref().expect("pictures have a path, once validated"));
    match data.source {
        Source::Malaria => malaria::list(root(), data.least_images).map(Some),
        Source::Folders => folders::list(root()).map(Some),
        Source::List => {
            let listing = lists::list(root(), &data.columns)?;
            listing.split.as_ref().map_or(Ok(()), |split| agree(data, split))?;
            Ok(Some(listing))
        }
        Source::Embedded | Source::Idx | Source::SyntheticCells => Ok(None),
    }
}

/// Refuses a configuration that divides a list otherwise than this says itself.
fn agree(data: &DataConfig, split: &NamedSplit) -> Result<()> {
    let path = data.path.as_deref().unwrap_or_default();
    if data.test_domain.to_string() != split.test_domain {
        return Err(Error::request(format!(
            "data.test_domain = {:?} is not usable with {path}; its column split has {:?} for test",
            data.test_domain.to_string(),
            split.test_domain
        )));
    }
    match (data.validation > 0.0, split.validation.is_empty()) {
        (true, true) => Err(Error::request(format!(
            "data.validation = {} is not usable with {path}; no line of it has the split validation, and with 0 the epoch is \
             selected by the training images",
            data.validation
        ))),
        (false, false) => Err(Error::request(format!(
            "data.validation = 0 is not usable with {path}; its column split has {} images for validation",
            split.validation.len()
        ))),
        _ => Ok(()),
    }
}

fn pictures(
    config: &Config,
    mut listing: Listing,
    cache: Option<&Path>,
    division: Option<Division>,
) -> Result<Images> {
    let (data, model) = (&config.data, &config.model);
    let options = pictures::Options {
        size: [model.image_size; 2],
        channels: model.channels,
        skip_unreadable: data.skip_unreadable,
        cache,
    };
    let files = listing.files.len();
    let named = listing.split.take();
    let loaded = pictures::load(listing, &options)?;
    let (collection, of_other_classes) = arranged(config, loaded.collection)?;
    let mut notices = loaded.notices;
    notices.extend(of_other_classes);
    notices.extend(warnings::of(&collection, Some(&data.test_domain.to_string())));
    let (split, division, changes) = held_out(config, collection, division, named.as_ref())?;
    match &split.validation {
        Some(held_back) if named.is_some() => notices.push(format!(
            "the list says which {} images choose the epoch: data.validation = {} draws none",
            held_back.len(),
            data.validation
        )),
        _ if named.is_none() && data.validation > 0.0 => notices.extend(warnings::not_held_back(&split)),
        _ => (),
    }
    let alike = division.left_out_with_their_groups();
    if alike > 0 && data.unlabelled.images == UnlabelledImages::Used {
        notices.push(format!(
            "{alike} images without a class are left out: their groups (patients, for example) are held back to choose the epoch"
        ));
    }
    Ok(Images {
        split,
        division: Some(division),
        changes,
        original_sizes: Some(loaded.original_sizes),
        left_out: pictures::left_out(files, &loaded.unreadable),
        unreadable: loaded.unreadable,
        notices,
    })
}

fn synthetic(config: &Config) -> Result<Collection> {
    let cells = SyntheticCells {
        patients: config.data.domains.len(),
        cells: config.data.per_domain,
        side: config.model.image_size,
        channels: config.model.channels,
        seed: 0, // the cells are the same for every seed of a run, as real ones would be
    };
    cells.build()
}

/// The collection with the domains and classes that the configuration names, in its order, and what there is to say of the
/// images of other classes.
fn arranged(config: &Config, collection: Collection) -> Result<(Collection, Option<String>)> {
    let (domains, classes) = (names(&config.data.domains), &config.data.classes);
    let left_out = warnings::of_other_classes(&collection, &domains, classes);
    Ok((collection.arranged(&domains, classes)?, left_out))
}

fn names(domains: &[DomainName]) -> Vec<String> {
    domains.iter().map(ToString::to_string).collect()
}

/// The collection with one domain left out: divided as an earlier `division` has it, as its list names it, or drawn.
fn held_out(
    config: &Config,
    mut collection: Collection,
    division: Option<Division>,
    named: Option<&NamedSplit>,
) -> Result<(Split, Division, Changes)> {
    let data = &config.data;
    let is_used = data.unlabelled.images == UnlabelledImages::Used;
    let options = HeldOut {
        test_domain: data.test_domain.to_string(),
        unlabelled_domains: names(&data.unlabelled.domains),
        with_unlabelled: is_used,
        validation: if named.is_some() { 0.0 } else { data.validation },
        seed: config.seed,
    };
    let (division, roles, changes) = match division {
        Some(division) => {
            let (roles, changes) = division.find(&mut collection)?;
            (division, roles, changes)
        }
        None => {
            let mut roles = held_out::draw(&collection, &options)?;
            named.map_or(Ok(()), |named| named.hold_back(&collection, &mut roles))?;
            (Division::new(&collection, &roles), roles, Changes::default())
        }
    };
    let labelled = division.labelled(&collection.domain_names);
    let split = held_out::divide(collection, &roles, &labelled, &options)?;
    Ok((split, division, changes))
}
