//! Every cell of every picture is compared with the decoder's answer to latents that are put together here, number by
//! number.

use super::*;
use crate::autograd::Builder;
use crate::config::Config;
use crate::models::networks::Decoder;
use crate::parallel;
use crate::report::canvas::tests::{find, find_title};
use crate::report::font::Size;
use crate::report::palette::INK;
use crate::report::text::{self, LETTER};
use crate::rng::Stream;
use crate::tensor::Tensor;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Digits at 0, 15 and, unseen, 75 degrees, one of each class, and a narrow model for them.
pub(in crate::report) fn digits(more: &[&str]) -> (Model, Params, Split) {
    let narrow = [
        "data.domains=[0, 15, 75]",
        "data.per_class=1",
        "train.batch=2",
        "model.encoder_width=0.1",
        "model.decoder_width=0.05",
        "model.latent=4",
    ];
    let overrides: Vec<String> = narrow.iter().chain(more).map(|&text| text.to_owned()).collect();
    let config = Config::resolve(None, Some("quick"), &overrides, None).unwrap();
    let split = dataset::load(&config).unwrap();
    let settings = dataset::settings(&config.model, split.domain_names.len(), 10, None).unwrap();
    let mut params = Params::new();
    let model = Model::new(&mut Builder::new(&mut params, 3), settings);
    (model, params, split)
}

/// A picture of a kind, of likeliest levels: those of a model that was not trained differ from pixel to pixel, its medians hardly.
pub(super) fn drawn(kind: Kind, (model, params, split): &(Model, Params, Split)) -> Picture {
    let model = model.latent_variables().unwrap();
    Generator::new((model, params), split, PixelValue::Mode, 7).grid(kind).unwrap().render()
}

/// Where the images of a picture are: 56 x 56 pixels each in the middle of columns of these widths, with lines of 2.
pub(super) struct Cells {
    pub(super) picture: Picture,
    pub(super) corner: [usize; 2],
    pub(super) widths: Vec<usize>,
}

impl Cells {
    /// Below a margin of 16, the title of 29 with a gap of 10 and names of columns of 22 a line with a gap of 10; to the right of
    /// a margin of 16 and the longest line of the rows' labels with a gap of 10.
    pub(super) fn new(picture: Picture, label: &str, lines: usize, widths: Vec<usize>) -> Self {
        let names = if lines > 0 { 22 * lines + 10 } else { 0 };
        let label = if label.is_empty() { 0 } else { wide(label) + 10 };
        Cells { picture, corner: [16 + label, 16 + 39 + names], widths }
    }

    /// The image in a cell, of which each pixel is drawn as 2 x 2.
    pub(super) fn image(&self, row: usize, column: usize) -> Vec<u8> {
        let before: usize = self.widths[..column].iter().map(|width| width + 2).sum();
        let x = self.corner[0] + 2 + before + (self.widths[column] - 56) / 2;
        let y = self.corner[1] + 2 + row * 58;
        let mut pixels = Vec::new();
        for pixel in 0..28 * 28 {
            let [across, down] = [x + 2 * (pixel % 28), y + 2 * (pixel / 28)];
            let colours =
                [[0, 0], [1, 0], [0, 1], [1, 1]].map(|[dx, dy]| self.picture.colour(down + dy, across + dx));
            assert_eq!(colours, [[colours[0][0]; 3]; 4], "pixel {pixel} of row {row}, column {column}");
            pixels.push(colours[0][0]);
        }
        pixels
    }

    /// Asserts where the picture ends on the right, and that it has so many rows above its note.
    fn assert_size(&self, rows: usize) {
        let right: usize = self.corner[0] + self.widths.iter().map(|width| width + 2).sum::<usize>() + 2;
        let below = self.corner[1] + 58 * rows + 2;
        assert_eq!(self.picture.width, right + 16);
        let note = (self.picture.height - below - 10 - 16) as f64 / 22.0;
        assert!(note.fract() == 0.0 && (1.0..9.0).contains(&note), "{note} lines of note below {rows} rows");
    }
}

/// One image's value of each latent.
type Values = Vec<(Latent, Vec<f32>)>;

fn means((model, params, _): &(Model, Params, Split), data: &Dataset, index: usize) -> Values {
    let (model, engine) = (model.latent_variables().unwrap(), Engine::new());
    let tape = Tape::inference(&engine, params);
    let found = model.posterior_means(tape.input(&dataset::images(data, &[index])));
    model
        .latents()
        .into_iter()
        .map(|latent| (latent, found.get(latent).unwrap().read(<[f32]>::to_vec)))
        .collect()
}

/// Mean and standard deviation.
fn prior((model, params, _): &(Model, Params, Split), latent: Latent, label: u32) -> [Vec<f32>; 2] {
    let engine = Engine::new();
    let tape = Tape::inference(&engine, params);
    let prior = model.latent_variables().unwrap().prior(&tape, latent, &Arc::from([label]));
    [prior.mean, prior.sd].map(|numbers| numbers.read(<[f32]>::to_vec))
}

/// The likeliest levels of the pixels that the decoder gives for one value of each latent.
fn decoded((model, params, _): &(Model, Params, Split), values: &Values) -> Vec<u8> {
    let engine = Engine::new();
    let tape = Tape::inference(&engine, params);
    let given = |values: &[f32]| tape.input(&Tensor::new([1, values.len()], values));
    let latents = values.iter().map(|(latent, values)| (*latent, given(values))).collect();
    likeliest(model, &latents)
}

/// The likeliest of the 256 levels of each pixel, by its logits.
pub(super) fn likeliest(model: &Model, latents: &Latents<'_>) -> Vec<u8> {
    let Decoder::Lenet(decoder, layout) = model.latent_variables().unwrap().decoder() else {
        panic!("no decoder of digits")
    };
    decoder.pixel_logits(latents.side_by_side(), *layout).read(|logits| {
        let of_pixel = |row: &[f32]| {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter().position(|&logit| logit == largest).unwrap() as u8
        };
        logits.chunks_exact(256).map(of_pixel).collect()
    })
}

fn with(values: &Values, latent: Latent, value: &[f32]) -> Values {
    let replaced =
        |(its, old): &(Latent, Vec<f32>)| (*its, if *its == latent { value.to_vec() } else { old.clone() });
    values.iter().map(replaced).collect()
}

/// The images that rows are of: each class at 0 degrees, each class at 75 degrees.
fn chosen(split: &Split, row: usize) -> (&Dataset, usize) {
    let (data, domain) = if row < 10 { (&split.train, 0) } else { (&split.test, 2) };
    let is = |i: &usize| data.domains[*i] == domain && data.classes[*i] == row as u32 % 10;
    (data, (0..data.len()).find(is).unwrap())
}

/// Pixels of a line of text.
pub(super) fn wide(line: &str) -> usize {
    text::width(line, Size::Text)
}

/// The width of a column of this name: that of an image, or of the name's longest word and a letter.
fn column(name: &str) -> usize {
    (text::longest_word(name, Size::Text) + LETTER).max(56)
}

/// Columns of "original" and "reconstruction" and some more.
fn widths(more: &[usize]) -> Vec<usize> {
    [&[column("original"), column("reconstruction")], more].concat()
}

/// The longest line of the labels of rows; "unseen" stands below it.
const CLASS_AND_DOMAIN: &str = "class 3, 75°";

#[test]
fn a_changed_class_is_the_mean_of_its_prior_decoded() {
    let all = digits(&[]);
    let cells = Cells::new(drawn(Kind::Classes, &all), CLASS_AND_DOMAIN, 1, widths(&[56; 10]));
    cells.assert_size(20);
    for row in [0, 3, 14, 19] {
        let (data, index) = chosen(&all.2, row);
        let means = means(&all, data, index);
        assert_eq!(cells.image(row, 0), data.image(index), "row {row}");
        assert_eq!(cells.image(row, 1), decoded(&all, &means), "row {row}");
        for class in 0..10 {
            let [mean, _] = prior(&all, Latent::Class, class);
            let expected = decoded(&all, &with(&means, Latent::Class, &mean));
            assert_eq!(cells.image(row, 2 + class as usize), expected, "class {class} in row {row}");
        }
        let different: BTreeSet<Vec<u8>> = (1..12).map(|column| cells.image(row, column)).collect();
        assert_eq!(different.len(), 11);
    }
    let top = |row: usize, lines: usize| cells.corner[1] + 2 + row * 58 + (56 - 22 * lines) / 2;
    assert_eq!(find_title(&cells.picture, "The class changed", INK), [[16, 16]]);
    assert_eq!(find(&cells.picture, "class 3, 0°", INK), [[16 + wide("7"), top(3, 1)]]);
    assert_eq!(find(&cells.picture, "class 4, 75°", INK), [[16, top(14, 2)]]);
    assert_eq!(find(&cells.picture, "unseen", INK).len(), 10);
}

#[test]
fn a_changed_domain_is_the_mean_of_its_prior_decoded() {
    let all = digits(&[]);
    let cells = Cells::new(drawn(Kind::Domains, &all), CLASS_AND_DOMAIN, 1, widths(&[56; 2]));
    cells.assert_size(20);
    for row in [2, 17] {
        let (data, index) = chosen(&all.2, row);
        let means = means(&all, data, index);
        assert_eq!(cells.image(row, 0), data.image(index), "row {row}");
        assert_eq!(cells.image(row, 1), decoded(&all, &means), "row {row}");
        for domain in 0..2 {
            let [mean, _] = prior(&all, Latent::Domain, domain);
            let expected = decoded(&all, &with(&means, Latent::Domain, &mean));
            assert_eq!(cells.image(row, 2 + domain as usize), expected, "domain {domain} in row {row}");
        }
        assert_ne!(cells.image(row, 2), cells.image(row, 3));
    }
    for (column, domain) in [(2, "0°"), (3, "15°")] {
        let before: usize = cells.widths[..column].iter().map(|width| width + 2).sum();
        let left = cells.corner[0] + 2 + before + (56 - wide(domain)) / 2;
        assert!(find(&cells.picture, domain, INK).contains(&[left, cells.corner[1] - 10 - 22]), "{domain}");
    }
}

#[test]
fn one_latent_is_decoded_with_the_others_zero() {
    for (kind, kept) in [
        ("diva", &[Latent::Domain, Latent::Residual, Latent::Class][..]),
        ("diva-no-zd", &[Latent::Residual, Latent::Class]),
        ("diva-no-zx", &[Latent::Domain, Latent::Class]),
    ] {
        let all = digits(&[&format!("model.kind={kind}")]);
        let columns = widths(&vec![column("only"); kept.len()]);
        let cells = Cells::new(drawn(Kind::Latents, &all), CLASS_AND_DOMAIN, 2, columns);
        for row in [5, 11] {
            let (data, index) = chosen(&all.2, row);
            let means = means(&all, data, index);
            assert_eq!(means.iter().map(|(latent, _)| *latent).collect::<Vec<_>>(), kept, "{kind}");
            assert_eq!(cells.image(row, 1), decoded(&all, &means), "{kind}, row {row}");
            for (column, &kept) in (2..).zip(kept) {
                let zero = |(latent, mean): &(Latent, Vec<f32>)| {
                    (*latent, if *latent == kept { mean.clone() } else { vec![0.0; 4] })
                };
                let expected = decoded(&all, &means.iter().map(zero).collect());
                assert_eq!(cells.image(row, column), expected, "{kind}, row {row}, only {}", kept.name());
            }
        }
    }
}

#[test]
fn one_latent_moves_from_an_image_to_another() {
    let all = digits(&[]);
    let split = &all.2;
    let columns = [vec![column("from")], vec![56; 10], vec![column("to")]].concat();
    let cells = Cells::new(drawn(Kind::Interpolations, &all), "zd, class 0 to 1", 1, columns);
    cells.assert_size(15);
    for (pair, place, latent) in [(0, 2, Latent::Class), (2, 0, Latent::Domain), (4, 1, Latent::Residual)] {
        let (row, [from, to]) =
            (3 * pair + place, [chosen(split, 2 * pair), chosen(split, 10 + 2 * pair + 1)]);
        assert_eq!(cells.image(row, 0), from.0.image(from.1));
        assert_eq!(cells.image(row, 11), to.0.image(to.1));
        let [start, end] = [from, to].map(|(data, index)| means(&all, data, index));
        let value = |values: &Values| values.iter().find(|(its, _)| *its == latent).unwrap().1.clone();
        let [a, b] = [&start, &end].map(value);
        for step in 0..10 {
            let t = step as f32 / 9.0;
            let between: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a * (1.0 - t) + b * t).collect();
            let expected = decoded(&all, &with(&start, latent, &between));
            assert_eq!(cells.image(row, 1 + step), expected, "{} of pair {pair}, step {step}", latent.name());
        }
        assert_eq!(cells.image(row, 1), decoded(&all, &start), "the beginning is the reconstruction");
        assert_ne!(cells.image(row, 1), cells.image(row, 10));
    }
    assert_eq!(find(&cells.picture, "zx, class 4 to 5", INK).len(), 1);
    assert_eq!(find(&cells.picture, "4/9", INK).len(), 1);
}

#[test]
fn samples_are_drawn_from_the_priors() {
    let noise = |latent: Latent, row: u64, dimensions: usize| {
        let mut numbers = vec![0.0; 10 * dimensions];
        Stream::new(7, "samples", &[latent as u64, row]).fill_normal(0, &mut numbers);
        numbers
    };
    let sample = |all: &(Model, Params, Split), latent, label, noise: &[f32]| {
        let [mean, sd] = prior(all, latent, label);
        (latent, mean.iter().zip(&sd).zip(noise).map(|((mean, sd), noise)| mean + sd * noise).collect())
    };
    let all = digits(&[]);
    // three rows for each of two domains
    let cells = Cells::new(drawn(Kind::Samples, &all), "sample 1 at 15°", 1, vec![56; 10]);
    cells.assert_size(6);
    for (row, domain) in [(0, 0), (2, 0), (3, 1)] {
        for class in [0, 6, 9] {
            let labels = [(Latent::Domain, domain), (Latent::Residual, 0), (Latent::Class, class)];
            let values = labels.map(|(latent, label)| {
                let noise = noise(latent, row, 4);
                sample(&all, latent, label, &noise[4 * class as usize..][..4])
            });
            let found = cells.image(row as usize, class as usize);
            assert_eq!(found, decoded(&all, &values.to_vec()), "row {row}, class {class}");
        }
    }
    let different: BTreeSet<Vec<u8>> = (0..60).map(|cell| cells.image(cell / 10, cell % 10)).collect();
    assert_eq!(different.len(), 60);

    // Without labels to draw for, neither columns nor rows have names.
    let vae = digits(&["model.kind=vae"]);
    let cells = Cells::new(drawn(Kind::Samples, &vae), "", 0, vec![56; 10]);
    cells.assert_size(6);
    let noise = noise(Latent::Single, 5, 12);
    let values = vec![(Latent::Single, noise[12 * 8..][..12].to_vec())];
    assert_eq!(cells.image(5, 8), decoded(&vae, &values));
    let no_zd = drawn(Kind::Samples, &digits(&["model.kind=diva-no-zd"]));
    assert_eq!(find(&no_zd, "sample 6", INK).len(), 1);
}

/// The images are read from the picture, and what the model takes them for from the tape.
#[test]
fn what_changed_images_are_taken_for_is_counted() {
    let all = digits(&[]);
    let (Model::Diva(diva), params, split) = &all else { panic!("no DIVA") };
    let of = |kind| measured(kind, (&all.0, params), split, PixelValue::Mode, 7);
    for (kind, columns, changed, what) in
        [(Kind::Classes, 10, 180, "class"), (Kind::Domains, 2, 30, "domain")]
    {
        let cells = Cells::new(drawn(kind, &all), CLASS_AND_DOMAIN, 1, widths(&vec![56; columns]));
        let mut counts = [0; 2];
        for (row, column) in (0..20).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let (data, index) = chosen(split, row);
            let own = if what == "class" { data.classes[index] } else { data.domains[index] };
            if column as u32 == own {
                continue;
            }
            let levels = cells.image(row, 2 + column);
            let pixels: Vec<f32> = levels.iter().map(|&level| f32::from(level) / 255.0).collect();
            let engine = Engine::new();
            let tape = Tape::inference(&engine, params);
            let image = tape.input(&Tensor::new([1, 28, 28, 1], &pixels));
            let logits =
                if what == "class" { diva.class_logits(image) } else { diva.domain_logits(image).unwrap() };
            counts[0] += 1;
            // The last of the largest, from behind: the lowest of equals.
            let largest = logits
                .read(|logits| (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])));
            counts[1] += usize::from(largest == Some(column));
        }
        assert_eq!(counts[0], changed);
        let share = 100.0 * f64::from(counts[1] as u32) / f64::from(changed as u32);
        let said = format!(
            "Of the {changed} images here that were given another {what}, the model itself takes {} ({share:.1} %) for one of it.",
            counts[1]
        );
        assert_eq!(of(kind), Some(said));
    }
    assert_eq!(of(Kind::Samples), None);
}

/// The decoder takes zd, zx, zy in this order: one that does not look at the last third is blind to classes alone.
#[test]
fn a_decoder_blind_to_zy_shows_no_change_of_the_class() {
    let mut all = digits(&[]);
    let weight = all.1.find("px.fc1.0.weight").unwrap();
    let weights = all.1.get_mut(weight);
    let outputs = weights.len() / 12;
    weights[8 * outputs..].fill(0.0);
    let classes = Cells::new(drawn(Kind::Classes, &all), CLASS_AND_DOMAIN, 1, widths(&[56; 10]));
    let domains = Cells::new(drawn(Kind::Domains, &all), CLASS_AND_DOMAIN, 1, widths(&[56; 2]));
    let latents = Cells::new(drawn(Kind::Latents, &all), CLASS_AND_DOMAIN, 2, widths(&[column("only"); 3]));
    for column in 2..12 {
        assert_eq!(classes.image(6, column), classes.image(6, 1), "column {column}");
    }
    assert_ne!(domains.image(6, 2), domains.image(6, 3));
    assert_eq!(latents.image(6, 4), latents.image(13, 4));
    assert_ne!(latents.image(6, 3), latents.image(13, 3));
}

#[test]
fn what_a_model_lacks_is_said() {
    let lacks = |kind: &str| -> Vec<Option<NoPicture>> {
        let (model, params, split) = digits(&[&format!("model.kind={kind}")]);
        Kind::ALL.map(|kind| draw(kind, (&model, &params), &split, PixelValue::Median, 0).err()).to_vec()
    };
    let lack = |what| Some(NoPicture::Lack(what));
    let (no_zd, no_zy) = (lack("the model has no zd"), lack("the model has no zy"));
    assert_eq!(lacks("diva"), [const { None }; 6]);
    assert_eq!(lacks("diva-no-zx"), [const { None }; 6]);
    assert_eq!(lacks("diva-no-zd"), [None, None, no_zd.clone(), None, None, None]);
    assert_eq!(lacks("vae"), [None, no_zy, no_zd, None, lack("the model has a single latent"), None]);
    for baseline in ["classifier", "dann"] {
        assert_eq!(lacks(baseline), vec![lack("the model has no decoder"); 6]);
    }
}

#[test]
fn missing_classes_have_no_row_and_unlabelled_domains_a_column() {
    let (model, params, mut split) = digits(&[]);
    let flat = |levels: &[u8]| levels.iter().flat_map(|&level| [level; 784]).collect();
    let images = |levels: &[u8], classes: &[u32], domain: u32| {
        Dataset::new([28, 28, 1], flat(levels), classes.to_vec(), vec![domain; classes.len()])
    };
    split.train = images(&[10, 20, 30], &[4, 0, 4], 0);
    split.unlabelled = Some(images(&[40], &[7], 1));
    split.test = images(&[50], &[4], 2);
    let all = (model, params, split);
    let cells = Cells::new(drawn(Kind::Domains, &all), CLASS_AND_DOMAIN, 1, widths(&[56; 2]));
    cells.assert_size(3);
    for (row, level) in [20, 10, 50].into_iter().enumerate() {
        assert_eq!(cells.image(row, 0), [level; 784]);
    }
    assert_eq!(find(&drawn(Kind::Reconstructions, &all), "unlabelled", INK).len(), 1);

    // From class 0 to class 4, and from class 4 to none.
    let between = Cells::new(
        drawn(Kind::Interpolations, &all),
        "zd, class 0 to 4",
        1,
        [vec![column("from")], vec![56; 11]].concat(),
    );
    between.assert_size(3);
    assert_eq!(between.image(0, 0), [20; 784]);
    assert_eq!(between.image(0, 11), [50; 784]);
    let (model, params, mut split) = all;
    split.train = images(&[10], &[4], 0);
    let lack =
        draw(Kind::Interpolations, (&model, &params), &split, PixelValue::Median, 0).unwrap_err().to_string();
    assert!(lack.starts_with("there are no images of two classes"), "{lack}");

    // A domain that nothing was trained on, as the control of an unlabelled one has, is left out.
    split.unlabelled = None;
    let cells = Cells::new(drawn(Kind::Domains, &(model, params, split)), CLASS_AND_DOMAIN, 1, widths(&[56]));
    cells.assert_size(2);
}

#[test]
fn the_number_of_threads_changes_no_byte_and_the_seed_changes_samples_alone() {
    let (model, params, split) = digits(&["model.logit_layout=published"]);
    let pixels = [PixelValue::Median, PixelValue::Sample];
    for (kind, pixel) in Kind::ALL.into_iter().flat_map(|kind| pixels.map(|pixel| (kind, pixel))) {
        let draw = |seed| draw(kind, (&model, &params), &split, pixel, seed).unwrap();
        let [one, two] = [1, 2].map(|threads| parallel::with_threads(threads, || draw(0)));
        let is_random = kind == Kind::Samples || pixel == PixelValue::Sample;
        assert!(one == two, "{}, {}", kind.name(), pixel.name());
        assert_eq!(draw(1) == one, !is_random, "{}, {}", kind.name(), pixel.name());
    }
}
