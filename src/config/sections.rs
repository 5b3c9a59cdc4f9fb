//! The sections of a configuration as plain structs, and the names their values may have.
//!
//! Symbols are those of "DIVA: Domain Invariant Variational Autoencoders" (arXiv 1905.10427): x image, y
//! class, d domain; zd, zx, zy the three latents. The ranges of the numbers stand in one place, the table in
//! `keys.rs`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// `[data]`: which images, which domains, which of them is held out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataConfig {
    /// Where images come from.
    pub source: Source,
    /// The folder of the images, or the list of them, relative to the working directory; for `idx` it holds the four MNIST
    /// files, plain or gzipped. Empty in the file, `None` here: not given. It never decides results: only what lies
    /// there does.
    #[serde(with = "empty_is_none")]
    pub path: Option<String>,
    /// Of a list of images: what its columns are called, such as "class=diagnosis", where that is not file, class, domain, group or
    /// split. A list with a column split names the images that choose the epoch itself; `validation` then only says that there are
    /// some.
    pub columns: Vec<String>,
    /// A file of indices into the training set (.npy of int64, or text) that replaces the drawn subset.
    #[serde(with = "empty_is_none")]
    pub subset_file: Option<String>,
    /// All domains, training and test, in the order in which they are numbered. Of folders of images, none stands for all that
    /// are found.
    pub domains: Vec<DomainName>,
    /// The domain that training never sees; one of `domains`.
    pub test_domain: DomainName,
    /// Labelled digits a class; the published subset has 100 of each, 1,000 in all.
    pub per_class: usize,
    /// What the test domain is made of.
    pub protocol: Protocol,
    /// The names of the classes that are used, in the order in which they are numbered; images of others are left out. None
    /// stands for all that are found.
    pub classes: Vec<String>,
    /// Images that are made up for each domain, where they are.
    pub per_domain: usize,
    /// Of the layout of the malaria cells: patients with fewer are left out.
    pub least_images: usize,
    /// The share of the images of each class of a training domain that is not trained on, whole groups where there are some: epochs
    /// are selected by it. 0: none, and epochs are selected by the training images.
    pub validation: f64,
    /// Whether training images are flipped and turned by quarters, each epoch anew.
    pub augment: bool,
    /// Whether files that cannot be read are left out, and counted, instead of being an error.
    pub skip_unreadable: bool,
    /// Images used without their class.
    pub unlabelled: Unlabelled,
}

impl DataConfig {
    /// The domains that are trained on, as they are numbered: those with labels in their order, then those without.
    pub fn training_domains(&self) -> Vec<&DomainName> {
        let is_in = |list: &[DomainName], name: &DomainName| list.iter().any(|other| other.is_same_as(name));
        let of_test = std::slice::from_ref(&self.test_domain);
        let labelled = (self.domains.iter())
            .filter(|name| !is_in(of_test, name) && !is_in(&self.unlabelled.domains, name));
        labelled.chain(&self.unlabelled.domains).collect()
    }
}

/// `data.unlabelled`: images that are trained on without their class; the domain is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unlabelled {
    /// The k of "+k": further subsets of digits in the training domains. 0: none.
    pub subsets: usize,
    /// Domains from which no class is known at all.
    pub domains: Vec<DomainName>,
    /// Whether these images are trained on. Left out, there is the control experiment: the same labelled images, and
    /// models with as many outputs for domains.
    pub images: UnlabelledImages,
}

/// Whether unlabelled images are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnlabelledImages {
    /// They are.
    Used,
    /// They are not, though their domains are counted.
    LeftOut,
}

/// `[model]`: what is trained, and under which likelihood and priors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// DIVA, one of its ablations, or a baseline.
    pub kind: ModelKind,
    /// The layers of encoders and decoder.
    pub networks: Networks,
    /// Rows and columns of an image: 28 for `lenet`, a multiple of 16 for `resnet`.
    pub image_size: usize,
    /// Channels of a pixel: 1 (grey), or for `resnet` also 3 (red, green, blue).
    pub channels: usize,
    /// Scales the channel counts of the encoders: a layer of c channels gets int(c * width).
    pub encoder_width: f64,
    /// Scales the channel counts of the decoder; its output channels stay.
    pub decoder_width: f64,
    /// Dimensions of each latent; 64 in the paper.
    pub latent: usize,
    /// log p(x | zd, zx, zy).
    pub likelihood: Likelihood,
    /// How the decoder's 256 channels are read as grey levels.
    pub logit_layout: LogitLayout,
    /// How the three KL terms are computed.
    pub kl: Kl,
    /// p(y), met by the loss of unlabelled images and by the ELBO of images whose class is not known.
    pub prior_y: PriorY,
}

/// `[train]`: the optimisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Epochs in total: a resumed run continues up to this number.
    pub epochs: usize,
    /// Images a step. At least 2, because batch norm needs a variance.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Epochs until the KL terms count in full: beta = min(1, epoch / warmup), epochs counted from 1. 0 is no
    /// warm-up: beta = 1 from the first epoch.
    pub warmup: usize,
    /// Weight of the domain classifier's cross-entropy, in nats an image against the nats of an image's
    /// likelihood.
    pub alpha_d: f64,
    /// Weight of the class classifier's cross-entropy, used as it stands: semi-supervised settings write it
    /// scaled.
    pub alpha_y: f64,
    /// Multiplies the schedule of DANN's gradient reversal.
    pub reversal: f64,
    /// Whether DANN takes a second batch of training images in every step, for its domain head alone; where an unlabelled one
    /// is due, that stands in its place.
    pub second_batch: bool,
    /// Epochs without improvement after which training stops.
    pub patience: usize,
    /// Seconds of training after which a checkpoint is saved in the middle of an epoch; at the end of each epoch one is
    /// saved in any case. 0: after every step.
    pub checkpoint_seconds: f64,
}

/// Where images come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Digits that ship inside the binary, rotated.
    Embedded,
    /// The four MNIST files in IDX format, rotated.
    Idx,
    /// Pictures in DOMAIN/CLASS/ or, where some are of one patient or slide, in DOMAIN/CLASS/GROUP/.
    Folders,
    /// Pictures that a table names, a line each, with their classes and domains and perhaps groups.
    List,
    /// The NIH malaria cell images; the domain is the patient.
    Malaria,
    /// Drawn colour cells.
    SyntheticCells,
}

/// What the test domain is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// As published: the training digits, at the unseen angle.
    Published,
    /// Digits that training has seen at no angle.
    DisjointTest,
}

/// DIVA, one of its ablations, or a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// Three latents, each with its encoder.
    Diva,
    /// Without zd, its prior and q(d | zd).
    DivaNoZd,
    /// Without zx.
    DivaNoZx,
    /// One latent under N(0, I) that carries both classifiers.
    Vae,
    /// The encoder's trunk and a class head.
    Classifier,
    /// The classifier with a domain head behind gradient reversal.
    Dann,
}

impl ModelKind {
    /// Whether the model has a distribution over classes, p(y), which enters its loss of images without a class and its
    /// ELBO.
    pub fn has_prior_y(self) -> bool {
        matches!(self, ModelKind::Diva | ModelKind::DivaNoZd | ModelKind::DivaNoZx)
    }
}

/// The layers of encoders and decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Networks {
    /// 28x28 grey images: 5x5 convolutions, pooling, up-sampling.
    Lenet,
    /// Images of any size, grey or in colour: residual blocks.
    Resnet,
}

/// log p(x | zd, zx, zy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// A categorical over 256 grey levels a pixel.
    Categorical,
    /// A mixture of ten discretised logistics over red, green and blue, or over grey.
    LogisticMixture,
}

/// How the decoder's 256 channels are read as grey levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogitLayout {
    /// A pixel's 256 logits are its 256 channels: the intended likelihood.
    PerPixel,
    /// The authors' code: rows of 256 neighbouring values of the (channel, row, column) block.
    Published,
}

/// How the three KL terms are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kl {
    /// The published one-sample estimate log q(z | x) - log p(z) at the sampled z.
    Sampled,
    /// The integral over q(z | x).
    ClosedForm,
}

/// p(y) for images without a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PriorY {
    /// The frequency of each class in the labelled training data.
    Training,
    /// The same with one image of each class more (Laplace), so that a class without a labelled image is not impossible.
    Smoothed,
    /// 1 / number of classes.
    Uniform,
    /// One probability a class, in class order; they add up to 1.
    #[serde(untagged)]
    Probabilities(Vec<f64>),
}

/// What a domain is called: the angle of a rotation, or a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Spelling", into = "Spelling")]
pub enum DomainName {
    /// Degrees, counter-clockwise.
    Angle(f64),
    /// The name of a folder, a patient.
    Name(String),
}

impl DomainName {
    /// Whether the two are the same domain: rotations are counted modulo 360 degrees.
    pub(super) fn is_same_as(&self, other: &DomainName) -> bool {
        match (self, other) {
            (DomainName::Angle(one), DomainName::Angle(two)) => {
                one.rem_euclid(360.0) == two.rem_euclid(360.0)
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DomainName::Angle(angle) => write!(f, "{angle}"),
            DomainName::Name(name) => f.write_str(name),
        }
    }
}

/// A domain as a file spells it. 75 and 75.0 are one angle, always written 75.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Spelling {
    Whole(i64),
    Real(f64),
    Name(String),
}

impl From<Spelling> for DomainName {
    fn from(spelling: Spelling) -> Self {
        match spelling {
            Spelling::Whole(angle) => DomainName::Angle(angle as f64),
            Spelling::Real(angle) => DomainName::Angle(angle + 0.0), // -0.0 becomes 0.0
            Spelling::Name(name) => DomainName::Name(name),
        }
    }
}

impl From<DomainName> for Spelling {
    fn from(domain: DomainName) -> Self {
        match domain {
            DomainName::Angle(angle) if angle == angle.trunc() => Spelling::Whole(angle as i64),
            DomainName::Angle(angle) => Spelling::Real(angle),
            DomainName::Name(name) => Spelling::Name(name),
        }
    }
}

/// TOML has no "none": a complete file writes an empty string for it.
mod empty_is_none {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text.as_deref().unwrap_or(""))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        let text = String::deserialize(from)?;
        Ok((!text.is_empty()).then_some(text))
    }
}
