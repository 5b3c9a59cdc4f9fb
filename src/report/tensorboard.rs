//! Event files for TensorBoard: the numbers of every epoch and the pictures of a finished run.
//!
//! An event file is a sequence of records (TFRecord); each holds an event, in the encoding of protocol buffers:
//!
//! ```text
//! record   length (u64), its checksum (u32), the event, its checksum (u32)       little-endian, masked CRC-32C
//! Event    wall_time = 1 (f64), step = 2 (varint), file_version = 3 (string), summary = 5 (Summary)
//! Summary  value = 1 (Value, repeated)
//! Value    tag = 1 (string), simple_value = 2 (f32), image = 4 (Image)
//! Image    height = 1, width = 2, colorspace = 3 (varints), encoded_image_string = 4 (bytes: a PNG file)
//! ```
//!
//! That is all that is used of both formats, so it is written here and not by a package. A step is an epoch. The file
//! repeats `metrics.jsonl` and nothing depends on it: when a run goes on, it is written anew from the lines that are
//! left there, so no epoch is ever in it twice. The times of the events are the only ones of a clock in a run's
//! folder; those of earlier epochs are counted back from now by the seconds that the epochs took.

use crate::data::pictures::LONGEST_FILE;
use crate::error::{Error, Result};
use crate::store::run_folder::RunFolder;
use crate::store::{durable, input};
use crate::train::metrics::{EpochMetrics, is_of_a_clock, read_metrics};
use serde_json::Value as Json;
use std::fs;
use std::path::PathBuf;

/// The file's name. TensorBoard looks for "tfevents" in it; other programs put the time and the machine behind that.
pub const FILE: &str = "events.out.tfevents.diva";

/// The event file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFile {
    path: PathBuf,
}

impl EventFile {
    /// Writes the file of a run that begins or goes on: with the epochs that its `metrics.jsonl` holds and no pictures.
    /// `now` is the time in seconds since 1970.
    ///
    /// # Errors
    /// If the metrics are damaged, or the file cannot be written.
    pub fn begin(folder: &RunFolder, now: f64) -> Result<Self> {
        let epochs = if folder.metrics().exists() { read_metrics(&folder.metrics())? } else { vec![] };
        let seconds = |epoch: &EpochMetrics| epoch.train_seconds + epoch.evaluate_seconds;
        let mut time = now - epochs.iter().map(seconds).sum::<f64>();
        let mut bytes = record(&Event { wall_time: time, step: 0, content: Content::FileVersion });
        for epoch in &epochs {
            time += seconds(epoch);
            bytes.extend(record(&of_epoch(epoch, time)));
        }
        let path = folder.path().join(FILE);
        durable::write_own(&path, &bytes)?;
        Ok(EventFile { path })
    }

    /// Adds the numbers of an epoch that ended at `now`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn epoch(&self, metrics: &EpochMetrics, now: f64) -> Result<()> {
        durable::append(&self.path, &record(&of_epoch(metrics, now)))
    }

    /// Adds the pictures (`*.png`) that are in the run's folder after `epochs` epochs, in the order of their names. A file
    /// of that name that is no PNG file is left out.
    ///
    /// # Errors
    /// If the folder or a picture cannot be read, or the file cannot be written.
    pub fn pictures(&self, folder: &RunFolder, epochs: usize, now: f64) -> Result<()> {
        let entries = fs::read_dir(folder.path()).map_err(|cause| Error::reading(folder.path(), &cause))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|cause| Error::reading(folder.path(), &cause))?.path();
            if path.is_file() && path.extension().is_some_and(|ending| ending == "png") {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            let png = input::bytes(&path, LONGEST_FILE)?;
            let Some([height, width, colour_space]) = measures(&png) else { continue };
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let picture = Value {
                tag: format!("pictures/{name}"),
                content: ValueContent::Picture { height, width, colour_space, png: &png },
            };
            let event =
                Event { wall_time: now, step: epochs as u64, content: Content::Summary(vec![picture]) };
            durable::append(&self.path, &record(&event))?;
        }
        Ok(())
    }
}

/// All numbers of an epoch: `loss/kl_d`, `accuracy/domain_15`, ...
fn of_epoch(metrics: &EpochMetrics, wall_time: f64) -> Event<'static> {
    let fields = serde_json::to_value(metrics).expect("metrics are plain data");
    let mut values = Vec::new();
    for (name, field) in fields.as_object().expect("a structure") {
        let mut push = |tag: String, number: &Json| {
            if let Some(number) = number.as_f64() {
                values.push(Value { tag, content: ValueContent::Number(number as f32) });
            }
        };
        match (name.as_str(), field) {
            ("epoch", _) => {}
            (_, Json::Object(domains)) => {
                domains.iter().for_each(|(domain, share)| push(format!("accuracy/domain_{domain}"), share));
            }
            (name, number) => push(format!("{}/{}", group(name), name.trim_end_matches("_accuracy")), number),
        }
    }
    Event { wall_time, step: metrics.epoch as u64, content: Content::Summary(values) }
}

/// Which plots stand together.
fn group(field: &str) -> &'static str {
    match field {
        "beta" | "unlabelled_share" => "schedule",
        _ if field.ends_with("_accuracy") => "accuracy",
        _ if is_of_a_clock(field) => "time",
        _ => "loss",
    }
}

/// Height, width and TensorBoard's colour space (1 grey, 2 with alpha, 3 RGB, 4 RGBA) of a PNG file, from its first chunk.
fn measures(png: &[u8]) -> Option<[u64; 3]> {
    let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(4..)?.strip_prefix(b"IHDR")?;
    let (width, rest) = header.split_first_chunk()?;
    let (height, rest) = rest.split_first_chunk()?;
    let colour_space = match rest.get(1)? {
        0 => 1,
        4 => 2,
        6 => 4,
        _ => 3, // a palette holds colours
    };
    Some([u32::from_be_bytes(*height).into(), u32::from_be_bytes(*width).into(), colour_space])
}

struct Event<'a> {
    wall_time: f64,
    step: u64,
    content: Content<'a>,
}

enum Content<'a> {
    /// What a file begins with.
    FileVersion,
    Summary(Vec<Value<'a>>),
}

struct Value<'a> {
    tag: String,
    content: ValueContent<'a>,
}

enum ValueContent<'a> {
    Number(f32),
    Picture { height: u64, width: u64, colour_space: u64, png: &'a [u8] },
}

/// A protocol-buffer message in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Seven bits a byte, the lowest first; all bytes but the last have their highest bit set.
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint((field << 3) | wire_type);
    }

    fn integer(&mut self, field: u64, number: u64) {
        self.key(field, 0);
        self.varint(number);
    }

    fn double(&mut self, field: u64, number: f64) {
        self.key(field, 1);
        self.0.extend(number.to_le_bytes());
    }

    fn float(&mut self, field: u64, number: f32) {
        self.key(field, 5);
        self.0.extend(number.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }
}

fn encode(event: &Event<'_>) -> Vec<u8> {
    let mut message = Message::default();
    message.double(1, event.wall_time);
    if event.step != 0 {
        message.integer(2, event.step);
    }
    match &event.content {
        Content::FileVersion => message.bytes(3, b"brain.Event:2"),
        Content::Summary(values) => {
            let mut summary = Message::default();
            values.iter().for_each(|value| summary.bytes(1, &encode_value(value)));
            message.bytes(5, &summary.0);
        }
    }
    message.0
}

fn encode_value(value: &Value<'_>) -> Vec<u8> {
    let mut message = Message::default();
    message.bytes(1, value.tag.as_bytes());
    match value.content {
        ValueContent::Number(number) => message.float(2, number),
        ValueContent::Picture { height, width, colour_space, png } => {
            let mut image = Message::default();
            image.integer(1, height);
            image.integer(2, width);
            image.integer(3, colour_space);
            image.bytes(4, png);
            message.bytes(4, &image.0);
        }
    }
    message.0
}

/// The event with its length and checksums.
fn record(event: &Event<'_>) -> Vec<u8> {
    let content = encode(event);
    let length = (content.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(content.len() + 16);
    record.extend(length);
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(&content);
    record.extend(masked(crc32c(&content)).to_le_bytes());
    record
}

/// A checksum of data that hold checksums is weak; TFRecord turns and shifts it.
fn masked(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The checksum of each byte alone.
const CRC_OF_BYTES: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut checksum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            // The polynomial of Castagnoli, its bits reversed.
            checksum = (checksum >> 1) ^ ((checksum & 1) * 0x82f6_3b78);
            bit += 1;
        }
        table[byte] = checksum;
        byte += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0, |checksum, &byte| CRC_OF_BYTES[usize::from(checksum as u8 ^ byte)] ^ (checksum >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Picture;
    use crate::store::scratch::Scratch;
    use std::collections::BTreeMap;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 3720, appendix B.4, and the value that the catalogue of checksums gives for "123456789".
    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&std::array::from_fn::<u8, 32, _>(|i| i as u8)), 0x46dd_794e);
        assert_eq!(crc32c(&[]), 0);
    }

    /// Printed by scripts/tensorboard_reference.py, which lets TensorBoard write.
    #[test]
    fn records_are_those_of_tensorboard() {
        let number = |tag: &str, number| Value { tag: tag.into(), content: ValueContent::Number(number) };
        let begin = Event { wall_time: 1_763_856_000.25, step: 0, content: Content::FileVersion };
        let numbers = vec![number("loss/loss", 1_234.567_8), number("accuracy/domain_15", 0.0)];
        let numbers = Event { wall_time: 1_763_856_012.5, step: 300, content: Content::Summary(numbers) };
        let content =
            ValueContent::Picture { height: 2, width: 300, colour_space: 3, png: b"not really a PNG" };
        let picture = vec![Value { tag: "p".into(), content }];
        let picture = Event { wall_time: 1_763_856_013.0, step: 1, content: Content::Summary(picture) };
        assert_eq!(
            [begin, numbers, picture].map(|event| hex(&record(&event))),
            [
                "1800000000000000a37f4b2209000010a09348da411a0d627261696e2e4576656e743a3230240611",
                "3b000000000000001a23ac5c09000020a39348da4110ac022a2d0a100a096c6f73732f6c6f7373152b529a440a190a1261\
                 636375726163792f646f6d61696e5f313515000000007e0c26db",
                "2d000000000000003c418afb09000040a39348da4110012a200a1e0a01702219080210ac02180322106e6f74207265616c\
                 6c79206120504e47913bcf7e",
            ]
        );
    }

    fn metrics(epoch: usize) -> EpochMetrics {
        EpochMetrics {
            epoch,
            beta: 0.25,
            loss: 100.0 / epoch as f64,
            reconstruction: Some(90.0),
            kl: None,
            kl_d: Some(3.0),
            kl_x: None,
            kl_y: Some(4.0),
            ce_d: Some(0.5),
            ce_y: 0.125,
            entropy_y: None,
            unlabelled_share: Some(0.75),
            train_accuracy: 0.875,
            domain_accuracy: BTreeMap::from([("0".into(), 0.75), ("15".into(), 1.0)]),
            test_accuracy: 0.5,
            validation_accuracy: None,
            disjoint_test_accuracy: Some(0.375),
            state_sha256: "00".into(),
            train_seconds: 8.0,
            evaluate_seconds: 2.0,
            images_per_second: 625.0,
            line_sha256: None,
        }
    }

    #[test]
    fn every_number_of_an_epoch_has_a_tag() {
        let event = of_epoch(&metrics(4), 5.0);
        assert_eq!((event.wall_time, event.step), (5.0, 4));
        let Content::Summary(values) = event.content else { panic!("a summary") };
        let numbers: BTreeMap<&str, f32> = values
            .iter()
            .map(|value| match value.content {
                ValueContent::Number(number) => (value.tag.as_str(), number),
                ValueContent::Picture { .. } => panic!("a picture"),
            })
            .collect();
        let expected = [
            ("accuracy/disjoint_test", 0.375),
            ("accuracy/domain_0", 0.75),
            ("accuracy/domain_15", 1.0),
            ("accuracy/test", 0.5),
            ("accuracy/train", 0.875),
            ("loss/ce_d", 0.5),
            ("loss/ce_y", 0.125),
            ("loss/kl_d", 3.0),
            ("loss/kl_y", 4.0),
            ("loss/loss", 25.0),
            ("loss/reconstruction", 90.0),
            ("schedule/beta", 0.25),
            ("schedule/unlabelled_share", 0.75),
            ("time/evaluate_seconds", 2.0),
            ("time/images_per_second", 625.0),
            ("time/train_seconds", 8.0),
        ];
        assert_eq!(numbers, BTreeMap::from(expected));
        assert_eq!(values.len(), expected.len());
    }

    fn append_metrics(folder: &RunFolder, metrics: &EpochMetrics) {
        durable::append_line(&folder.metrics(), &serde_json::to_string(metrics).unwrap()).unwrap();
    }

    /// Times of the events of epochs 1, 2, ...
    fn expected(times: &[f64]) -> Vec<u8> {
        let mut bytes = record(&Event { wall_time: times[0], step: 0, content: Content::FileVersion });
        for (&time, epoch) in times[1..].iter().zip(1..) {
            bytes.extend(record(&of_epoch(&metrics(epoch), time)));
        }
        bytes
    }

    #[test]
    fn a_run_that_goes_on_has_every_epoch_once() {
        let scratch = Scratch::new();
        let folder = RunFolder::new(scratch.path());
        let read = || fs::read(scratch.join(FILE)).unwrap();
        let file = EventFile::begin(&folder, 1000.0).unwrap();
        assert_eq!(read(), expected(&[1000.0]));
        for (epoch, now) in [(1, 1010.0), (2, 1020.5)] {
            append_metrics(&folder, &metrics(epoch));
            file.epoch(&metrics(epoch), now).unwrap();
        }
        assert_eq!(read(), expected(&[1000.0, 1010.0, 1020.5]));
        let png = Picture::new(2, 3, 1, vec![0; 6]).to_png();
        durable::write(&scratch.join("b.png"), &png).unwrap();
        file.pictures(&folder, 2, 1021.0).unwrap();
        assert!(read().len() > expected(&[0.0; 3]).len() + png.len());

        // Two epochs of ten seconds lie behind; the picture will be drawn anew.
        let file = EventFile::begin(&folder, 5000.0).unwrap();
        assert_eq!(read(), expected(&[4980.0, 4990.0, 5000.0]));
        file.epoch(&metrics(3), 5011.0).unwrap();
        assert_eq!(read(), expected(&[4980.0, 4990.0, 5000.0, 5011.0]));
    }

    #[test]
    fn pictures_are_found_by_name_and_measured() {
        let scratch = Scratch::new();
        let folder = RunFolder::new(scratch.path());
        let file = EventFile::begin(&folder, 1.0).unwrap();
        let grey = Picture::new(2, 3, 1, vec![7; 6]).to_png();
        let colour = Picture::new(300, 1, 3, vec![9; 900]).to_png();
        assert_eq!(measures(&grey), Some([2, 3, 1]));
        assert_eq!(measures(&colour), Some([300, 1, 3]));
        for cut in 0..26 {
            assert_eq!(measures(&grey[..cut]), None, "{cut} bytes");
        }
        for (name, bytes) in
            [("z.png", &grey[..]), ("a.png", &colour), ("torn.png", b"PNG"), ("a.txt", &grey)]
        {
            fs::write(scratch.join(name), bytes).unwrap();
        }
        file.pictures(&folder, 9, 2.0).unwrap();
        let picture = |tag: &str, [height, width, colour_space]: [u64; 3], png| {
            let content = ValueContent::Picture { height, width, colour_space, png };
            let values = vec![Value { tag: tag.into(), content }];
            record(&Event { wall_time: 2.0, step: 9, content: Content::Summary(values) })
        };
        let expected = [
            expected(&[1.0]),
            picture("pictures/a", [300, 1, 3], &colour),
            picture("pictures/z", [2, 3, 1], &grey),
        ];
        assert_eq!(fs::read(scratch.join(FILE)).unwrap(), expected.concat());
    }

    #[test]
    fn damaged_metrics_and_a_missing_folder_are_errors() {
        let scratch = Scratch::new();
        fs::write(scratch.join("metrics.jsonl"), "{}\n").unwrap();
        let message = EventFile::begin(&RunFolder::new(scratch.path()), 0.0).unwrap_err().to_string();
        assert!(message.contains("metrics.jsonl: line 1 is not the metrics of an epoch"), "{message}");
        let missing = RunFolder::new(scratch.join("missing"));
        assert!(matches!(EventFile::begin(&missing, 0.0), Err(Error::Work(_))));
    }
}
