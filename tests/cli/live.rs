//! What a reader can try on the page about a run: that it is there or says why it is not, that names in it are data, and, in a
//! browser, that it shows what the program's own decoder makes of the same latents.

use super::folders::make;
use super::{Folder, text, train};
use diva::autograd::{Engine, Tape, Var};
use diva::models::networks::{Decoder, PixelValue};
use diva::rng::Stream;
use diva::store::run_folder::RunFolder;
use diva::tensor::Tensor;
use diva::train::run::read_config;
use diva::train::saved_run::SavedRun;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

/// The page about `runs`, and what the page's program reads.
#[track_caller]
fn page(here: &Folder, arguments: &[&str]) -> (String, Option<Value>) {
    here.succeed(&[&["report", "--out", "page.html"], arguments].concat());
    let page = text(&here.read("page.html"));
    let data = between(&page, "<script id=\"live-data\" type=\"application/json\">", "</script>");
    let data = data.map(|data| serde_json::from_str(data).expect("the page's data are JSON"));
    (page, data)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before).map(|(_, rest)| rest.split_once(after).expect("an end").0)
}

/// RFC 4648, section 4.
fn bytes_of(base64: &str) -> Vec<u8> {
    let digits = base64.bytes().filter(|&digit| digit != b'=').map(|digit| match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("{digit} in base64"),
    });
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        (bits, count) = (bits << 6 | u32::from(digit), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

fn numbers(base64: &Value) -> Vec<f32> {
    let bytes = bytes_of(base64.as_str().unwrap());
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

#[test]
fn the_page_of_one_run_has_a_live_part_and_says_its_size() {
    let here = Folder::new();
    here.with_a_run("run");
    let (whole, data) = page(&here, &["run"]);
    let data = data.expect("a live part");
    assert_eq!(data["image"], serde_json::json!([28, 28, 1]));
    let images = data["classOf"].as_array().unwrap().len();
    // 40 images of each of the three domains, four of a class in each.
    assert_eq!(images, 120);
    let of_unseen = data["domainOf"].as_array().unwrap().iter().filter(|&domain| domain == 2).count();
    assert_eq!(of_unseen, 40);
    assert_eq!(data["domains"], serde_json::json!(["0°", "30°", "75°, unseen"]));
    assert!(whole.contains("href=\"#try\"") && whole.contains("id=\"try\""));
    let size = between(&whole, "This page is one file of ", ".</footer>").unwrap();
    let (number, unit) = size.split_once(' ').unwrap();
    let number: f64 = number.parse().unwrap();
    let (stated, room) = match unit {
        "kB" => (number * 1e3, 1100.0),
        "MB" => (number * 1e6, 50_100.0),
        _ => panic!("{size}"),
    };
    assert!((stated - whole.len() as f64).abs() < room, "{size} of {}", whole.len());
    // The same bytes whatever the threads and instructions are.
    for (variable, value) in
        [("RAYON_NUM_THREADS", "1"), ("RAYON_NUM_THREADS", "3"), ("DIVA_ISA", "portable")]
    {
        let output =
            here.diva(&["report", "run", "--out", "again.html"]).env(variable, value).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(here.read("again.html") == whole.as_bytes(), "{variable}={value}");
    }

    let (without, data) = page(&here, &["run", "--no-live"]);
    assert!(
        data.is_none() && without.len() + 100_000 < whole.len() && !without.contains("Try what"),
        "{}",
        without.len()
    );
    assert!(without.contains("What each latent knows"));
    // Of several runs there is none.
    here.with_a_run("other");
    assert!(page(&here, &["run", "other"]).1.is_none());
}

#[test]
fn where_there_is_nothing_to_try_the_page_says_why() {
    let here = Folder::new();
    here.succeed(&train("plain", &["--set", "model.kind=classifier", "--set", "train.epochs=1"]));
    let (said, data) = page(&here, &["plain"]);
    assert!(data.is_none() && said.contains("There is nothing to try here: the model has no decoder."));
    assert!(!said.contains("href=\"#try\""));
    // A run that goes on has its present model; one of no epoch has none; one whose images are gone cannot be asked.
    here.with_a_run("run");
    fs::remove_file(here.join("run/result.json")).unwrap();
    assert!(page(&here, &["run"]).1.is_some());
    for name in ["metrics.jsonl", "best.safetensors"] {
        fs::rename(here.join("run").join(name), here.join(name)).unwrap();
    }
    let (said, data) = page(&here, &["run"]);
    assert!(
        data.is_none()
            && said.contains("There is nothing to try here: no epoch of its training is recorded.")
    );
    for name in ["metrics.jsonl", "best.safetensors"] {
        fs::rename(here.join(name), here.join("run").join(name)).unwrap();
    }
    let config = text(&here.read("run/config.toml")).replace("source = \"embedded\"", "source = \"idx\"");
    fs::write(here.join("run/config.toml"), config.replace("path = \"\"", "path = \"gone\"")).unwrap();
    here.with_a_run("whole");
    fs::copy(here.join("whole/result.json"), here.join("run/result.json")).unwrap();
    here.unseal("run");
    assert!(here.run(&["report", "run", "--out", "page.html"]).status.success());
    let said = text(&here.read("page.html"));
    assert!(said.contains("There is nothing to try here: the model could not be asked."), "{said}");
}

const BOLD: &str = "<b>x</b>";
const SCRIPT: &str = "</script><script>window.broken=1</script>";

/// A run on a list whose class and domain are called like that.
fn with_nasty_names(here: &Folder) {
    make(here, &["A", "B", "C"]);
    let mut list = "file,class,domain\n".to_owned();
    for domain in ["A", "B", "C"] {
        for class in ["red cells", "blue"] {
            for entry in fs::read_dir(here.join(&format!("data/{domain}/{class}"))).unwrap() {
                let file = entry.unwrap().file_name().into_string().unwrap();
                let class_name = if class == "blue" { BOLD } else { class };
                let domain_name = if domain == "B" { SCRIPT } else { domain };
                list += &format!("{domain}/{class}/{file},{class_name},{domain_name}\n");
            }
        }
    }
    fs::write(here.join("data/list.csv"), list).unwrap();
    let settings = ["model.width=0.0625", "train.epochs=1", "model.image_size=16"];
    let settings = settings.into_iter().flat_map(|setting| ["--set", setting]);
    here.succeed(&["train", "data/list.csv", "--out", "run"].into_iter().chain(settings).collect::<Vec<_>>());
}

#[test]
fn names_in_the_live_part_are_data() {
    let here = Folder::new();
    with_nasty_names(&here);
    let (whole, data) = page(&here, &["run"]);
    let data = data.unwrap();
    let names = |key: &str| data[key].as_array().unwrap().clone();
    assert!(names("classes").contains(&BOLD.into()) && names("domains").contains(&SCRIPT.into()), "{data}");
    assert!(!whole.contains("<b>") && !whole.contains("<script>"));
    // Scripts are known by their fingerprints: there are three, and no other runs.
    assert_eq!(whole.matches(" 'sha256-").count(), 3);
    assert_eq!(whole.matches("<script id=\"").count(), 4); // and the data
    assert!(whole.contains(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; worker-src blob:; script-src 'sha256-"
    ));
}

/// What the page `page.html` of `run` says after a reader has used all of it; nothing, and a line that says so, where there is
/// no browser.
fn driven(here: &Folder, run: &str) -> Option<Value> {
    if std::env::var_os("CI").is_some() {
        println!("skipped: the page is not driven where CI is set");
        return None;
    }
    let (whole, data) = page(here, &[run]);
    data.expect("a live part");
    // The script that drives has a fingerprint that the page does not know: all else stays refused.
    let (before, rest) = whole.split_once("script-src '").unwrap();
    let rest = rest.split_once('"').unwrap().1;
    let script = include_str!("live_page.js");
    let with = format!("{before}script-src 'unsafe-inline'\"{rest}");
    fs::write(
        here.join("driven.html"),
        with.replace("</body>", &format!("<script>{script}</script></body>")),
    )
    .unwrap();
    let mut browser = Command::new("chromium");
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=600000"])
        .args(["--enable-logging=stderr", "--window-size=500,800", "--dump-dom"])
        .arg(format!("--user-data-dir={}", here.join("profile").display()))
        .arg(format!("file://{}", here.join("driven.html").display()));
    let output = match browser.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(cause) => {
            println!("skipped: chromium cannot be started: {cause}");
            return None;
        }
    };
    let (said, complaints) = (text(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned());
    let console: Vec<&str> = complaints.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert_eq!(console, Vec::<&str>::new());
    let Some(result) = between(&said, "<pre id=\"result\">", "</pre>") else {
        panic!("the page came to no end: {complaints}");
    };
    let report: Value = serde_json::from_slice(&bytes_of(result)).unwrap();
    assert_eq!((&report["error"], &report["isDone"]), (&Value::Null, &Value::Bool(true)));
    for (what, expected) in
        [("refused", "[]"), ("unnamed", "[]"), ("bold", "0"), ("isBroken", "false"), ("isEmployed", "true")]
    {
        assert_eq!(report[what].to_string(), expected, "{what}");
    }
    assert_eq!(report["picked"], report["chosen"]);
    assert!(
        report["width"].as_f64() <= Some(0.0),
        "the page is wider than a narrow window by {}",
        report["width"]
    );
    // Dragged to the middle, which is the mean; then a tenth of a standard deviation to the right.
    for (what, expected) in [("dragged", 0.0), ("moved", 0.1)] {
        let place = report[what][0].as_f64().unwrap();
        assert!((place - expected).abs() < 0.02, "{what} to {place}");
    }
    Some(report)
}

/// p(x|z) as the program has it: of grey levels the probabilities, else the parameters of the mixtures.
fn expected(decoder: &Decoder, z: Var<'_>) -> Vec<f32> {
    match decoder {
        Decoder::Lenet(decoder, layout) => {
            decoder.pixel_logits(z, *layout).log_softmax().exp().read(<[f32]>::to_vec)
        }
        Decoder::Resnet(decoder) => decoder.mixtures(z).parameters.read(<[f32]>::to_vec),
    }
}

fn median(probabilities: &[f32]) -> f32 {
    let mut sum = 0.0;
    let below = probabilities.iter().take_while(|&&p| {
        sum += f64::from(p);
        sum < 0.5
    });
    below.count().min(255) as f32
}

fn mean(probabilities: &[f32]) -> f32 {
    (0..).zip(probabilities).map(|(level, p)| f64::from(level) * f64::from(*p)).sum::<f64>() as f32
}

/// The largest difference of two lists, and where.
fn difference(found: &[f32], expected: &[f32]) -> (f32, usize) {
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let first = |(most, at), (place, off): (usize, f32)| {
        if off > most || off.is_nan() { (off, place) } else { (most, at) }
    };
    differences.enumerate().fold((0.0, 0), first)
}

/// Drives the page of a run and compares what it shows with the program's own decoder.
fn check(here: &Folder, run: &str, are_halves: bool) {
    let Some(report) = driven(here, run) else { return };
    let files = RunFolder::new(here.join(run));
    let config = read_config(&files.config(), &[]).unwrap();
    let (SavedRun { model, params, .. }, _) = SavedRun::of("test", config, &files).unwrap();
    let variables = model.latent_variables().unwrap();
    let predictor = model.class_predictor(&params);
    let engine = Engine::new();
    let steps = report["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(
        names.iter().filter(|name| name.starts_with("slider")).count(),
        report["sliders"].as_u64().unwrap() as usize
    );
    assert!(steps.iter().filter(|step| step.get("output").is_some()).count() >= 4, "{names:?}");
    let outputs: BTreeSet<&str> = steps.iter().filter_map(|step| step["output"].as_str()).collect();
    assert!(outputs.len() >= 3, "the page decodes but {} things", outputs.len());
    for step in steps {
        let name = step["name"].as_str().unwrap();
        let (latents, shown) = (numbers(&step["latents"]), numbers(&step["shown"]));
        let tape = Tape::inference(&engine, &params);
        let z = tape.input(&Tensor::new([1, latents.len()], &latents));
        let ours = expected(variables.decoder(), z);
        // The canvas is its numbers.
        assert_eq!(step["difference"], 0, "{name}");
        let is_grey = matches!(variables.decoder(), Decoder::Lenet(..));
        let levels: Vec<f32> = match is_grey {
            true => ours.chunks_exact(256).map(if name == "mean" { mean } else { median }).collect(),
            false => {
                let noise = Stream::new(0, "unused", &[]);
                variables.decoder().levels(z, PixelValue::Mean, noise).into_iter().map(f32::from).collect()
            }
        };
        if name != "mode" && !are_halves {
            let (most, pixel) = difference(&shown, &levels);
            assert!(most <= 1.0, "{name}: pixel {pixel} is {}, expected {}", shown[pixel], levels[pixel]);
        }
        if let Some(theirs) = step.get("output").map(numbers) {
            let is_likely = |p: f32| f64::from(p) > 1e-30;
            if is_grey && !are_halves {
                let logarithms = |p: &[f32]| {
                    p.iter().map(|&p| if is_likely(p) { p.ln() } else { 0.0 }).collect::<Vec<_>>()
                };
                let (most, place) = difference(&logarithms(&theirs), &logarithms(&ours));
                assert!(most < 1e-3, "{name}: the logarithm of number {place} differs by {most}");
            }
            let (most, place) = match are_halves {
                true => {
                    let [theirs, ours] =
                        [&theirs, &ours].map(|p| p.chunks_exact(256).map(mean).collect::<Vec<_>>());
                    difference(&theirs, &ours)
                }
                false => difference(&theirs, &ours),
            };
            let room = if are_halves { 0.5 } else { 1e-4 };
            assert!(most < room, "{name}: number {place} differs by {most}");
            println!("{run}, {name}: at most {most:e}");
        }
        let mut logits = vec![f32::NAN; predictor.labels()];
        predictor.logits(&shown.iter().map(|level| level / 255.0).collect::<Vec<_>>(), &mut logits);
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let powers: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
        let classes: Vec<f32> = powers.iter().map(|power| power / powers.iter().sum::<f32>()).collect();
        let (most, class) = difference(&numbers(&step["classes"]), &classes);
        assert!(most < if are_halves { 1e-2 } else { 1e-4 }, "{name}: class {class} differs by {most}");
    }
}

#[test]
fn a_browser_decodes_digits_as_the_program_does() {
    let here = Folder::new();
    here.with_a_run("run");
    check(&here, "run", false);
}

#[test]
fn a_browser_decodes_the_published_layout_of_a_single_latent() {
    let here = Folder::new();
    here.succeed(&train("run", &["--set", "model.kind=vae", "--set", "model.logit_layout=published"]));
    check(&here, "run", false);
}

#[test]
fn a_browser_decodes_weights_of_16_bits_to_within_half_a_level() {
    let here = Folder::new();
    let narrow = super::TINY.into_iter().filter(|setting| !setting.starts_with("model.width"));
    let settings = narrow.chain(["model.encoder_width=0.1", "model.decoder_width=0.5"]);
    let settings = settings.flat_map(|setting| ["--set", setting]);
    here.succeed(&["train", "--out", "run"].into_iter().chain(settings).collect::<Vec<_>>());
    assert!(page(&here, &["run"]).0.contains("Weights are stored with 16 bits: "));
    check(&here, "run", true);
}

#[test]
fn a_browser_decodes_colours_and_no_name_becomes_markup() {
    let here = Folder::new();
    with_nasty_names(&here);
    check(&here, "run", false);
}
