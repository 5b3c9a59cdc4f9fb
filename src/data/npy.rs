//! One-dimensional int64 arrays in NumPy's `.npy` format: the files that hold the published digit subsets.
//!
//! A file is the magic `\x93NUMPY`, two version bytes, the length of the header (2 bytes in version 1, 4 in
//! version 2, little-endian), the header and the values. The header is a Python dictionary, for example
//! `{'descr': '<i8', 'fortran_order': False, 'shape': (1000,), }`, padded with spaces. Only this kind of
//! array is read: little-endian int64, one dimension.

/// What every `.npy` file starts with.
pub const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The values of a `.npy` file, given its bytes.
///
/// # Errors
/// What was found and what was expected, without the file's name, if it is not a one-dimensional
/// little-endian int64 array in C order of format version 1 or 2, or if its length is not what its header
/// says.
pub fn parse(bytes: &[u8]) -> Result<Vec<i64>, String> {
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("it is not a .npy file, expected the bytes \\x93NUMPY at its start")?;
    let (length, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        [1 | 2, ..] | [] | [_] => return Err("it ends inside the header of the .npy format".into()),
        [major, minor, ..] => {
            return Err(format!("its .npy format is version {major}.{minor}, expected 1.x or 2.x"));
        }
    };
    let (header, values) =
        rest.split_at_checked(length).ok_or("it ends inside the header of the .npy format")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not text")?;
    let count = Header::parse(header)?.count()?;
    let (chunks, odd) = values.as_chunks::<8>();
    if chunks.len() != count || !odd.is_empty() {
        return Err(format!("its header promises {count} values of 8 bytes, found {} bytes", values.len()));
    }
    Ok(chunks.iter().map(|&chunk| i64::from_le_bytes(chunk)).collect())
}

/// The three entries of the dictionary, as they stand.
#[derive(Default)]
struct Header<'a> {
    descr: Option<&'a str>,
    fortran_order: Option<&'a str>,
    shape: Option<&'a str>,
}

impl<'a> Header<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let bad = || format!("its header {:?} is not the dictionary of a .npy file", shorten(text.trim()));
        let mut header = Header::default();
        let mut rest =
            text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')).ok_or_else(bad)?.trim();
        while !rest.is_empty() {
            let (key, after) = quoted(rest).ok_or_else(bad)?;
            let after = after.trim_start().strip_prefix(':').ok_or_else(bad)?.trim_start();
            let (value, after) = value(after).ok_or_else(bad)?;
            let entry = match key {
                "descr" => &mut header.descr,
                "fortran_order" => &mut header.fortran_order,
                "shape" => &mut header.shape,
                _ => return Err(bad()),
            };
            *entry = Some(value);
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(after) => after.trim_start(),
                None if after.is_empty() => after,
                None => return Err(bad()),
            };
        }
        Ok(header)
    }

    /// The number of values, once the rest is what can be read.
    fn count(&self) -> Result<usize, String> {
        let missing = |key: &str| format!("the entry '{key}' is missing in its header");
        let descr = self.descr.ok_or_else(|| missing("descr"))?;
        if descr != "<i8" {
            return Err(format!("its values are of the type {:?}, expected '<i8' (int64)", shorten(descr)));
        }
        let order = self.fortran_order.ok_or_else(|| missing("fortran_order"))?;
        if order != "False" {
            return Err(format!("its fortran_order is {:?}, expected False", shorten(order)));
        }
        let shape = self.shape.ok_or_else(|| missing("shape"))?;
        shape
            .strip_prefix('(')
            .and_then(|sizes| sizes.strip_suffix(')'))
            .and_then(|sizes| sizes.trim().strip_suffix(','))
            .and_then(|size| size.trim().parse().ok())
            .ok_or_else(|| format!("its shape is {:?}, expected one dimension like (1000,)", shorten(shape)))
    }
}

/// A string in single or double quotes, and what follows it. Escapes are not needed here and not known.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|&first| first == '\'' || first == '"')?;
    text[1..].split_once(quote)
}

/// A string (without its quotes), a tuple (with its brackets) or a word, and what follows it.
fn value(text: &str) -> Option<(&str, &str)> {
    match text.as_bytes().first()? {
        b'\'' | b'"' => quoted(text),
        b'(' => text.find(')').map(|end| text.split_at(end + 1)),
        _ => Some(text.split_at(text.find([',', ' ']).unwrap_or(text.len()))),
    }
}

/// The first characters of something that may be long.
fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(version: u8, header: &str, values: &[i64]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    const HEADER: &str = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }          \n";

    /// The bytes that NumPy 2.4.6 writes for `np.save(f, np.array([5, -1, 2**40]))`.
    #[test]
    fn a_file_of_numpy_is_read() {
        let mut bytes =
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }".to_vec();
        bytes.resize(127, b' ');
        bytes.push(b'\n');
        bytes.extend(b"\x05\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\x01\0\0");
        assert_eq!(parse(&bytes).unwrap(), [5, -1, 1 << 40]);
    }

    #[test]
    fn other_spellings_of_the_header_are_read() {
        for header in [
            HEADER,
            "{\"shape\":(3,),\"fortran_order\":False,\"descr\":\"<i8\"}",
            "{ 'shape' : ( 3 , ) , 'descr': '<i8','fortran_order': False }\n",
        ] {
            for version in [1, 2] {
                assert_eq!(parse(&file(version, header, &[3, 1, 2])).unwrap(), [3, 1, 2], "{header}");
            }
        }
        let empty = "{'descr': '<i8', 'fortran_order': False, 'shape': (0,), }";
        assert_eq!(parse(&file(1, empty, &[])), Ok(Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let with = |from: &str, to: &str| file(1, &HEADER.replace(from, to), &[1, 2, 3]);
        let good = file(1, HEADER, &[1, 2, 3]);
        let cases: [(Vec<u8>, &str); 16] = [
            (b"1 2 3".to_vec(), "not a .npy file"),
            (vec![], "not a .npy file"),
            (good[..7].to_vec(), "ends inside the header"),
            (good[..9].to_vec(), "ends inside the header"),
            (good[..40].to_vec(), "ends inside the header"),
            (file(3, HEADER, &[1, 2, 3]), "version 3.0, expected 1.x or 2.x"),
            (with("<i8", ">i8"), "type \">i8\", expected '<i8'"),
            (with("<i8", "<f4"), "type \"<f4\""),
            (with("False", "True"), "fortran_order is \"True\""),
            (with("(3,)", "(1, 3)"), "shape is \"(1, 3)\", expected one dimension"),
            (with("(3,)", "()"), "shape is \"()\""),
            (with("(3,)", "(99999999999999999999,)"), "expected one dimension"),
            (with("'shape': (3,)", ""), "is not the dictionary"),
            (with(", 'shape': (3,)", ""), "'shape' is missing"),
            (good[..good.len() - 1].to_vec(), "promises 3 values of 8 bytes, found 23 bytes"),
            ([good.clone(), vec![0; 8]].concat(), "promises 3 values of 8 bytes, found 32 bytes"),
        ];
        for (bytes, expected) in cases {
            let message = parse(&bytes).unwrap_err();
            assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0_u8..4) {
            let _ = parse(&bytes);
            let _ = parse(&[MAGIC.as_slice(), &[version, 0], &bytes].concat());
        }

        #[test]
        fn random_headers_never_panic(
            header in "[ {}()',:\"<i8a-z0-9é]{0,80}",
            entries in "\\{('(descr|shape|fortran_order)' ?: ?('<i8'|False|\\([0-9]{0,20},\\)),? ?){0,4}\\}?",
        ) {
            let _ = parse(&file(1, &header, &[1]));
            let _ = parse(&file(2, &entries, &[1]));
        }

        #[test]
        fn a_damaged_file_never_panics(place in 0_usize..100, byte in any::<u8>(), end in 0_usize..120) {
            let mut bytes = file(1, HEADER, &[1, 2, 3]);
            let place = place % bytes.len();
            bytes[place] = byte;
            bytes.truncate(end);
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(values in prop::collection::vec(any::<i64>(), 0..50)) {
            let header = format!("{{'descr': '<i8', 'fortran_order': False, 'shape': ({},), }}", values.len());
            prop_assert_eq!(parse(&file(2, &header, &values)).unwrap(), values);
        }
    }
}
