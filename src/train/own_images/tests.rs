use super::*;
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

fn assumed(folder: &Scratch, wishes: &Wishes) -> Config {
    of_folder(folder.path(), wishes).unwrap().config
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
    let look = |side: usize, channels: usize| Look {
        pictures: 256,
        side,
        sizes: [[side; 2]; 2],
        in_colour: if channels == 3 { 256 } else { 0 },
    };
    for (look, trained_on, weights) in
        [(look(28, 1), 5_000, [2_000.0, 3_500.0]), (look(64, 3), 4_215, [100_000.0, 75_000.0])]
    {
        let choice = Choice::of_length(&look, trained_on, 500);
        assert_eq!(([choice.alpha_d, choice.alpha_y], choice.warmup, choice.batch), (weights, 100, 100));
    }
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
