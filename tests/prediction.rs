//! Predicting allocates scratch memory once a thread, and none after that. (The count is the process's, so this test
//! has one to itself.)

use diva::autograd::{Builder, Params};
use diva::config::Config;
use diva::models::Diva;
use diva::parallel::{scratch_allocations, with_threads};
use diva::train::{dataset, evaluate};

#[test]
fn predictions_after_the_first_allocate_no_scratch_memory() {
    let config = Config::resolve(None, Some("quick"), &["data.per_class=4".to_owned()], None).unwrap();
    let split = dataset::load(&config).unwrap();
    let settings = dataset::settings(&config.model, 5, 10, None).unwrap();
    let mut params = Params::new();
    let diva = Diva::new(&mut Builder::new(&mut params, 0), settings);
    let predictor = diva.class_predictor(&params);
    // One thread: of several, one that found nothing to do at first would allocate later.
    with_threads(1, || {
        let before = scratch_allocations();
        let predicted = evaluate::predict(&predictor, &split.train).unwrap();
        assert_eq!(predicted.len(), split.train.len());
        let first = scratch_allocations();
        assert!(first > before, "the count does not move");
        assert_eq!(evaluate::predict(&predictor, &split.train).unwrap(), predicted);
        assert_eq!(scratch_allocations(), first);
    });
}
