//! What is asked for and has no effect.

use super::{of_preset, with};
use crate::config::{Config, ModelKind, PriorY, Request, keys, values};
use crate::error::{Error, Result};

fn request(file: Option<&str>, preset: Option<&str>, overrides: &[&str]) -> Request {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Request::resolve(file.map(|text| ("run.toml", text)), preset, &overrides, None).unwrap()
}

fn refused(sentence: &str) -> Result<Config> {
    Err(Error::request(sentence))
}

#[test]
fn every_key_that_nothing_reads_is_refused_by_name_value_and_readers() {
    let kind = "it is read with model.kind = \"diva\", \"diva-no-zd\", \"diva-no-zx\" or \"vae\"";
    let digits = "it is read with data.source = \"embedded\" or \"idx\"";
    let rows = [
        (
            "quick",
            "",
            "data.path=/my/mnist",
            "data.path = \"/my/mnist\" has no effect with data.source = \"embedded\"; it is read with data.source = \"idx\", \
             \"folders\", \"list\" or \"malaria\""
                .to_owned(),
        ),
        (
            "quick-cells",
            "",
            "data.path=cells",
            "data.path = \"cells\" has no effect with data.source = \"synthetic-cells\"; it is read with data.source = \
             \"idx\", \"folders\", \"list\" or \"malaria\""
                .to_owned(),
        ),
        (
            "malaria",
            "data.source=folders",
            "data.columns=[\"file=path\"]",
            "data.columns = [\"file=path\"] has no effect with data.source = \"folders\"; it is read with data.source = \"list\""
                .to_owned(),
        ),
        (
            "quick-cells",
            "",
            "data.per_class=7",
            format!("data.per_class = 7 has no effect with data.source = \"synthetic-cells\"; {digits}"),
        ),
        (
            "malaria",
            "",
            "data.protocol=disjoint-test",
            format!("data.protocol = \"disjoint-test\" has no effect with data.source = \"malaria\"; {digits}"),
        ),
        (
            "quick",
            "",
            "data.per_domain=7",
            "data.per_domain = 7 has no effect with data.source = \"embedded\"; it is read with data.source = \
             \"synthetic-cells\""
                .to_owned(),
        ),
        (
            "malaria",
            "data.source=folders",
            "data.least_images=7",
            "data.least_images = 7 has no effect with data.source = \"folders\"; it is read with data.source = \"malaria\""
                .to_owned(),
        ),
        (
            "rotated-mnist",
            "",
            "data.skip_unreadable=true",
            "data.skip_unreadable = true has no effect with data.source = \"idx\"; it is read with data.source = \"folders\", \
             \"list\" or \"malaria\""
                .to_owned(),
        ),
        (
            "quick",
            "",
            "data.unlabelled.images=left-out",
            "data.unlabelled.images = \"left-out\" has no effect with data.unlabelled.subsets = 0 and \
             data.unlabelled.domains = [] and data.source = \"embedded\"; it is read with data.unlabelled.subsets other than \
             0 or with data.unlabelled.domains other than [] or with data.source = \"folders\" or \"list\""
                .to_owned(),
        ),
        (
            "quick",
            "model.kind=classifier",
            "model.decoder_width=0.5",
            format!("model.decoder_width = 0.5 has no effect with model.kind = \"classifier\"; {kind}"),
        ),
        (
            "quick",
            "model.kind=dann",
            "model.latent=8",
            format!("model.latent = 8 has no effect with model.kind = \"dann\"; {kind}"),
        ),
        (
            "quick-cells",
            "",
            "model.logit_layout=published",
            "model.logit_layout = \"published\" has no effect with model.networks = \"resnet\"; it is read with \
             model.networks = \"lenet\""
                .to_owned(),
        ),
        (
            "quick",
            "model.kind=dann",
            "model.logit_layout=published",
            format!("model.logit_layout = \"published\" has no effect with model.kind = \"dann\"; {kind}"),
        ),
        (
            "quick",
            "model.kind=classifier",
            "model.kl=closed-form",
            format!("model.kl = \"closed-form\" has no effect with model.kind = \"classifier\"; {kind}"),
        ),
        (
            "quick",
            "model.kind=vae",
            "model.prior_y=training",
            "model.prior_y = \"training\" has no effect with model.kind = \"vae\" and data.source = \"embedded\"; it is read \
             with model.kind = \"diva\", \"diva-no-zd\" or \"diva-no-zx\" or with data.source = \"folders\" or \"list\""
                .to_owned(),
        ),
        (
            "quick",
            "model.kind=dann",
            "train.warmup=3",
            format!("train.warmup = 3 has no effect with model.kind = \"dann\"; {kind}"),
        ),
        (
            "quick",
            "model.kind=diva-no-zd",
            "train.alpha_d=1",
            "train.alpha_d = 1.0 has no effect with model.kind = \"diva-no-zd\"; it is read with model.kind = \"diva\", \
             \"diva-no-zx\" or \"vae\""
                .to_owned(),
        ),
        (
            "quick",
            "model.kind=classifier",
            "train.alpha_y=1",
            format!("train.alpha_y = 1.0 has no effect with model.kind = \"classifier\"; {kind}"),
        ),
        (
            "quick",
            "",
            "train.reversal=0.5",
            "train.reversal = 0.5 has no effect with model.kind = \"diva\"; it is read with model.kind = \"dann\"".to_owned(),
        ),
        (
            "quick",
            "model.kind=classifier",
            "train.second_batch=true",
            "train.second_batch = true has no effect with model.kind = \"classifier\"; it is read with model.kind = \"dann\""
                .to_owned(),
        ),
    ];
    let mut keys_with_readers: Vec<&str> =
        keys::KEYS.iter().filter(|key| !key.readers.is_empty()).map(|key| key.name).collect();
    for (preset, beside, setting, sentence) in rows {
        let overrides: Vec<&str> = [beside, setting].into_iter().filter(|text| !text.is_empty()).collect();
        let asked = request(None, Some(preset), &overrides);
        assert_eq!(asked.effective(), refused(&sentence), "{setting}");
        // The same in a file.
        let quoted: Vec<String> = overrides
            .iter()
            .map(|text| {
                let (key, value) = text.split_once('=').unwrap();
                let is_value = format!("x = {value}").parse::<toml::Table>().is_ok();
                if is_value { format!("{key} = {value}") } else { format!("{key} = \"{value}\"") }
            })
            .collect();
        let file = format!("preset = \"{preset}\"\n{}", quoted.join("\n"));
        assert_eq!(request(Some(&file), None, &[]).effective(), refused(&sentence), "{file}");
        keys_with_readers.retain(|key| !setting.starts_with(&format!("{key}=")));
    }
    assert_eq!(keys_with_readers, [""; 0], "keys without a row here");
}

#[test]
fn a_flag_asks_for_any_value_and_a_file_for_another_than_its_presets() {
    // quick has 200 of them.
    let asked = request(None, Some("quick"), &["data.per_domain=200"]);
    assert!(
        asked.effective().unwrap_err().to_string().starts_with("data.per_domain = 200 has no effect with ")
    );
    let file = |preset, count| format!("preset = \"{preset}\"\ndata.per_domain = {count}\n");
    let config = request(Some(&file("quick", 200)), None, &["seed=3"]).effective();
    assert_eq!(config.unwrap().seed, 3);
    let refusal = request(Some(&file("quick", 201)), None, &[]).effective().unwrap_err();
    assert!(refusal.to_string().starts_with("data.per_domain = 201 has no effect with "), "{refusal}");
    // The preset that counts is the one of the flag.
    assert!(request(Some(&file("quick-cells", 200)), Some("quick"), &[]).effective().is_ok());
    // What makes a key one that is read may come from anywhere.
    let dann = request(Some("preset = \"quick\"\ntrain.reversal = 0.5"), None, &["model.kind=dann"]);
    assert_eq!(dann.effective().unwrap().train.reversal, 0.5);
    // Of two that have none, the first in the order of the table.
    let both = request(None, None, &["train.reversal=0.5", "data.path=x"]);
    assert!(both.effective().unwrap_err().to_string().starts_with("data.path = \"x\" has no effect with "));
}

/// As the program writes it; keys that came later are missing in those of old runs.
#[test]
fn a_complete_file_asks_for_nothing_and_a_flag_beside_it_does() {
    let mut run = with(&["model.kind=classifier"]).unwrap();
    run.data.path = Some("of an earlier version".into());
    (run.data.per_domain, run.train.alpha_d) = (7, 1.0);
    let complete = run.to_toml();
    let same = request(Some(&complete), None, &[]);
    assert_eq!(same, Request { config: run.clone(), asked: vec![] });
    let longer = request(Some(&complete), None, &["train.epochs=77"]).effective().unwrap();
    assert_eq!((longer.train.epochs, &longer.data), (77, &run.data));
    let refusal = request(Some(&complete), None, &["data.path=elsewhere"]).effective().unwrap_err();
    assert!(refusal.to_string().starts_with("data.path = \"elsewhere\" has no effect with "), "{refusal}");

    let without = |is_left_out: &dyn Fn(&keys::Key) -> bool| {
        let table = run.to_table();
        let lines = keys::KEYS.iter().filter(|key| !is_left_out(key));
        let line = |key: &keys::Key| {
            format!("{} = {}\n", key.name, values::shown(values::look_up(&table, key.name)))
        };
        lines.map(line).collect::<String>()
    };
    // per_domain is one of those that came later.
    let old = without(&|key| key.as_before.is_some() && key.name != "data.per_domain");
    assert!(request(Some(&old), None, &[]).effective().is_ok());
    // A file that leaves one of the others out is somebody's own.
    let own = without(&|key| key.name == "train.batch");
    assert!(request(Some(&own), None, &[]).effective().is_err());
    // A sweep takes the keys of its grid out of it, and gives them beside.
    assert!(request(Some(&own), None, &["train.batch=50"]).effective().is_ok());
}

#[test]
fn both_widths_together_have_an_effect_on_every_kind() {
    let narrow = request(None, None, &["model.kind=classifier", "model.width=0.5"]).effective().unwrap();
    assert_eq!((narrow.model.encoder_width, narrow.model.decoder_width), (0.5, 0.5));
    let file = "preset = \"quick\"\nmodel = { kind = \"dann\", width = 0.5 }";
    assert!(request(Some(file), None, &[]).effective().is_ok());
    let named = request(None, None, &["model.kind=classifier", "model.width=0.5", "model.decoder_width=0.5"]);
    assert!(
        named.effective().unwrap_err().to_string().starts_with("model.decoder_width = 0.5 has no effect")
    );
}

#[test]
fn commands_without_data_never_look_at_what_it_says() {
    let overrides = ["data.path=x", "data.per_domain=3", "train.reversal=0.5"];
    let sentence = "train.reversal = 0.5 has no effect with model.kind = \"diva\"; it is read with model.kind = \"dann\"";
    assert_eq!(request(None, None, &overrides).effective_without_data(), refused(sentence));
    let config = request(None, None, &overrides[..2]).effective_without_data().unwrap();
    assert_eq!((config.data.path.as_deref(), config.data.per_domain), (Some("x"), 3));
}

/// The table and the models agree on who has p(y). Who has none is not held to a preset's: of other classes it would be
/// refused, and another one too.
#[test]
fn a_prior_over_classes_is_held_against_them_where_it_is_read() {
    for kind in ["diva", "diva-no-zd", "diva-no-zx", "vae", "classifier", "dann"] {
        let key = format!("model.kind={kind}");
        let is_read = request(None, None, &[&key, "model.prior_y=training"]).effective().is_ok();
        let mut config = with(&[&key]).unwrap();
        assert_eq!(is_read, config.model.kind.has_prior_y(), "{kind}");
        config.model.prior_y = PriorY::Probabilities(vec![0.12, 0.88]);
        assert_eq!(config.validate_for_training().is_err(), is_read, "{kind}");
    }
    // Folders have any number of classes, and every kind says so before it reads them.
    let mut folders = of_preset("malaria");
    folders.data.source = crate::config::Source::Folders;
    folders.data.path = Some("cells".into());
    folders.data.classes = ["a", "b", "c"].map(String::from).to_vec();
    folders.model.kind = ModelKind::Classifier;
    assert!(
        folders.validate_for_training().unwrap_err().to_string().contains("one probability for each of them")
    );
    let settings = ["data.source=folders", "data.path=x", "model.kind=classifier", "model.prior_y=training"];
    assert!(request(None, Some("malaria"), &settings).effective().is_ok());
}
