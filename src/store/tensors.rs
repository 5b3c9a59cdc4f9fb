//! Named tensors in a safetensors file: the weights that PyTorch reads and writes, batches, gradients.
//!
//! The format: eight bytes hold the length of a header, little endian; the header is JSON and gives each
//! tensor's element type, shape and byte range; then come the bytes. The crate `safetensors` checks that the
//! ranges follow each other without gap or overlap, fill the file, and fit shapes and types.
//!
//! Tensors are kept as the bytes they are in the file, so that a file may hold element types that nobody asks
//! for, and its values become numbers only when read ([`TensorFile::f32s`] and its siblings), wherever in the
//! file they lie: bytes in a file are not aligned.
//!
//! The same tensors give the same bytes, in whatever order they were inserted: types by size, then names by
//! alphabet. The format also allows a table of texts; the crate writes it from a hash map, in random order if
//! there are several, so at most one is ever written.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, View};

use crate::error::{Error, Result};
use crate::store::{durable, input};

/// The length of the header's length.
const LENGTH_BYTES: usize = 8;
/// The longest header that is read: a hundred bytes for each of ten thousand tensors. JSON takes many times its length
/// in memory, so without this a file of brackets could ask for gigabytes.
const LONGEST_HEADER: usize = 1 << 20;

/// The longest file that is read whatever its header says, in bytes.
const SHORT: u64 = 16 << 20;

/// A number that a tensor file can hold.
pub trait Element: Copy {
    /// The name of the type in the file.
    const DTYPE: Dtype;
    /// The size of one number in bytes.
    const BYTES: usize;
    /// Appends the number, little endian.
    fn append_to(self, bytes: &mut Vec<u8>);
    /// The number in `bytes`, little endian; [`Self::BYTES`] of them.
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($($number:ty, $dtype:ident;)*) => {$(
        impl Element for $number {
            const DTYPE: Dtype = Dtype::$dtype;
            const BYTES: usize = size_of::<$number>();

            fn append_to(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn from_bytes(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("the caller cuts pieces of BYTES"))
            }
        }
    )*};
}

element! {
    f32, F32;
    f64, F64;
    i64, I64;
    u64, U64;
    u8, U8;
}

/// Tensors by name, as they are in a file.
#[derive(Clone, Debug)]
pub struct TensorFile {
    /// What error messages call it.
    origin: String,
    tensors: BTreeMap<String, Stored>,
}

#[derive(Clone, Debug)]
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for &Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        self.bytes.as_slice().into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// A tensor of one dimension whose bytes are made when they are written.
pub(super) struct Slab<'a> {
    numbers: &'a [f32],
    shape: [usize; 1],
}

impl<'a> Slab<'a> {
    pub(super) fn new(numbers: &'a [f32]) -> Self {
        Slab { numbers, shape: [numbers.len()] }
    }
}

impl View for Slab<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        bytes_of(self.numbers).into()
    }

    fn data_len(&self) -> usize {
        self.numbers.len() * f32::BYTES
    }
}

fn bytes_of<T: Element>(values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * T::BYTES);
    for value in values {
        value.append_to(&mut bytes);
    }
    bytes
}

impl Default for TensorFile {
    fn default() -> Self {
        Self::new()
    }
}

impl TensorFile {
    /// No tensors yet.
    pub fn new() -> Self {
        Self { origin: "the tensors in memory".into(), tensors: BTreeMap::new() }
    }

    /// Reads a safetensors file.
    ///
    /// # Errors
    /// [`Error::Request`] with the path: it cannot be read, is empty, cut short, damaged or of another
    /// format.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_bytes(&read_file(path)?, path)
    }

    /// Takes the bytes of a safetensors file apart; `path` is what error messages call them.
    ///
    /// Memory, the bytes included: at most four times their length, also with the values of one tensor at a
    /// time, and 64 MiB for a header, which may have 1 MiB.
    ///
    /// # Errors
    /// [`Error::Request`] with the path: empty, cut short, damaged or of another format.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        decode(bytes, path).map(|(file, _)| file)
    }

    /// Adds a tensor: `values` in row-major order.
    ///
    /// # Panics
    /// If the name is taken or is the one that the format keeps for itself, or if `values` does not fill
    /// `shape`.
    #[track_caller]
    pub fn insert<T: Element>(&mut self, name: impl Into<String>, shape: &[usize], values: &[T]) {
        let name = name.into();
        let count = shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent));
        assert!(
            count == Some(values.len()),
            "tensor {name} of shape {shape:?} cannot be made of {} values",
            values.len()
        );
        assert!(name != "__metadata__", "a tensor cannot be named __metadata__");
        let stored = Stored { dtype: T::DTYPE, shape: shape.to_vec(), bytes: bytes_of(values) };
        let previous = self.tensors.insert(name.clone(), stored);
        assert!(previous.is_none(), "there are two tensors named {name}");
    }

    /// The names, by alphabet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Shape and values (row-major) of a tensor of f32.
    ///
    /// # Errors
    /// [`Error::Request`] if there is no such tensor or its elements are of another type.
    pub fn f32s(&self, name: &str) -> Result<(&[usize], Vec<f32>)> {
        self.values(name)
    }

    /// Shape and values (row-major) of a tensor of f64.
    ///
    /// # Errors
    /// [`Error::Request`] if there is no such tensor or its elements are of another type.
    pub fn f64s(&self, name: &str) -> Result<(&[usize], Vec<f64>)> {
        self.values(name)
    }

    /// Shape and values (row-major) of a tensor of i64, PyTorch's type of labels.
    ///
    /// # Errors
    /// [`Error::Request`] if there is no such tensor or its elements are of another type.
    pub fn i64s(&self, name: &str) -> Result<(&[usize], Vec<i64>)> {
        self.values(name)
    }

    /// Shape and values (row-major) of a tensor of u64.
    ///
    /// # Errors
    /// [`Error::Request`] if there is no such tensor or its elements are of another type.
    pub fn u64s(&self, name: &str) -> Result<(&[usize], Vec<u64>)> {
        self.values(name)
    }

    /// Shape and values (row-major) of a tensor of bytes.
    ///
    /// # Errors
    /// [`Error::Request`] if there is no such tensor or its elements are of another type.
    pub fn u8s(&self, name: &str) -> Result<(&[usize], Vec<u8>)> {
        self.values(name)
    }

    /// The bytes of the safetensors file: a function of names, types, shapes and values alone.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self, None)
    }

    /// Writes the safetensors file, atomically and durably.
    ///
    /// # Errors
    /// [`Error::Work`] with the path and the system's cause.
    pub fn write(&self, path: &Path) -> Result<()> {
        durable::write(path, &self.to_bytes())
    }

    /// Shape of a tensor of f32, without turning its bytes into numbers.
    ///
    /// # Errors
    /// [`Error::Request`] if there is no such tensor or its elements are of another type.
    pub fn f32_shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.stored::<f32>(name)?.shape)
    }

    fn values<T: Element>(&self, name: &str) -> Result<(&[usize], Vec<T>)> {
        let tensor = self.stored::<T>(name)?;
        Ok((&tensor.shape, tensor.bytes.chunks_exact(T::BYTES).map(T::from_bytes).collect()))
    }

    fn stored<T: Element>(&self, name: &str) -> Result<&Stored> {
        let tensor = self.tensors.get(name).ok_or_else(|| {
            Error::request(format!("{} has no tensor {name} among its {}", self.origin, self.tensors.len()))
        })?;
        if tensor.dtype != T::DTYPE {
            return Err(Error::request(format!(
                "tensor {name} of {} holds {}, expected {}",
                self.origin,
                tensor.dtype,
                T::DTYPE
            )));
        }
        Ok(tensor)
    }
}

/// The bytes of a file that is to hold tensors. One that is longer than its header says is not read, unless it is short; what is
/// wrong with it is then for [`TensorFile::from_bytes`] to say.
///
/// # Errors
/// [`Error::Request`] with the path: it cannot be read, is no file, or is too long.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let begin = begin(path)?;
    let announced = match split(&begin).and_then(|(header, _)| Ok((header.len(), parse(header)?))) {
        Ok((header, metadata)) => (LENGTH_BYTES + header).saturating_add(metadata.data_len()) as u64,
        Err(_) => 0,
    };
    input::bytes(path, announced.max(SHORT))
}

/// The bytes of a safetensors file with at most one text: more would come in random order.
pub(super) fn encode(file: &TensorFile, text: Option<(&str, &str)>) -> Vec<u8> {
    encode_views(file.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)), text)
}

/// The same of tensors that are no file yet.
pub(super) fn encode_views<'a, V: View>(
    tensors: impl IntoIterator<Item = (&'a str, V)>,
    text: Option<(&str, &str)>,
) -> Vec<u8> {
    let texts = text.map(|(key, value)| [(key.to_owned(), value.to_owned())].into());
    safetensors::serialize(tensors, texts).expect("shapes and bytes of views are consistent")
}

/// The tensors and the texts of a safetensors file.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<(TensorFile, BTreeMap<String, String>)> {
    let (metadata, data) = header(bytes)
        .map_err(|complaint| Error::request(format!("cannot read {}: {complaint}", path.display())))?;
    let stored = |name: String| {
        let info = metadata.info(&name)?;
        let bytes = data[info.data_offsets.0..info.data_offsets.1].to_vec();
        Some((name, Stored { dtype: info.dtype, shape: info.shape.clone(), bytes }))
    };
    let tensors = metadata.offset_keys().into_iter().filter_map(stored).collect();
    Ok((TensorFile { origin: path.display().to_string(), tensors }, texts(&metadata)))
}

/// The texts of a safetensors file, of which no more than the header is read.
pub(super) fn texts_of(path: &Path) -> Result<BTreeMap<String, String>> {
    let begin = begin(path)?;
    let metadata = split(&begin).and_then(|(header, _)| parse(header));
    let unfit = |complaint| Error::request(format!("cannot read {}: {complaint}", path.display()));
    metadata.map(|metadata| texts(&metadata)).map_err(unfit)
}

/// The beginning of a file, as far as its header goes, or the longest that there may be.
fn begin(path: &Path) -> Result<Vec<u8>> {
    let read = || {
        let mut file = input::open(path)?;
        let mut begin = Vec::new();
        file.by_ref().take(LENGTH_BYTES as u64).read_to_end(&mut begin)?;
        if let Some(&length) = begin.first_chunk() {
            file.take(u64::from_le_bytes(length).min(LONGEST_HEADER as u64)).read_to_end(&mut begin)?;
        }
        Ok(begin)
    };
    read().map_err(|cause| Error::reading(path, &cause))
}

fn texts(metadata: &Metadata) -> BTreeMap<String, String> {
    metadata.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The header of a safetensors file, and the data behind it, which are as long as the header says; or what is wrong with
/// the bytes, in the words of someone who looks at a file.
fn header(bytes: &[u8]) -> std::result::Result<(Metadata, &[u8]), String> {
    let (header, data) = split(bytes)?;
    let metadata = parse(header)?;
    let expected = (bytes.len() - data.len()).saturating_add(metadata.data_len());
    match bytes.len().cmp(&expected) {
        Ordering::Less => Err(format!("it is cut short: {} bytes, {expected} expected", bytes.len())),
        Ordering::Greater => Err(format!("it is too long: {} bytes, {expected} expected", bytes.len())),
        Ordering::Equal => Ok((metadata, data)),
    }
}

/// Checks ranges, shapes and types against each other, but not against what is there: the crate's own reading does, by a sum
/// that may overflow.
fn parse(header: &[u8]) -> std::result::Result<Metadata, String> {
    serde_json::from_slice(header)
        .map_err(|cause| format!("it is no safetensors file, or its header is damaged ({cause})"))
}

/// The text of the header, and what follows it.
fn split(bytes: &[u8]) -> std::result::Result<(&[u8], &[u8]), String> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(match bytes.len() {
            0 => "it is empty, expected a safetensors file".into(),
            count => {
                format!("it has {count} bytes, expected a safetensors file, which begins with 8 and a header")
            }
        });
    };
    let announced = u64::from_le_bytes(*length);
    let Some((header, data)) =
        usize::try_from(announced).ok().and_then(|length| rest.split_at_checked(length))
    else {
        return Err(format!(
            "it is cut short or no safetensors file: its first bytes announce a header of {announced} bytes, \
             {} follow",
            rest.len()
        ));
    };
    if header.len() > LONGEST_HEADER {
        return Err(format!(
            "it is no safetensors file of weights: its header has {announced} bytes, at most {LONGEST_HEADER} \
             are read"
        ));
    }
    Ok((header, data))
}

#[cfg(test)]
mod tests;
