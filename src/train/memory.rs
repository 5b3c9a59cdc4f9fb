//! What a training needs of memory at least, and what there is: asked before it is taken.
//!
//! Of P bytes of parameters there are four slabs (parameters, two moments, gradients), and a checkpoint in memory is three
//! more. A step holds its images as numbers and as levels, and of all maps of the networks at least the largest, with its
//! gradient. All of it is a lower bound: what is refused has no place for certain, and what is not refused may still need
//! some times as much (the test says how many).

use super::dataset;
use crate::autograd::{Builder, Params};
use crate::config::{Config, ModelConfig, ModelKind, Networks, PriorY};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::models::{Model, Settings};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a number.
const NUMBER: u64 = 4;

/// Refuses a training that needs more memory than the machine or the process's control group has. Where neither says, nothing
/// is refused.
///
/// # Errors
/// Names what is needed and what there is.
pub(super) fn refuse_what_does_not_fit(settings: &Settings, batch: usize, split: &Split) -> Result<()> {
    refuse(images(split).saturating_add(model_and_step(settings, batch)))
}

/// The same before the images are read: of a configuration whose model and whose step alone need more.
///
/// # Errors
/// As [`refuse_what_does_not_fit`].
pub(super) fn refuse_before_reading(config: &Config) -> Result<()> {
    refuse(without_images(config)?)
}

fn refuse(needed: u64) -> Result<()> {
    match available() {
        Some((there, whose)) if needed > there => Err(refusal(needed, there, whose)),
        _ => Ok(()),
    }
}

/// Refuses to train so many of these configurations at the same time if the `at_once` that need the most do not fit into memory
/// together. One that does not fit alone is left to its own training to refuse.
///
/// # Errors
/// Names what is needed and what there is.
pub fn refuse_together(configs: &[&Config], at_once: usize) -> Result<()> {
    let Some((there, whose)) = available() else { return Ok(()) };
    let needed: Result<Vec<u64>> = configs.iter().map(|config| without_images(config)).collect();
    match largest_together(needed?, at_once, there) {
        needed if needed > there => Err(Error::request(format!(
            "cannot work on {at_once} jobs at a time: together they may take at least {} MiB of memory, and the {whose} has {} MiB; \
             give fewer --jobs",
            needed >> 20,
            there >> 20
        ))),
        _ => Ok(()),
    }
}

/// The sum of the `at_once` largest of those that are not larger than what is `there`.
fn largest_together(mut needed: Vec<u64>, at_once: usize, there: u64) -> u64 {
    needed.retain(|&bytes| bytes <= there);
    needed.sort_unstable_by(|a, b| b.cmp(a));
    needed.iter().take(at_once).fold(0, |sum, &bytes| sum.saturating_add(bytes))
}

/// What a training needs beside its images, if it has as few domains and classes as can be.
fn without_images(config: &Config) -> Result<u64> {
    let data = &config.data;
    let model = ModelConfig { prior_y: PriorY::Uniform, ..config.model.clone() };
    let (domains, classes) = (data.training_domains().len().max(1), data.classes.len().max(1));
    let settings = dataset::settings(&model, domains, classes, None)?;
    Ok(model_and_step(&settings, config.train.batch))
}

/// Bytes of all slabs of the parameters, a checkpoint among them, and of a step.
fn model_and_step(settings: &Settings, batch: usize) -> u64 {
    parameters(settings).saturating_mul(7).saturating_add(step(settings, batch))
}

fn refusal(needed: u64, there: u64, whose: &str) -> Error {
    let mebibytes = |bytes: u64| bytes >> 20;
    Error::request(format!(
        "cannot train: it takes at least {} MiB of memory, and the {whose} has {} MiB; model.width, model.latent and \
         train.batch decide how much it is",
        mebibytes(needed),
        mebibytes(there)
    ))
}

/// Bytes of all images.
fn images(split: &Split) -> u64 {
    let bytes = |data: &Dataset| (data.len() * data.values()) as u64;
    let parts = [&split.unlabelled, &split.validation, &split.disjoint_test];
    bytes(&split.train) + bytes(&split.test) + parts.into_iter().flatten().map(bytes).sum::<u64>()
}

/// Bytes of all parameters, of which none is made.
fn parameters(settings: &Settings) -> u64 {
    let mut outline = Params::outline();
    Model::new(&mut Builder::without_start(&mut outline), settings.clone());
    outline.entries().iter().map(|entry| NUMBER.saturating_mul(entry.shape.len() as u64)).sum()
}

/// Bytes that a step on so many images holds at the same time, at least.
fn step(settings: &Settings, batch: usize) -> u64 {
    let pixels = settings.image[0] * settings.image[1];
    let scaled = |channels: f64, width: f64| (channels * width) as usize;
    let map = match (settings.networks, settings.kind) {
        // The first convolution leaves 24 x 24 pixels.
        (Networks::Lenet, ModelKind::Classifier | ModelKind::Dann) => {
            24 * 24 * scaled(32.0, settings.encoder_width)
        }
        (Networks::Lenet, _) => pixels * scaled(256.0, settings.decoder_width),
        (Networks::Resnet, ModelKind::Classifier | ModelKind::Dann) => 0,
        (Networks::Resnet, _) => pixels * 100,
    };
    let an_image = 2 * (map + pixels * settings.image[2]) as u64;
    NUMBER.saturating_mul(batch as u64).saturating_mul(an_image)
}

/// The memory of the machine, of the control group or of the process's own limit (`ulimit -v`), whichever is least, and whose
/// it is.
fn available() -> Option<(u64, &'static str)> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| machine(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|path| limit(&fs::read_to_string(path).ok()?));
    let group = limits.min().map(|bytes| (bytes, "control group of the process"));
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let process = left_of_address_space(&read("/proc/self/limits"), &read("/proc/self/status"));
    let process = process.map(|bytes| (bytes, "process, by its limit of address space,"));
    machine.map(|bytes| (bytes, "machine")).into_iter().chain(group).chain(process).min()
}

/// What the soft limit of /proc/self/limits leaves beside what /proc/self/status says is taken, in bytes.
fn left_of_address_space(limits: &str, status: &str) -> Option<u64> {
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = limit.split_whitespace().next()?.parse().ok()?;
    let taken = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let taken = taken.and_then(|size| size.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0);
    Some(limit.saturating_sub(taken.saturating_mul(1024)))
}

/// MemTotal of /proc/meminfo, in bytes.
fn machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The files that may hold a limit of the control groups named in /proc/self/cgroup, version 2 and 1: those of the groups and
/// of all above them. In a container the names may be those of the outside, and the topmost its own.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            some if some.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for above in Path::new(group.trim_start_matches('/')).ancestors() {
            files.push(Path::new(root).join(above).join(file));
        }
    }
    files
}

/// The bytes in such a file; nothing where it says "max".
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::sources;
    use crate::train::trainer::Trainer;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        assert_eq!(machine("MemFree: 1 kB\nMemTotal:       24684012 kB\n"), Some(24_684_012 << 10));
        assert_eq!(machine("MemTotal: many\n"), None);
        let two = limit_files("4:memory,hugetlb:/a/b\n1:cpu:/a\n0::/\n");
        let expected = [
            "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(two, expected.map(PathBuf::from));
        let limits = |soft: &str| {
            format!(
                "Limit  Soft Limit  Hard Limit  Units\nMax address space         {soft}  unlimited  bytes\n"
            )
        };
        let status = "Name:\tdiva\nVmSize:\t     100 kB\nVmRSS:\t 10 kB\n";
        assert_eq!(left_of_address_space(&limits("204800"), status), Some(100 << 10));
        assert_eq!(left_of_address_space(&limits("1024"), status), Some(0));
        assert_eq!(left_of_address_space(&limits("unlimited"), status), None);
        assert_eq!((limit("max\n"), limit("1048576\n")), (None, Some(1 << 20)));
        assert!(refusal(3 << 20, 2 << 20, "machine").to_string().contains("at least 3 MiB"));
        assert_eq!(refusal(3 << 20, 2 << 20, "machine").exit_code(), 2);
    }

    #[test]
    fn the_largest_that_fit_alone_are_added_up() {
        assert_eq!(largest_together(vec![3, 9, 5, 11, 4], 2, 10), 14);
        assert_eq!(largest_together(vec![3, 9], 4, 10), 12);
        assert_eq!(largest_together(vec![u64::MAX, u64::MAX], 2, u64::MAX), u64::MAX);
    }

    #[test]
    fn many_jobs_that_fit_alone_do_not_fit_together() {
        let Some((there, _)) = available() else { return };
        let of = |batch: u64| {
            let mut config = Config::resolve(None, Some("quick"), &[], None).unwrap();
            config.train.batch = batch as usize;
            config
        };
        let one = without_images(&of(2)).unwrap() - without_images(&of(1)).unwrap();
        // Each takes about two fifths of what there is.
        let job = of(there * 2 / 5 / one);
        assert_eq!(refuse_before_reading(&job), Ok(()));
        assert_eq!(refuse_together(&[&job, &job, &job], 2), Ok(()));
        let refused = refuse_together(&[&job, &job, &job], 3).unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        assert!(
            refused.to_string().starts_with("cannot work on 3 jobs at a time: together they"),
            "{refused}"
        );
        // What never fits is refused where it is trained, and does not stop the others.
        let never = of(there * 2 / one);
        assert_eq!(refuse_before_reading(&never).unwrap_err().exit_code(), 2);
        assert_eq!(refuse_together(&[&never, &never, &job], 3), Ok(()));
    }

    /// The bound is one: no step holds less, and none of these more than 5 times as much.
    #[test]
    fn a_step_holds_at_least_what_is_said_and_not_much_more() {
        for (preset, kind, more) in [
            ("quick", "diva", &[][..]),
            ("quick", "vae", &[]),
            ("quick", "classifier", &[]),
            ("quick-cells", "diva", &["data.per_domain=12", "model.image_size=32"]),
        ] {
            let mut settings = vec![format!("model.kind={kind}"), "train.batch=20".into()];
            settings.extend(more.iter().map(|&setting| setting.to_owned()));
            settings.extend((preset == "quick").then(|| "data.per_class=2".to_owned()));
            let config = Config::resolve(None, Some(preset), &settings, None).unwrap();
            let split = sources::read(&config, None).unwrap().split;
            let counts = dataset::class_counts(&split.train, split.classes);
            let of = dataset::settings(&config.model, split.domain_names.len(), split.classes, Some(&counts));
            let of = of.unwrap();
            let mut trainer = Trainer::new(config, split).unwrap();
            let order = trainer.order().unwrap();
            trainer.step(&order).unwrap();
            let (bound, held) = (step(&of, 20), trainer.held_bytes());
            println!("{preset} {kind}: at least {bound} bytes, {held} held");
            assert!(bound <= held && held <= 5 * bound, "{preset} {kind}: {bound}, {held}");
            let slab = trainer.state().params.slab().len() as u64 * NUMBER;
            let said = parameters(&of);
            assert!(said <= slab && 100 * (slab - said) <= 5 * slab, "{preset} {kind}: {said}, {slab}");
        }
    }
}
