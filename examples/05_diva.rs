//! Lesson 5: DIVA, and why it has three latents. `cargo run --example 05_diva [FOLDER FOR PICTURES]`
//!
//! The classifier of lesson 3 learned digits together with how they are turned. The VAE of lesson 4 explains images by
//! places on a map, but nobody can say what a direction on that map means. DIVA gives an image three places at once, and a
//! reason to each:
//!
//! ```text
//! zd   the angle is to be read off it, and p(zd|d) says where digits of the angle d lie     (d: the domain)
//! zy   the class is to be read off it, and p(zy|y) says where digits of the class y lie
//! zx   N(0, 1): what is left, such as how thick the pen was
//! ```
//!
//! Nothing forbids zy to tell the angle. But what zd tells need not be told twice, and whatever a latent tells beyond its
//! prior costs nats: lesson 4 showed what becomes of a place that is not worth them. So zy is pressed to keep to the class,
//! which is what one wants of it at an angle never seen.

mod pictures;

use diva::config::{Config, Protocol};
use diva::error::Result;
use diva::experiments::knowledge::{self, Score};
use diva::experiments::latents;
use diva::models::networks::PixelValue;
use diva::report::generated::{self, Kind};
use diva::train::dataset;
use diva::train::trainer::Trainer;
use std::path::Path;

/// What differs from the preset `quick`: a smaller model, fewer digits and larger steps, for a training of half a minute;
/// three angles, far enough apart to be seen, and a last one that is never shown.
const CHANGES: [&str; 11] = [
    "data.domains=[0, 30, 60, 75]",
    "data.per_class=60",
    "model.encoder_width=0.25",
    "model.decoder_width=0.125",
    "model.latent=16",
    "train.epochs=8",
    "train.batch=20",
    "train.learning_rate=0.01",
    "train.warmup=2",
    "train.alpha_d=1000.0", // weights of the two labels
    "train.alpha_y=1000.0",
];

fn main() -> Result<()> {
    teach(&pictures::folder())
}

fn teach(folder: &Path) -> Result<()> {
    // 1. What a run is, in words that a file could hold too. The images follow from it.
    let config = Config::resolve(None, Some("quick"), &CHANGES.map(String::from), None)?;
    let split = dataset::load(&config)?;
    let (digits, angles, unseen) =
        (split.test.len(), split.domain_names.join("°, "), split.test_domain.clone());
    println!("{digits} digits, each turned by {angles}°; the angle {unseen}° is never shown.\n");
    let chance = [1.0 / split.classes as f64, 1.0 / split.domain_names.len() as f64];

    // 2. The training: the loop of lesson 3 behind two calls. The loss is that of lesson 4 with three places instead of
    // one, and a cross-entropy for each label that is to be read off a place; models/diva/elbo.rs has it in full.
    println!("epoch     nats: redraw     zd     zx     zy   angle   class     recognised   at {unseen}°");
    let epochs = config.train.epochs;
    let mut trainer = Trainer::new(config, split)?;
    for _ in 0..epochs {
        let order = trainer.order()?;
        for _ in 0..order.len() {
            trainer.step(&order)?;
        }
        let (seen, _) = trainer.end_epoch()?;
        let [redraw, zd, zx, zy, angle] = [seen.reconstruction, seen.kl_d, seen.kl_x, seen.kl_y, seen.ce_d]
            .map(|term| term.expect("DIVA has it"));
        println!(
            "{:5} {redraw:16.1} {zd:6.1} {zx:6.1} {zy:6.1} {angle:7.3} {:7.3} {:12.1} % {:5.1} %",
            seen.epoch,
            seen.ce_y,
            100.0 * seen.train_accuracy,
            100.0 * seen.test_accuracy
        );
    }

    // 3. Who knows what? A linear classifier is asked to read class and angle off each latent in turn, with digits that
    // it has not seen.
    let (model, params, split) = (trainer.model(), &trainer.state().params, trainer.split());
    let train = latents::encode(model, params, &split.train, "training")?;
    let test = latents::encode(model, params, &split.test, "test")?;
    let table = knowledge::probe(&train, &test, split, Protocol::Published);
    let share = |score: Score| score.share().expect("there are digits to ask about");
    println!("\nread off      angle    class    class at {unseen}°");
    for row in &table {
        let [angle, class, unseen] =
            [row.domain, row.class, row.unseen_class].map(|score| 100.0 * share(score));
        println!("{:9} {angle:7.1} % {class:6.1} % {unseen:12.1} %", row.latent);
    }
    println!(
        "by chance {:7.1} % {:6.1} % {:12.1} %\n",
        100.0 * chance[1],
        100.0 * chance[0],
        100.0 * chance[0]
    );
    println!(
        "zd is the one to ask for the angle, zy the one to ask for the class, at an angle never shown too. Neither is"
    );
    println!(
        "quite ignorant of the other's business: a latent tells what pays, and a training this short is not done.\n"
    );
    let [zd, zx, zy] = [0, 1, 2].map(|latent| [share(table[latent].class), share(table[latent].domain)]);
    assert!(zy[0] > 0.85, "the class, read off zy: {table:?}");
    assert!(zd[1] > 0.85, "the angle, read off zd: {table:?}");
    assert!(share(table[2].unseen_class) > 0.6, "the class at the angle never shown: {table:?}");
    assert!(zd[0] < zy[0] - 0.2 && zx[0] < zy[0] - 0.2, "the class, read off others: {table:?}");
    assert!(zy[1] < zd[1] - 0.2 && zx[1] < zd[1] - 0.2, "the angle, read off others: {table:?}");

    // 4. And what do they do? One latent of an image is replaced by what another label would give, the others stay.
    println!(
        "In the pictures one latent of an image is replaced by the mean of a prior: zy by that of each class, and the"
    );
    println!(
        "image becomes that digit; zd by that of each angle, and it leans over, if only by a hint after so short a training."
    );
    for (kind, name) in [(Kind::Domains, "05_angle_changed.png"), (Kind::Classes, "05_class_changed.png")] {
        let png = generated::draw(kind, (model, params), split, PixelValue::Median, 0)
            .expect("DIVA has a decoder, zd and zy");
        pictures::save(folder, name, &png)?;
    }
    Ok(())
}

/// `cargo test` runs the lesson too: its assertions are the test.
#[test]
fn the_lesson_is_true() {
    teach(&pictures::usual_folder()).expect("the embedded digits are there, and the pictures can be written");
}
