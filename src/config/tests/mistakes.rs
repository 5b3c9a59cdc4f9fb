//! Each mistake with the sentence that answers it.

use super::{of_file, with};
use crate::config::{Config, PriorY};
use crate::error::{Error, Result};

/// Fails with every row that does not give its sentence as a request error.
#[track_caller]
fn assert_refused(rows: &[(&str, &str)], read: impl Fn(&str) -> Result<()>) {
    let mut wrong = String::new();
    for (input, expected) in rows {
        let found = read(input);
        if found != Err(Error::request(*expected)) {
            wrong += &format!("\n{input:?}\n  gives    {found:?}\n  expected {expected}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_mistake_in_a_file_has_its_sentence() {
    let rows = [
        // names
        ("train.epoch = 5", "unknown key train.epoch; did you mean train.epochs?"),
        ("epochs = 5", "unknown key epochs; did you mean train.epochs?"),
        ("[trian]\nbatch = 5", "unknown key trian.batch; did you mean train.batch?"),
        ("[modle]", "unknown key modle; did you mean model?"),
        ("\"se\\ned\" = 1", "unknown key se\\ned; did you mean seed?"),
        (
            "[data.unlabelled]\nsubset = 1",
            "unknown key data.unlabelled.subset; did you mean data.unlabelled.subsets?",
        ),
        ("train = 5", "train = 5 is not usable; it takes a table of keys such as train.epochs"),
        (
            "[[model]]\nlatent = 3",
            "model = [{latent = 3}] is not usable; it takes a table of keys such as model.kind",
        ),
        // types
        ("train.epochs = 5.0", "train.epochs = 5.0 is not usable; it takes a whole number from 1 to 1000000"),
        (
            "train.epochs = \"5\"",
            "train.epochs = \"5\" is not usable; it takes a whole number from 1 to 1000000",
        ),
        ("train.epochs = {}", "train.epochs = {} is not usable; it takes a whole number from 1 to 1000000"),
        (
            "train.epochs = { \"a\\nb\" = \"c\\nd\" }",
            "train.epochs = {a\\nb = \"c\\nd\"} is not usable; it takes a whole number from 1 to 1000000",
        ),
        (
            "train.alpha_d = true",
            "train.alpha_d = true is not usable; it takes a number from 0.0 to 1000000000.0",
        ),
        ("data.path = 1979-05-27", "data.path = 1979-05-27 is not usable; it takes text in quotes"),
        (
            "data.test_domain = [75]",
            "data.test_domain = [75] is not usable; it takes an angle between -360 and 360 degrees or a name \
             in quotes",
        ),
        // ranges
        ("seed = -1", "seed = -1 is not usable; it takes a whole number from 0 to 9223372036854775807"),
        ("train.epochs = 0", "train.epochs = 0 is not usable; it takes a whole number from 1 to 1000000"),
        ("train.batch = 0", "train.batch = 0 is not usable; it takes a whole number from 2 to 65536"),
        ("train.batch = 1", "train.batch = 1 is not usable; it takes a whole number from 2 to 65536"),
        (
            "train.learning_rate = 0",
            "train.learning_rate = 0 is not usable; it takes a number from 1e-12 to 1000000.0",
        ),
        (
            "train.learning_rate = -1e-3",
            "train.learning_rate = -0.001 is not usable; it takes a number from 1e-12 to 1000000.0",
        ),
        (
            "train.learning_rate = nan",
            "train.learning_rate = nan is not usable; it takes a number from 1e-12 to 1000000.0",
        ),
        (
            "train.alpha_y = -1",
            "train.alpha_y = -1 is not usable; it takes a number from 0.0 to 1000000000.0",
        ),
        (
            "train.alpha_d = inf",
            "train.alpha_d = inf is not usable; it takes a number from 0.0 to 1000000000.0",
        ),
        ("train.warmup = -1", "train.warmup = -1 is not usable; it takes a whole number from 0 to 1000000"),
        ("train.patience = 0", "train.patience = 0 is not usable; it takes a whole number from 1 to 1000000"),
        ("model.latent = 0", "model.latent = 0 is not usable; it takes a whole number from 1 to 4096"),
        (
            "model.encoder_width = 0.0",
            "model.encoder_width = 0.0 is not usable; it takes a number from 0.03125 to 16.0",
        ),
        (
            "model.decoder_width = -1",
            "model.decoder_width = -1 is not usable; it takes a number from 0.03125 to 16.0",
        ),
        ("model.width = 0.03", "model.width = 0.03 is not usable; it takes a number from 0.03125 to 16.0"),
        ("data.per_class = 0", "data.per_class = 0 is not usable; it takes a whole number from 1 to 1000000"),
        (
            "data.unlabelled.subsets = -1",
            "data.unlabelled.subsets = -1 is not usable; it takes a whole number from 0 to 9",
        ),
        // names of choices
        (
            "model.kl = \"closed\"",
            "model.kl = \"closed\" is not usable; it takes \"sampled\" or \"closed-form\"",
        ),
        (
            "data.protocol = \"Published\"",
            "data.protocol = \"Published\" is not usable; it takes \"published\" or \"disjoint-test\"",
        ),
        (
            "preset = \"quik\"",
            "preset = \"quik\" is not usable; it takes \"quick\", \"rotated-mnist\", \"malaria\", \
             \"quick-cells\" or \"own-images\"",
        ),
        // domains
        (
            "data.domains = [75]",
            "data.domains = [75] is not usable; it takes a list of no or at least 2 domains, each an angle between \
             -360 and 360 degrees or a name in quotes",
        ),
        (
            "data.domains = [0, 360]",
            "data.domains = [0, 360] is not usable; it takes a list of no or at least 2 domains, each an angle \
             between -360 and 360 degrees or a name in quotes",
        ),
        (
            "data.unlabelled.domains = [\"\"]",
            "data.unlabelled.domains = [\"\"] is not usable; it takes a list of domains, each an angle \
             between -360 and 360 degrees or a name in quotes",
        ),
        (
            "data.domains = [0, 75, 0.0]",
            "data.domains = [0, 75, 0] is not usable; 0 and 0 are the same domain, and it takes each once",
        ),
        (
            "data.domains = [-285, 0, 75]",
            "data.domains = [-285, 0, 75] is not usable; -285 and 75 are the same domain, and it takes each \
             once",
        ),
        (
            "data.domains = [\"a\", 75, \"a\"]",
            "data.domains = [\"a\", 75, \"a\"] is not usable; \"a\" and \"a\" are the same domain, and it \
             takes each once",
        ),
        (
            "data.unlabelled.domains = [30, 30]",
            "data.unlabelled.domains = [30, 30] is not usable; 30 and 30 are the same domain, and it takes \
             each once",
        ),
        (
            "data.test_domain = 22.5",
            "data.test_domain = 22.5 is not usable; it takes one of data.domains = [0, 15, 30, 45, 60, 75]",
        ),
        (
            "data.test_domain = \"75\"",
            "data.test_domain = \"75\" is not usable; it takes one of data.domains = [0, 15, 30, 45, 60, 75]",
        ),
        // widths
        (
            "model.width = 0.5\nmodel.decoder_width = 1",
            "model.width = 0.5 contradicts model.decoder_width = 1.0; give both widths, or one for both",
        ),
        // names, switches
        (
            "data.classes = [\"a\", \"b\", \"a\"]",
            "data.classes = [\"a\", \"b\", \"a\"] is not usable; it takes a list of different names in quotes",
        ),
        (
            "data.columns = [\"files=a\"]",
            "data.columns = [\"files=a\"] is not usable; it takes a list of texts COLUMN=NAME, for file, class, domain, group or \
             split each at most once",
        ),
        (
            "data.columns = [\"file=a\", \"class=b\", \"file=c\"]",
            "data.columns = [\"file=a\", \"class=b\", \"file=c\"] is not usable; it takes a list of texts COLUMN=NAME, for file, \
             class, domain, group or split each at most once",
        ),
        (
            "data.columns = [\"file=\"]",
            "data.columns = [\"file=\"] is not usable; it takes a list of texts COLUMN=NAME, for file, class, domain, group or \
             split each at most once",
        ),
        ("data.augment = 1", "data.augment = 1 is not usable; it takes true or false"),
        // networks
        (
            "model.networks = \"resnet\"",
            "model.image_size = 28 is not usable with model.networks = \"resnet\"; it takes a multiple of 16",
        ),
        (
            "model = { networks = \"resnet\", image_size = 32, channels = 2 }",
            "model.channels = 2 is not usable with model.networks = \"resnet\"; it takes 1 or 3",
        ),
        (
            "model = { networks = \"resnet\", image_size = 32 }",
            "model.likelihood = \"categorical\" is not usable with model.networks = \"resnet\"; it takes \
             \"logistic-mixture\"",
        ),
        (
            "model.likelihood = \"logistic-mixture\"",
            "model.likelihood = \"logistic-mixture\" is not usable with model.networks = \"lenet\"; it takes \
             \"categorical\"",
        ),
        (
            "model.image_size = 64",
            "model.image_size = 64 is not usable with model.networks = \"lenet\"; it takes 28",
        ),
        (
            "model.channels = 3",
            "model.channels = 3 is not usable with model.networks = \"lenet\"; it takes 1",
        ),
    ];
    // What is wrong with a key alone names its file; what is wrong with several need not be of the file.
    let first = of_file(rows[0].0).unwrap_err();
    assert_eq!(first, Error::request(format!("run.toml: {}", rows[0].1)));
    assert_refused(&rows, |text| of_file(text).map(drop).map_err(|error| without_file(&error)));
}

fn without_file(error: &Error) -> Error {
    let sentence = error.to_string();
    Error::request(sentence.strip_prefix("run.toml: ").unwrap_or(&sentence))
}

#[test]
fn text_that_is_not_toml_is_refused_by_line_and_column() {
    for (text, line, column) in [
        ("[train\nepochs = 5", 1, 7),
        ("seed = 1\nseed = 2", 2, 1),
        ("[train]\nepochs = five", 2, 10),
        ("[data]\r\npath = \"größe\" \"mnist\"", 2, 16), // characters are counted, not bytes
        ("data.domains = [0, 15", 1, 22),
    ] {
        let sentence = of_file(text).unwrap_err().to_string();
        let found =
            sentence.strip_prefix(&format!("cannot read run.toml as TOML: line {line}, column {column}: "));
        assert!(
            found.is_some_and(|what| !what.is_empty() && !what.contains('\n')),
            "{text:?} gives {sentence}"
        );
    }
}

#[test]
fn a_prior_is_a_distribution() {
    let takes = "is not usable; it takes \"training\", \"smoothed\", \"uniform\" or a list of probabilities, each at \
                 least 1e-6, that add up to 1";
    for (given, shown) in [
        ("[0.5, 0.499998]", "[0.5, 0.499998]"),
        ("[1.5, -0.5]", "[1.5, -0.5]"),
        ("[1, 0]", "[1, 0]"),
        ("[]", "[]"),
        ("[0.5, nan]", "[0.5, nan]"),
        ("[0.5, \"0.5\"]", "[0.5, \"0.5\"]"),
        ("\"even\"", "\"even\""),
        ("0.5", "0.5"),
    ] {
        let found = of_file(&format!("model.prior_y = {given}")).map(drop);
        assert_eq!(found, Err(Error::request(format!("run.toml: model.prior_y = {shown} {takes}"))));
    }
    let config = of_file("model.prior_y = [0.12, 0.8800005]").unwrap();
    assert_eq!(config.model.prior_y, PriorY::Probabilities(vec![0.12, 0.880_000_5]));
}

#[test]
fn every_mistake_in_an_override_has_its_sentence() {
    let rows = [
        ("train.epochs", "--set \"train.epochs\" is not usable; it takes KEY=VALUE"),
        ("train.epoch=5", "unknown key train.epoch; did you mean train.epochs?"),
        ("=5", "--set \"=5\" is not usable; it takes KEY=VALUE"),
        (
            "train.epochs=many",
            "train.epochs = \"many\" is not usable; it takes a whole number from 1 to 1000000",
        ),
        ("train.epochs=", "train.epochs = \"\" is not usable; it takes a whole number from 1 to 1000000"),
        ("preset=quick", "--set preset=\"quick\" is not usable; a preset is chosen with --preset NAME"),
        (
            "model.networks=resnet",
            "model.image_size = 28 is not usable with model.networks = \"resnet\"; it takes a multiple of 16",
        ),
        ("train={epoch=1}", "unknown key train.epoch; did you mean train.epochs?"),
    ];
    assert_refused(&rows, |text| with(&[text]).map(drop));
    let unclosed = with(&["data.domains=[0, 15"]).unwrap_err().to_string();
    assert!(unclosed.starts_with("--set data.domains=\"[0, 15\" is not a TOML value: "), "{unclosed}");
    let control = with(&["a\u{7}b\nc=[0"]).unwrap_err().to_string();
    assert!(control.starts_with("--set a\\u{7}b\\nc=\"[0\" is not a TOML value: "), "{control}");
    let both = with(&["model.width=0.5", "model.encoder_width=0.25"]).map(drop);
    let sentence =
        "model.width = 0.5 contradicts model.encoder_width = 0.25; give both widths, or one for both";
    assert_eq!(both, Err(Error::request(sentence)));
}

#[test]
fn a_seed_that_toml_cannot_write_is_refused() {
    let expected =
        "seed = 9223372036854775808 is not usable; it takes a whole number from 0 to 9223372036854775807";
    assert_eq!(Config::resolve(None, None, &[], Some(1 << 63)), Err(Error::request(expected)));
    let largest = Config::resolve(None, None, &[], Some((1 << 63) - 1)).unwrap();
    assert_eq!(of_file(&largest.to_toml()), Ok(largest));
}

#[test]
fn what_training_cannot_obtain_is_refused_for_training_alone() {
    let rows = [
        (
            "",
            "data.path = \"\" is not usable with data.source = \"idx\"; it takes the folder of the four \
             MNIST files, plain or .gz",
        ),
        (
            "data.source = \"folders\"",
            "data.path = \"\" is not usable with data.source = \"folders\"; it takes a folder that holds \
             DOMAIN/CLASS/picture or DOMAIN/CLASS/GROUP/picture",
        ),
        (
            "data.source = \"list\"",
            "data.path = \"\" is not usable with data.source = \"list\"; it takes a table with the columns file, class and domain",
        ),
        (
            "preset = \"malaria\"",
            "data.path = \"\" is not usable with data.source = \"malaria\"; it takes the folder that holds \
             Parasitized and Uninfected",
        ),
        (
            "data.source = \"synthetic-cells\"",
            "data.test_domain = 75 is not usable with pictures; it takes the name of a domain in quotes",
        ),
        (
            "preset = \"quick-cells\"\ndata.domains = [\"P01\", \"P03\"]\ndata.test_domain = \"P03\"",
            "data.domains = [\"P01\", \"P03\"] is not usable with made-up cells; it takes [\"P01\", \"P02\", ...], \
             99 at most",
        ),
        (
            "preset = \"quick-cells\"\nmodel.prior_y = [0.2, 0.3, 0.5]",
            "model.prior_y = [0.2, 0.3, 0.5] is not usable with the classes [\"uninfected\", \"parasitised\"]; it takes \
             one probability for each of them",
        ),
        (
            "preset = \"quick-cells\"\ndata.unlabelled.subsets = 1",
            "data.unlabelled.subsets = 1 is not usable with pictures; it takes 0",
        ),
        (
            "data.source = \"embedded\"\ndata.validation = 0.2",
            "data.validation = 0.2 is not usable with rotated digits; it takes 0: epochs are selected by training images",
        ),
        (
            "data.source = \"embedded\"\ndata.classes = [\"zero\"]",
            "data.classes = [\"zero\"] is not usable with rotated digits; it takes []: they are 0 to 9",
        ),
        (
            "data.source = \"embedded\"\nmodel = { networks = \"resnet\", image_size = 32, likelihood = \"logistic-mixture\" }",
            "model.networks = \"resnet\" is not usable with rotated digits; it takes \"lenet\"",
        ),
        (
            "data.source = \"embedded\"\ndata.unlabelled.domains = [20]",
            "data.unlabelled.domains = [20] is not usable; 20 is no training domain, and it takes some of \
             data.domains = [0, 15, 30, 45, 60, 75] other than data.test_domain = 75",
        ),
        (
            "data.source = \"embedded\"\ndata.unlabelled.domains = [30, 75]",
            "data.unlabelled.domains = [30, 75] is not usable; 75 is no training domain, and it takes some of \
             data.domains = [0, 15, 30, 45, 60, 75] other than data.test_domain = 75",
        ),
        (
            "data = { source = \"embedded\", domains = [0, 30], test_domain = 0, unlabelled.domains = [30] }",
            "data.unlabelled.domains = [30] is not usable; a training domain with labels must be left",
        ),
        (
            "data = { source = \"embedded\", domains = [0, \"C116P77\"], test_domain = 0 }",
            "data.domains = [0, \"C116P77\"] is not usable with rotated digits; it takes angles between -360 \
             and 360 degrees",
        ),
        (
            "data.source = \"embedded\"\nmodel.kind = \"classifier\"\ndata.unlabelled.subsets = 1",
            "model.kind = \"classifier\" is not usable with data.unlabelled: it learns nothing from images without \
             their class; data.unlabelled.images = \"left-out\" leaves them out",
        ),
        (
            "data.source = \"embedded\"\nmodel.prior_y = [0.12, 0.88]",
            "model.prior_y = [0.12, 0.88] is not usable with digits; it takes one probability for each of 10 \
             classes",
        ),
    ];
    assert_refused(&rows, |text| of_file(text).expect("the data are not looked at").validate_for_training());
    assert_eq!(of_file("data.path = \"mnist\"").unwrap().validate_for_training(), Ok(()));
    assert_eq!(with(&[]).unwrap().validate_for_training(), Ok(()));
}
