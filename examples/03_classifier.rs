//! Lesson 3: a network that reads digits, and where it fails. `cargo run --example 03_classifier [FOLDER FOR PICTURES]`
//!
//! The loop is that of lesson 2. New are the layers, a loss for classes, and batches: a step looks at a hundred images,
//! not at all. The network is shown digits upright and turned by 15, 30, 45 and 60 degrees, and then asked about angles
//! that it was never shown. Nobody told it that a digit stays the same digit when it is turned, so it does not know.

mod pictures;

use diva::autograd::{Builder, Engine, Gradients, Params, Tape, Var};
use diva::data::{Dataset, embedded, rotated};
use diva::error::Result;
use diva::models::argmax;
use diva::nn::{BatchNorm, Bias, Conv, Features, Linear};
use diva::ops::Activation::Relu;
use diva::optim::Adam;
use diva::report::{Chart, Grid, Picture, palette};
use diva::rng::Stream;
use diva::train::{dataset, evaluate};
use std::path::Path;
use std::sync::Arc;

const TRAINED: [f64; 5] = [0.0, 15.0, 30.0, 45.0, 60.0];
const UNSEEN: [f64; 4] = [75.0, 90.0, 105.0, 120.0];
const CLASSES: usize = 10;
const EPOCHS: usize = 6;
const BATCH: usize = 100;

/// Two convolutions find strokes and what strokes make up; a linear layer weighs the evidence for each class.
///
/// A layer owns no numbers, only the names of its parameters.
struct Network {
    conv1: Conv,
    norm1: BatchNorm,
    conv2: Conv,
    norm2: BatchNorm,
    linear: Linear,
}

impl Network {
    fn new(builder: &mut Builder<'_>) -> Self {
        let (a, b) = (8, 16); // channels
        let flattened = Features::FromImage { channels: b };
        Network {
            conv1: Conv::new(&mut builder.scope("conv1"), 1, a, 5, Bias::Without),
            norm1: BatchNorm::new(&mut builder.scope("norm1"), a, Features::Plain),
            conv2: Conv::new(&mut builder.scope("conv2"), a, b, 5, Bias::Without),
            norm2: BatchNorm::new(&mut builder.scope("norm2"), b, Features::Plain),
            linear: Linear::new(&mut builder.scope("linear"), 4 * 4 * b, CLASSES, Bias::With, flattened),
        }
    }

    /// Images (batch, 28, 28, 1) to logits (batch, 10): how much speaks for each class.
    fn logits<'t>(&self, images: Var<'t>) -> Var<'t> {
        let h = self.norm1.forward(self.conv1.forward(images), Relu); // 24 x 24: a 5 x 5 window has so many places
        let h = self.norm2.forward(self.conv2.forward(h.max_pool()), Relu); // 12 x 12, then 8 x 8
        let h = h.max_pool(); // 4 x 4
        let [batch, height, width, channels] = h.shape().image().expect("pooling gives images");
        self.linear.forward(h.reshape([batch, height * width * channels]))
    }

    /// The likeliest class of each of the images `order`, so many at a time, each batch on a tape of its own.
    fn answers<'p>(
        &self,
        mode: fn(&'p Engine, &'p Params) -> Tape<'p>,
        engine: &'p Engine,
        params: &'p Params,
        data: &Dataset,
        order: &[usize],
        batch: usize,
    ) -> Vec<u32> {
        let of_batch = |images: &[usize]| -> Vec<u32> {
            let tape = mode(engine, params);
            let logits = self.logits(tape.input(&dataset::images(data, images)));
            logits.read(|rows| argmax(rows, CLASSES).collect())
        };
        order.chunks(batch).flat_map(of_batch).collect()
    }
}

fn main() -> Result<()> {
    teach(&pictures::folder())
}

fn teach(folder: &Path) -> Result<()> {
    // 1. The data: 1,000 digits, each at five angles. Other writers' digits are for the examination.
    let digits = embedded::train();
    let everyone: Vec<usize> = (0..digits.len()).collect();
    let train = rotated::turned(&digits, &everyone, &TRAINED, 0);
    println!("{} images: {} digits, turned by {TRAINED:?} degrees", train.len(), digits.len());

    let mut params = Params::new();
    let network = Network::new(&mut Builder::new(&mut params, 0));
    println!(
        "{} parameters; guessing one of {CLASSES} classes costs ln {CLASSES} = 2.303 nats\n",
        params.trained()
    );

    // 2. The training. An epoch shows every image once, in an order of its own.
    let engine = Engine::new();
    let mut gradients = Gradients::new(&params);
    let mut adam = Adam::new(&params, 0.003);
    for epoch in 1..=EPOCHS as u64 {
        let (mut nats, mut right) = (0.0, 0);
        let order = Stream::new(0, "order", &[epoch]).permutation(train.len());
        for batch in order.chunks(BATCH) {
            let classes: Arc<[u32]> = batch.iter().map(|&i| train.classes[i]).collect();
            {
                let tape = Tape::train(&engine, &params);
                let logits = network.logits(tape.input(&dataset::images(&train, batch)));
                // What the right answer would have cost: -ln of the probability that the network gave to it.
                let loss = logits.cross_entropy(classes.clone()).sum();
                nats += loss.item();
                right +=
                    logits.read(|rows| argmax(rows, CLASSES).zip(&*classes).filter(|(a, b)| a == *b).count());
                loss.scale(1.0 / batch.len() as f32).backward(&mut gradients);
            }
            adam.step(&mut params, &gradients);
            params.take_statistics(&gradients); // what batch normalisation remembers: see 3
        }
        let images = train.len() as f32;
        println!(
            "epoch {epoch}: {:.3} nats an image, {:.1} % right",
            nats / images,
            100.0 * right as f32 / images
        );
    }

    // 3. Two modes. Batch normalisation takes off a mean and divides by a standard deviation. In training they are those
    // of the batch, so that the answer to an image hangs on its neighbours; for use there are averages over all batches.
    let mixed = Stream::new(0, "company", &[]).permutation(digits.len()); // of the upright ones, which come first
    let mut sorted = mixed.clone();
    sorted.sort_by_key(|&i| train.classes[i]);
    let [in_training, in_use] = [Tape::train, Tape::inference].map(|mode| {
        [&mixed, &sorted].map(|order| {
            let answers = network.answers(mode, &engine, &params, &train, order, 10);
            let right =
                answers.iter().zip(order).filter(|(answer, i)| **answer == train.classes[**i]).count();
            100.0 * right as f64 / order.len() as f64
        })
    });
    println!("\nupright digits, ten at a time    ten of any class   ten of one class");
    println!("normalised by these ten        {:16.1} % {:16.1} %", in_training[0], in_training[1]);
    println!("normalised as in all batches   {:16.1} % {:16.1} %", in_use[0], in_use[1]);
    assert!(in_use[0] == in_use[1] && in_training[1] < in_use[1] - 10.0, "{in_training:?}, {in_use:?}");

    // 4. The examination: the digits of the training and those of other writers, at angles seen and unseen.
    let others = embedded::test();
    let everyone_else: Vec<usize> = (0..others.len()).collect();
    println!("\nangle   trained on   same digits   other digits");
    let mut curves = [Vec::new(), Vec::new()];
    for angle in TRAINED.into_iter().chain(UNSEEN) {
        let accuracies = [(&digits, &everyone), (&others, &everyone_else)].map(|(digits, indices)| {
            let data = rotated::turned(digits, indices, &[angle], 0);
            let answers = network.answers(Tape::inference, &engine, &params, &data, indices, BATCH);
            100.0 * evaluate::accuracy(&data, &answers)
        });
        let seen = if TRAINED.contains(&angle) { "yes" } else { "no" };
        println!("{angle:4}°   {seen:10}   {:9.1} %   {:10.1} %", accuracies[0], accuracies[1]);
        for (curve, accuracy) in curves.iter_mut().zip(accuracies) {
            curve.push([angle, accuracy]);
        }
    }
    println!(
        "Digits of other writers cost a little, angles never shown a lot: what makes a digit a digit was learned\n\
         together with how it is turned. To learn the two apart is what lesson 5 is about.\n"
    );
    let [same, other] = &curves;
    let (inside, outside) = other.split_at(TRAINED.len());
    assert!(same[..TRAINED.len()].iter().all(|[_, accuracy]| *accuracy > 90.0), "{same:?}");
    assert!(inside.iter().all(|[_, accuracy]| *accuracy > 86.0), "{inside:?}");
    assert!(same[5][1] < same[4][1] - 5.0, "75 degrees is as easy as 60: {same:?}");
    assert!(outside.windows(2).all(|pair| pair[1][1] < pair[0][1] - 5.0), "no fall: {outside:?}");

    let plot = Chart::new("A digit turned further than any in the training is not recognised")
        .axes("angle (degrees)", "recognised (%)")
        .series("largest angle in training", palette::FAINT, vec![[60.0, 0.0], [60.0, 100.0]])
        .series("the digits of the training", palette::series(0), same.clone())
        .series("digits of other writers", palette::series(1), other.clone());
    pictures::save(folder, "03_accuracy.png", &plot.to_png())?;
    let unseen = rotated::turned(&others, &everyone_else, &UNSEEN[..1], 0);
    let answers = network.answers(Tape::inference, &engine, &params, &unseen, &everyone_else, BATCH);
    pictures::save(folder, "03_mistakes.png", &mistakes(&unseen, &answers).to_png())
}

/// What is taken for what: the first image of each class that got each answer.
fn mistakes(data: &Dataset, answers: &[u32]) -> Grid {
    let classes = 0..CLASSES as u32;
    let mut grid = Grid::new("What is taken for what at 75 degrees, an angle never shown")
        .columns(classes.clone().map(|answer| format!("\"{answer}\"")))
        .scale(2)
        .note(
            "A row for each digit, a column for each answer: the first image of that digit that got that answer. On \
             the diagonal the answer is right. Blank: no digit was taken so.",
        );
    for class in classes.clone() {
        let cell = |answer| {
            let found = (0..data.len()).find(|&i| data.classes[i] == class && answers[i] == answer)?;
            Some(Picture::new(data.height, data.width, 1, data.image(found).to_vec()))
        };
        let right = (0..data.len()).filter(|&i| data.classes[i] == class && answers[i] == class).count();
        let all = data.classes.iter().filter(|&&c| c == class).count();
        grid = grid.row(format!("{class}: {right} of {all} right"), classes.clone().map(cell).collect());
    }
    grid
}

/// `cargo test` runs the lesson too: its assertions are the test.
#[test]
fn the_lesson_is_true() {
    teach(&pictures::usual_folder()).expect("the pictures can be written");
}
