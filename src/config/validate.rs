//! What no key can know alone: values that must fit each other.
//!
//! There are two occasions. [`validate`] is part of resolving and looks at what every command uses. Commands
//! that need no data take any `[data]` that is consistent in itself; only training asks
//! [`validate_for_training`] whether it can also be obtained.

use super::values::shown;
use super::{
    Config, DomainName, Likelihood, ModelConfig, ModelKind, Networks, PriorY, Source, UnlabelledImages,
};
use crate::error::{Error, Result};
use toml::Value;

/// Classes of the digit sources.
const DIGITS: usize = 10;

/// What every command relies on.
pub(super) fn validate(config: &Config) -> Result<()> {
    networks(&config.model)?;
    let data = &config.data;
    all_different("data.domains", &data.domains)?;
    all_different("data.unlabelled.domains", &data.unlabelled.domains)?;
    if !data.domains.is_empty() && !data.domains.contains(&data.test_domain) {
        return Err(Error::request(format!(
            "data.test_domain = {} is not usable; it takes one of data.domains = {}",
            domain(&data.test_domain),
            list(&data.domains)
        )));
    }
    Ok(())
}

/// What the networks are for.
fn networks(model: &ModelConfig) -> Result<()> {
    let ModelConfig { image_size, channels, likelihood, .. } = *model;
    let refuse = |key: &str, value: &str, networks: &str, takes: &str| {
        let message =
            format!("{key} = {value} is not usable with model.networks = \"{networks}\"; it takes {takes}");
        Err(Error::request(message))
    };
    match model.networks {
        Networks::Lenet if image_size != 28 => {
            refuse("model.image_size", &image_size.to_string(), "lenet", "28")
        }
        Networks::Lenet if channels != 1 => refuse("model.channels", &channels.to_string(), "lenet", "1"),
        Networks::Lenet if likelihood != Likelihood::Categorical => {
            refuse("model.likelihood", "\"logistic-mixture\"", "lenet", "\"categorical\"")
        }
        Networks::Resnet if image_size % 16 != 0 => {
            refuse("model.image_size", &image_size.to_string(), "resnet", "a multiple of 16")
        }
        Networks::Resnet if channels == 2 => refuse("model.channels", "2", "resnet", "1 or 3"),
        Networks::Resnet if likelihood != Likelihood::LogisticMixture => {
            refuse("model.likelihood", "\"categorical\"", "resnet", "\"logistic-mixture\"")
        }
        Networks::Lenet | Networks::Resnet => Ok(()),
    }
}

/// What training relies on beyond that.
pub(super) fn validate_for_training(config: &Config) -> Result<()> {
    let data = &config.data;
    let needs = match data.source {
        Source::Idx => Some(("idx", "the folder of the four MNIST files, plain or .gz")),
        Source::Folders => {
            Some(("folders", "a folder that holds DOMAIN/CLASS/picture or DOMAIN/CLASS/GROUP/picture"))
        }
        Source::List => Some(("list", "a table with the columns file, class and domain")),
        Source::Malaria => Some(("malaria", "the folder that holds Parasitized and Uninfected")),
        Source::Embedded | Source::SyntheticCells => None,
    };
    if let Some((source, takes)) = needs.filter(|_| data.path.is_none()) {
        return Err(Error::request(format!(
            "data.path = \"\" is not usable with data.source = \"{source}\"; it takes {takes}"
        )));
    }
    match data.source {
        Source::Embedded | Source::Idx => validate_digits(config)?,
        Source::Folders | Source::List | Source::Malaria | Source::SyntheticCells => {
            validate_pictures(config)?;
        }
    }
    let test_domain = &data.test_domain;
    if let Some(name) = (data.unlabelled.domains.iter()).find(|name| {
        let is_known = data.domains.is_empty() || data.domains.iter().any(|other| other.is_same_as(name));
        name.is_same_as(test_domain) || !is_known
    }) {
        return Err(Error::request(format!(
            "data.unlabelled.domains = {} is not usable; {} is no training domain, and it takes some of \
             data.domains = {} other than data.test_domain = {}",
            list(&data.unlabelled.domains),
            domain(name),
            list(&data.domains),
            domain(test_domain)
        )));
    }
    if !data.domains.is_empty() && data.unlabelled.domains.len() + 1 >= data.domains.len() {
        return Err(Error::request(format!(
            "data.unlabelled.domains = {} is not usable; a training domain with labels must be left",
            list(&data.unlabelled.domains)
        )));
    }
    let has_unlabelled = data.unlabelled.subsets > 0 || !data.unlabelled.domains.is_empty();
    let is_used = has_unlabelled && data.unlabelled.images == UnlabelledImages::Used;
    if config.model.kind == ModelKind::Classifier && is_used {
        return Err(Error::request(
            "model.kind = \"classifier\" is not usable with data.unlabelled: it learns nothing from images without \
             their class; data.unlabelled.images = \"left-out\" leaves them out",
        ));
    }
    Ok(())
}

/// What turned digits rely on.
fn validate_digits(config: &Config) -> Result<()> {
    let Config { data, model, .. } = config;
    if data.domains.is_empty() || data.domains.iter().any(|domain| matches!(domain, DomainName::Name(_))) {
        return Err(Error::request(format!(
            "data.domains = {} is not usable with rotated digits; it takes angles between -360 and 360 \
             degrees",
            list(&data.domains)
        )));
    }
    let refuse = |key: &str, value: &str, takes: &str| {
        Err(Error::request(format!("{key} = {value} is not usable with rotated digits; it takes {takes}")))
    };
    if model.networks != Networks::Lenet {
        return refuse("model.networks", "\"resnet\"", "\"lenet\"");
    }
    if data.validation != 0.0 {
        return refuse(
            "data.validation",
            &data.validation.to_string(),
            "0: epochs are selected by training images",
        );
    }
    if !data.classes.is_empty() {
        return refuse("data.classes", &format!("{:?}", data.classes), "[]: they are 0 to 9");
    }
    match &model.prior_y {
        PriorY::Probabilities(probabilities) if probabilities.len() != DIGITS && reads_prior_y(config) => {
            Err(Error::request(format!(
                "model.prior_y = {probabilities:?} is not usable with digits; it takes one probability for each \
                 of {DIGITS} classes"
            )))
        }
        _ => Ok(()),
    }
}

/// What pictures of named domains rely on.
fn validate_pictures(config: &Config) -> Result<()> {
    let Config { data, model, .. } = config;
    let refuse = |key: &str, value: &str, takes: &str| {
        Err(Error::request(format!("{key} = {value} is not usable with pictures; it takes {takes}")))
    };
    let takes_names = "names of domains in quotes";
    if let DomainName::Angle(angle) = data.test_domain {
        return refuse("data.test_domain", &angle.to_string(), "the name of a domain in quotes");
    }
    for (key, domains) in
        [("data.domains", &data.domains), ("data.unlabelled.domains", &data.unlabelled.domains)]
    {
        if domains.iter().any(|domain| matches!(domain, DomainName::Angle(_))) {
            return refuse(key, &list(domains), takes_names);
        }
    }
    if data.source == Source::SyntheticCells {
        let made: Vec<DomainName> =
            (1..=data.domains.len()).map(|patient| DomainName::Name(format!("P{patient:02}"))).collect();
        if data.domains != made || made.is_empty() {
            let message = format!(
                "data.domains = {} is not usable with made-up cells; it takes [\"P01\", \"P02\", ...], 99 at most",
                list(&data.domains)
            );
            return Err(Error::request(message));
        }
    }
    if data.unlabelled.subsets > 0 {
        return refuse("data.unlabelled.subsets", &data.unlabelled.subsets.to_string(), "0");
    }
    if data.subset_file.is_some() {
        return refuse("data.subset_file", "a list of digits", "\"\"");
    }
    let classes = data.classes.len();
    match &model.prior_y {
        PriorY::Probabilities(given) if classes > 0 && given.len() != classes && reads_prior_y(config) => {
            Err(Error::request(format!(
                "model.prior_y = {given:?} is not usable with the classes {:?}; it takes one probability for each of them",
                data.classes
            )))
        }
        _ => Ok(()),
    }
}

/// Whether p(y) is looked at: where it is not, nobody is asked to set it.
fn reads_prior_y(config: &Config) -> bool {
    super::key("model.prior_y").without_effect(&config.to_table()).is_none()
}

fn all_different(key: &str, domains: &[DomainName]) -> Result<()> {
    for (index, one) in domains.iter().enumerate() {
        if let Some(other) = domains[..index].iter().find(|other| other.is_same_as(one)) {
            return Err(Error::request(format!(
                "{key} = {} is not usable; {} and {} are the same domain, and it takes each once",
                list(domains),
                domain(other),
                domain(one)
            )));
        }
    }
    Ok(())
}

fn domain(domain: &DomainName) -> String {
    match domain {
        DomainName::Angle(_) => domain.to_string(),
        DomainName::Name(name) => shown(&Value::String(name.clone())),
    }
}

fn list(domains: &[DomainName]) -> String {
    format!("[{}]", domains.iter().map(domain).collect::<Vec<_>>().join(", "))
}
