//! Files made by cjpeg and Pillow (`scripts/pillow_pictures.py jpeg`), and what Pillow 12.0.0 reads from them.

use super::super::decode::{Picture, decode};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// The SHA-256 of the colours of each file. Names say sampling factors, columns first.
const FILES: [(&str, &str); 32] = [
    ("2x1", "ccb595133efa349291e003a516c54e549a524b07e54ecced85b62d8ed5c0483a"),
    ("1x2", "bd4e5df26e083faa7e20cbff2082df9811f8cf8eb0a8498aecf71973876ba0c4"),
    ("2x2", "021416fea7d4048e5dcec164d4c5b93b20f87f8d7b059001e0ff04ce4c6619d5"),
    ("4x1", "621f2608a1418f180ca07bc5a27589da287b59ed621b8d69f2fbeff2672fa092"),
    ("1x4", "7ff29f75fcfce00dd44ee50820cfe92fc83fbde69e883ed51152c1b5cf9b5d27"),
    ("4x2", "b2a042f1ded4553b414e46fd23a8ef3690ba1aebe2ca6df72281522e66e6f19e"),
    ("3x1", "249bdea34b07aaf5fa03a8a0fa9e900b451b5b390931e4c0c744a43a8e50650b"),
    ("1x2+2x1+1x1", "e8981ecc32a263f605909672314d377e4878c0398457a2debd9a3b00c456bc05"),
    ("4x1+2x1+1x1", "7439686ae023b992b5089fa8982ed4b579525d3e70209fbf6e40b9300b4f94f5"),
    ("1x1+2x2+2x2", "2ab537ead9f12b90a99d36718f9a5e49605ba9dc49f1d795a89cb89cfd62d130"),
    ("2x2+1x2+2x1", "33b97b097f0f3060a602257853eccc90ba8be86e62ce1b554a4e396f5bc3730c"),
    ("2x2-separate", "021416fea7d4048e5dcec164d4c5b93b20f87f8d7b059001e0ff04ce4c6619d5"),
    ("2x2-pair", "021416fea7d4048e5dcec164d4c5b93b20f87f8d7b059001e0ff04ce4c6619d5"),
    ("2x2-separate-restarts", "021416fea7d4048e5dcec164d4c5b93b20f87f8d7b059001e0ff04ce4c6619d5"),
    ("4x2+2x1+1x2-separate", "54ba5b5c63b2fa3e5fe1364eb256141150c5477332e6d883cd8b4cc681330d3b"),
    ("1x1+2x2+2x2-separate", "2ab537ead9f12b90a99d36718f9a5e49605ba9dc49f1d795a89cb89cfd62d130"),
    ("2x2-restarts", "021416fea7d4048e5dcec164d4c5b93b20f87f8d7b059001e0ff04ce4c6619d5"),
    ("4x1-progressive", "621f2608a1418f180ca07bc5a27589da287b59ed621b8d69f2fbeff2672fa092"),
    ("2x2-progressive-restarts", "021416fea7d4048e5dcec164d4c5b93b20f87f8d7b059001e0ff04ce4c6619d5"),
    ("2x2+1x2+2x1-odd", "33b97b097f0f3060a602257853eccc90ba8be86e62ce1b554a4e396f5bc3730c"),
    ("grey-2x2", "b1f05eff7e682e26ddfc841d2eb7fa847d0c4ead6fd06faf028bb13689ea2ae7"),
    ("narrow-2x2", "9e061526a79ab15ec7c8cfc118a8e1dc6ca5dade7759e24240d3210a8da980c4"),
    ("thin-2x1", "03f9e932f06ff2d973d29547a955848b352730cc8e2ff67cee293b982ae25695"),
    ("cmyk-2x2-progressive", "8795d8fbe828d6d4320568631e4d40cf243bb787824ba83e40da2570c5fe449e"),
    ("luma-unsaid", "e36520121d053a788055a804e3708b89857f1eb9758e1fc59182a47f312a493b"),
    ("luma-jfif-adobe-0", "e36520121d053a788055a804e3708b89857f1eb9758e1fc59182a47f312a493b"),
    ("luma-adobe-1", "e36520121d053a788055a804e3708b89857f1eb9758e1fc59182a47f312a493b"),
    ("rgb-adobe-0", "8955e9c7e165e4e2cb7d0bfb1934e2b84967ff98ad79591348c9d33d99d9f609"),
    ("rgb-letters", "8955e9c7e165e4e2cb7d0bfb1934e2b84967ff98ad79591348c9d33d99d9f609"),
    ("luma-letters-jfif", "e36520121d053a788055a804e3708b89857f1eb9758e1fc59182a47f312a493b"),
    // from elsewhere: restart markers in separate scans, and colours finer than the brightness
    ("100x75_s2x2_nirst", "b257882a41d82a45b42d5f230de53b0f3f977e40e9bc1bf76ebb08185ea0e96d"),
    ("100x75_s1x1+2x2+2x2_base", "0ec17d24433d7094d18f874397221cca556fce0dd4462331e0ca92dc865f0ba0"),
];

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/jpeg/{name}.jpg"))).unwrap()
}

/// The file, and where its first scan begins.
fn parts(name: &str) -> (Vec<u8>, usize) {
    let bytes = file(name);
    let scan = find(&bytes, &[0xff, 0xda]);
    assert!(bytes.ends_with(&[0xff, 0xd9]), "{name}");
    (bytes, scan)
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap()
}

const CUT_SHORT: &str = "it is cut short, expected a complete JPEG file";

fn refused(bytes: &[u8]) -> String {
    decode(bytes, 3).expect_err("it should be refused")
}

#[test]
fn every_kind_gives_the_pixels_of_pillow() {
    let wrong: Vec<&str> = FILES
        .into_iter()
        .filter(|(name, expected)| {
            let pixels = decode(&file(name), 3).unwrap_or_else(|what| panic!("{name}: {what}")).pixels;
            let found: String = Sha256::digest(&pixels).iter().map(|byte| format!("{byte:02x}")).collect();
            found != *expected
        })
        .map(|(name, _)| name)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// However a file is cut, with an end marker or without: its own pixels, or none.
#[test]
fn what_is_cut_short_is_refused() {
    for name in ["2x2", "2x2-separate", "grey-2x2", "2x2+1x2+2x1-odd", "cmyk-2x2-progressive", "2x2-restarts"]
    {
        let bytes = parts(name).0;
        let whole = decode(&bytes, 3).unwrap();
        for length in 3..bytes.len() {
            let cut = &bytes[..length];
            let closed = [cut, &[0xff, 0xd9]].concat();
            if length >= bytes.len() - 2 {
                // all pixels are there
                assert!(decode(cut, 3).as_ref() == Ok(&whole), "{name}, {length} bytes");
                assert!(decode(&closed, 3).as_ref() == Ok(&whole), "{name}, {length} bytes, closed");
            } else {
                assert_eq!(refused(cut), CUT_SHORT, "{name}, {length} bytes");
                let what = refused(&closed);
                let in_a_header = what.contains("that is damaged");
                assert!(what == CUT_SHORT || in_a_header, "{name}, {length} bytes, closed: {what}");
            }
        }
    }
    for name in ["trunc_mid_eoi", "rst_missing_interval"] {
        assert_eq!(refused(&file(name)), CUT_SHORT, "{name}");
    }
}

#[test]
fn a_missing_restart_interval_is_noticed() {
    for name in ["2x2-restarts", "2x2-separate-restarts", "2x2-progressive-restarts"] {
        let (bytes, scan) = parts(name);
        let is_restart = |&at: &usize| bytes[at] == 0xff && (0xd0..0xd8).contains(&bytes[at + 1]);
        let restarts: Vec<usize> = (scan..bytes.len() - 1).filter(is_restart).collect();
        assert!(restarts.len() >= 4, "{name}: {restarts:?}");
        for two in restarts.windows(2).filter(|two| !bytes[two[0]..two[1]].contains(&0xda)) {
            let without = [&bytes[..two[0]], &bytes[two[1]..]].concat();
            assert_eq!(refused(&without), CUT_SHORT, "{name}, {two:?}");
        }
    }
}

#[test]
fn what_stands_beside_the_pixels_does_no_harm() {
    for name in ["2x2", "2x2-separate", "2x2+1x2+2x1-odd"] {
        let (bytes, scan) = parts(name);
        let whole = decode(&bytes, 3);
        let (open, end) = bytes.split_at(bytes.len() - 2);
        let thumbnail = file("narrow-2x2");
        let app = |data: &[u8]| [&[0xff, 0xe1], &(data.len() as u16 + 2).to_be_bytes()[..], data].concat();
        let with = |segment: &[u8]| [&bytes[..2], segment, &bytes[2..]].concat();
        let film: Vec<u8> = (0..4000).map(|i: u32| ((i * i) >> 3) as u8).collect();
        let files = [
            ("zeros behind it", [&bytes[..], &[0; 3000]].concat()),
            ("a film behind it", [&bytes, &film[..]].concat()),
            ("another picture behind it", [&bytes[..], &thumbnail].concat()),
            ("another picture, no end", [open, &thumbnail].concat()),
            ("zeros and no end", [open, &[0; 3000]].concat()),
            ("zeros in front of the end", [open, &[0; 3], end].concat()),
            ("a restart marker in front of the end", [open, &[0xff, 0xd3], end].concat()),
            (
                "filled markers",
                [&bytes[..2], &[0xff; 5], &bytes[2..scan], &[0xff; 3], &bytes[scan..]].concat(),
            ),
            ("a filled end", [open, &[0xff; 4], end].concat()),
            ("rubbish in front of a marker", [&bytes[..20], &[1, 0xff, 0, 7], &bytes[20..]].concat()),
            ("a thumbnail", with(&app(&thumbnail))),
            ("a table of several pictures", with(b"\xff\xe2\0\x0eMPF\0II*\0\x08\0\0\0")),
            ("a comment of markers", with(&[0xff, 0xfe, 0, 8, 0xff, 0xd9, 0xff, 0xda, 0xff, 0xc2])),
        ];
        for (what, file) in files {
            assert!(decode(&file, 3) == whole, "{name}, {what}");
        }
        // But pixels for which there is no place are those of another picture.
        let mut lower = bytes.clone();
        let frame = lower.windows(2).position(|two| matches!(two, [0xff, 0xc0 | 0xc2])).unwrap();
        lower[frame + 6] -= 16;
        assert_eq!(
            refused(&lower),
            "it is a JPEG file that is damaged (more pixels than its size)",
            "{name}"
        );
    }
}

#[test]
fn other_kinds_are_refused_by_name() {
    let (bytes, scan) = parts("2x2");
    let frame = find(&bytes, &[0xff, 0xc0]);
    let kind =
        |what: &str| format!("it is a JPEG file {what}, expected a baseline or progressive one of 8 bits");
    let damaged = |what: &str| format!("it is a JPEG file that is damaged ({what})");
    let with = |changes: &[(usize, u8)]| {
        let mut bytes = bytes.clone();
        changes.iter().for_each(|&(place, value)| bytes[place] = value);
        bytes
    };
    let marker = |marker: u8| with(&[(frame + 1, marker)]);
    let cut = |from: usize, to: usize| [&bytes[..from], &bytes[to..]].concat();
    let codes = find(&bytes, &[0xff, 0xc4]);
    let steps = find(&bytes, &[0xff, 0xdb]);
    let separate = file("2x2-separate");
    let last = separate.windows(2).rposition(|two| two == [0xff, 0xda]).unwrap();
    let progressive = file("2x2+1x2+2x1-odd");
    let last_bits = progressive.windows(2).rposition(|two| two == [0xff, 0xda]).unwrap();
    let cases = [
        (marker(0xc3), kind("coded without loss")),
        (marker(0xc9), kind("with arithmetic coding")),
        (marker(0xca), kind("with arithmetic coding")),
        (marker(0xcb), kind("coded without loss, with arithmetic coding")),
        (marker(0xc5), kind("of several frames (hierarchical)")),
        (marker(0xcf), kind("of several frames (hierarchical)")),
        (marker(0xde), kind("of several frames (hierarchical)")),
        (with(&[(frame + 4, 12)]), kind("of 12-bit values")),
        (with(&[(frame + 5, 0), (frame + 6, 0)]), kind("whose height stands behind its pixels (DNL)")),
        (with(&[(frame + 9, 2)]), kind("of 2 components")),
        (
            with(&[(frame + 11, 0x31), (frame + 14, 0x21)]),
            kind("with a component sampled 2 x 1 times where another is 3 x 1 times"),
        ),
        (cut(codes, scan), kind("without its Huffman codes, as in films")),
        (with(&[(frame + 7, 0), (frame + 8, 0)]), damaged("a width of 0")),
        (with(&[(frame + 11, 0x52)]), damaged("a sampling factor that is not 1 to 4")),
        (cut(steps, frame), damaged("no table of quantisation")),
        (cut(frame, codes), damaged("pixels without a size")),
        ([&bytes[..codes], &bytes[frame..]].concat(), damaged("a second size")),
        ([&bytes[..2], &bytes[..]].concat(), damaged("a second beginning")),
        // All scans but the last; and behind them one of what was there.
        ([&separate[..last], &[0xff, 0xd9]].concat(), CUT_SHORT.to_owned()),
        ([&progressive[..last_bits], &[0xff, 0xd9]].concat(), CUT_SHORT.to_owned()),
        ([&separate[..last], &bytes[scan..]].concat(), damaged("scans in an order that cannot be")),
    ];
    for (place, (bytes, expected)) in cases.iter().enumerate() {
        assert_eq!(refused(bytes), *expected, "case {place}");
    }
}

/// As `ImageOps.exif_transpose` of Pillow 12.0.0, which joins what several segments of EXIF data hold.
#[test]
fn orientation_is_found_in_the_segments_in_front_of_the_pixels() {
    let tiff = |number: u8| {
        [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[number, 0, 0, 0][..], &[0; 4]].concat()
    };
    let without = b"II*\0\x08\0\0\0\0\0\0\0\0\0";
    let app = |begin: &[u8], data: &[u8]| {
        let length = (begin.len() + data.len() + 2) as u16;
        [&[0xff, 0xe1], &length.to_be_bytes()[..], begin, data].concat()
    };
    let exif = |data: &[u8]| app(b"Exif\0\0", data);
    let xmp = |data: &[u8]| app(b"http://ns.adobe.com/xap/1.0/\0", data);
    let note = b"<rdf:Description tiff:Orientation=\"6\"/>";
    let bytes = file("2x2");
    let with = |place: usize, segments: &[u8]| {
        decode(&[&bytes[..place], segments, &bytes[place..]].concat(), 3)
            .map(|Picture { height, width, .. }| [height, width])
    };
    let (upright, turned) = (Ok([27, 37]), Ok([37, 27]));
    assert_eq!(with(2, &exif(&tiff(6))), turned);
    assert_eq!(with(20, &exif(&tiff(6))), turned, "behind JFIF");
    assert_eq!(with(2, &[xmp(b"<x/>"), exif(&tiff(6))].concat()), turned);
    assert_eq!(with(2, &[exif(without), exif(&tiff(6))].concat()), upright);
    for cut in [0, 4, 8, 12, 20, 22] {
        let (first, second) = (&tiff(6)[..cut], &tiff(6)[cut..]);
        assert_eq!(with(2, &[exif(first), exif(second)].concat()), turned, "cut at {cut}");
    }
    assert_eq!(with(2, &xmp(note)), turned);
    assert_eq!(with(2, &[xmp(note), exif(&tiff(1))].concat()), upright);
    assert_eq!(with(bytes.len() - 2, &exif(&tiff(6))), upright, "behind the pixels");
}

proptest! {
    #[test]
    fn damaged_files_never_panic(
        which in 0..FILES.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let mut bytes = file(FILES[which].0);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(picture) = decode(&bytes, 3) {
            prop_assert_eq!(picture.pixels.len(), picture.height * picture.width * 3);
        }
    }
}
