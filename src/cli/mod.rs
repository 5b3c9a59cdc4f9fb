//! The command line: one subcommand per file.
//!
//! Errors go to standard error in one sentence; exit codes are 0 (done), 1 (the work failed), 2 (the request was
//! wrong) and 128 + the number of a signal (interrupted by it, after saving). All text goes out through `say`, `note` and
//! `console::print`, which show escaped what a terminal would obey: a name is never more than a name.

mod baseline;
mod bench;
mod columns;
mod console;
mod data;
mod each;
mod elsewhere;
mod evaluate;
mod generate;
mod gradients;
mod init;
mod outputs;
mod pixel;
mod predict;
mod report;
mod sweep;
mod train;
mod verify;
mod weights;

use crate::config::{Config, ModelKind, Request};
use crate::error::{Error, Result};
use crate::names::{printable, printable_json, shown};
use crate::parallel::{self, MOST_THREADS};
use crate::simd::Isa;
use crate::store::input;
use crate::store::run_folder::RunFolder;
use crate::train::own_images::{self, Assumed, Place, Survey, Wishes};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
#[cfg(unix)]
use std::sync::Arc;

/// Domain-invariant variational autoencoders, trained on CPUs.
///
/// `diva train` without arguments trains on rotated digits that ship inside the program and says how well it
/// recognises a rotation that it never saw.
#[derive(Debug, Parser)]
#[command(name = "diva", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// How many threads to use; by default the number in RAYON_NUM_THREADS, or all cores. It changes the speed, never a bit
    /// of the result.
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Train(train::Train),
    Init(init::Init),
    Verify(verify::Verify),
    Evaluate(evaluate::Evaluate),
    Predict(predict::Predict),
    Generate(generate::Generate),
    Report(report::Report),
    #[command(subcommand)]
    Sweep(sweep::Sweep),
    #[command(subcommand)]
    Data(data::Data),
    #[command(subcommand)]
    Weights(weights::Weights),
    Gradients(gradients::Gradients),
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// The folder of runs that nobody gives another.
const RUNS: &str = "runs";

/// Where a configuration comes from.
#[derive(Args, Clone, Debug)]
struct ConfigArguments {
    /// A TOML file; what it does not say comes from its preset. `train`, `init` and `data info` also take a folder of pictures, or
    /// a list of them: a table (.csv, .tsv, .txt) with the columns file, class, domain and, if wanted, group and split (train,
    /// validation, test, unlabelled).
    #[arg(value_name = "CONFIG.toml")]
    config: Option<PathBuf>,
    /// Start from this preset: quick (the default without CONFIG.toml), rotated-mnist, quick-cells, malaria or own-images.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Set one key, such as train.epochs=20; may be repeated. One that the run would not read is refused.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// The seed of every random number.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl ConfigArguments {
    /// Preset, file, overrides and seed, laid over each other.
    fn resolve(&self) -> Result<Request> {
        let text = match &self.config {
            Some(path) => Some((path.display().to_string(), input::text(path, input::SHORT_TEXT)?)),
            None => None,
        };
        let file = text.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
        Request::resolve(file, self.preset.as_deref(), &self.overrides, self.seed)
    }

    /// The seed, of which nothing else is to be known.
    fn seed(&self) -> Result<u64> {
        let is_of_seed = |text: &&String| text.split_once('=').is_some_and(|(key, _)| key.trim() == "seed");
        let overrides: Vec<String> = self.overrides.iter().filter(is_of_seed).cloned().collect();
        Ok(Config::resolve(None, None, &overrides, self.seed)?.seed)
    }
}

/// The same for a configuration whose images are read, or for a folder or a list of images.
#[derive(Args, Clone, Debug)]
struct DataArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// Of a folder or a list of pictures: the domain that training never sees; the last by name if nothing is said. `train` also takes
    /// `each`.
    #[arg(long, value_name = "NAME")]
    test_domain: Option<String>,
    /// Of a folder or a list of pictures: the domains that are used, all if nothing is said.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    domains: Vec<String>,
    /// Of a folder or a list of pictures: the classes that are used, numbered in this order; all by name if nothing is said.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    classes: Vec<String>,
    /// Of a folder or a list of pictures: what is trained, diva (the default), classifier, dann, vae, diva-no-zd or diva-no-zx.
    #[arg(long, value_name = "NAME", value_parser = model_named)]
    model: Option<ModelKind>,
    /// Of a folder or a list of pictures: the rows and columns of the images that they are made, 16 to 128 by 16, or 28 (grey, with
    /// the network of digits); by the size of the pictures, up to 64, if nothing is said.
    #[arg(long, value_name = "N", value_parser = usable_size)]
    size: Option<usize>,
    /// Of a list of pictures: columns that are called otherwise, such as file=path,class=diagnosis.
    #[arg(long, value_name = "COLUMN=NAME,...", value_delimiter = ',')]
    columns: Vec<String>,
    /// Leave out pictures that cannot be read, and say how many, instead of stopping at the first: short for --set
    /// data.skip_unreadable=true.
    #[arg(long)]
    skip_unreadable: bool,
}

fn model_named(name: &str) -> std::result::Result<ModelKind, String> {
    let named = ModelKind::deserialize(name.into_deserializer());
    named.map_err(|_: serde::de::value::Error| "no such model".into())
}

fn usable_size(text: &str) -> std::result::Result<usize, String> {
    let is_usable = |side: &usize| *side == 28 || ((16..=128).contains(side) && side.is_multiple_of(16));
    text.parse().ok().filter(is_usable).ok_or("it takes 16, 32, 48, 64, 80, 96, 112 or 128, or 28".into())
}

/// A configuration, and where it comes from.
struct Asked {
    config: Config,
    /// What runs of it are called: its preset, or its folder of pictures.
    name: String,
    /// What was assumed of that folder, a sentence each.
    assumed: Vec<String>,
}

impl DataArguments {
    /// The folder of pictures that was named, or the list of them, if one was.
    ///
    /// # Errors
    /// If it holds a run, or a preset was named beside it.
    fn place(&self) -> Result<Option<Place>> {
        let Some(place) = self.config.config.as_deref().and_then(Place::at) else { return Ok(None) };
        if let Some(preset) = &self.config.preset {
            return Err(Error::request(format!(
                "--preset {preset} does not go with a folder of pictures or a list, of which the preset is own-images; --set changes one key"
            )));
        }
        if RunFolder::new(&place.path).holds_a_run() {
            let folder = place.path.display();
            return Err(Error::request(format!(
                "{folder} holds a run and no pictures to train on: diva train --resume --out {folder} continues it"
            )));
        }
        Ok(Some(place))
    }

    /// What is said of pictures.
    fn wishes(&self) -> Wishes {
        Wishes {
            test_domain: self.test_domain.clone(),
            domains: self.domains.clone(),
            classes: self.classes.clone(),
            model: self.model,
            size: self.size,
            columns: self.columns.clone(),
        }
    }

    /// The same arguments with nothing said of pictures.
    fn without_wishes(&self) -> Self {
        let Wishes { test_domain, domains, classes, model, size, columns } = Wishes::default();
        let (config, skip_unreadable) = (self.config.clone(), self.skip_unreadable);
        DataArguments { config, test_domain, domains, classes, model, size, columns, skip_unreadable }
    }

    /// What is set, key by key.
    fn overrides(&self) -> Vec<String> {
        let skipping = self.skip_unreadable.then(|| "data.skip_unreadable=true".to_owned());
        self.config.overrides.iter().cloned().chain(skipping).collect()
    }

    fn survey(&self, place: Place) -> Result<Survey> {
        own_images::survey(place, self.wishes())
    }

    /// What is assumed of pictures, with what is set.
    fn with_assumed(&self, assumed: &Assumed) -> Result<Config> {
        let text = assumed.config.to_toml();
        let file = Some(("what is assumed of the pictures", text.as_str()));
        Request::resolve(file, None, &self.overrides(), self.config.seed)?.effective()
    }

    fn resolve(&self) -> Result<Asked> {
        if let Some(place) = self.place()? {
            let name = place.name()?;
            let assumed = self.survey(place)?.assumed()?;
            return Ok(Asked { config: self.with_assumed(&assumed)?, name, assumed: assumed.sentences });
        }
        if let Some(first) = self.wishes().settings().first() {
            return Err(Error::request(format!(
                "--test-domain, --domains, --classes, --model, --size and --columns are of a folder or list of pictures; elsewhere \
                 that is --set '{first}'"
            )));
        }
        let arguments = ConfigArguments { overrides: self.overrides(), ..self.config.clone() };
        let config = arguments.resolve()?.effective()?;
        Ok(Asked { name: config.preset.clone(), config, assumed: Vec::new() })
    }
}

/// Parses the arguments, runs the command, and turns what happens into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Help and version are asked for; everything else is a wrong request. Nobody may be reading.
            let _ = match message.kind() {
                ErrorKind::DisplayHelp
                | ErrorKind::DisplayVersion
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => message.print(),
                _ => {
                    note(&one_sentence(&message));
                    Ok(())
                }
            };
            return if message.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    std::panic::set_hook(Box::new(|bug| {
        note(&format!("this is a bug, please report it: {}", one_line(&bug.to_string())));
    }));
    // A file that may not grow further is then a sentence, as a full disk is, and not the end of the process.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    match std::panic::catch_unwind(|| run(cli)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            note(&error.to_string());
            ExitCode::from(error.exit_code())
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// What is wrong with the arguments, and perhaps what was meant, without the usage that clap adds.
fn one_sentence(message: &clap::Error) -> String {
    let text = message.to_string();
    let paragraphs = text.split("\n\n").take_while(|paragraph| !paragraph.starts_with("Usage:"));
    let sentences = paragraphs.filter(|paragraph| !paragraph.starts_with("For more information"));
    let sentence = sentences.map(one_line).collect::<Vec<_>>().join("; ");
    format!("{}; see --help", sentence.trim_start_matches("error: "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn run(cli: Cli) -> Result<()> {
    if let Some(name) = std::env::var_os("DIVA_ISA") {
        Isa::named(&name.to_string_lossy())?.choose();
    }
    parallel::use_threads(threads(cli.threads)?)?;
    parallel::on_threads(|| match cli.command {
        Command::Train(command) => command.run(),
        Command::Init(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Generate(command) => command.run(),
        Command::Sweep(command) => command.run(),
        Command::Report(command) => command.run(),
        Command::Data(command) => command.run(),
        Command::Weights(command) => command.run(),
        Command::Gradients(command) => command.run(),
        Command::Bench(command) => command.run(),
    })
}

/// The number of threads that is asked for on the command line or, as of other programs with rayon's threads, in the environment;
/// nothing for one for each core.
fn threads(argument: Option<usize>) -> Result<Option<usize>> {
    let usable = |threads: &usize| (1..=MOST_THREADS).contains(threads);
    if let Some(threads) = argument {
        return match usable(&threads) {
            true => Ok(Some(threads)),
            false => {
                let takes = format!("it takes 1 to {MOST_THREADS}");
                Err(Error::request(format!("--threads {threads} is not usable; {takes}")))
            }
        };
    }
    // Nothing and 0 mean all cores to rayon.
    let variable = std::env::var_os("RAYON_NUM_THREADS").filter(|text| !text.is_empty() && text != "0");
    let Some(text) = variable else { return Ok(None) };
    match text.to_str().and_then(|text| text.parse().ok()).filter(usable) {
        Some(threads) => Ok(Some(threads)),
        None => Err(Error::request(format!(
            "RAYON_NUM_THREADS={} is not usable; it takes 1 to {MOST_THREADS}, or 0 for all cores",
            shown(&text)
        ))),
    }
}

/// Prints a line to standard output. Whatever names are in it, it stays one line, and says nothing to a terminal.
fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", printable(line)).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        // Whoever was reading has seen enough.
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(cause) => Err(Error::work(format!("cannot write to standard output: {cause}"))),
    }
}

/// Prints a text of several lines to standard output, each as [`say`] does.
fn say_lines(text: &str) -> Result<()> {
    text.lines().try_for_each(say)
}

/// Prints a line to standard error, as [`say`] does: what is to be known beside an output that programs read.
fn note(line: &str) {
    let _ = writeln!(io::stderr(), "diva: {}", printable(line)); // nobody may be reading
}

/// Prints one JSON object on one line.
fn say_json(object: &impl serde::Serialize) -> Result<()> {
    say(&printable_json(&serde_json::to_string(object).expect("output is plain data")))
}

/// A share as a percentage with one decimal.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
