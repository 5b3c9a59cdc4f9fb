//! What no key can know alone: values that must fit each other, and values that are known but not carried out
//! yet.
//!
//! There are two occasions. [`validate`] is part of resolving and looks at what every command uses. Commands
//! that need no data take any `[data]` that is consistent in itself; only training asks
//! [`validate_for_training`] whether this version can also obtain it.

use super::keys::{KEYS, either};
use super::write::{look_up, shown};
use super::{Config, DomainName, PriorY, Source};
use crate::error::{Error, Result};
use toml::Value;

/// Keys of which this version carries out only some values, with those values as TOML writes them. This is
/// the one place that grows with the program.
const AVAILABLE: [(&str, &[&str]); 5] = [
    ("preset", &["\"quick\"", "\"rotated-mnist\""]),
    ("model.kind", &["\"diva\""]),
    ("model.networks", &["\"lenet\""]),
    ("model.likelihood", &["\"categorical\""]),
    ("data.source", &["\"embedded\"", "\"idx\""]),
];

/// Classes of the digit sources.
const DIGITS: usize = 10;

/// Refuses a value that is known but not carried out in this version.
pub(super) fn available(key: &str, value: &Value) -> Result<()> {
    let value = shown(value);
    let Some((_, has)) = AVAILABLE.iter().find(|(name, _)| *name == key) else { return Ok(()) };
    if has.contains(&value.as_str()) {
        return Ok(());
    }
    let has = has.iter().map(|name| name.trim_matches('"').to_owned()).collect::<Vec<_>>();
    Err(Error::request(format!("{key} = {value} is not available in this version; it has {}", either(&has))))
}

/// What every command relies on.
pub(super) fn validate(config: &Config) -> Result<()> {
    available_in(config, "model.")?;
    let data = &config.data;
    all_different("data.domains", &data.domains)?;
    all_different("data.unlabelled.domains", &data.unlabelled.domains)?;
    if !data.domains.contains(&data.test_domain) {
        return Err(Error::request(format!(
            "data.test_domain = {} is not usable; it takes one of data.domains = {}",
            domain(&data.test_domain),
            list(&data.domains)
        )));
    }
    Ok(())
}

/// What training relies on beyond that.
pub(super) fn validate_for_training(config: &Config) -> Result<()> {
    available_in(config, "data.")?;
    let data = &config.data;
    if data.source == Source::Idx && data.path.is_none() {
        return Err(Error::request(
            "data.path = \"\" is not usable with data.source = \"idx\"; it takes the folder of the four \
             MNIST files, plain or .gz",
        ));
    }
    // Both sources that this version has are rotated digits.
    if data.domains.iter().any(|domain| matches!(domain, DomainName::Name(_))) {
        return Err(Error::request(format!(
            "data.domains = {} is not usable with rotated digits; it takes angles between -360 and 360 \
             degrees",
            list(&data.domains)
        )));
    }
    let test_domain = &data.test_domain;
    if let Some(name) = (data.unlabelled.domains.iter())
        .find(|name| name.is_same_as(test_domain) || !data.domains.iter().any(|other| other.is_same_as(name)))
    {
        return Err(Error::request(format!(
            "data.unlabelled.domains = {} is not usable; {} is no training domain, and it takes some of \
             data.domains = {} other than data.test_domain = {}",
            list(&data.unlabelled.domains),
            domain(name),
            list(&data.domains),
            domain(test_domain)
        )));
    }
    if data.unlabelled.domains.len() + 1 >= data.domains.len() {
        return Err(Error::request(format!(
            "data.unlabelled.domains = {} is not usable; a training domain with labels must be left",
            list(&data.unlabelled.domains)
        )));
    }
    if let PriorY::Probabilities(probabilities) = &config.model.prior_y
        && probabilities.len() != DIGITS
    {
        return Err(Error::request(format!(
            "model.prior_y = {probabilities:?} is not usable with digits; it takes one probability for each \
             of {DIGITS} classes"
        )));
    }
    Ok(())
}

fn available_in(config: &Config, section: &str) -> Result<()> {
    let table = config.to_table();
    let mut keys = KEYS.iter().filter(|key| key.name.starts_with(section));
    keys.try_for_each(|key| available(key.name, look_up(&table, key)))
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
