//! Files of digits and of indices, good and bad.

use super::{Folder, train};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::fs;
use std::io::Write;

const TRAIN_IMAGES: &str = "mnist/train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "mnist/train-labels-idx1-ubyte";
const TEST_LABELS: &str = "mnist/t10k-labels-idx1-ubyte";

/// An IDX file: magic number, sizes, values.
fn idx(numbers: &[u32], values: &[u8]) -> Vec<u8> {
    let header = numbers.iter().flat_map(|number| number.to_be_bytes());
    header.chain(values.iter().copied()).collect()
}

/// Images in which each has a bright bar at the height of its class.
fn images(count: u32) -> Vec<u8> {
    let pixel = |i: u32| if (i / 28) % 28 == 2 * (i / 784 % 10) { 255 } else { 0 };
    let pixels: Vec<u8> = (0..count * 784).map(pixel).collect();
    idx(&[2051, count, 28, 28], &pixels)
}

fn labels(count: u32) -> Vec<u8> {
    let classes: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
    idx(&[2049, count], &classes)
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A folder `mnist` of 40 training and 30 test digits.
fn mnist() -> Folder {
    let here = Folder::new();
    fs::create_dir(here.join("mnist")).unwrap();
    fs::write(here.join(TRAIN_IMAGES), images(40)).unwrap();
    fs::write(here.join(TRAIN_LABELS), labels(40)).unwrap();
    fs::write(here.join("mnist/t10k-images-idx3-ubyte.gz"), gzipped(&images(30))).unwrap();
    fs::write(here.join(TEST_LABELS), labels(30)).unwrap();
    here
}

const IDX: [&str; 4] = ["--set", "data.source=idx", "--set", "data.path=mnist"];

#[test]
fn good_files_are_counted_and_trained_on() {
    let here = mnist();
    let mut arguments = train("", &IDX);
    arguments.splice(..3, ["data", "info", "--json"]);
    let info = here.json(&arguments);
    assert_eq!((&info["height"], &info["width"], &info["channels"]), (&28.into(), &28.into(), &1.into()));
    let rows = info["domains"].as_array().unwrap();
    for (row, (domain, role, images)) in rows.iter().zip([
        ("0", "training", 40),
        ("30", "training", 40),
        ("75", "test", 40),
        ("75", "disjoint-test", 30),
    ]) {
        assert_eq!(
            (&row["domain"], &row["role"], &row["images"]),
            (&domain.into(), &role.into(), &images.into())
        );
        assert_eq!(row["images_of_class"], Value::from(vec![images / 10; 10]));
    }
    assert_eq!(rows.len(), 4);
    here.succeed(&train("run", &IDX));
}

#[test]
fn bad_files_are_named() {
    let whole = images(40);
    let mut magic = whole.clone();
    magic[3] = 9;
    let mut class = labels(40);
    class[8 + 17] = 10;
    let packed = gzipped(&whole);
    for (name, bytes, parts) in [
        (TRAIN_IMAGES, None, &["cannot find train-images-idx3-ubyte in mnist"][..]),
        (TRAIN_IMAGES, Some(magic), &["magic number 2057, expected 2051"]),
        (TRAIN_IMAGES, Some(labels(40)), &["magic number 2049, expected 2051"]),
        (TRAIN_IMAGES, Some(whole[..20_000].to_vec()), &["it is cut short", "40 images", "19984"]),
        (TRAIN_IMAGES, Some(whole[..9].to_vec()), &["it ends after 9 bytes", "16-byte header"]),
        (TRAIN_IMAGES, Some(images(39)), &["39 images and 40 labels"]),
        (TRAIN_IMAGES, Some(packed[..packed.len() - 5].to_vec()), &["cut short"]),
        (TRAIN_IMAGES, Some(packed[..packed.len() / 2].to_vec()), &["cut short"]),
        (TRAIN_IMAGES, Some(Vec::new()), &["it is empty, expected MNIST images"]),
        // 2^32 - 1 images are 3 TB: more than 2^40 bytes.
        (TRAIN_IMAGES, Some(idx(&[2051, u32::MAX, 28, 28], &[0; 784])), &["4294967295 images", "found 784"]),
        (TRAIN_IMAGES, Some(idx(&[2051, 40, u32::MAX, u32::MAX], &[])), &["4294967295x4294967295"]),
        (TRAIN_LABELS, Some(class), &["label 17 is 10, expected 0 to 9"]),
        (TRAIN_LABELS, Some(labels(41)), &["40 images and 41 labels"]),
        (TEST_LABELS, None, &["cannot find t10k-labels-idx1-ubyte"]),
        (TEST_LABELS, Some(Vec::new()), &["t10k-labels-idx1-ubyte: it is empty"]),
    ] {
        let here = mnist();
        match bytes {
            Some(bytes) => fs::write(here.join(name), bytes).unwrap(),
            None => fs::remove_file(here.join(name)).unwrap(),
        }
        let named = [parts, &["mnist"]].concat();
        here.refuse(&train("run", &IDX), 2, &named);
        assert_eq!(here.names("."), ["mnist"]);
    }
    let here = Folder::new();
    here.refuse(&train("run", &IDX), 2, &["MNIST digits from mnist: it does not exist"]);
}

#[test]
fn files_of_indices() {
    let here = Folder::new();
    let subset =
        ["--set", "data.subset_file=subset.txt", "--set", "train.epochs=1", "--set", "train.batch=4"];
    for (content, parts) in [
        ("3\n7\n3\n", &["subset.txt", "the index 3 twice"][..]),
        ("0 1000", &["subset.txt", "the index 1000", "0 to 999"]),
        ("0 -1", &["the index -1", "0 to 999"]),
        ("0 one", &["line 1 holds \"one\""]),
        ("# nothing", &["it holds no index"]),
    ] {
        fs::write(here.join("subset.txt"), content).unwrap();
        here.refuse(&train("run", &subset), 2, parts);
    }
    fs::write(here.join("subset.txt"), "0 250 500 999 # four digits\n").unwrap();
    let out = here.succeed(&train("run", &subset));
    assert!(out.contains("8 images of 2 domains"), "{out}");
    fs::remove_file(here.join("subset.txt")).unwrap();
    here.refuse(&train("other", &subset), 2, &["cannot read subset.txt: "]);
}
