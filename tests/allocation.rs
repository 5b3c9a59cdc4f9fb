//! After the first step of a kind, no tensor memory is allocated: the engine's count of buffers stands still.

use diva::autograd::{Builder, Engine, Gradients, Params, Tape};
use diva::config::Config;
use diva::data::batches::Supervision;
use diva::models::diva::Noise;
use diva::models::{Diva, Weights};
use diva::train::dataset;
use diva::train::trainer::Trainer;

/// 200 images in 10 batches, small networks.
fn config() -> Config {
    let overrides = ["data.per_class=4", "train.batch=20", "model.width=0.125", "model.latent=8"];
    Config::resolve(None, Some("quick"), &overrides.map(str::to_owned), None).unwrap()
}

#[test]
fn epochs_after_the_first_allocate_nothing() {
    let config = config();
    let split = dataset::load(&config).unwrap();
    let mut trainer = Trainer::new(config, split).unwrap();
    let order = trainer.order().unwrap();
    trainer.step(&order).unwrap();
    let first_step = trainer.allocations();
    assert!(first_step > 0);
    for _ in 1..order.len() {
        trainer.step(&order).unwrap();
    }
    assert_eq!(trainer.allocations(), first_step);
    trainer.end_epoch().unwrap();
    let first_epoch = trainer.allocations();
    let order = trainer.order().unwrap();
    for _ in 0..order.len() {
        trainer.step(&order).unwrap();
    }
    trainer.end_epoch().unwrap();
    assert_eq!(trainer.allocations(), first_epoch);
}

#[test]
fn steps_without_classes_allocate_nothing_after_the_first() {
    let config = config();
    let split = dataset::load(&config).unwrap();
    let settings = dataset::settings(&config.model, 5, 10, None).unwrap();
    let noise = Noise::of_step(0, 0, 20, settings.latent);
    let mut params = Params::new();
    let diva = Diva::new(&mut Builder::new(&mut params, 0), settings);
    let batch = dataset::batch(&split.train, &(0..20).collect::<Vec<_>>(), Supervision::Unlabelled, None);
    let engine = Engine::new();
    let mut gradients = Gradients::new(&params);
    let mut step = || {
        let tape = Tape::train(&engine, &params);
        let weights = Weights { beta: 1.0, alpha_d: 1.0, alpha_y: 1.0 };
        diva.loss(&tape, &batch, &noise, weights).total.backward(&mut gradients);
        drop(tape);
        engine.misses()
    };
    let first = step();
    assert!(first > 0);
    assert_eq!([step(), step()], [first; 2]);
}
