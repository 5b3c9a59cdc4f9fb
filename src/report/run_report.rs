//! The report of runs: one page that says what was asked, what came out, and how to repeat it.

use super::answer;
use super::curves;
use super::html::chart::svg;
use super::html::{self, Page, name};
use super::latents::{self, KnowledgeRow, Views};
use super::live::{self, Live};
use super::probabilities;
use super::text::{cells, degrees, percent};
use crate::config::{Config, ModelKind, Protocol, Source, Unlabelled, UnlabelledImages};
use crate::names::{printable, printable_toml};
use crate::scores::{Answer, ChosenThreshold};
use crate::train::evaluate::{Evaluation, Unseen};
use crate::train::metrics::{self, EpochMetrics, LAST_EPOCHS, RunResult};

/// What a report says of one run.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The folder, as it was named.
    pub name: String,
    /// The configuration of the run.
    pub config: Config,
    /// A line for each epoch that is done.
    pub metrics: Vec<EpochMetrics>,
    /// What the finished run came to; an unfinished one has none.
    pub result: Option<RunResult>,
    /// The training domains, as they are numbered.
    pub domains: Vec<String>,
    /// The classes, as they are numbered.
    pub classes: Vec<String>,
    /// Sentences on what is missing on the page or has to be known of it.
    pub notices: Vec<String>,
    /// Why the model could not be asked, if it could not; the notices say so too.
    pub not_asked: Option<String>,
    /// How well the selected model recognises the images of the unseen domain; nothing if it could not be asked.
    pub unseen: Option<Unseen>,
    /// Of two classes, how well the selected model recognises them in every domain.
    pub evaluation: Option<Evaluation>,
    /// What a linear classifier reads off each latent; empty if the model has none.
    pub knowledge: Vec<KnowledgeRow>,
    /// The latents of some images, seen in two dimensions; nothing if the model has none.
    pub views: Option<Views>,
    /// What the selected model generates.
    pub pictures: Vec<ModelPicture>,
    /// What a reader can try, or why there is nothing to be tried; nothing if it was not asked for.
    pub live: Option<Result<Live, String>>,
}

/// A picture of what a model generates.
#[derive(Clone, Debug)]
pub struct ModelPicture {
    /// What stands above it.
    pub title: String,
    /// What stands below it.
    pub caption: String,
    /// The bytes of a PNG file.
    pub png: Vec<u8>,
}

/// The model in words.
pub(super) fn kind(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Diva => "DIVA",
        ModelKind::DivaNoZd => "DIVA without zd",
        ModelKind::DivaNoZx => "DIVA without zx",
        ModelKind::Vae => "a VAE with one latent",
        ModelKind::Classifier => "a plain classifier",
        ModelKind::Dann => "DANN",
    }
}

impl RunReport {
    pub(super) fn unseen_domain(&self) -> String {
        name(&degrees(&self.config.data.test_domain.to_string()))
    }

    /// The training domains and the unseen one, as points are labelled.
    fn names_of_domains(&self) -> Vec<String> {
        let trained = self.domains.iter().map(|name| degrees(name));
        trained.chain([format!("{}, unseen", self.unseen_domain())]).collect()
    }

    /// The epoch that is selected, or would be now.
    pub(super) fn selected(&self) -> Option<&EpochMetrics> {
        metrics::selected(&self.metrics)
    }

    /// Whether the model that was asked, as far as it was, recognises as much as that of the selected epoch.
    pub fn answers_are_of_the_selected_epoch(&self) -> bool {
        let (Some(selected), Some(unseen)) = (self.selected(), &self.unseen) else { return true };
        let counts = &unseen.confusion;
        let right: usize = counts.iter().enumerate().map(|(class, row)| row[class]).sum();
        let all: usize = counts.iter().flatten().sum();
        right as f64 / all as f64 == selected.test_accuracy
    }

    /// The accuracy that naming the commonest class of the unseen domain always would have.
    pub(super) fn commonest_class_share(&self) -> Option<f64> {
        match self.answer() {
            Some((answer, _)) => answer.commonest_class_share,
            None => self.result.as_ref()?.test_commonest_class_share,
        }
    }

    /// The answer for the unseen domain, and what a chosen threshold gives there; that of the result where the model of the
    /// selected epoch could not be asked.
    pub(super) fn answer(&self) -> Option<(Answer, Option<&ChosenThreshold>)> {
        match (&self.unseen, &self.result) {
            (Some(unseen), _) if self.answers_are_of_the_selected_epoch() => {
                Some((unseen.answer, unseen.operating_point.as_ref()))
            }
            (_, Some(result)) => Some((result.answer?, result.operating_point.as_ref())),
            _ => None,
        }
    }

    pub(super) fn progress(&self) -> String {
        let (done, all) = (self.metrics.len(), self.config.train.epochs);
        match &self.result {
            Some(result) if result.ended_by == "patience" => format!("{done}, ended by patience"),
            Some(_) => done.to_string(),
            None => format!("{done} of {all}, not finished"),
        }
    }
}

pub(super) fn describe(page: &mut Page, run: &RunReport) {
    let unseen = run.unseen_domain();
    page.paragraph(&format!(
        "Can a model that was trained on images of {} recognise the classes of images of the domain {unseen}, which it \
         never saw? This run asks {}, trained with seed {}.",
        trained_on(run),
        kind(run.config.model.kind),
        run.config.seed
    ));
    if run.result.is_none() {
        page.notice(&format!(
            "This run is not finished: {} of {} epochs are done. What follows is how far it is.",
            run.metrics.len(),
            run.config.train.epochs
        ));
    }
    run.notices.iter().for_each(|notice| page.notice(notice));
    if let Some(Ok(_)) = &run.live {
        page.html(live::LINK);
    }
    match run.selected() {
        Some(selected) => train(page, run, selected),
        None => page.paragraph("No epoch of its training is recorded."),
    }
    if let Some(live) = &run.live {
        live::section(page, live);
    }
    if let Some(answered) = &run.unseen {
        page.heading(3, &format!("What is mistaken for what, in the unseen domain {unseen}"));
        page.matrix("class ↓  predicted →", &run.classes, &answered.confusion);
    }
    if let Some(evaluation) = &run.evaluation {
        probabilities::describe(page, evaluation, &run.classes);
    }
    if !run.knowledge.is_empty() {
        latents::know(page, &run.knowledge, &unseen);
    }
    if let Some(views) = &run.views {
        latents::view(page, views, &run.classes, &run.names_of_domains());
    }
    for ModelPicture { title, caption, png } in &run.pictures {
        page.heading(3, title);
        page.figure(&html::image(png, title), caption);
    }
    repeat(page, run);
}

/// What came out, and how the training went.
fn train(page: &mut Page, run: &RunReport, selected: &EpochMetrics) {
    let (unseen, epoch) = (run.unseen_domain(), selected.epoch);
    let mut rows = vec![cells(&["", "recognised"])];
    let mut row = |name: String, share: f64| rows.push(vec![name, percent(share)]);
    if let Some((answer, point)) = run.answer() {
        let what = format!("The answer for the unseen domain {unseen}, at the selected epoch {epoch}");
        page.heading(3, &what);
        answer::describe(page, &answer, point);
        if let Some(tempered) = run.evaluation.as_ref().and_then(|evaluation| evaluation.tempered.as_ref()) {
            page.paragraph(&format!("{}.", tempered.in_words()));
        }
        if let Some(unlike) = run.result.as_ref().and_then(|result| result.unlike) {
            page.paragraph(&format!("{}.", unlike.in_words()));
        }
    } else {
        row(format!("unseen domain {unseen}, at the selected epoch {epoch}"), selected.test_accuracy);
        if let Some(share) = run.commonest_class_share() {
            row(format!("unseen domain {unseen}, if its commonest class were named always"), share);
        }
    }
    if let Some(share) = selected.disjoint_test_accuracy {
        row(format!("unseen domain {unseen}, digits seen at no angle"), share);
    }
    if let Some((share, which)) = metrics::last_epochs(&run.metrics) {
        let which = which.unwrap_or(format!("the last {LAST_EPOCHS} epochs"));
        row(format!("unseen domain {unseen}, mean of {which}"), share);
    }
    if let Some(share) = selected.validation_accuracy {
        row("training domains, images held back from training".into(), share);
    }
    row("training domains".into(), selected.train_accuracy);
    page.table(&rows);
    let data = &run.config.data;
    page.paragraph(match (data.source, data.protocol) {
        (Source::Embedded | Source::Idx, Protocol::Published) => {
            "The epoch is selected by the training domains alone. The images of the unseen domain are the training \
             digits at another angle, as published; digits seen at no angle are by other writers."
        }
        (Source::Embedded | Source::Idx, Protocol::DisjointTest) => {
            "The epoch is selected by the training domains alone. The images of the unseen domain are digits that \
             training has seen at no angle."
        }
        _ if data.validation > 0.0 => {
            "The epoch is selected by the images of the training domains that are held back from training."
        }
        _ => "The epoch is selected by the training images alone.",
    });

    page.heading(3, "How the training went");
    let domains: Vec<_> = run.domains.iter().map(|domain| (domain.clone(), name(&degrees(domain)))).collect();
    page.figure(
        &svg(&curves::accuracy_chart(&run.metrics, domains.len(), &unseen, &domains)),
        &format!(
            "Images whose class is recognised after each epoch, by the means of the latents. The dashed line and the dots mark the \
             selected epoch, {epoch}."
        ),
    );
    let train = &run.config.train;
    page.figure(
        &svg(&curves::loss_chart(&run.metrics, train)),
        "The loss that is minimised and its terms, with the weights that they have in it, averaged over the images of an epoch. The \
         scale is logarithmic: what is not above 0 is not drawn.",
    );
    page.paragraph("Each term without its weight, on a scale of its own:");
    page.gallery(&curves::term_charts(&run.metrics, train).iter().map(svg).collect::<Vec<_>>());
}

/// The training domains in words, and which images have no class.
fn trained_on(run: &RunReport) -> String {
    let Unlabelled { subsets, domains, images } = &run.config.data.unlabelled;
    let names = run.config.data.training_domains().into_iter().filter_map(|domain| {
        let shown = name(&degrees(&domain.to_string()));
        match (domains.contains(domain), images) {
            (false, _) => Some(shown),
            (true, UnlabelledImages::Used) => Some(format!("{shown} (without classes)")),
            (true, UnlabelledImages::LeftOut) => None,
        }
    });
    let names = format!("the domains {}", names.collect::<Vec<_>>().join(", "));
    match (*subsets, images) {
        (1.., UnlabelledImages::Used) => format!("{names}, and on {subsets} times as many without a class,"),
        _ => names,
    }
}

fn repeat(page: &mut Page, run: &RunReport) {
    page.heading(3, "How to repeat it");
    page.paragraph(
        "The same version of the program with this configuration, saved as config.toml, and the same data gives the same \
         bytes on any number of threads and any supported instruction set.",
    );
    let mut commands = "diva train config.toml --out repeated\n".to_owned();
    if let Some(result) = &run.result {
        commands += &format!(
            "sha256sum repeated/checkpoint.safetensors   # {}\n",
            printable(&result.checkpoint_sha256)
        );
    } else if let Some(epoch) = run.metrics.last() {
        commands += &format!("# state after epoch {}: {}\n", epoch.epoch, printable(&epoch.state_sha256));
    }
    page.code(&format!("{commands}# diva {}", env!("CARGO_PKG_VERSION")));
    page.folded("config.toml", &printable_toml(&run.config.to_toml()));
}
