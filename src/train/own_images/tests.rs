use super::*;
use crate::config::Networks;
use crate::data::image::{encode_grey, encode_rgb};
use crate::store::scratch::Scratch;
use std::fs;

/// `each` pictures of `[height, width]` in every class of every domain.
fn folder(
    domains: &[&str],
    classes: &[&str],
    each: usize,
    [height, width]: [usize; 2],
    in_colour: bool,
) -> Scratch {
    let scratch = Scratch::new();
    for (domain, class) in domains.iter().flat_map(|domain| classes.iter().map(move |class| (domain, class)))
    {
        let path = scratch.join(domain).join(class);
        fs::create_dir_all(&path).unwrap();
        for number in 0..each {
            let bytes = match in_colour {
                true => encode_rgb(width, height, &[200, 100, number as u8].repeat(width * height)),
                false => encode_grey(width, height, &vec![number as u8; width * height]),
            };
            fs::write(path.join(format!("{number}.png")), bytes).unwrap();
        }
    }
    scratch
}

fn of_folder(folder: &Path, wishes: &Wishes) -> Result<Assumed> {
    survey(Place::at(folder).unwrap(), wishes.clone())?.assumed()
}

fn assumed(folder: &Scratch, wishes: &Wishes) -> Config {
    of_folder(folder.path(), wishes).unwrap().config
}

#[test]
fn wishes_are_settings() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert!(Wishes::default().settings().is_empty());
    let all = Wishes {
        test_domain: Some("cafe\u{301} \"1\"".into()),
        domains: names(&["b", "cafe\u{301} \"1\""]),
        classes: names(&["y", "x"]),
        model: Some(ModelKind::DivaNoZd),
        size: Some(96),
        columns: names(&["file=path"]),
    };
    let settings = all.composed().settings();
    let Config { data, model, .. } = Config::resolve(None, Some("own-images"), &settings, None).unwrap();
    assert_eq!(data.test_domain.to_string(), "caf\u{e9} \"1\"");
    assert_eq!((data.domains.len(), &data.domains[1]), (2, &data.test_domain));
    assert_eq!((data.classes, data.columns), (names(&["y", "x"]), names(&["file=path"])));
    assert_eq!((model.kind, model.image_size), (ModelKind::DivaNoZd, 96));
}

#[test]
fn a_size_is_asked_for() {
    let folder = folder(&["a", "b"], &["x", "y"], 2, [300, 400], true);
    let of = |size| {
        let model = assumed(&folder, &Wishes { size: Some(size), ..Wishes::default() }).model;
        (model.image_size, model.channels, model.networks)
    };
    assert_eq!(of(128), (128, 3, Networks::Resnet));
    assert_eq!(of(16), (16, 3, Networks::Resnet));
    assert_eq!(of(28), (28, 1, Networks::Lenet));
    // The length of the training follows.
    let epochs = |size| {
        let look = Look { pictures: 9, side: 300, sizes: [[300; 2]; 2], in_colour: 9 };
        Choice::of(look.shape(size), 600, TrainedOn { images: 480, unlabelled: 0 }).epochs
    };
    assert!(epochs(Some(128)) < epochs(None) && epochs(None) == epochs(Some(64)), "{}", epochs(Some(128)));
}

/// 2, 4 and 6 pictures: 12 less 4 in the mean.
#[test]
fn each_domain_is_held_out_in_turn() {
    let folder = folder(&["a", "b", "c", "d"], &["x", "y"], 3, [32, 32], true);
    for file in ["a/x/0", "a/x/1", "a/y/0", "a/y/1", "b/x/0", "b/y/0"] {
        fs::remove_file(folder.join(&format!("{file}.png"))).unwrap();
    }
    fs::create_dir(folder.join("d/unlabelled")).unwrap();
    for class in ["x", "y"] {
        fs::rename(folder.join("d").join(class).join("0.png"), folder.join("d/unlabelled").join(class))
            .unwrap();
        fs::remove_dir_all(folder.join("d").join(class)).unwrap();
    }
    let found = survey(Place::at(folder.path()).unwrap(), Wishes::default()).unwrap();
    let (Assumed { config, sentences }, domains) = found.assumed_of_each().unwrap();
    assert_eq!(domains, ["a", "b", "c"]);
    assert_eq!(config.data.test_domain.to_string(), "c");
    assert_eq!(sentences[0], "each of the domains a, b, c is held out in turn");
    assert!(sentences[2].ends_with("some 8 images are trained on"), "{sentences:?}");
    let counts = |domain: usize| {
        let (name, counts, groups) = found.domains().swap_remove(domain);
        (name, counts.of_class, counts.unlabelled, groups)
    };
    assert_eq!(counts(1), ("b".into(), vec![2, 2], 0, 0));
    assert_eq!(counts(3), ("d".into(), vec![0, 0], 2, 0));
}

#[test]
fn sizes_and_colours_follow_the_pictures() {
    let cases = [
        // height, width, in colour; side, channels, networks
        ([28, 28], false, 28, 1, "lenet"),
        ([28, 28], true, 32, 3, "resnet"),
        ([28, 29], false, 32, 1, "resnet"),
        ([47, 90], true, 32, 3, "resnet"),
        ([90, 48], true, 48, 3, "resnet"),
        ([300, 400], false, 64, 1, "resnet"),
        ([5, 7], true, 32, 3, "resnet"),
    ];
    for (size, in_colour, side, channels, networks) in cases {
        let folder = folder(&["a", "b"], &["x", "y"], 2, size, in_colour);
        let model = assumed(&folder, &Wishes::default()).model;
        let found = Value::try_from(model.networks).unwrap();
        assert_eq!(
            (model.image_size, model.channels, found.as_str()),
            (side, channels, Some(networks)),
            "{size:?} {in_colour}"
        );
    }
}

/// A single picture in colour makes all of them so.
#[test]
fn one_colour_is_enough_and_the_median_decides_the_size() {
    let folder = folder(&["a", "b"], &["x", "y"], 3, [50, 60], false);
    fs::write(folder.join("b/y/z.png"), encode_rgb(200, 100, &[9, 9, 14].repeat(200 * 100))).unwrap();
    let found = of_folder(folder.path(), &Wishes::default()).unwrap();
    assert_eq!((found.config.model.image_size, found.config.model.channels), (48, 3));
    let sentence = "images of 48 x 48 pixels, in colour: of 13 of 13 pictures 1 are in colour, and they are 50 x 60 to 100 x 200";
    assert!(found.sentences.iter().any(|found| found == sentence), "{:?}", found.sentences);
    // A difference that JPEG's rounding makes is none.
    fs::write(folder.join("b/y/z.png"), encode_rgb(200, 100, &[9, 9, 13].repeat(200 * 100))).unwrap();
    assert_eq!(assumed(&folder, &Wishes::default()).model.channels, 1);
}

#[test]
fn the_last_domain_with_a_class_is_held_out_unless_another_is_named() {
    let folder = folder(&["a", "b", "c", "d"], &["x", "y"], 2, [32, 32], true);
    fs::create_dir(folder.join("d/unlabelled")).unwrap();
    for class in ["x", "y"] {
        fs::rename(folder.join("d").join(class).join("0.png"), folder.join("d/unlabelled").join(class))
            .unwrap();
        fs::remove_dir_all(folder.join("d").join(class)).unwrap();
    }
    let name = |wishes: &Wishes| assumed(&folder, wishes).data.test_domain.to_string();
    assert_eq!(name(&Wishes::default()), "c");
    let wish = |name: &str| Wishes { test_domain: Some(name.into()), ..Wishes::default() };
    assert_eq!(name(&wish("a")), "a");
    for (other, parts) in [("d", "cannot find the domain \"d\" in "), ("e", "it has a, b, c")] {
        let message = of_folder(folder.path(), &wish(other)).unwrap_err().to_string();
        assert!(message.contains(parts), "{message}");
    }
    let some = |names: &[&str]| Wishes {
        domains: names.iter().map(|&name| name.into()).collect(),
        ..Wishes::default()
    };
    assert_eq!(name(&some(&["b", "a"])), "b");
    let message = of_folder(folder.path(), &some(&["a", "d"])).unwrap_err().to_string();
    assert!(message.contains("a is the only one with classes"), "{message}");
    let message = of_folder(folder.path(), &some(&["a", "z"])).unwrap_err().to_string();
    assert!(message.contains("cannot find the domain \"z\""), "{message}");
}

#[test]
fn the_weights_of_the_labels_are_in_proportion_to_the_values_and_the_length() {
    let weights = |each: usize, side: usize, in_colour: bool| {
        let folder = folder(&["a", "b"], &["x", "y"], each, [side, side], in_colour);
        let train = assumed(&folder, &Wishes::default()).train;
        (train.epochs, train.warmup, train.batch, train.alpha_d, train.alpha_y)
    };
    // Of 2 * each images in training 4/5, 100 epochs each: 100,000 * 12,800 / 2,107,500 = 607.4, 75,000 * ... = 455.5.
    assert_eq!(weights(80, 64, true), (100, 50, 8, 607.0, 456.0));
    // A twelfth of the values.
    assert_eq!(weights(80, 32, false), (100, 50, 8, 51.0, 38.0));
    // 2,000 * 12,800 / 2,500,000 = 10.2, 3,500 * ... = 17.9.
    assert_eq!(weights(80, 28, false), (100, 50, 8, 10.0, 18.0));
    // Of four images three are trained on.
    assert_eq!(weights(2, 28, false), (100, 50, 2, 1.0, 1.0));
}

/// What the rule gives for the published data is the published setting.
#[test]
fn the_published_settings_are_fixed_points() {
    let digits = Shape { side: 28, channels: 1, are_digits: true };
    let cells = Shape { side: 64, channels: 3, are_digits: false };
    for (shape, images, weights) in
        [(digits, 5_000, [2_000.0, 3_500.0]), (cells, 4_215, [100_000.0, 75_000.0])]
    {
        let choice = Choice::of_length(shape, TrainedOn { images, unlabelled: 0 }, 500);
        assert_eq!(([choice.alpha_d, choice.alpha_y], choice.warmup, choice.batch), (weights, 100, 100));
    }
}

/// A step takes as many images without a class as with one: no more than half of either.
#[test]
fn a_batch_is_half_of_the_fewest_images_at_most() {
    let shape = Shape { side: 32, channels: 3, are_digits: false };
    let batch = |images, unlabelled| Choice::of_length(shape, TrainedOn { images, unlabelled }, 100).batch;
    assert_eq!(batch(1_000, 0), 33);
    assert_eq!([batch(1_000, 900), batch(1_000, 40), batch(1_000, 3)], [33, 20, 2]);
    assert_eq!([batch(10, 0), batch(10, 9), batch(3, 1)], [5, 4, 2]);
}

/// 600 pictures of 64 x 64: 300 trained on.
#[test]
fn more_pictures_get_fewer_epochs() {
    let look = |each: usize| {
        let folder = folder(&["a", "b"], &["x", "y"], each, [32, 32], false);
        let config = assumed(&folder, &Wishes::default());
        (config.train.epochs, config.train.batch)
    };
    // 40 of them: 16 trained on in 100 epochs at most.
    assert_eq!(look(10), (100, 8));
    // 1,200: 480 trained on, 80,000 x sqrt(2) / 480 = 235.7, and 100 at most; 48,000 / 3,000.
    assert_eq!(look(300), (100, 16));
}

#[test]
fn what_cannot_be_read_is_passed_over_unless_nothing_can() {
    let folder = folder(&["a", "b"], &["x"], 2, [32, 32], false);
    for name in ["a/x/0.png", "a/x/1.png", "b/x/0.png"] {
        fs::write(folder.join(name), b"no picture").unwrap();
    }
    assert_eq!(assumed(&folder, &Wishes::default()).model.image_size, 32);
    fs::write(folder.join("b/x/1.png"), b"").unwrap();
    let message = of_folder(folder.path(), &Wishes::default()).unwrap_err().to_string();
    assert!(message.contains("0.png: it is no picture that is known here"), "{message}");
}
