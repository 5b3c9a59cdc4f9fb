//! Files of tensors: weights, batches and checkpoints.
//!
//! Few random changes leave the length of a safetensors header right, and none the checksum of a checkpoint. So the
//! first byte says how the file is made of the others: as they stand, or with lengths and checksum put right.

use diva::autograd::{Builder, Params};
use diva::config::Config;
use diva::error::Error;
use diva::models::{Diva, SIDE};
use diva::nn::{BatchNorm, Bias, Features, Linear};
use diva::optim::Adam;
use diva::store::checkpoint::Checkpoint;
use diva::store::digest::sha256_hex;
use diva::store::tensors::TensorFile;
use diva::train::dataset;
use diva::train::gradients::BatchFile;
use diva::train::state::{Progress, State};
use diva::train::weights as weight_files;
use std::path::Path;
use std::sync::OnceLock;

/// Ends a header: a byte that no text holds.
const SEPARATOR: u8 = 0xff;

/// The configuration of the checkpoints.
pub const IDENTITY: &str = "fuzz";

/// An even byte and a file, or an odd byte, a header, [`SEPARATOR`] and the data.
fn tensor_file(bytes: &[u8]) -> Vec<u8> {
    match bytes.split_first() {
        None => Vec::new(),
        Some((mode, file)) if mode % 2 == 0 => file.to_vec(),
        Some((_, parts)) => joined("", parts),
    }
}

/// A file whose header is `begin` and what stands before [`SEPARATOR`].
fn joined(begin: &str, parts: &[u8]) -> Vec<u8> {
    let end = parts.iter().position(|&byte| byte == SEPARATOR).unwrap_or(parts.len());
    let (header, data) = (&parts[..end], parts.get(end + 1..).unwrap_or_default());
    let length = (begin.len() + header.len()) as u64;
    [&length.to_le_bytes(), begin.as_bytes(), header, data].concat()
}

/// The parameters of a layer whose order differs from the published one, and of a batch normalisation.
pub fn parameters() -> Params {
    let mut params = Params::new();
    let mut builder = Builder::new(&mut params, 0);
    Linear::new(&mut builder.scope("fc"), 6, 2, Bias::With, Features::FromImage { channels: 3 });
    BatchNorm::new(&mut builder.scope("norm"), 2, Features::Plain);
    params
}

/// A weight file.
pub fn weights(bytes: &[u8]) -> bool {
    let path = Path::new("weights.safetensors");
    let file = match TensorFile::from_bytes(&tensor_file(bytes), path) {
        Ok(file) => file,
        Err(error) => return refused(&error),
    };
    let written = file.to_bytes();
    let again = TensorFile::from_bytes(&written, path).expect("it was written by us");
    assert_eq!(again.to_bytes(), written);
    assert!(file.names().eq(again.names()));
    for name in file.names() {
        let found = [
            file.f32s(name).map(|(shape, values)| (shape, values.len())),
            file.f64s(name).map(|(shape, values)| (shape, values.len())),
            file.i64s(name).map(|(shape, values)| (shape, values.len())),
            file.u64s(name).map(|(shape, values)| (shape, values.len())),
            file.u8s(name).map(|(shape, values)| (shape, values.len())),
        ];
        assert!(found.iter().flatten().count() <= 1, "{name} is of two types");
        for (shape, values) in found.into_iter().flatten() {
            assert_eq!(shape.iter().product::<usize>(), values, "{name} of shape {shape:?}");
        }
    }
    if let Ok(outputs) = weight_files::outputs(&file, "fc.weight", 6, path) {
        assert!((1..=bytes.len() / 24).contains(&outputs), "{outputs} outputs in {} bytes", bytes.len());
    }
    let mut params = parameters();
    let Ok(steps) = weight_files::steps(&file) else { return false };
    if weight_files::import(&mut params, &file, path).is_err() {
        return false;
    }
    assert!(params.slab().iter().all(|value| value.is_finite()));
    let mut again = parameters();
    weight_files::import(&mut again, &weight_files::export(&params, steps), path).expect("just exported");
    assert_eq!(bits(again.slab()), bits(params.slab()));
    true
}

/// What a batch has to fit.
fn model() -> &'static Diva {
    static MODEL: OnceLock<Diva> = OnceLock::new();
    MODEL.get_or_init(|| {
        let narrow = ["model.width=0.03125", "model.latent=2"].map(str::to_owned);
        let config = Config::resolve(None, Some("quick"), &narrow, None).expect("the preset can be narrower");
        let settings = dataset::settings(&config.model, 3, 4, None).expect("p(y) is uniform");
        Diva::new(&mut Builder::new(&mut Params::new(), 0), settings)
    })
}

/// A batch file, as `diva gradients` reads it.
pub fn batch(bytes: &[u8]) -> bool {
    let path = Path::new("batch.safetensors");
    let Ok(file) = TensorFile::from_bytes(&tensor_file(bytes), path) else { return false };
    let Ok(BatchFile { batch, noise }) = BatchFile::of_tensors(&file, path, model()) else { return false };
    let count = batch.domains.len();
    assert!(count >= 2);
    assert_eq!(batch.images.shape().sizes(), [count, SIDE, SIDE, 1]);
    assert!(batch.images.data().iter().all(|x| (0.0..=1.0).contains(x)));
    assert_eq!(batch.levels.len(), batch.images.data().len());
    assert!(batch.levels.iter().all(|&level| level <= 255));
    let classes = batch.classes.expect("the file holds them");
    assert!(classes.len() == count && classes.iter().all(|&class| class < 4));
    assert!(batch.domains.iter().all(|&domain| domain < 3));
    for noise in [&noise.domain, &noise.residual, &noise.class] {
        assert_eq!(noise.shape().sizes(), [count, 2]);
        assert!(noise.data().iter().all(|x| x.is_finite()));
    }
    true
}

/// Where a checkpoint's length and checksum stand, and how many digits they have (`store/checkpoint.rs`).
const LENGTH: (usize, usize) = (44, 20);
const CHECKSUM: (usize, usize) = (65, 64);

/// Puts length and checksum right, if there is room for them.
pub fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() >= CHECKSUM.0 + CHECKSUM.1 {
        let length = format!("{:020}", bytes.len());
        bytes[LENGTH.0..][..LENGTH.1].copy_from_slice(length.as_bytes());
        bytes[CHECKSUM.0..][..CHECKSUM.1].fill(b'0');
        let checksum = sha256_hex(&bytes);
        bytes[CHECKSUM.0..][..CHECKSUM.1].copy_from_slice(checksum.as_bytes());
    }
    bytes
}

/// The state that a checkpoint is loaded into.
pub fn state() -> State {
    let params = parameters();
    let adam = Adam::new(&params, 0.001);
    State {
        params,
        adam,
        progress: Progress::default(),
        images_sha256: Some("pictures".into()),
        best_sha256: None,
    }
}

/// 0, 3, 6 ... and a file; 1, 4 ... and a file to be sealed; 2, 5 ... and a header from the note on, [`SEPARATOR`] and
/// data, to be made a sealed file.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let path = Path::new("checkpoint.safetensors");
    let Some((mode, rest)) = bytes.split_first() else { return false };
    let file = match mode % 3 {
        0 => rest.to_vec(),
        1 => seal(rest.to_vec()),
        _ => {
            let begin = format!(r#"{{"__metadata__":{{"diva-checkpoint":"{:020} {:064} "#, 0, 0);
            seal(joined(&begin, rest))
        }
    };
    let checkpoint = match Checkpoint::from_bytes(&file, path) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return refused(&error),
    };
    let written = checkpoint.to_bytes();
    let again = Checkpoint::from_bytes(&written, path).expect("it was written by us");
    assert_eq!(again.to_bytes(), written);
    assert_eq!(again.note, checkpoint.note);

    let (mut before, mut restored) = (state(), state());
    if restored.restore(&checkpoint, IDENTITY, path).is_err() {
        assert_same(&before, &restored);
        return false;
    }
    let saved = restored.to_checkpoint(IDENTITY);
    let saved = Checkpoint::from_bytes(&saved, path).expect("it was saved by us");
    before.restore(&saved, IDENTITY, path).expect("it was saved by us");
    assert_same(&before, &restored);
    true
}

/// A refusal is one sentence about the request.
fn refused(error: &Error) -> bool {
    assert!(error.exit_code() == 2 && !error.to_string().contains('\n'), "{error}");
    false
}

fn assert_same(one: &State, other: &State) {
    assert_eq!(one.progress, other.progress);
    assert_eq!(one.adam.decays, other.adam.decays);
    for (one, other) in [
        (one.params.slab(), other.params.slab()),
        (&one.adam.first, &other.adam.first),
        (&one.adam.second, &other.adam.second),
    ] {
        assert_eq!(bits(one), bits(other));
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}
