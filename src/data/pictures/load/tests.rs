//! Folders of pictures on a disk that works and on one that does not.

use super::*;
use crate::data::collection::{DomainCounts, UNLABELLED};
use crate::data::image::{encode_grey, encode_rgb};
use crate::data::pictures::{folders, malaria};
use crate::store::scratch::Scratch;
use std::fs;
use std::fs::File;

/// Colour files of all sizes in two domains, three classes' names and one folder without, and a grey JPEG file.
fn example() -> Scratch {
    let scratch = Scratch::new();
    for (i, name) in
        ["a/x/1.png", "a/x/2.png", "a/y/1.png", "a/unlabelled/1.png", "b/x/1.png"].iter().enumerate()
    {
        let (width, height) = (3 + i, 9 - i);
        let pixels: Vec<u8> = (0..width * height * 3).map(|j| (j * (i + 3)) as u8).collect();
        put(&scratch, name, &encode_rgb(width, height, &pixels));
    }
    let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures/turned-7.jpg");
    put(&scratch, "b/z/photo.jpeg", &fs::read(jpeg).unwrap());
    scratch
}

fn put(scratch: &Scratch, name: &str, bytes: &[u8]) {
    let path = scratch.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

const PLAIN: Options<'_> = Options { size: [6, 5], channels: 3, skip_unreadable: false, cache: None };

fn load_folders(root: &Path, options: &Options<'_>) -> Result<Loaded> {
    load(folders::list(root)?, options)
}

/// Each step by itself, file by file.
fn expected_pixels(root: &Path, size: [usize; 2], channels: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for file in folders::list(root).unwrap().files {
        let picture = decode(&fs::read(file.path).unwrap(), channels).unwrap();
        let mut out = vec![0; size[0] * size[1] * channels];
        resize(&picture.pixels, [picture.height, picture.width], channels, size, &mut out);
        all.extend(out);
    }
    all
}

#[test]
fn pictures_become_images_with_labels() {
    let scratch = example();
    for (size, channels) in [([6, 5], 3), ([6, 5], 1), ([16, 16], 3)] {
        let loaded = load_folders(scratch.path(), &Options { size, channels, ..PLAIN }).unwrap();
        let Collection { images, domain_names, class_names, .. } = &loaded.collection;
        assert_eq!([images.height, images.width, images.channels], [size[0], size[1], channels]);
        assert!(images.pixels == expected_pixels(scratch.path(), size, channels));
        assert_eq!(images.domains, [0, 0, 0, 0, 1, 1]);
        assert_eq!(images.classes, [0, 0, 1, UNLABELLED, 0, 2]);
        assert_eq!((domain_names.join(" "), class_names.join(" ")), ("a b".into(), "x y z".into()));
        let counts =
            |of_class: [usize; 3], unlabelled| DomainCounts { of_class: of_class.into(), unlabelled };
        assert_eq!(loaded.collection.counts(), [counts([2, 1, 0], 1), counts([1, 0, 1], 0)]);
        // The photograph lies on its side: 24 x 40, shown 40 x 24.
        assert_eq!(loaded.original_sizes, [[5, 3], [40, 24]]);
        assert!(loaded.unreadable.is_empty() && loaded.notices.is_empty() && !loaded.from_cache);
        for threads in [1, 3] {
            let options = Options { size, channels, ..PLAIN };
            assert_eq!(
                parallel::with_threads(threads, || load_folders(scratch.path(), &options)).unwrap(),
                loaded
            );
        }
    }
}

/// The fault: what killed processes had packed in part stayed for ever.
#[test]
fn caches_that_were_not_finished_are_removed_when_one_is_written() {
    let (scratch, kept) = (example(), Scratch::new());
    let options = Options { cache: Some(kept.path()), ..PLAIN };
    let of_cache = |mark: &str| format!("pictures-0011223344556677-64x64x3.packed.{mark}.part");
    let [dead, older, living] = ["0123456789abcdef", "12-0", "fedcba9876543210"].map(of_cache);
    let others = "notes.0123456789abcdef.part";
    for name in [&dead, &older, &living, others] {
        fs::write(kept.join(name), name).unwrap();
    }
    let open = File::options().write(true).open(kept.join(&living)).unwrap();
    open.lock().unwrap();
    assert!(!load_folders(scratch.path(), &options).unwrap().from_cache);
    let own = cache_name(scratch.path(), [6, 5, 3]);
    let mut left = [own, living, others.into()];
    left.sort();
    assert_eq!(kept.names(), left);
    assert!(load_folders(scratch.path(), &options).unwrap().from_cache);
}

#[test]
fn what_is_packed_is_used_until_a_file_changes() {
    let (scratch, kept) = (example(), Scratch::new());
    let folder = kept.join("made/for it");
    let options = Options { cache: Some(&folder), ..PLAIN };
    let load = |options: &Options<'_>| load_folders(scratch.path(), options).unwrap();
    let fresh = load(&PLAIN);
    let cached = Loaded { from_cache: true, ..fresh.clone() };
    assert_eq!(load(&options), fresh);
    assert_eq!(load(&options), cached);
    // another size has a file of its own
    assert!(!load(&Options { channels: 1, ..options }).from_cache);
    assert!(load(&Options { channels: 1, ..options }).from_cache && load(&options).from_cache);

    // The same length at the same time.
    let path = scratch.join("a/x/2.png");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = encode_rgb(4, 8, &[7; 96]);
    let length = fs::metadata(&path).unwrap().len() as usize;
    bytes.resize(length.max(bytes.len()), 0);
    fs::write(&path, &bytes).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let changed = load(&options);
    assert!(!changed.from_cache && changed.collection.images.image(1) == [7; 90]);
    assert!(changed.collection.images.pixels == load(&PLAIN).collection.images.pixels);
    assert!(load(&options).from_cache);

    // A file more, a file less, another name.
    put(&scratch, "b/x/2.png", &encode_grey(1, 1, &[9]));
    assert_eq!(load(&options).collection.images.len(), 7);
    assert!(load(&options).from_cache);
    fs::remove_file(scratch.join("b/x/2.png")).unwrap();
    assert!(!load(&options).from_cache);
    fs::rename(scratch.join("b/x/1.png"), scratch.join("b/x/0.png")).unwrap();
    assert!(!load(&options).from_cache && load(&options).from_cache);

    // A damaged, a cut and a foreign one.
    let packed = folder.join(cache_name(scratch.path(), [6, 5, 3]));
    let whole = fs::read(&packed).unwrap();
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    for bytes in [&damaged, &whole[..100], b"something else", b""] {
        fs::write(&packed, bytes).unwrap();
        let loaded = load(&options);
        assert!(!loaded.from_cache && loaded.notices.is_empty());
        assert!(fs::read(&packed).unwrap() == whole);
    }
}

/// A PNG file of 16-bit values.
fn deep(color: png::ColorType, values: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, (values.len() / color.samples()) as u32, 1);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_color(color);
    let mut writer = encoder.write_header().unwrap();
    let values: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
    writer.write_image_data(&values).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn sixteen_bits_of_which_little_is_left_are_told_of() {
    let (scratch, kept) = (example(), Scratch::new());
    put(&scratch, "b/x/whole.png", &deep(png::ColorType::Grayscale, &[0, 40_000, 65_535]));
    let options = Options { cache: Some(kept.path()), ..PLAIN };
    assert!(load_folders(scratch.path(), &options).unwrap().notices.is_empty());
    put(&scratch, "b/x/twelve.png", &deep(png::ColorType::Grayscale, &[7, 4095, 300]));
    put(&scratch, "b/x/clear.png", &deep(png::ColorType::Rgba, &[5, 9, 3000, 65_535, 6, 7, 8, 0]));
    put(&scratch, "b/x/broken.png", &deep(png::ColorType::Grayscale, &[3, 2])[..40]);
    let options = Options { skip_unreadable: true, ..options };
    // The second time from the cache.
    for from_cache in [false, true] {
        let loaded = load_folders(scratch.path(), &options).unwrap();
        assert_eq!(loaded.from_cache, from_cache);
        let expected = "16-bit values between 5 and 4095 of 65535 in 2 of 9 pictures: only the upper 8 bits are kept, so they \
                        become levels 0 to 15 of 255, nearly black";
        assert_eq!(loaded.notices, [expected]);
    }
    let (_, range) = read_picture(&scratch.join("b/x/twelve.png"), [6, 5, 3]).unwrap();
    assert_eq!(range, Some([7, 4095]));
}

#[test]
fn unreadable_files_are_named_or_counted() {
    let (scratch, kept) = (example(), Scratch::new());
    put(&scratch, "a/x/0 größe.png", b"");
    put(&scratch, "b/x/broken.png", b"\x89PNG\r\n\x1a\n");
    put(&scratch, "b/z/film.gif", b"GIF89a");
    let name = |name: &str| scratch.join(name).display().to_string();
    let error = load_folders(scratch.path(), &PLAIN).unwrap_err();
    let first = format!("cannot read {}: it is empty, expected a PNG or JPEG file", name("a/x/0 größe.png"));
    assert_eq!(
        (error.to_string(), error.exit_code()),
        (format!("{first}; so it is with 2 more of 9 files"), 2)
    );

    let options = Options { skip_unreadable: true, cache: Some(kept.path()), ..PLAIN };
    let loaded = load_folders(scratch.path(), &options).unwrap();
    assert_eq!(loaded.unreadable.len(), 3);
    assert_eq!(loaded.unreadable[0], first);
    assert!(loaded.unreadable[2].contains("film.gif: it is a GIF file"), "{:?}", loaded.unreadable);
    let clean = load_folders(example().path(), &PLAIN).unwrap();
    assert_eq!((&loaded.collection, loaded.original_sizes), (&clean.collection, clean.original_sizes));
    let again = load_folders(scratch.path(), &options).unwrap();
    assert_eq!(again, Loaded { from_cache: true, ..loaded });
    // What is packed does not make them readable.
    let strict = Options { skip_unreadable: false, ..options };
    assert_eq!(load_folders(scratch.path(), &strict).unwrap_err(), error);

    for file in ["b/x/1.png", "b/z/photo.jpeg"] {
        fs::write(scratch.join(file), b"no").unwrap();
    }
    let collection = load_folders(scratch.path(), &options).unwrap().collection;
    let (domains, classes) = (collection.domain_names.clone(), collection.class_names.clone());
    let message = collection.arranged(&domains, &classes).unwrap_err().to_string();
    assert_eq!(message, "cannot use the domain b: none of its files can be read");
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_named() {
    let (scratch, kept) = (example(), Scratch::new());
    std::os::unix::fs::symlink("loop.png", scratch.join("a/x/loop.png")).unwrap();
    std::os::unix::fs::symlink("nowhere", scratch.join("a/x/nowhere.png")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(scratch.join("a/x/pipe.png")).status();
    let options = Options { skip_unreadable: true, cache: Some(kept.path()), ..PLAIN };
    let loaded = load_folders(scratch.path(), &options).unwrap();
    let named = ["loop.png: ", "nowhere.png: ", "pipe.png: it is a pipe, expected a file"];
    assert_eq!(loaded.unreadable.len(), if pipe.is_ok() { 3 } else { 2 });
    for (sentence, named) in loaded.unreadable.iter().zip(named) {
        assert!(sentence.contains(named), "{sentence}");
    }
    assert!(load_folders(scratch.path(), &options).unwrap().from_cache);
    fs::remove_file(scratch.join("a/x/nowhere.png")).unwrap();
    fs::copy(scratch.join("a/x/1.png"), scratch.join("a/x/nowhere.png")).unwrap();
    let more = load_folders(scratch.path(), &options).unwrap();
    assert_eq!((more.from_cache, more.collection.images.len()), (false, 7));
}

#[test]
fn a_cache_that_cannot_be_written_stops_nothing() {
    let (scratch, kept) = (example(), Scratch::new());
    let file = kept.join("file");
    fs::write(&file, b"kept").unwrap();
    // A folder cannot be made in the place of a file, nor in it.
    for folder in [file.clone(), file.join("inside")] {
        let loaded = load_folders(scratch.path(), &Options { cache: Some(&folder), ..PLAIN }).unwrap();
        let [notice] = &loaded.notices[..] else { panic!("{:?}", loaded.notices) };
        assert!(notice.starts_with("cannot create the folder "), "{notice}");
        assert!(notice.ends_with("; the pictures will be decoded again next time"), "{notice}");
        assert!(loaded.collection == load_folders(scratch.path(), &PLAIN).unwrap().collection);
    }
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    // A folder in the place of the cache stays too.
    fs::create_dir(kept.join(&cache_name(scratch.path(), [6, 5, 3]))).unwrap();
    let loaded = load_folders(scratch.path(), &Options { cache: Some(kept.path()), ..PLAIN }).unwrap();
    assert!(
        loaded.notices.len() == 1 && loaded.notices[0].starts_with("cannot write "),
        "{:?}",
        loaded.notices
    );
}

#[test]
fn images_that_cannot_be_held_are_refused() {
    let scratch = example();
    let error = load_folders(scratch.path(), &Options { size: [usize::MAX >> 8, 1], ..PLAIN }).unwrap_err();
    assert!(error.to_string().starts_with("cannot hold 6 images of "), "{error}");
}

/// Decoding, packing and unpacking of the real cells, grey and 50 x 50, in order.
#[test]
fn the_real_cells_are_loaded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/malaria");
    if !root.is_dir() {
        println!("skipped: there is no ../shared/data/malaria");
        return;
    }
    let kept = Scratch::new();
    let options = Options { size: [64, 64], channels: 3, cache: Some(kept.path()), ..PLAIN };
    let list = || malaria::list(&root, malaria::PUBLISHED_FEWEST).unwrap();
    let start = std::time::Instant::now();
    let first = load(list(), &options).unwrap();
    let (fresh, start) = (start.elapsed(), std::time::Instant::now());
    let second = load(list(), &options).unwrap();
    println!(
        "{} cells: {fresh:.2?} the first time, {:.2?} from the cache",
        first.collection.images.len(),
        start.elapsed()
    );
    assert_eq!(first.collection.images.classes.iter().filter(|&&class| class == 1).count(), 5166);
    assert_eq!((first.collection.images.len(), first.original_sizes), (5854, [[50, 50], [50, 50]]));
    assert!(!first.from_cache && second == Loaded { from_cache: true, ..first });
}
