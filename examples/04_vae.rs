//! Lesson 4: a variational autoencoder. `cargo run --example 04_vae [FOLDER FOR PICTURES]`
//!
//! An encoder says of an image x where on a map it lies: about the point mean(x), give or take sd(x). A decoder draws an
//! image from any point z of the map. Both are learned together, from nothing but images, by making
//!
//! ```text
//! - ln p(x|z)  +  beta KL(N(mean(x), sd(x)^2) || N(0, 1))        z drawn from N(mean(x), sd(x)^2)
//! ```
//!
//! small: what it costs to draw x anew from z, and what it costs to say where z is. The lesson shows how a gradient gets
//! through a random draw (1), and what the weight beta of the second part decides (2).

mod pictures;

use diva::autograd::{Builder, Engine, Gradients, Init, Layout, Params, Tape, Var};
use diva::data::{Dataset, embedded, rotated};
use diva::error::Result;
use diva::nn::{Bias, Features, Linear};
use diva::optim::Adam;
use diva::prob::Normal;
use diva::report::{Chart, Grid, Picture, palette};
use diva::rng::Stream;
use diva::tensor::{Shape, Tensor};
use std::path::Path;
use std::sync::Arc;

const PIXELS: usize = 28 * 28;
const HIDDEN: usize = 128;
const EPOCHS: u64 = 80;
const BATCH: usize = 100;
const INVENTIONS: usize = 1000;

fn main() -> Result<()> {
    teach(&pictures::folder())
}

fn teach(folder: &Path) -> Result<()> {
    reparameterisation();
    let digits = embedded::train();
    let everyone: Vec<usize> = (0..digits.len()).collect();
    let upright = rotated::turned(&digits, &everyone, &[0.0], 0);
    let engine = Engine::new();
    weight_of_the_divergence(&engine, &upright, folder)?;
    map(&engine, &upright, folder)
}

/// Part 1. How does the mean of z^2 change with mean and sd of the normal distribution that z is drawn from? It is the sum of
/// mean^2 and sd^2, so by 2 mean and 2 sd. For what a decoder makes of z there is no such formula, only draws of z.
fn reparameterisation() {
    const DRAWS: usize = 1000;
    const TRIALS: u64 = 100;
    let (mean, sd) = (0.8, 0.5);
    let mut params = Params::new();
    let mut builder = Builder::new(&mut params, 0);
    let one = Shape::from([1, 1]);
    let mut knob = |name, start| builder.weight(name, one, Layout::same(one), Init::Constant(start));
    let knobs = [knob("mean", mean), knob("sd", sd)];
    let engine = Engine::new();
    let mut gradients = Gradients::new(&params);

    let row_zero: Arc<[u32]> = vec![0; DRAWS].into(); // the same number for all draws
    let mut estimate = |loss: &dyn for<'t> Fn(Normal<'t>, Var<'t>) -> Var<'t>| {
        let mut sums = [[0.0; 2]; 2]; // of both derivatives, and of their squares
        for trial in 0..TRIALS {
            let tape = Tape::train(&engine, &params);
            let [mean, sd] = knobs.map(|knob| tape.param(knob).gather_rows(row_zero.clone()));
            let noise =
                tape.constant([DRAWS, 1], |out| Stream::new(0, "draws", &[trial]).fill_normal(0, out));
            loss(Normal { mean, sd }, noise).sum().scale(1.0 / DRAWS as f32).backward(&mut gradients);
            for (sum, knob) in sums.iter_mut().zip(knobs) {
                let slope = f64::from(gradients.get(&params, knob)[0]);
                *sum = [sum[0] + slope, sum[1] + slope * slope];
            }
        }
        sums.map(|[sum, squares]| {
            let average = sum / TRIALS as f64;
            [average, (squares / TRIALS as f64 - average * average).sqrt()]
        })
    };

    // The draw as a computation: noise is drawn, and mean and sd make z of it. The tape knows the way back to them.
    let by_path = estimate(&|normal, noise| {
        let z = normal.sample(noise); // mean + sd noise
        z * z
    });
    // The draw as something that happens: the same numbers, but the tape is handed them as they fell.
    let cut_off = estimate(&|normal, noise| {
        let z = as_given(normal.sample(noise));
        z * z
    });
    // Without a path there is another way: not z moves, but how likely it was. Right on average, and far noisier.
    let by_likelihood = estimate(&|normal, noise| {
        let z = as_given(normal.sample(noise));
        z * z * z.normal_log_prob(normal.mean, normal.sd)
    });

    println!("1. The mean of z² for z drawn from N({mean}, {sd}²), and how it changes with mean and sd.");
    println!("   Each from {DRAWS} draws; average of {TRIALS} such estimates, +- their spread.\n");
    println!("                                   d/d mean            d/d sd");
    println!("   by the formula: 2 mean, 2 sd    {:.3}               {:.3}", 2.0 * mean, 2.0 * sd);
    for (name, [of_mean, of_sd]) in [
        ("z = mean + sd noise", by_path),
        ("z as a number that fell", cut_off),
        ("by the likelihood of z", by_likelihood),
    ] {
        let [of_mean, of_sd] =
            [of_mean, of_sd].map(|[average, spread]| format!("{average:.3} +- {spread:.3}"));
        println!("   {name:28}    {of_mean:16}    {of_sd}");
    }
    println!();
    let truth = [2.0 * mean, 2.0 * sd].map(f64::from);
    for (place, truth) in truth.into_iter().enumerate() {
        assert!((by_path[place][0] - truth).abs() < 0.03, "{by_path:?}, expected {truth}");
        assert!((by_likelihood[place][0] - truth).abs() < 0.1, "{by_likelihood:?}, expected {truth}");
        assert!(by_likelihood[place][1] > 1.5 * by_path[place][1], "{by_likelihood:?}, {by_path:?}");
    }
    assert_eq!(cut_off, [[0.0; 2]; 2], "a number does not know where it came from");
}

/// The same numbers without their history: an input.
fn as_given(z: Var<'_>) -> Var<'_> {
    z.tape().constant(z.shape(), |out| z.read(|numbers| out.copy_from_slice(numbers)))
}

/// Pixels to a place on the map and back, with one hidden layer on the way there and two on the way back.
struct Vae {
    encode: Linear,
    mean: Linear,
    sd: Linear,
    decode: [Linear; 2],
    pixels: Linear,
}

impl Vae {
    fn new(builder: &mut Builder<'_>, latent: usize) -> Self {
        let mut linear = |name: &str, inputs, outputs| {
            Linear::new(&mut builder.scope(name), inputs, outputs, Bias::With, Features::Plain)
        };
        Vae {
            encode: linear("encode", PIXELS, HIDDEN),
            mean: linear("mean", HIDDEN, latent),
            sd: linear("sd", HIDDEN, latent),
            decode: [linear("decode1", latent, HIDDEN), linear("decode2", HIDDEN, HIDDEN)],
            pixels: linear("pixels", HIDDEN, PIXELS),
        }
    }

    /// q(z|x): where images (batch, 784) lie.
    fn posterior<'t>(&self, images: Var<'t>) -> Normal<'t> {
        let h = self.encode.forward(images).relu();
        Normal { mean: self.mean.forward(h), sd: self.sd.forward(h).softplus().shift(1e-4) }
    }

    /// For each pixel a logit of how white it is.
    fn logits<'t>(&self, z: Var<'t>) -> Var<'t> {
        let h = self.decode.iter().fold(z, |h, layer| layer.forward(h).relu());
        self.pixels.forward(h)
    }

    /// What places z (rows, dimensions) look like.
    fn draw(&self, z: Var<'_>) -> Vec<Picture> {
        let logits = self.logits(z);
        let white = (logits - logits.softplus()).exp(); // 1 / (1 + exp(-logit))
        let picture = |row: &[f32]| {
            Picture::new(28, 28, 1, row.iter().map(|white| (255.0 * white).round() as u8).collect())
        };
        white.read(|numbers| numbers.chunks_exact(PIXELS).map(picture).collect())
    }
}

/// -ln p(x|z) of all images together: a pixel is white as a coin shows heads, with the probability that its logit says.
fn cost_of_redrawing<'t>(logits: Var<'t>, images: Var<'t>) -> Var<'t> {
    (logits.softplus() - logits * images).sum()
}

/// Part 2: what the weight of the divergence decides.
fn weight_of_the_divergence(engine: &Engine, data: &Dataset, folder: &Path) -> Result<()> {
    const DIMENSIONS: usize = 6;
    println!(
        "2. VAEs of {} upright digits with {DIMENSIONS} dimensions, for three weights of the divergence.",
        data.len()
    );
    println!(
        "   In nats a digit: to redraw it from its place, to tell the place, and both; then how far the places are from"
    );
    println!(
        "   the middle and how uncertain each is; then nats to redraw it, not told the place, from {INVENTIONS} inventions.\n"
    );
    println!("   weight   redraw   place    both     far   uncertain   by inventions");

    let shown: Vec<usize> =
        (0..10).filter_map(|class| data.classes.iter().position(|&c| c == class)).collect();
    let originals = shown.iter().map(|&i| Some(Picture::new(28, 28, 1, data.image(i).to_vec())));
    let mut grid = Grid::new("The weight of the divergence").row("digits", originals.collect());
    let mut inventions = Tensor::zeros([INVENTIONS, DIMENSIONS]);
    Stream::new(0, "inventions", &[]).fill_normal(0, inventions.data_mut());
    let everyone: Vec<usize> = (0..data.len()).collect();
    let (all, ten) = (images(data, &everyone), images(data, &shown));

    let figures = [0.0, 1.0, 30.0].map(|beta| {
        let (vae, params) = train(engine, data, DIMENSIONS, beta);
        let tape = Tape::inference(engine, &params);
        let x = tape.input(&all);
        let q = vae.posterior(x);
        let noise = tape.constant(q.mean.shape(), |out| Stream::new(0, "look", &[]).fill_normal(0, out));
        let redraw = cost_of_redrawing(vae.logits(q.sample(noise)), x).item() / data.len() as f32;
        let place = q.kl(&Normal::standard(&tape, q.mean.shape())).sum().item() / data.len() as f32;
        let size = |x: Var<'_>| ((x * x).sum().item() / x.shape().len() as f32).sqrt(); // root mean square
        let (far, uncertain) = (size(q.mean), size(q.sd));
        let by_inventions = cost_by_inventions(vae.logits(tape.input(&inventions)), &all);
        println!(
            "   {beta:6}   {redraw:6.1}   {place:5.1}   {:6.1}   {far:5.2}   {uncertain:9.3}   {by_inventions:10.1}",
            redraw + place
        );

        let invented = tape.input(&Tensor::new([10, DIMENSIONS], &inventions.data()[..10 * DIMENSIONS]));
        let rows = [("redrawn", vae.posterior(tape.input(&ten)).mean), ("invented", invented)];
        for (how, z) in rows {
            let pictures = vae.draw(z).into_iter().map(Some).collect();
            grid = std::mem::replace(&mut grid, Grid::new("")).row(format!("weight {beta}: {how}"), pictures);
        }
        [redraw, place, uncertain, by_inventions as f32]
    });
    println!(
        "\n   Weight 0: places are far apart and exact, so digits are redrawn well; but N(0, 1) falls between them, where the"
    );
    println!(
        "   decoder has never been. Weight 30: no place is worth its nats, and all digits are drawn alike. Weight 1: the"
    );
    println!(
        "   two costs together are least. They are an upper bound of -ln p(x), which is why that weight is no accident.\n"
    );
    let [without, one, large] = &figures;
    assert!(figures.is_sorted_by(|a, b| a[0] < b[0] && a[1] > b[1] && a[2] < b[2]), "the order: {figures:?}");
    assert!(one[0] < without[0] + 30.0 && large[0] > one[0] + 50.0, "costs of redrawing: {figures:?}");
    assert!(without[2] < 0.05 && large[1] < 0.5 && large[2] > 0.9, "places: {figures:?}");
    for other in [without, large] {
        assert!(one[0] + one[1] < other[0] + other[1] - 40.0, "both costs: {figures:?}");
        assert!(one[3] < other[3] - 30.0, "costs by inventions: {figures:?}");
    }

    let grid = grid.scale(2).note(
        "Three VAEs that differ in that weight. Redrawn: decoded from the mean that the encoder gives for the digit at \
         the top. Invented: decoded from draws from N(0, 1).",
    );
    pictures::save(folder, "04_weights.png", &grid.to_png())
}

/// Part 3, a map: two dimensions can be looked at.
fn map(engine: &Engine, data: &Dataset, folder: &Path) -> Result<()> {
    let (vae, params) = train(engine, data, 2, 1.0);
    let tape = Tape::inference(engine, &params);
    let ticks: Vec<f32> = (-6..=6).map(|step| step as f32 / 2.0).collect();
    let mut grid = Grid::new("What the decoder draws at each place of a map")
        .columns(ticks.iter().map(|z1| format!("{z1:.1}")))
        .scale(2)
        .note("Across the first number of z, upwards the second. The prior N(0, 1) has its middle at 0, 0.");
    for &z2 in ticks.iter().rev() {
        let row: Vec<f32> = ticks.iter().flat_map(|&z1| [z1, z2]).collect();
        let drawn = vae.draw(tape.input(&Tensor::new([ticks.len(), 2], &row)));
        grid = grid.row(format!("{z2:.1}"), drawn.into_iter().map(Some).collect());
    }
    let some: Vec<usize> = (0..data.len()).step_by(2).collect();
    let places = vae.posterior(tape.input(&images(data, &some))).mean.read(<[f32]>::to_vec);
    let mut plot = Chart::new("Where on the map the encoder puts digits, told no class")
        .axes("first number of z", "second number of z");
    for class in 0..10 {
        let of_class = places.chunks_exact(2).zip(&some).filter(|(_, i)| data.classes[**i] == class);
        // A gap after each point makes it a dot.
        let dots = of_class.flat_map(|(z, _)| [[f64::from(z[0]), f64::from(z[1])], [f64::NAN; 2]]);
        plot = plot.series(class.to_string(), palette::LABELS[class as usize], dots.collect());
    }
    println!(
        "3. A VAE with two dimensions and weight 1 is a map. Neighbours on it look alike, and digits of a class keep"
    );
    println!(
        "   together, though no class was ever told. Where classes meet, the decoder draws something in between."
    );
    pictures::save(folder, "04_map.png", &grid.to_png())?;
    pictures::save(folder, "04_places.png", &plot.to_png())
}

/// A VAE after training with this weight of the divergence.
fn train(engine: &Engine, data: &Dataset, dimensions: usize, beta: f32) -> (Vae, Params) {
    let mut params = Params::new();
    let vae = Vae::new(&mut Builder::new(&mut params, 0), dimensions);
    let mut gradients = Gradients::new(&params);
    let mut adam = Adam::new(&params, 0.003);
    for epoch in 0..EPOCHS {
        let order = Stream::new(0, "order", &[epoch]).permutation(data.len());
        for (number, batch) in (0..).zip(order.chunks(BATCH)) {
            {
                let tape = Tape::train(engine, &params);
                let x = tape.input(&images(data, batch));
                let q = vae.posterior(x);
                let stream = Stream::new(0, "noise", &[epoch, number]);
                let z = q.sample(tape.constant(q.mean.shape(), |out| stream.fill_normal(0, out)));
                let kl = q.kl(&Normal::standard(&tape, z.shape())).sum();
                let loss = cost_of_redrawing(vae.logits(z), x) + kl.scale(beta);
                loss.scale(1.0 / batch.len() as f32).backward(&mut gradients);
            }
            adam.step(&mut params, &gradients);
        }
    }
    (vae, params)
}

/// Images as rows of 784 numbers, 0 for black to 1 for white.
fn images(data: &Dataset, indices: &[usize]) -> Tensor {
    let mut rows = Tensor::zeros([indices.len(), PIXELS]);
    data.gather_pixels(indices, rows.data_mut());
    rows
}

/// What an image costs if any of the images decoded to `logits` may have been meant: -ln of the mean of p(x|z) over them,
/// in nats.
fn cost_by_inventions(logits: Var<'_>, images: &Tensor) -> f64 {
    let black = logits.softplus().sum_columns().read(<[f32]>::to_vec); // -ln p(an all black image|z)
    let cost = |image: &[f32]| {
        let likelihoods: Vec<f64> = logits.read(|rows| {
            let white = |row: &[f32]| row.iter().zip(image).map(|(logit, x)| logit * x).sum::<f32>();
            rows.chunks_exact(PIXELS).zip(&black).map(|(row, black)| f64::from(white(row) - black)).collect()
        }); // their logarithms
        let best = likelihoods.iter().copied().fold(f64::MIN, f64::max);
        let mean = likelihoods.iter().map(|l| (l - best).exp()).sum::<f64>() / likelihoods.len() as f64;
        -best - mean.ln()
    };
    let some = images.data().chunks_exact(PIXELS).step_by(5); // enough for a mean
    some.clone().map(cost).sum::<f64>() / some.len() as f64
}

/// `cargo test` runs the lesson too: its assertions are the test.
#[test]
fn the_lesson_is_true() {
    teach(&pictures::usual_folder()).expect("the pictures can be written");
}
