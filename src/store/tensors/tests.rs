//! Files put together by hand, files made by PyTorch, and every way a file can be wrong.

use super::*;
use crate::store::checkpoint::Checkpoint;
use crate::store::scratch::Scratch;
use std::fs;

/// A file put together by hand, after the format's description.
fn by_hand(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn parse(bytes: &[u8]) -> Result<TensorFile> {
    TensorFile::from_bytes(bytes, Path::new("weights.safetensors"))
}

fn message(bytes: &[u8]) -> String {
    let error = parse(bytes).unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with("cannot read weights.safetensors: "), "{message}");
    assert!(!message.contains('\n'), "{message}");
    message
}

fn sample() -> TensorFile {
    let mut file = TensorFile::new();
    file.insert("weight", &[2, 3], &[1.0_f32, -0.0, f32::MIN_POSITIVE / 2.0, f32::INFINITY, 5.5, -6.25]);
    file.insert("product", &[], &[0.1_f64]);
    file.insert("labels", &[3], &[i64::MIN, 0, i64::MAX]);
    file.insert("steps", &[1], &[u64::MAX]);
    file.insert("picture", &[1, 3], &[0_u8, 127, 255]);
    file.insert("nothing", &[0, 4], &[] as &[f32]);
    file
}

#[test]
fn every_type_comes_back_with_its_bits() {
    let scratch = Scratch::new();
    let path = scratch.join("weights.safetensors");
    let mut written = sample();
    // A NaN that carries a payload, and a negative one.
    let nans = [f32::from_bits(0x7fc0_1234), f32::from_bits(0xffff_ffff)];
    written.insert("nans", &[2], &nans);
    written.write(&path).unwrap();
    let file = TensorFile::read(&path).unwrap();
    let names: Vec<&str> = file.names().collect();
    assert_eq!(names, ["labels", "nans", "nothing", "picture", "product", "steps", "weight"]);
    let (shape, weight) = file.f32s("weight").unwrap();
    assert_eq!(shape, [2, 3]);
    let bits: Vec<u32> = weight.iter().map(|value| value.to_bits()).collect();
    assert_eq!(bits, [0x3f80_0000, 0x8000_0000, 0x0040_0000, 0x7f80_0000, 0x40b0_0000, 0xc0c8_0000]);
    let bits: Vec<u32> = file.f32s("nans").unwrap().1.iter().map(|value| value.to_bits()).collect();
    assert_eq!(bits, [0x7fc0_1234, 0xffff_ffff]);
    assert_eq!(file.f64s("product").unwrap(), (&[][..], vec![0.1]));
    assert_eq!(file.i64s("labels").unwrap(), (&[3][..], vec![i64::MIN, 0, i64::MAX]));
    assert_eq!(file.u64s("steps").unwrap(), (&[1][..], vec![u64::MAX]));
    assert_eq!(file.u8s("picture").unwrap(), (&[1, 3][..], vec![0, 127, 255]));
    assert_eq!(file.f32s("nothing").unwrap(), (&[0, 4][..], vec![]));
    assert!(file.contains("steps") && !file.contains("step"));
    assert_eq!(scratch.names(), ["weights.safetensors"]);
}

#[test]
fn the_bytes_are_those_of_the_format() {
    let mut file = TensorFile::new();
    file.insert("b", &[2], &[1.0_f32, 2.0]);
    file.insert("a", &[1], &[3.0_f32]);
    file.insert("n", &[1], &[-2_i64]);
    // The larger type first, then by name; spaces fill the header up to a multiple of eight.
    let header = concat!(
        r#"{"n":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"#,
        r#""a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"#,
        r#""b":{"dtype":"F32","shape":[2],"data_offsets":[12,20]}}"#
    );
    let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    let mut data = vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    data.extend([0, 0, 0x40, 0x40, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]);
    assert_eq!(file.to_bytes(), by_hand(&header, &data));
}

#[test]
fn the_order_of_insertion_does_not_show() {
    let names: Vec<String> = (0..40).map(|i| format!("layer{i}.weight")).collect();
    let file = |order: &mut dyn Iterator<Item = usize>| {
        let mut file = TensorFile::new();
        for i in order {
            file.insert(names[i].as_str(), &[1], &[i as f32]);
        }
        file.to_bytes()
    };
    let ascending = file(&mut (0..40));
    assert_eq!(ascending, file(&mut (0..40).rev()));
    assert_eq!(ascending, file(&mut (0..40).map(|i| i * 7 % 40)));
    assert_eq!(ascending, parse(&ascending).unwrap().to_bytes());
}

#[test]
fn unaligned_data_and_other_metadata_are_read() {
    // As PyTorch's own writer puts it, but with a header of odd length: the data begin at byte 8 + 109.
    let header = concat!(
        r#"{"__metadata__":{"format":"pt","made":"by hand"},"#,
        r#""w":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},"#,
        r#""m":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}"#
    );
    for padding in 0..8 {
        let header = format!("{header}{}", " ".repeat(padding));
        let bytes = by_hand(&header, &[1, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        let file = parse(&bytes).unwrap();
        assert_eq!(file.f32s("w").unwrap(), (&[2][..], vec![1.0, -2.0]));
        assert_eq!(
            file.u8s("m").unwrap_err(),
            Error::Request("tensor m of weights.safetensors holds BOOL, expected U8".into())
        );
    }
}

#[test]
fn a_missing_tensor_and_a_wrong_type_are_named() {
    let file = sample();
    assert_eq!(
        file.i64s("weight").unwrap_err(),
        Error::Request("tensor weight of the tensors in memory holds F32, expected I64".into())
    );
    let file = parse(&file.to_bytes()).unwrap();
    assert_eq!(
        file.f32s("bias").unwrap_err(),
        Error::Request("weights.safetensors has no tensor bias among its 6".into())
    );
}

#[test]
fn every_kind_of_wrong_file_has_its_sentence() {
    assert!(message(b"").contains("it is empty"));
    assert!(message(b"abc").contains("it has 3 bytes, expected a safetensors file"));
    assert!(
        message(&u64::MAX.to_le_bytes())
            .contains("announce a header of 18446744073709551615 bytes, 0 follow")
    );
    assert!(message(&by_hand("{}", b"")[..9]).contains("announce a header of 2 bytes, 1 follow"));
    // A file of text: its first eight characters are no sensible length.
    assert!(message(b"import torch\n").contains("it is cut short or no safetensors file"));
    assert!(message(&by_hand("[1]", b"")).contains("it is no safetensors file, or its header is damaged"));
    assert!(message(&[2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]).contains("its header is damaged"));
    let header = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let whole = by_hand(header, &[0; 8]);
    assert!(parse(&whole).is_ok());
    let length = whole.len();
    assert!(
        message(&whole[..length - 3])
            .ends_with(&format!("cut short: {} bytes, {length} expected", length - 3))
    );
    let longer = [whole.as_slice(), b"x"].concat();
    assert!(message(&longer).ends_with(&format!("too long: {} bytes, {length} expected", length + 1)));
    // Ranges that do not fit the shape, overlap, leave a gap, run backwards, or overflow.
    let one =
        |shape: &str, range: &str| format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":{range}}}"#);
    for (a, b) in [
        (one("[1]", "[0,8]"), one("[1]", "[8,12]")),
        (one("[1]", "[0,4]"), one("[2]", "[0,8]")),
        (one("[1]", "[0,4]"), one("[1]", "[8,12]")),
        (one("[1]", "[4,0]"), one("[1]", "[4,8]")),
        (one("[1]", "[0,4]"), one("[4294967296,4294967296]", "[4,8]")),
        (one("[1]", "[0,4]"), one("[4611686018427387904]", "[4,8]")),
        (one("[1]", "[0,4]"), one("[1]", "[18446744073709551612,18446744073709551615]")),
    ] {
        let bytes = by_hand(&format!(r#"{{"a":{a},"b":{b}}}"#), &[0; 12]);
        assert!(message(&bytes).contains("its header is damaged"), "{a} {b}: {}", message(&bytes));
    }
    let beyond = format!(r#"{{"a":{}}}"#, one("[1000000000000]", "[0,4000000000000]"));
    assert!(message(&by_hand(&beyond, &[0; 12])).contains("cut short: "));
    // Eight times 2^61 - 1 bytes: with the lengths before them more than a 64-bit number holds.
    let most = (1_u64 << 61) - 1;
    let eighth = |i: u64| {
        let range = [i * most, (i + 1) * most];
        format!(r#""{i}":{{"dtype":"U8","shape":[{most}],"data_offsets":{range:?}}}"#)
    };
    let all = (0..8).map(eighth).collect::<Vec<_>>().join(",");
    assert!(message(&by_hand(&format!("{{{all}}}"), &[0; 12])).contains("cut short: "));
    let long = format!("{{}}{}", " ".repeat(LONGEST_HEADER));
    assert!(parse(&by_hand(&long[..LONGEST_HEADER], b"")).is_ok());
    assert!(message(&by_hand(&long, b"")).contains("1048578 bytes, at most 1048576 are read"));
    // What a file calls things is quoted, on one line.
    let quoting =
        message(&by_hand(r#"{"a":{"dtype":"F\n\u001b32","shape":[1],"data_offsets":[0,4]}}"#, &[0; 4]));
    assert!(quoting.contains(r"`F\n\u{1b}32`"), "{quoting}");
    // Nesting that would overflow a parser's stack.
    let deep = format!(r#"{{"a":{}"#, "[".repeat(100_000));
    assert!(message(&by_hand(&deep, b"")).contains("damaged"));
}

/// Files that PyTorch 2 wrote, where they exist: beside the repository. The sums are Python's
/// `math.fsum` over what `struct.unpack` finds at the tensor's byte range.
#[test]
fn files_made_by_pytorch_are_read_and_written_alike() {
    let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures"));
    if !fixtures.exists() {
        println!("skipped: there is no ../shared/fixtures with the files made by PyTorch");
        return;
    }
    let folder = fixtures.join("mnist-quarter");
    let read = |name: &str| TensorFile::read(&folder.join(name)).unwrap();
    let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();

    let batch = read("batch.safetensors");
    assert_eq!(batch.names().collect::<Vec<_>>(), ["d", "eps_d", "eps_x", "eps_y", "x", "y"]);
    assert_eq!(batch.i64s("d").unwrap(), (&[6][..], vec![2, 1, 4, 4, 2, 1]));
    assert_eq!(batch.i64s("y").unwrap(), (&[6][..], vec![5, 6, 6, 3, 5, 5]));
    let (shape, x) = batch.f32s("x").unwrap();
    assert_eq!(shape, [6, 1, 28, 28]);
    assert_eq!(x[..2], [0.831_372_56, 0.090_196_08]);
    assert!((sum(&x) - 2_372.466_713_285_539_3).abs() < 1e-9);

    let weights = read("weights.safetensors");
    assert_eq!(weights.names().count(), 92);
    assert_eq!(weights.i64s("px.de1.1.num_batches_tracked").unwrap(), (&[][..], vec![0]));
    let (shape, weight) = weights.f32s("qd.fc1.weight").unwrap();
    assert_eq!(shape, [5, 64]);
    assert!((sum(&weight) + 4.833_363_446_290_605).abs() < 1e-12);

    for (name, loss) in [("supervised.safetensors", 136_348.66), ("unlabelled.safetensors", 75_944.53)] {
        assert_eq!(read(name).f32s("loss").unwrap(), (&[1][..], vec![loss]));
    }
    // PyTorch and this crate put the same tensors into the same bytes.
    for name in ["batch", "weights", "supervised", "unlabelled"] {
        let path = folder.join(format!("{name}.safetensors"));
        assert!(TensorFile::read(&path).unwrap().to_bytes() == fs::read(&path).unwrap(), "{name}");
    }
}

#[test]
fn missing_files_and_folders_are_named() {
    let scratch = Scratch::new();
    let path = scratch.join("missing.safetensors");
    let cause = fs::read(&path).unwrap_err();
    assert_eq!(TensorFile::read(&path).unwrap_err(), Error::reading(&path, &cause));
    let folder = TensorFile::read(scratch.path()).unwrap_err();
    assert_eq!(
        folder,
        Error::Request(format!("cannot read {}: it is a folder, expected a file", scratch.path().display()))
    );
}

#[test]
fn no_flipped_byte_and_no_cut_makes_the_reader_panic() {
    let whole = sample().to_bytes();
    for length in 0..whole.len() {
        assert!(parse(&whole[..length]).is_err(), "cut at {length}");
    }
    for at in 0..whole.len() {
        for pattern in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= pattern;
            // The format itself has no checksum: a flipped value reads as another value.
            if let Ok(file) = parse(&bytes) {
                for name in file.names() {
                    let _ =
                        (file.f32s(name), file.f64s(name), file.i64s(name), file.u64s(name), file.u8s(name));
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "tensor w of shape [2, 3] cannot be made of 5 values")]
fn values_that_do_not_fill_the_shape_are_a_bug() {
    TensorFile::new().insert("w", &[2, 3], &[0.0_f32; 5]);
}

#[test]
#[should_panic(expected = "two tensors named w")]
fn a_name_given_twice_is_a_bug() {
    let mut file = TensorFile::new();
    file.insert("w", &[1], &[0.0_f32]);
    file.insert("w", &[1], &[0.0_f32]);
}

#[test]
#[should_panic(expected = "__metadata__")]
fn the_reserved_name_is_a_bug() {
    TensorFile::new().insert("__metadata__", &[1], &[0.0_f32]);
}

/// Holes of gigabytes: behind tensors, behind a checkpoint, and with nothing in front.
#[test]
fn a_file_that_is_longer_than_its_header_says_is_not_read() {
    let scratch = Scratch::new();
    let path = scratch.join("long.safetensors");
    let checkpoint = Checkpoint { note: "{}".into(), tensors: sample() };
    let length = 40_u64 << 30;
    for begin in [sample().to_bytes(), checkpoint.to_bytes(), Vec::new()] {
        fs::write(&path, begin).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        let expected =
            format!("cannot read {}: it has {length} bytes, expected at most 16777216", path.display());
        assert_eq!(TensorFile::read(&path).unwrap_err(), Error::Request(expected.clone()));
        assert_eq!(Checkpoint::load(&path).unwrap_err(), Error::Request(expected));
    }
}
