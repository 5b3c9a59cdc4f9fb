//! Files of data: MNIST files plain and gzipped, lists of indices, pictures of digits and of anything else.

use diva::data::idx::{CLASSES, PIXELS, SIDE};
use diva::data::pictures::decode::{MOST_PIXELS, Picture, decode};
use diva::data::pictures::resize::resize;
use diva::data::{image, subset};
use std::io::Cursor;
use std::path::Path;

/// Two bytes, the length of the images' file, little endian; that file; the labels' file.
pub fn idx(bytes: &[u8]) -> bool {
    let Some((length, files)) = bytes.split_first_chunk::<2>() else { return false };
    let (images, labels) = files.split_at(usize::from(u16::from_le_bytes(*length)).min(files.len()));
    let Ok(digits) = diva::data::idx::read_pair(("images", images), ("labels", labels)) else { return false };
    assert!(!digits.is_empty(), "no digits were accepted");
    assert_eq!(digits.images.len(), digits.len() * PIXELS);
    assert!(digits.labels.iter().all(|&label| usize::from(label) < CLASSES));
    let [rows, columns] = [SIDE as u32; 2];
    let header = |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|n| n.to_be_bytes()).collect() };
    let count = u32::try_from(digits.len()).expect("a header counts them");
    let images = [header(&[2051, count, rows, columns]), digits.images.clone()].concat();
    let labels = [header(&[2049, count]), digits.labels.clone()].concat();
    let again = diva::data::idx::read_pair(("images", &images[..]), ("labels", &labels[..]));
    assert_eq!(again.as_ref(), Ok(&digits));
    true
}

/// A byte that is odd for a file named .npy; two bytes, the number of digits there are, little endian; the file.
pub fn indices(bytes: &[u8]) -> bool {
    let Some(([named, low, high], file)) = bytes.split_first_chunk::<3>() else { return false };
    let name = if named % 2 == 1 { "subset.npy" } else { "subset.txt" };
    let available = usize::from(u16::from_le_bytes([*low, *high]));
    let Ok(chosen) = subset::parse_indices(file, Path::new(name), available) else { return false };
    assert!(!chosen.is_empty() && chosen.iter().all(|&index| index < available));
    let mut once = chosen.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), chosen.len(), "an index was accepted twice");

    let text: Vec<String> = chosen.iter().map(ToString::to_string).collect();
    let header = format!("{{'descr': '<i8', 'fortran_order': False, 'shape': ({},), }}\n", chosen.len());
    let mut array = b"\x93NUMPY\x01\x00".to_vec();
    array.extend((header.len() as u16).to_le_bytes());
    array.extend(header.as_bytes());
    array.extend(chosen.iter().flat_map(|&index| (index as i64).to_le_bytes()));
    for (name, bytes) in [("again.txt", text.join("\n").into_bytes()), ("again.npy", array)] {
        assert_eq!(subset::parse_indices(&bytes, Path::new(name), available).as_ref(), Ok(&chosen));
    }
    true
}

/// A picture as `diva predict` reads it.
pub fn png(bytes: &[u8]) -> bool {
    let Ok(grey) = image::decode_grey(Cursor::new(bytes), SIDE, SIDE) else { return false };
    assert_eq!(grey.pixels.len(), PIXELS);
    assert!(grey.range.is_none_or(|[low, high]| low <= high), "{:?}", grey.range);
    let again = image::encode_grey(SIDE, SIDE, &grey.pixels);
    let expected = image::Grey { range: None, ..grey };
    assert_eq!(image::decode_grey(Cursor::new(again), SIDE, SIDE).as_ref(), Ok(&expected));
    true
}

/// A picture of any kind and size, as training reads it.
pub fn picture(bytes: &[u8]) -> bool {
    let decoded = [1, 3].map(|channels| decode(bytes, channels));
    let [Ok(grey), Ok(colour)] = decoded else {
        assert!(decoded.iter().all(Result::is_err), "it was accepted as grey or as colour alone");
        return false;
    };
    let size = [grey.height, grey.width];
    assert_eq!(size, [colour.height, colour.width]);
    assert!(size[0] * size[1] <= MOST_PIXELS && size[0] * size[1] > 0, "{size:?}");
    for (picture, channels) in [(&grey, 1), (&colour, 3)] {
        assert_eq!(picture.pixels.len(), size[0] * size[1] * channels);
        let mut small = vec![0; 16 * 16 * channels];
        resize(&picture.pixels, size, channels, [16, 16], &mut small);
        let [low, high] =
            [picture.pixels.iter().min(), picture.pixels.iter().max()].map(|value| *value.expect("a pixel"));
        assert!(
            small.iter().all(|value| (low..=high).contains(value)),
            "a mean beyond what it is the mean of"
        );
    }
    // Large pictures take long to write.
    if size[0] * size[1] < 1 << 16 {
        let again = decode(&image::encode_rgb(colour.width, colour.height, &colour.pixels), 3);
        assert_eq!(again.as_ref(), Ok(&Picture { range: None, ..colour }));
    }
    true
}
