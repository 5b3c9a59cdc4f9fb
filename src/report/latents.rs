//! What the page says of the latents of a run's model: what each knows, and where images lie in it.

use super::html::chart::{legend, scatter};
use super::html::{self, Page, name};
use super::palette::{LABELS, label};
use super::text::{cells, or_dash, percent};
use crate::store::digest::sha256_hex;

/// How well linear classifiers do on one latent, 0..1.
#[derive(Clone, Debug)]
pub struct KnowledgeRow {
    /// zd, zx, zy or z.
    pub latent: &'static str,
    /// The class, in the training domains.
    pub class: Option<f64>,
    /// The domain.
    pub domain: Option<f64>,
    /// The class, in the unseen domain.
    pub unseen_class: Option<f64>,
}

/// Images as points in two dimensions.
#[derive(Clone, Debug)]
pub struct Views {
    /// The images side by side in rows, as a PNG file.
    pub sheet: Vec<u8>,
    /// Images in a row of the sheet.
    pub columns: usize,
    /// Pixels of a side of an image.
    pub side: usize,
    /// The class of each image; the number of classes where it is not known.
    pub classes: Vec<usize>,
    /// The domain of each image, with a class or without: the training domains, then the unseen one.
    pub domains: Vec<usize>,
    /// The latent, the method and the points.
    pub planes: Vec<(String, Vec<[f64; 2]>)>,
}

/// What linear classifiers read off each latent.
pub(super) fn know(page: &mut Page, knowledge: &[KnowledgeRow], unseen: &str) {
    page.heading(3, "What each latent knows");
    page.paragraph(
        "How often a linear classifier is right that was trained on the means of one latent alone, on images held out from \
         its training. A latent that has nothing to do with a label leaves it to chance: the share of the commonest class.",
    );
    let mut rows = vec![cells(&["latent", "class", "domain", &format!("class, at {unseen}")])];
    for row in knowledge {
        let share = |share: Option<f64>| or_dash(share, percent);
        rows.push(vec![row.latent.into(), share(row.class), share(row.domain), share(row.unseen_class)]);
    }
    page.table(&rows);
}

/// The images as points in each latent. Of `domains` the last is the unseen one.
pub(super) fn view(page: &mut Page, views: &Views, classes: &[String], domains: &[String]) {
    let id = format!("sheet-{}", sha256_hex(&views.sheet));
    page.heading(3, "Where images lie in each latent");
    page.paragraph(
        "Each point is an image; touch one to see it. Left, the colours are the classes, right, the domains. PCA shows the \
         two directions in which the means differ most; t-SNE keeps neighbours together, and its distances mean little.",
    );
    let classes = [classes, &["not known".to_owned()]].concat();
    page.html(&format!(
        "<img id=\"{id}\" hidden alt=\"\" data-columns=\"{}\" data-side=\"{}\" src=\"{}\">",
        views.columns,
        views.side,
        html::data_address(&views.sheet)
    ));
    // An unlabelled domain that was left out has no points.
    let legend = |names: &[String], labels: &[usize]| {
        let shown = names.iter().enumerate().filter(|(number, _)| labels.contains(number));
        let shown: Vec<_> = shown.map(|(number, text)| (name(text), label(number))).collect();
        legend(shown.iter().map(|(name, colour)| (name.as_str(), *colour)))
    };
    page.html(&format!(
        "<div class=\"gallery\"><div>classes {}</div><div>domains {}</div></div>",
        legend(&classes, &views.classes),
        legend(domains, &views.domains)
    ));
    for (name, points) in &views.planes {
        let plot = |what: &str, labels: &[usize]| {
            scatter(&format!("{name}, by {what}"), points, labels, &LABELS, Some(&id))
        };
        page.gallery(&[plot("class", &views.classes), plot("domain", &views.domains)]);
    }
}
