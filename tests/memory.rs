//! How much memory a hostile file can make its reader allocate: at most a multiple of its length, and a constant.
//!
//! The files here promise much and hold little, or hold what takes the most memory for its length. What is counted is
//! the largest number of bytes that were allocated at one time, where a vector that grows counts with its old and its
//! new room together; `cargo test --test memory -- --nocapture` prints it.

#![allow(unsafe_code, reason = "a global allocator that counts")]

use diva::autograd::{Builder, Params};
use diva::config::Config;
use diva::data::division::Division;
use diva::data::idx::{PIXELS, SIDE};
use diva::data::pictures::decode::decode;
use diva::data::pictures::list;
use diva::data::pictures::packed::{Packed, Record};
use diva::data::pictures::resize::resize;
use diva::data::{idx, image, subset};
use diva::models::Diva;
use diva::store::checkpoint::Checkpoint;
use diva::store::digest::sha256_hex;
use diva::store::tensors::TensorFile;
use diva::train::dataset;
use diva::train::gradients::BatchFile;
use diva::train::metrics;
use diva::train::unlike::UnlikeTraining;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Cursor, Write};
use std::path::Path;

thread_local! {
    /// Bytes that this thread has allocated and not freed, and the most that these were.
    static ALLOCATED: Cell<isize> = const { Cell::new(0) };
    static LARGEST: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every request is handed to the system's allocator as it is; growing is left to the trait's own `realloc`,
// which allocates, copies and frees.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size() as isize);
        LARGEST.set(LARGEST.get().max(ALLOCATED.get()));
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.set(ALLOCATED.get() - layout.size() as isize);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes that `work`, which keeps to this thread, has allocated at one time.
fn largest(work: impl FnOnce()) -> usize {
    let before = ALLOCATED.get();
    LARGEST.set(before);
    work();
    (LARGEST.get() - before).unsigned_abs()
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A reader's bound: so many times the file, and so many bytes more.
#[derive(Clone, Copy)]
struct Bound(usize, usize);

/// Asserts the bound for each of the files, by name.
#[track_caller]
fn assert_bounded(kind: &str, bound: Bound, files: Vec<(&str, Vec<u8>)>, read: impl Fn(&[u8])) {
    for (name, file) in files {
        let (length, most) = (file.len(), largest(|| read(&file)));
        println!(
            "{kind}, {name}: {most} bytes for a file of {length}, {:.1} times",
            most as f64 / length as f64
        );
        let Bound(times, more) = bound;
        assert!(most <= times * length + more, "{kind}, {name}: {most} bytes for a file of {length}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx_header(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

#[test]
fn lists_of_pictures() {
    let line = |i: usize| format!("{i},x,d\n");
    let lines: String = (0..150_000).map(line).collect();
    let names: String = (0..70_000).map(|i| format!("{i},{i},{i}\n")).collect();
    let files = vec![
        ("many lines", format!("file,class,domain\n{lines}").into_bytes()),
        ("many classes and domains", format!("file,class,domain\n{names}").into_bytes()),
        (
            "many columns",
            "file,class,domain".to_owned().into_bytes().into_iter().chain(b",".repeat(MIB)).collect(),
        ),
        ("a long field", [b"file,class,domain\n\"".to_vec(), vec![b'x'; MIB]].concat()),
        ("empty lines", b"\n".repeat(MIB)),
    ];
    assert_bounded("list", Bound(80, 64 * KIB), files, |file| {
        drop(list::of_text(file, Path::new("images.csv"), &[], &|path| Ok(path.to_path_buf())));
    });
}

#[test]
fn mnist_files() {
    let images = |count: u32| idx_header(&[2051, count, 28, 28]);
    let read =
        |file: &[u8]| drop(idx::read_pair(("images", file), ("labels", &b"\0\0\x08\x01\0\0\0\x01\x07"[..])));
    let plain = vec![
        ("a header that promises terabytes", images(u32::MAX)),
        ("fewer bytes than promised", [images(u32::MAX), vec![0; MIB + 1]].concat()),
        ("more bytes than promised", [images(1), vec![0; 4 * MIB]].concat()),
    ];
    assert_bounded("idx", Bound(3, 16 * KIB), plain, read);

    // DEFLATE packs 1,032 bytes into one, not more.
    let honest = 40_000;
    let mut named = b"\x1f\x8b\x08\x08\0\0\0\0\0\0".to_vec();
    named.resize(MIB, b'x');
    let packed = vec![
        ("a header that promises terabytes", gzip(&images(u32::MAX))),
        ("fewer bytes than promised", gzip(&[images(u32::MAX), vec![0; 32 * MIB]].concat())),
        ("as many as promised", gzip(&[images(honest), vec![0; honest as usize * PIXELS]].concat())),
        ("more bytes than promised", gzip(&[images(1), vec![0; 32 * MIB]].concat())),
        ("a name without end", named),
    ];
    assert_bounded("idx, gzipped", Bound(3 * 1032, 128 * KIB), packed, read);
}

#[test]
fn lists_of_indices() {
    let array = |header: &str, values: usize| {
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend((0..values as i64).flat_map(i64::to_le_bytes));
        bytes
    };
    let with_shape =
        |shape: &str| format!("{{'descr': '<i8', 'fortran_order': False, 'shape': ({shape},), }}");
    let text: Vec<String> = (0..100_000).map(|i| i.to_string()).collect();
    let files = vec![
        ("a .npy that promises exabytes", array(&with_shape("18446744073709551615"), 3)),
        ("a .npy with a header without end", array(&format!("{{'descr': '{}", "x".repeat(MIB)), 0)),
        ("a .npy whose header's length is a lie", b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec()),
        ("a .npy of 100,000 indices", array(&with_shape("100000"), 100_000)),
        ("a text of 100,000 indices", text.join(" ").into_bytes()),
        ("a text of zeros", b"0 ".repeat(MIB / 2)),
        ("a text of lines", b"\n".repeat(MIB)),
        ("a word without end", b"7".repeat(MIB)),
    ];
    // A flag for each of the digits that there are.
    let available = 100_000;
    assert_bounded("indices", Bound(12, available + 16 * KIB), files, |file| {
        drop(subset::parse_indices(file, Path::new("file"), available));
    });
}

/// A PNG file of these chunks, with their lengths and checksums.
fn png_of(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        let typed = [&kind[..], data].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&typed);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(&typed);
        file.extend(crc.sum().to_be_bytes());
    }
    file
}

#[test]
fn pictures() {
    let header = |side: u32| [&side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let zlib = |bytes: &[u8]| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let (small, image) = (header(SIDE as u32), zlib(&[0; SIDE * (SIDE + 1)]));
    let with = |kind: &[u8; 4], data: &[u8]| {
        png_of(&[(b"IHDR", &small), (kind, data), (b"IDAT", &image), (b"IEND", &[])])
    };
    let bomb = zlib(&vec![0; 32 * MIB]);
    let packed = |begin: &[u8]| [begin, &bomb].concat();
    let mut lie = png_of(&[(b"IHDR", &small), (b"eXIf", &[0; 100])]);
    let length = 8 + 25;
    lie[length..length + 4].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
    let many: Vec<(&[u8; 4], &[u8])> = std::iter::once((b"IHDR", &small[..]))
        .chain((0..50_000).map(|_| (b"tEXt", &b"a\0b"[..])))
        .chain([(b"IDAT", &image[..]), (b"IEND", &[][..])])
        .collect();
    let files = vec![
        ("20,000 x 20,000 pixels", png_of(&[(b"IHDR", &header(20_000)), (b"IDAT", &bomb)])),
        ("a bomb for pixels", png_of(&[(b"IHDR", &small), (b"IDAT", &bomb), (b"IEND", &[])])),
        ("a bomb for a profile", with(b"iCCP", &packed(b"x\0\0"))),
        ("a bomb for a text", with(b"zTXt", &packed(b"x\0\0"))),
        ("a bomb for an international text", with(b"iTXt", &packed(b"x\0\x01\0\0\0"))),
        ("a chunk whose length is a lie", lie),
        ("a long EXIF chunk", with(b"eXIf", &vec![0; MIB])),
        ("a long palette", with(b"PLTE", &vec![0; 768])),
        ("a long unknown chunk", with(b"abCd", &vec![0; MIB])),
        ("many texts", png_of(&many)),
    ];
    assert_bounded("png", Bound(4, 256 * KIB), files, |file| {
        drop(image::decode_grey(Cursor::new(file), SIDE, SIDE));
    });
}

/// Pictures of any size: a bomb in disguise, and the honest files that take the most for their length.
#[test]
fn pictures_of_any_size() {
    let zlib = |bytes: &[u8]| {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let header = |side: u32, bits: u8, colours: u8, interlaced: u8| {
        [&side.to_be_bytes()[..], &side.to_be_bytes(), &[bits, colours, 0, 0, interlaced]].concat()
    };
    let black = |side: usize, bits: usize| zlib(&vec![0; side * (1 + side * bits / 8)]);
    let png = |header: &[u8], others: &[(&[u8; 4], &[u8])], pixels: &[u8]| {
        let chunks: Vec<(&[u8; 4], &[u8])> = [(b"IHDR", header)]
            .iter()
            .chain(others)
            .chain(&[(b"IDAT", pixels), (b"IEND", &[])])
            .copied()
            .collect();
        png_of(&chunks)
    };
    let small = header(28, 8, 2, 0);
    let bomb = zlib(&vec![0; 32 * MIB]);
    let packed = [b"x\0\0", &bomb[..]].concat();
    let profile = [b"Raw profile type exif\0\0", &zlib(&vec![b'0'; 32 * MIB])[..]].concat();
    let clear: &[(&[u8; 4], &[u8])] = &[(b"PLTE", &[9; 6]), (b"tRNS", &[0])];
    let files = vec![
        ("20,000 x 20,000 pixels", png(&header(20_000, 8, 2, 0), &[], &bomb)),
        ("8,000 x 8,000 pixels in few bytes", png(&header(8_000, 8, 2, 0), &[], &[0; 100])),
        ("a bomb for pixels", png(&small, &[], &bomb)),
        ("a bomb for a profile", png(&small, &[(b"iCCP", &packed)], &black(28, 24))),
        ("a bomb for a text", png(&small, &[(b"zTXt", &packed)], &black(28, 24))),
        ("a bomb for EXIF data", png(&small, &[(b"zTXt", &profile)], &black(28, 24))),
        ("a long EXIF chunk", png(&small, &[(b"eXIf", &vec![0; MIB])], &black(28, 24))),
    ];
    assert_bounded("png that lies", Bound(8, 256 * KIB), files, |file| drop(decode(file, 3)));

    // DEFLATE packs 1,032 bytes into one; a bit with a palette that knows alpha becomes four bytes.
    let files = vec![
        ("black in colour", png(&header(2_000, 8, 2, 0), &[], &black(2_000, 24))),
        ("black in 16 bits with alpha", png(&header(1_000, 16, 6, 0), &[], &black(1_000, 64))),
        ("bits with a clear palette", png(&header(4_000, 1, 3, 0), clear, &black(4_000, 1))),
    ];
    for channels in [1, 3] {
        let read = |file: &[u8]| assert!(decode(file, channels).is_ok());
        assert_bounded("png", Bound(1032 * 8 * 8, 256 * KIB), files.clone(), read);
    }

    // A promise of so many pixels, and a file that could hold them: what is allocated before it turns out that it does not.
    let promising = |name: &str, side: u16, length: usize| {
        let mut bytes = std::fs::read(Path::new("tests/fixtures/pictures").join(name)).unwrap();
        let is_frame = |four: &[u8]| matches!(four, [0xff, 0xc0 | 0xc2, 0, 11 | 17 | 20]);
        let frame = bytes.windows(4).position(is_frame).unwrap();
        bytes[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
        bytes[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
        bytes.resize(length.max(bytes.len()), 0);
        bytes
    };
    let files = vec![
        ("20,000 x 20,000 pixels", promising("colour.jpg", 20_000, MIB)),
        ("8,000 x 8,000 pixels in few bytes", promising("colour.jpg", 8_000, 0)),
        ("progressive, the same", promising("progressive.jpg", 8_000, 0)),
    ];
    assert_bounded("jpeg that lies", Bound(8, 256 * KIB), files, |file| assert!(decode(file, 3).is_err()));
    let files = vec![
        ("baseline", promising("colour.jpg", 2_200, 40_000)),
        ("progressive", promising("progressive.jpg", 2_200, 40_000)),
        ("inks", promising("cmyk.jpg", 2_200, 40_000)),
    ];
    assert_bounded("jpeg", Bound(512 * 16, 256 * KIB), files, |file| drop(decode(file, 3)));
}

/// High and narrow, low and wide, and square ones.
#[test]
fn resized_pictures() {
    let pixels = vec![7; 3 * MIB];
    for (from, size) in
        [([MIB, 1], [64, 64]), ([1, MIB], [64, 64]), ([1024, 1024], [128, 128]), ([1024, 1024], [64, 1024])]
    {
        let mut out = vec![0; size[0] * size[1] * 3];
        let most = largest(|| resize(&pixels, from, 3, size, &mut out));
        println!("from {from:?} to {size:?}: {most} bytes");
        assert!(
            most < 5 * out.len() + 64 * (size[0] + size[1]) + 600 * KIB,
            "from {from:?} to {size:?}: {most} bytes"
        );
    }
}

#[test]
fn packed_pictures() {
    let folder = std::env::temp_dir().join(format!("diva-memory-{}", std::process::id()));
    let names: Vec<String> = (0..1_000).map(|i| format!("domain/class/picture {i}.png")).collect();
    let record = Record { digest: [7; 32], size: [50, 50], range: None, problem: String::new() };
    let mut packed =
        Packed { size: [64, 64, 3], pixels: vec![9; 1_000 * 64 * 64 * 3], records: vec![record; 1_000] };
    packed.write(&folder, &names).unwrap();
    let whole = std::fs::read(&folder).unwrap();
    let mut lie = whole.clone();
    let footer = lie.len() - 84;
    lie[footer + 36..footer + 44].fill(0x7f);
    let files =
        vec![("whole", whole.clone()), ("a length that is a lie", lie), ("cut", whole[..MIB].to_vec())];
    assert_bounded("packed", Bound(1, MIB), files, |file| {
        std::fs::write(&folder, file).unwrap();
        let read = Packed::read(&folder, [64, 64, 3], &names);
        assert_eq!(read.is_some(), file.len() == whole.len() && file == whole);
    });
    std::fs::remove_file(&folder).unwrap();
}

#[test]
fn configurations() {
    let length = 60_000;
    let keys: String = (0..)
        .map(|i| format!("k{i}=1\n"))
        .scan(0, |sum, line| {
            *sum += line.len();
            (*sum < length).then_some(line)
        })
        .collect();
    let files = vec![
        ("a list of lists", format!("data.domains = [{}]", "[],".repeat(length / 3))),
        ("a list of tables", format!("data.domains = [{}]", "{},".repeat(length / 3))),
        ("a list of tables of one key", format!("data.domains = [{}]", "{a=1},".repeat(length / 6))),
        (
            "a list of chains of tables",
            format!("data.domains = [{}]", "{a.b.c.d.e.f.g=1},".repeat(length / 18)),
        ),
        ("a list of numbers", format!("data.domains = [{}]", "1,".repeat(length / 2))),
        ("tables of one key", "[[a]]\nb=1\n".repeat(length / 10)),
        ("chains of tables", "[[a.a.a.a.a.a]]\n".repeat(length / 16)),
        ("many keys", keys),
        ("a deep list", format!("seed = {}", "[".repeat(length))),
        ("a deep key", format!("{}a = 1", "a.".repeat(length / 2))),
        ("a deep table", format!("[{}a]", "a.".repeat(length / 2))),
        ("a long text", format!("data.path = \"{}\"", "\\n".repeat(length / 2))),
        ("a long key", format!("{} = 1", "a".repeat(length))),
        ("comments", "#\n".repeat(length / 2)),
        ("a longer file", "#\n".repeat(10 * MIB)),
    ];
    let files = files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    assert_bounded("configuration", Bound(1, 32 * MIB), files, |file| {
        let text = std::str::from_utf8(file).unwrap();
        drop(Config::resolve(Some(("config.toml", text)), None, &[], None));
    });
}

/// Headers of safetensors files, from the first tensor on.
fn headers() -> Vec<(&'static str, String)> {
    let length = 1_000_000;
    let list = |item: &str| format!(r#""a":[{}0]}}"#, item.repeat(length / item.len()));
    let tensors =
        |tensor: &dyn Fn(usize) -> String| (0..length / 64).map(tensor).collect::<Vec<_>>().join(",") + "}";
    vec![
        ("a list of lists", list("[],")),
        ("a list of objects", list("{},")),
        ("a list of objects of one key", list(r#"{"":0},"#)),
        ("a list of numbers", list("0,")),
        ("a deep list", format!(r#""a":{}"#, "[".repeat(length))),
        (
            "a shape",
            format!(r#""a":{{"dtype":"F32","shape":[{}0],"data_offsets":[0,0]}}}}"#, "0,".repeat(length / 2)),
        ),
        (
            "tensors of nothing",
            tensors(&|i| format!(r#""{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#)),
        ),
        (
            "terabytes",
            r#""a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#.into(),
        ),
        ("a longer header", format!(r#""a":[{}0]}}"#, "[],".repeat(MIB))),
    ]
}

/// A safetensors file.
fn joined(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// What the header of a tensor file takes, and how often its data are there at a time.
const TENSORS: Bound = Bound(4, 64 * MIB);

#[test]
fn weights() {
    let mut files: Vec<(&str, Vec<u8>)> =
        headers().into_iter().map(|(name, header)| (name, joined(&format!("{{{header}"), &[]))).collect();
    let texts: String = (0..60_000).map(|i| format!(r#""{i}":"","#)).collect();
    files.push(("texts", joined(&format!(r#"{{"__metadata__":{{{texts}"":""}}}}"#), &[])));
    let mut large = TensorFile::new();
    large.insert("a", &[16 * MIB], &vec![0_u8; 16 * MIB]);
    large.insert("b", &[16 * MIB], &vec![0_f32; 16 * MIB]);
    files.push(("many numbers", large.to_bytes()));
    assert_bounded("weights", TENSORS, files, |file| {
        if let Ok(file) = TensorFile::from_bytes(file, Path::new("weights")) {
            drop(file.f32s("b"));
        }
    });
}

#[test]
fn batches() {
    let narrow = ["model.width=0.03125", "model.latent=2"].map(str::to_owned);
    let config = Config::resolve(None, Some("quick"), &narrow, None).unwrap();
    let settings = dataset::settings(&config.model, 3, 4, None).unwrap();
    let diva = Diva::new(&mut Builder::new(&mut Params::new(), 0), settings);
    let images = 5_000;
    let mut large = TensorFile::new();
    large.insert("x", &[images, 1, SIDE, SIDE], &vec![0.5_f32; images * PIXELS]);
    for name in ["d", "y"] {
        large.insert(name, &[images], &vec![1_i64; images]);
    }
    for name in ["eps_d", "eps_x", "eps_y"] {
        large.insert(name, &[images, 2], &vec![0.5_f32; 2 * images]);
    }
    let (large, path) = (large.to_bytes(), Path::new("batch"));
    assert_bounded("batch", TENSORS, vec![("5,000 images", large.clone())], |file| {
        let file = TensorFile::from_bytes(file, path).unwrap();
        assert_eq!(BatchFile::of_tensors(&file, path, &diva).unwrap().batch.levels.len(), images * PIXELS);
    });
}

#[test]
fn checkpoints() {
    let begin = format!(r#"{{"__metadata__":{{"diva-checkpoint":"{:020} {:064} "#, 0, 0);
    let seal = |mut file: Vec<u8>| {
        let length = format!("{:020}", file.len());
        file[44..64].copy_from_slice(length.as_bytes());
        let checksum = sha256_hex(&file);
        file[65..129].copy_from_slice(checksum.as_bytes());
        file
    };
    let mut files: Vec<(&str, Vec<u8>)> = headers()
        .into_iter()
        .map(|(name, header)| (name, seal(joined(&format!(r#"{begin}"}},{header}"#), &[]))))
        .collect();
    files.push(("a long note", seal(joined(&format!(r#"{begin}{}"}}}}"#, "\\n".repeat(MIB / 3)), &[]))));
    assert_bounded("checkpoint", TENSORS, files, |file| {
        drop(Checkpoint::from_bytes(file, Path::new("checkpoint")));
    });
}

#[test]
fn divisions() {
    let head = "file,sha256,domain,class,group,role\n";
    let hash = "00".repeat(32);
    let many = |line: &str| format!("{head}{}", line.repeat(20_000)).into_bytes();
    let files = vec![
        ("lines as short as can be", many(&format!(",{hash},,,,test\n"))),
        ("lines that are none", many("\n")),
        ("one field", format!("{head}\"{}\",{hash},,,,test\n", "\"\"".repeat(1 << 20)).into_bytes()),
        ("a wrong role of a mebibyte", format!("{head},{hash},,,,{}\n", "x".repeat(1 << 20)).into_bytes()),
        ("many fields", format!("{head}{}\n", ",".repeat(1 << 20)).into_bytes()),
    ];
    assert_bounded("division", Bound(32, 64 * KIB), files, |file| {
        drop(Division::parse(std::str::from_utf8(file).unwrap(), Path::new("division.csv")));
    });
}

#[test]
fn metrics_and_results() {
    let line = |domains: &str| {
        format!(
            r#"{{"epoch":1,"beta":1,"loss":1,"reconstruction":1,"kl_d":1,"kl_x":1,"kl_y":1,"ce_d":1,"ce_y":1,"train_accuracy":1,"domain_accuracy":{{{domains}"":1}},"test_accuracy":1,"state_sha256":"","train_seconds":1,"evaluate_seconds":1,"images_per_second":1}}"#
        )
    };
    let limits = vec![r#"{"images":1,"lowest":1,"highest":2}"#; 28_000];
    let domains: String = (0..80_000).map(|i| format!(r#""{i:x}":1,"#)).collect();
    let files = vec![
        ("many lines", (line("") + "\n").repeat(4_000).into_bytes()),
        ("many domains", line(&domains).into_bytes()),
        ("a deep list", "[".repeat(MIB).into_bytes()),
        ("an unknown list", format!(r#"{{"a":[{}0]}}"#, "[],".repeat(MIB / 3)).into_bytes()),
        ("empty lines", b"\n".repeat(MIB)),
        (
            "many limits",
            format!(r#"{{"share":0.1,"taken_from":"","prior_y":[1],"limits":[{}]}}"#, limits.join(","))
                .into_bytes(),
        ),
        (
            "many classes",
            format!(r#"{{"quantile":0.1,"threshold":1,"images":1,"prior_y":[{}1]}}"#, "0,".repeat(MIB / 2))
                .into_bytes(),
        ),
    ];
    assert_bounded("metrics", Bound(24, 16 * KIB), files, |file| {
        let (text, path) = (std::str::from_utf8(file).unwrap(), Path::new("file"));
        drop(metrics::parse_metrics(text, path));
        drop(metrics::parse_result(text, path));
        drop(UnlikeTraining::parse(text, path));
    });
}
