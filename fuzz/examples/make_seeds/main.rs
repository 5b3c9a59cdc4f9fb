//! Writes the seeds under `fuzz/seeds`: small whole files of every kind, and each kind of damage that is known.
//!
//! `cargo run --example make_seeds`, in `fuzz/`. The same seeds come out every time.

use diva::data::idx::PIXELS;
use diva::store::tensors::TensorFile;
use diva::train::weights as weight_files;
use diva_fuzz::{IDENTITY, parameters, seal, state};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::path::Path;

mod pictures;

fn main() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let write = |target: &str, all: Vec<(&str, Vec<u8>)>| {
        fs::create_dir_all(seeds.join(target)).expect("the folder of the seeds can be made");
        for (name, bytes) in all {
            fs::write(seeds.join(target).join(name), bytes).expect("a seed can be written");
        }
    };
    write("idx", idx());
    write("indices", indices());
    write("png", pictures::png());
    write("picture", pictures::picture());
    write("config", config());
    write("sweep", sweep());
    write("weights", weights());
    write("batch", batch());
    write("checkpoint", checkpoint());
    write("metrics", metrics());
    write("division", division());
    write("convolution", convolution());
    write("tables", names());
    write("page", names());
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

fn idx() -> Vec<(&'static str, Vec<u8>)> {
    let header = |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_be_bytes()).collect() };
    let images = |count: usize| {
        let mut bytes = header(&[2051, count as u32, 28, 28]);
        bytes.extend((0..count * PIXELS).map(|i| if i % 28 < 20 { 0 } else { (i % 251) as u8 }));
        bytes
    };
    let labels = |count: usize| [header(&[2049, count as u32]), (0..count as u8).collect()].concat();
    let pair =
        |images: &[u8], labels: &[u8]| [&(images.len() as u16).to_le_bytes()[..], images, labels].concat();
    let (two, packed) = (images(2), gzip(&images(2)));
    let members = [gzip(&two[..500]), gzip(&two[500..])].concat();
    let mut damaged = packed.clone();
    let checksum = damaged.len() - 6;
    damaged[checksum] ^= 1;
    let bomb = gzip(&[images(1), vec![0; 1 << 20]].concat());
    vec![
        ("plain", pair(&two, &labels(2))),
        ("gzipped", pair(&packed, &gzip(&labels(2)))),
        ("members", pair(&members, &gzip(&labels(2)))),
        ("cut-short", pair(&images(1)[..700], &labels(1))),
        ("too-long", pair(&[&images(1)[..], &[0]].concat(), &labels(1))),
        ("packed-and-cut", pair(&packed[..packed.len() - 9], &labels(2))),
        ("packed-and-damaged", pair(&damaged, &labels(2))),
        ("bomb", pair(&bomb, &labels(1))),
        ("label-ten", pair(&gzip(&images(1)), &[header(&[2049, 1]), vec![10]].concat())),
        ("counts-differ", pair(&packed, &labels(3))),
        ("empty", pair(&[], &[])),
        ("in-the-header", pair(&header(&[2051, 1]), &labels(1))),
        ("labels-for-images", pair(&labels(2), &labels(2))),
        ("no-images", pair(&header(&[2051, 0, 28, 28]), &labels(0))),
        ("other-size", pair(&header(&[2051, 1, 32, 28]), &labels(1))),
        ("giant", pair(&header(&[2051, u32::MAX, 28, 28]), &header(&[2049, u32::MAX]))),
        ("giant-sides", pair(&gzip(&header(&[2051, u32::MAX, u32::MAX, u32::MAX])), &labels(1))),
    ]
}

fn indices() -> Vec<(&'static str, Vec<u8>)> {
    let array = |version: u8, header: &str, values: &[i64]| {
        let mut bytes = vec![1, 0xe8, 3]; // named .npy, 1,000 digits
        bytes.extend(b"\x93NUMPY");
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    };
    let text = |text: &str| [&[0, 0xe8, 3], text.as_bytes()].concat();
    let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }          \n";
    let whole = array(1, header, &[5, 0, 999]);
    vec![
        ("npy", whole.clone()),
        ("npy-2", array(2, "{\"shape\": ( 3 ,),'fortran_order':False,'descr':\"<i8\"}", &[1, 2, 3])),
        ("npy-3", array(3, header, &[1, 2, 3])),
        ("npy-cut-short", whole[..whole.len() - 3].to_vec()),
        ("npy-in-the-header", whole[..40].to_vec()),
        ("npy-floats", array(1, &header.replace("<i8", "<f8"), &[1, 2, 3])),
        ("npy-fortran", array(1, &header.replace("False", "True"), &[1, 2, 3])),
        ("npy-matrix", array(1, &header.replace("(3,)", "(1, 3)"), &[1, 2, 3])),
        ("npy-giant", array(2, &header.replace("(3,)", "(18446744073709551615,)"), &[1, 2, 3])),
        ("npy-no-shape", array(1, "{'descr': '<i8', 'fortran_order': False}", &[1])),
        ("npy-no-dictionary", array(1, "{'descr' '<i8'", &[1])),
        ("text", text("# digits of seed 0\n5 0\n\t999 # the last\r\n3\n")),
        ("text-twice", text("1\n2\n1\n")),
        ("text-negative", text("-1")),
        ("text-too-large", text("1000")),
        ("text-word", text("1\ntwo\n")),
        ("text-overflow", text("9223372036854775808")),
        ("text-empty", text("# nothing\n")),
        ("no-text", vec![0, 0xe8, 3, 0xff, 0xfe]),
    ]
}

fn config() -> Vec<(&'static str, Vec<u8>)> {
    let resolved = |overrides: &[&str]| {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let config = diva::config::Config::resolve(None, None, &overrides, None);
        config.expect("a seed that resolves").to_toml().into_bytes()
    };
    let text = |text: &str| text.as_bytes().to_vec();
    let named = resolved(&[
        "data.domains=[\"a b\", 'q\"q', 1.5, -0.0]",
        "data.test_domain=\"a b\"",
        "data.path=\"\\u0001\\n\"",
    ]);
    vec![
        ("quick", resolved(&[])),
        ("named", named),
        ("short", text("preset = \"quick\"\nseed = 3\n[train]\nepochs = 7\n[model]\nwidth = 0.25\n")),
        ("prior", text("model.prior_y = [0.5, 0.25, 0.125, 0.125]\nmodel.kl = 'closed-form'\n")),
        ("dotted", text("data.unlabelled.subsets = 0\ndata = 3\n")),
        (
            "flags",
            text(
                "\u{1e}train.epochs=20\u{1e}data.path=/some/where\u{1e}data.domains=[0,30,75]\u{1e}seed = 4",
            ),
        ),
        ("flags-on-a-file", text("model.width = 0.5\n\u{1e}model.encoder_width=0.25")),
        ("flag-without-value", text("\u{1e}train.epochs")),
        ("flag-of-a-preset", text("\u{1e}preset=quick")),
        ("flag-of-control-characters", text("\u{1e}a\u{7}b\nc=[0")),
        ("flag-half-a-list", text("\u{1e}data.domains=[0,30")),
        ("contradiction", text("model.width = 0.5\nmodel.decoder_width = 0.25\n")),
        ("unknown-key", text("[trian]\nepochs = 3\n")),
        ("wrong-type", text("train.epochs = 'many'\n")),
        ("out-of-range", text("train.learning_rate = nan\n")),
        ("far-out", text("seed = -1\ndata.per_class = 9223372036854775807\n")),
        ("same-domains", text("data.domains = [0, 360.0, -0.0, 75]\n")),
        ("test-domain-missing", text("data.test_domain = 99\n")),
        ("later-version", text("model.networks = \"resnet\"\n")),
        ("other-preset", text("preset = \"malaria\"\n")),
        ("no-toml", text("[train\nepochs: 3\n")),
        ("control", text("seed = 3 # \u{7}\n")),
        ("deep", text(&format!("a = {}", "[".repeat(300)))),
        ("deep-key", text(&format!("{}z = 1", "a.".repeat(300)))),
        ("date", text("seed = 1979-05-27T07:32:00Z\n")),
    ]
}

fn sweep() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let grid = |grid: &str| text(&format!("preset = \"quick\"\n[grid]\n{grid}"));
    vec![
        ("grid", grid("seed = [0, 1]\nmodel.kind = ['vae', 'dann']\n[grid.data]\ntest_domain = [0, 75]\n")),
        (
            "arms",
            text(
                "preset = 'quick'\nout = 'here'\n[[arms]]\nname = 'a'\n[[arms]]\nname = 'b'\ntrain.alpha_y = 7000\ndata.unlabelled = \
                 { subsets = 1 }\n",
            ),
        ),
        ("texts", grid("data.subset_file = ['a b.npy', 'ä', \"q\\\"q\"]\n")),
        (
            "control",
            grid(
                "data.source = [\"idx\"]\ndata.path = [\"a\\u0007b\"]\ndata.subset_file = [\"\\n\", \"\\r\"]\n",
            ),
        ),
        ("empty", grid("")),
        ("empty-list", grid("seed = []\n")),
        ("nothing", text("preset = 'quick'\n")),
        ("unknown-key", grid("sead = [0]\n")),
        ("wrong-value", grid("model.kind = ['diva', 3]\n")),
        ("twice", grid("seed = [1, 1]\n")),
        ("equal", grid("data.test_domain = [75, 75.0]\n")),
        ("outside-too", text("seed = 1\n[grid]\nseed = [0]\n")),
        ("preset", grid("preset = ['quick']\n")),
        ("no-name", text("[[arms]]\nseed = 3\n")),
        ("no-arms", text("arms = 3\n")),
        ("no-toml", text("[grid\n")),
        ("deep", grid(&format!("{}z = [1]", "a.".repeat(60)))),
        ("many", grid(&["a", "b", "c", "d", "e", "f"].map(|key| format!("{key} = [1, 2, 3]\n")).concat())),
    ]
}

/// A file as it stands.
fn whole(file: &[u8]) -> Vec<u8> {
    [&[0], file].concat()
}

/// A file in parts, whose header's length the target puts right; `begin` is what it adds itself.
fn in_parts(mode: u8, file: &[u8], begin: usize) -> Vec<u8> {
    let (length, rest) = file.split_first_chunk::<8>().expect("a header's length");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    [&[mode], header[begin..].trim_ascii_end(), &[0xff], data].concat()
}

fn weights() -> Vec<(&'static str, Vec<u8>)> {
    let file = weight_files::export(&parameters(), 7);
    let with = |name: &str, shape: &[usize], values: &[f32]| {
        let mut changed = TensorFile::new();
        for each in file.names().filter(|each| *each != name) {
            match file.i64s(each) {
                Ok((shape, values)) => changed.insert(each, shape, &values),
                Err(_) => {
                    let (shape, values) = file.f32s(each).expect("weights are f32");
                    changed.insert(each, shape, &values);
                }
            }
        }
        changed.insert(name, shape, values);
        in_parts(1, &changed.to_bytes(), 0)
    };
    let mut types = TensorFile::new();
    types.insert("f64", &[], &[0.1_f64]);
    types.insert("u64", &[1], &[u64::MAX]);
    types.insert("u8", &[1, 3], &[0_u8, 127, 255]);
    types.insert("nothing", &[0, 4], &[] as &[f32]);
    let bytes = file.to_bytes();
    let header = |text: &str, data: &[u8]| [&[1], text.as_bytes(), &[0xff], data].concat();
    vec![
        ("file", whole(&bytes)),
        ("parts", in_parts(1, &bytes, 0)),
        ("types", in_parts(1, &types.to_bytes(), 0)),
        ("surplus", with("fc.more", &[1], &[0.5])),
        ("nan", with("fc.bias", &[2], &[f32::NAN, 1.0])),
        ("other-shape", with("fc.bias", &[1, 2], &[0.5, 1.0])),
        ("no-columns", with("fc.weight", &[1 << 40, 0], &[])),
        (
            "unaligned",
            header(
                r#"{"__metadata__":{"format":"pt","made":"by hand"},"w":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},"m":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}"#,
                &[1, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0],
            ),
        ),
        (
            "overlap",
            header(
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
                &[0; 8],
            ),
        ),
        ("gap", header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, &[0; 8])),
        (
            "overflow",
            header(
                r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,18446744073709551612]}}"#,
                &[0; 8],
            ),
        ),
        (
            "terabytes",
            header(
                r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#,
                &[0; 8],
            ),
        ),
        (
            "type-of-control-characters",
            header(r#"{"a":{"dtype":"F\n\u001b32","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4]),
        ),
        ("sums-overflow", header(&sums_overflow(), &[0; 8])),
        ("four-bits", header(r#"{"a":{"dtype":"F4","shape":[2,2],"data_offsets":[0,2]}}"#, &[0; 2])),
        ("deep", header(&format!(r#"{{"a":{}"#, "[".repeat(200)), &[])),
        ("another-object", header(r#"{"a":[1],"__metadata__":3}"#, &[])),
        ("cut-short", whole(&bytes[..bytes.len() - 3])),
        ("too-long", whole(&[&bytes[..], b"x"].concat())),
        ("in-the-header", whole(&bytes[..100])),
        ("giant-header", whole(&u64::MAX.to_le_bytes())),
        ("text", whole(b"import torch\n")),
        ("empty", whole(&[])),
    ]
}

/// Eight tensors of 2^61 - 1 bytes.
fn sums_overflow() -> String {
    let most = (1_u64 << 61) - 1;
    let tensor = |i: u64| {
        let range = [i * most, (i + 1) * most];
        format!(r#""{i}":{{"dtype":"U8","shape":[{most}],"data_offsets":{range:?}}}"#)
    };
    format!("{{{}}}", (0..8).map(tensor).collect::<Vec<_>>().join(","))
}

fn batch() -> Vec<(&'static str, Vec<u8>)> {
    let make = |change: &dyn Fn(&mut Vec<f32>, &mut Vec<i64>, &mut Vec<f32>)| {
        let (mut x, mut labels, mut noise) = (vec![0.0; 2 * PIXELS], vec![2, 0], vec![0.5, -1.0, 0.0, 2.0]);
        x[300..340].fill(0.25);
        change(&mut x, &mut labels, &mut noise);
        let mut file = TensorFile::new();
        file.insert("x", &[x.len() / PIXELS, 1, 28, 28], &x);
        for name in ["d", "y"] {
            file.insert(name, &[labels.len()], &labels);
        }
        for name in ["eps_d", "eps_x", "eps_y"] {
            file.insert(name, &[noise.len() / 2, 2], &noise);
        }
        file.to_bytes()
    };
    let good = make(&|_, _, _| ());
    vec![
        ("file", whole(&good)),
        ("parts", in_parts(1, &good, 0)),
        ("too-bright", in_parts(1, &make(&|x, _, _| x[9] = 1.5), 0)),
        ("nan", in_parts(1, &make(&|x, _, _| x[9] = f32::NAN), 0)),
        ("label-three", in_parts(1, &make(&|_, labels, _| labels[1] = 3), 0)),
        ("negative-label", in_parts(1, &make(&|_, labels, _| labels[1] = -1), 0)),
        ("infinite-noise", in_parts(1, &make(&|_, _, noise| noise[1] = f32::INFINITY), 0)),
        (
            "no-images",
            in_parts(
                1,
                &make(&|x, labels, noise| {
                    x.clear();
                    labels.clear();
                    noise.clear();
                }),
                0,
            ),
        ),
    ]
}

fn checkpoint() -> Vec<(&'static str, Vec<u8>)> {
    let note = 130; // where the caller's text begins, in the file
    let good = state().to_checkpoint(IDENTITY).to_bytes();
    let other = state().to_checkpoint("another configuration").to_bytes();
    let mut far = state();
    far.progress.sums = vec![("loss".into(), 1e300)];
    far.progress.steps = u64::MAX;
    far.adam.decays = [1e-300, 0.5];
    let far = far.to_checkpoint(IDENTITY).to_bytes();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let best = r#"{\"configuration\":\"fuzz\",\"progress\":{\"epochs\":3,\"batches\":1,\"steps\":9,\"sums\":[[\"loss\",2.5]],\"images\":20,\"unlabelled_images\":0,\"best\":{\"epoch\":2,\"train_accuracy\":0.5,\"ce_y\":1.5,\"domain_accuracy\":{\"0\":0.5},\"test_accuracy\":0.25},\"out_of_patience\":true},\"decays\":[0.5,0.25]}"}"#;
    let slabs = state().params.slab().len();
    let mut tensors = String::new();
    for (i, name) in ["parameters", "adam.first", "adam.second"].into_iter().enumerate() {
        let range = [i, i + 1].map(|i| 4 * i * slabs);
        tensors += &format!(r#","{name}":{{"dtype":"F32","shape":[{slabs}],"data_offsets":{range:?}}}"#);
    }
    let by_hand =
        [&[2], best.as_bytes(), tensors.as_bytes(), b"}", &[0xff], &vec![0x3f; 12 * slabs]].concat();
    assert_eq!(seal(good.clone()), good, "the target seals as the program does");
    vec![
        ("file", whole(&good)),
        ("sealed", [&[1], &good[..]].concat()),
        ("parts", in_parts(2, &good, note - 8)),
        ("far", in_parts(2, &far, note - 8)),
        ("best", by_hand),
        ("another-configuration", in_parts(2, &other, note - 8)),
        ("no-note", b"\x02\"}}\xff".to_vec()),
        ("no-json", b"\x02note\"}}\xff".to_vec()),
        ("flipped", whole(&flipped)),
        ("cut-short", whole(&good[..good.len() - 1])),
        ("too-long", whole(&[&good[..], &[0]].concat())),
        ("weights", whole(&weight_files::export(&parameters(), 7).to_bytes())),
        ("empty", whole(&[])),
    ]
}

fn division() -> Vec<(&'static str, Vec<u8>)> {
    let head = "file,sha256,domain,class,group,role\n";
    let (hash, other) = ("00".repeat(32), "Ff".repeat(32));
    let table = |lines: &[String]| [head.as_bytes(), lines.concat().as_bytes()].concat();
    vec![
        (
            "file",
            table(&[format!("A/x/1.png,{hash},A,x,,training\n"), format!("B/2.png,{other},B,,,left-out\n")]),
        ),
        ("quoted", table(&[format!("\"A, \"\"1\"\"\n.png\",{hash},\"=A\r\n\",x,g,validation\r\n")])),
        ("no-lines", table(&[])),
        ("nothing", vec![]),
        ("no-hash", table(&["1.png,00,A,x,,test\n".into()])),
        ("no-digits", table(&[format!("1.png,{},A,x,,test\n", "é".repeat(32))])),
        ("another-role", table(&[format!("1.png,{hash},A,x,,trained\n")])),
        ("too-few", table(&[format!("1.png,{hash},A,x,test\n")])),
        ("open-quote", table(&[format!("\"1.png,{hash},A,x,,test\n")])),
        ("other-columns", b"file,role\n1.png,test\n".to_vec()),
        (
            "columns-moved",
            format!("role,file,sha256,domain,class,group\ntest,1.png,{hash},A,x,\n").into_bytes(),
        ),
    ]
}

fn metrics() -> Vec<(&'static str, Vec<u8>)> {
    let line = |epoch: &str, loss: &str| {
        format!(
            r#"{{"epoch":{epoch},"beta":0.5,"loss":{loss},"reconstruction":190.5,"kl_d":1.5,"kl_x":2.5,"kl_y":0.25,"ce_d":0.125,"ce_y":1e-3,"train_accuracy":0.875,"domain_accuracy":{{"0":0.75,"15":1.0}},"test_accuracy":0.5,"disjoint_test_accuracy":0.25,"state_sha256":"00ff","train_seconds":1.5,"evaluate_seconds":0.5,"images_per_second":100.0}}"#
        )
    };
    let result = r#"{"preset":"quick","seed":0,"test_domain":"75","epochs":2,"ended_by":"epochs","test_accuracy":0.5,"selected":{"epoch":2,"train_accuracy":0.875,"ce_y":1e-3,"domain_accuracy":{"0":0.75},"test_accuracy":0.5},"parameters":1000,"checkpoint_sha256":"00ff"}"#;
    let unlike = r#"{"quantile":0.01,"threshold":-1234.5,"images":1000,"prior_y":[0.25,0.75]}"#;
    let lines = format!("{}\n{}\n{}\n", line("1", "200.5"), line("2", "150.25"), line("3", "149.0"));
    let of = |mode: u8, text: &str| [&[mode], text.as_bytes()].concat();
    vec![
        ("lines", of(0, &lines)),
        ("result", of(1, result)),
        ("drawn", of(2, &lines)),
        ("one-drawn", of(2, &line("1", "0.0"))),
        ("huge-drawn", of(2, &format!("{}\n{}", line("18446744073709551615", "1e308"), line("0", "-1e308")))),
        ("near-drawn", of(2, &format!("{}\n{}", line("7", "1e-308"), line("7", "1.0000000000000002e-308")))),
        ("infinite", of(0, &line("1", "1e999"))),
        ("null", of(0, &line("1", "null"))),
        ("negative-epoch", of(0, &line("-1", "1.0"))),
        ("empty-line", of(0, &format!("\n{}", line("1", "1.0")))),
        ("nothing", of(2, "")),
        ("deep", of(0, &format!(r#"{{"epoch":{}"#, "[".repeat(200)))),
        ("torn", of(0, &lines[..lines.len() - 40])),
        ("not-a-result", of(1, "{}")),
        ("unlike", of(1, unlike)),
        ("no-share", of(1, &unlike.replace("0.01", "1.01"))),
    ]
}

/// Names that speak to terminals, spreadsheets and browsers.
fn names() -> Vec<(&'static str, Vec<u8>)> {
    let names = |all: &[&str]| all.join("\u{1e}").into_bytes();
    vec![
        ("plain", names(&["A", "75", "größe 1.png", "C59P20"])),
        ("lines", names(&["\u{1b}[2J\nforged: 1", "\r\n", "\t\0", "\u{9b}31m\u{2028}\u{2029}\u{85}"])),
        ("directions", names(&["\u{202e}gnp.exe", "\u{2069}\u{2068}\u{2066}", "\u{61c}\u{200f}a"])),
        ("scripts", names(&["עברית", "寄生虫", "e\u{301}", "🦠"])),
        ("formulas", names(&["=cmd|' /C calc'!A0", "+3", "-15", "-x", "@a", " =1", "＝1", "-inf"])),
        ("markup", names(&["a|b\\", "`*~_", "![x](http://y)", "<script>&amp;\"'</pre>", ",\"\"", "#"])),
        ("nothing", vec![]),
        ("no-text", vec![0xff]),
        ("too-many", names(&["a"; 13])),
    ]
}

/// A kind, its sizes as the target takes them, and a kind, scale and seed for each of x, w and dy.
fn convolution() -> Vec<(&'static str, Vec<u8>)> {
    let numbers = [1, 30, 7, 1, 30, 8, 1, 30, 9];
    let with = |sizes: &[u8], rest: &[u8]| [sizes, rest].concat();
    let bits: Vec<u8> = (0..=255).collect();
    vec![
        ("any", with(&[0, 2, 6, 8, 4, 1, 1, 6, 3], &with(&numbers, &[1, 0, 0, 3]))),
        ("any-integers", with(&[0, 4, 11, 11, 1, 2, 2, 19, 17], &[0, 0, 1, 0, 0, 2, 0, 0, 3])),
        ("pointwise", with(&[0, 0, 9, 9, 15, 0, 0, 39, 4], &numbers)),
        ("kernel-of-the-image", with(&[0, 4, 4, 4, 2, 0, 0, 7, 0], &numbers)),
        ("in-place", with(&[1, 20, 20, 0, 4, 31, 2], &with(&numbers, &[1, 1, 30, 3]))),
        ("in-place-sparse", with(&[1, 4, 4, 4, 2, 16, 10], &[2, 0, 1, 2, 0, 2, 2, 0, 3])),
        ("in-place-bits", with(&[1, 3, 1, 1, 2, 4, 0], &with(&[3, 0, 0], &bits))),
        ("tiles", with(&[2, 3, 3, 1, 1, 1], &with(&numbers, &[1, 1, 30, 3]))),
        ("tiles-odd", with(&[2, 0, 4, 0, 0, 8], &numbers)),
        ("tiles-integers", with(&[2, 3, 2, 2, 0, 2], &[0, 0, 1, 0, 0, 2, 0, 0, 3])),
        ("folded", with(&[3, 2, 3, 3, 2, 15, 1], &numbers)),
        ("folded-seven", with(&[3, 4, 1, 2, 3, 2, 19], &numbers)),
        ("folded-sparse", with(&[3, 0, 6, 0, 1, 4, 3], &[2, 0, 1, 2, 0, 2, 2, 0, 3])),
        ("up-sampled-tiles", with(&[4, 4, 0, 0, 0, 0], &numbers)),
        ("up-sampled-tiles-pixel", with(&[4, 0, 0, 1, 1, 15], &numbers)),
        ("up-sampled-tiles-scaled", with(&[4, 3, 0, 0, 0, 0], &[1, 60, 7, 1, 0, 8, 1, 45, 9])),
        ("nothing", vec![]),
    ]
}
