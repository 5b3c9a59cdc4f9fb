//! A folder of pictures and nothing else: what is assumed, what is warned of, and how it goes on.

use super::folders::make;
use super::{Folder, text};
use std::fs;

/// What keeps the runs here small.
const SMALL: [&str; 4] = ["--set", "model.width=0.0625", "--set", "train.epochs=1"];

fn train<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["train"], arguments, &SMALL[..]].concat()
}

#[test]
fn a_folder_alone_is_trained_on() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let said = here.succeed(&train(&["data"]));
    for part in [
        "assumed: the domain C is held out, as the last by name; --test-domain names another\n",
        "assumed: images of 32 x 32 pixels, in colour: of 42 of 42 pictures 42 are in colour, and they are 20 x 24 to 20 x 24\n",
        "assumed: 100 epochs in batches of 2, the divergences in full from epoch 20 on: some 20 images are trained on\n",
        "assumed: alpha_d = 25000 and alpha_y = 18750, ",
        "this takes about ",
        "runs/data-seed0",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let config = text(&here.read("runs/data-seed0/config.toml"));
    for part in [
        "preset = \"own-images\"",
        "test_domain = \"C\"",
        "domains = [\"A\", \"B\", \"C\"]",
        "image_size = 32",
    ] {
        assert!(config.contains(part), "{part:?} is not in {config}");
    }
    // The run needs nothing but itself; what is said again must agree.
    let more = ["train", "--resume", "--out", "runs/data-seed0", "--set", "train.epochs=2"];
    assert!(here.succeed(&more).contains("goes on in epoch 2 of 2"));
    let other = [&more[..], &["--set", "data.test_domain=A"]].concat();
    here.refuse(&other, 2, &["data.test_domain is \"C\" in the run's folder, but \"A\" was asked for"]);
    // So it is with the folder: what has been assumed is the run's own.
    let again = ["train", "data", "--resume", "--set", "train.epochs=3"];
    assert!(here.succeed(&again).contains("goes on in epoch 3 of 3"));
    let other = [&again[..], &["--test-domain", "A"]].concat();
    here.refuse(&other, 2, &["data.test_domain is \"C\" in the run's folder, but \"A\" was asked for"]);
    here.refuse(
        &["train", "runs/data-seed0"],
        2,
        &["holds a run and no pictures to train on: diva train --resume --out runs/data-seed0 continues it"],
    );
}

#[test]
fn wishes_are_of_a_folder() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let wishes = ["data", "--test-domain", "A", "--domains", "A,B", "--model", "classifier", "--out", "run"];
    let said = here.succeed(&train(&wishes));
    assert!(!said.contains("is held out, as the last by name") && !said.contains("alpha_d"), "{said}");
    let config = text(&here.read("run/config.toml"));
    for part in ["test_domain = \"A\"", "domains = [\"A\", \"B\"]", "kind = \"classifier\""] {
        assert!(config.contains(part), "{part:?} is not in {config}");
    }
    here.refuse(
        &train(&["data", "--preset", "malaria"]),
        2,
        &["--preset malaria does not go with a folder of pictures"],
    );
    here.refuse(&train(&["--test-domain", "A"]), 2, &["elsewhere that is --set 'data.test_domain=\"A\"'"]);
    here.refuse(&train(&["data", "--model", "resnet"]), 2, &["no such model"]);
    here.refuse(
        &train(&["data", "--test-domain", "Z"]),
        2,
        &["cannot find the domain \"Z\" in data: it has A, B, C"],
    );
    fs::create_dir(here.join("empty")).unwrap();
    here.refuse(
        &train(&["empty"]),
        2,
        &["cannot find pictures in empty: it has no folder, expected empty/DOMAIN/CLASS/picture"],
    );
    assert!(!here.join("runs").exists());
}

/// A third class in two of three domains, and one domain of nothing else.
#[test]
fn a_part_of_the_classes_is_trained_on() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let copy = |from: &str, to: &str| {
        fs::create_dir_all(here.join(to)).unwrap();
        for entry in fs::read_dir(here.join(from)).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            bytes.extend(to.as_bytes()); // behind the end of the picture: another file of the same pixels
            fs::write(here.join(to).join(path.file_name().unwrap()), bytes).unwrap();
        }
    };
    copy("data/A/blue", "data/A/dust");
    copy("data/B/blue", "data/B/dust");
    copy("data/B/blue", "data/D/dust");
    let wishes = ["data", "--classes", "red cells,blue", "--test-domain", "C"];
    let said = here.succeed(&train(&wishes));
    assert!(
        said.contains("13 images of classes that data.classes does not name are left out: dust (13)"),
        "{said}"
    );
    let config = text(&here.read("runs/data-seed0/config.toml"));
    for part in ["classes = [\"red cells\", \"blue\"]", "domains = [\"A\", \"B\", \"C\"]"] {
        assert!(config.contains(part), "{part:?} is not in {config}");
    }
    // The other classes are none of the run's division, and may change.
    assert!(!text(&here.read("runs/data-seed0/division.csv")).contains("dust"));
    fs::remove_dir_all(here.join("data/B/dust")).unwrap();
    here.succeed(&["evaluate", "runs/data-seed0"]);
    let again = ["train", "data", "--resume", "--set", "train.epochs=2"];
    let same = [&again[..], &["--classes", "red cells,blue"]].concat();
    assert!(here.succeed(&same).contains("goes on in epoch 2 of 2"));
    let other = [&again[..], &["--classes", "blue,red cells"]].concat();
    here.refuse(&other, 2, &["data.classes is [\"red cells\", \"blue\"] in the run's folder"]);
    here.refuse(
        &train(&["data", "--classes", "blue,green"]),
        2,
        &["cannot find the class \"green\" in data: it has blue, dust, red cells"],
    );
    here.refuse(
        &train(&["data", "--classes", "red cells,blue", "--domains", "A,B,D", "--test-domain", "B"]),
        2,
        &["cannot use the domain D: none of its images is of the classes red cells, blue"],
    );
    here.refuse(
        &["train", "--classes", "a,b"],
        2,
        &["elsewhere that is --set 'data.classes=[\"a\", \"b\"]'"],
    );
}

#[test]
fn a_folder_is_described_with_its_dangers() {
    let here = Folder::new();
    make(&here, &["A", "B"]);
    // One picture of A lies in B too, and a class is missing in A.
    fs::copy(here.join("data/A/blue/0 é.png"), here.join("data/B/blue/copy.png")).unwrap();
    fs::remove_dir_all(here.join("data/A/red cells")).unwrap();
    let info = here.json(&["data", "info", "data", "--json"]);
    let sentences = |name: &str| -> Vec<String> {
        info[name].as_array().unwrap().iter().map(|sentence| sentence.as_str().unwrap().to_owned()).collect()
    };
    assert!(sentences("assumed")[0].starts_with("the domain B is held out"), "{:?}", sentences("assumed"));
    let notices = sentences("notices");
    for part in [
        "classes are missing in domains: red cells in \"A\"",
        "in 1 of 2 domains all images are of one class (\"A\" has only blue)",
        "domains with 10 images or fewer say little: \"A\" has 6",
        "1 pictures lie in more than one domain, 1 of them in the test domain, so that it is not unseen: A/blue/0 é.png is B/blue/copy.png",
        "no labelled training image is of, so that none of them can be recognised: red cells (7)",
    ] {
        assert!(notices.iter().any(|notice| notice.contains(part)), "{part:?} is not in {notices:?}");
    }
    let said = here.succeed(&["data", "info", "data"]);
    assert!(
        said.contains("assumed: the domain B is held out") && said.contains("\"A\" has only blue"),
        "{said}"
    );
}
