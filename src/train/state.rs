//! Everything that outlives a training step. Saving it is the checkpoint; what is not in here is a cache.

use super::metrics::SelectedEpoch;
use crate::autograd::Params;
use crate::error::{Error, Result};
use crate::names::composed;
use crate::optim::Adam;
use crate::store::checkpoint::Checkpoint;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How far the training is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Whole epochs done.
    pub epochs: usize,
    /// Batches done of the epoch that has begun.
    pub batches: usize,
    /// Steps done in all.
    pub steps: u64,
    /// The loss and its terms, summed over those batches, in the order in which they first came.
    pub sums: Vec<(String, f64)>,
    /// The images of those batches.
    pub images: usize,
    /// How many of them were used without their class.
    pub unlabelled_images: usize,
    /// The epoch that would be selected now.
    pub best: Option<SelectedEpoch>,
    /// Whether training has ended because nothing improved for too long.
    pub out_of_patience: bool,
}

/// The parameters, the optimiser and the progress of a run.
#[derive(Clone, Debug)]
pub struct State {
    /// The model's parameters.
    pub params: Params,
    /// The optimiser's moments.
    pub adam: Adam,
    /// How far the training is.
    pub progress: Progress,
    /// The SHA-256 of the images; none in checkpoints of earlier versions.
    pub images_sha256: Option<String>,
    /// The SHA-256 of the weight file of the selected epoch; none before there is one, and in checkpoints of earlier versions.
    pub best_sha256: Option<String>,
}

/// What stands in a checkpoint beside the tensors.
#[derive(Debug, Serialize, Deserialize)]
pub struct Note {
    /// The configuration, as far as it decides results: [`Config::identity`](crate::config::Config::identity).
    pub configuration: String,
    /// How far the training is.
    pub progress: Progress,
    /// Adam's b1^t and b2^t.
    decays: [f64; 2],
    /// As in [`State`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_sha256: Option<String>,
    /// As in [`State`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_sha256: Option<String>,
}

impl Note {
    /// The note of the checkpoint at `path`, without a look at the rest of the file ([`Checkpoint::note_of`]).
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(path: &Path) -> Result<Note> {
        Note::parse(&Checkpoint::note_of(path)?)
            .map_err(|what| Error::request(format!("cannot use {}: {what}", path.display())))
    }

    fn parse(text: &str) -> std::result::Result<Note, String> {
        let mut note: Note =
            serde_json::from_str(text).map_err(|cause| format!("its note cannot be read ({cause})"))?;
        // Earlier versions kept names as folders spelled them.
        note.configuration = composed(&note.configuration);
        Ok(note)
    }
}

/// The SHA-256 of the images that the run of the checkpoint at `path` trains and tests on, if it knows it.
///
/// # Errors
/// If the checkpoint cannot be read.
pub fn images_of(path: &Path) -> Result<Option<String>> {
    let note = Note::parse(&Checkpoint::load(path)?.note);
    let note = note.map_err(|what| Error::request(format!("cannot use {}: {what}", path.display())))?;
    Ok(note.images_sha256)
}

impl State {
    /// The bytes of the checkpoint of this state and the configuration `identity`.
    pub fn to_checkpoint(&self, identity: &str) -> Vec<u8> {
        let note = Note {
            configuration: identity.into(),
            progress: self.progress.clone(),
            decays: self.adam.decays,
            images_sha256: self.images_sha256.clone(),
            best_sha256: self.best_sha256.clone(),
        };
        let note = serde_json::to_string(&note).expect("a note is plain data");
        Checkpoint::bytes_of(
            &note,
            [
                ("parameters", self.params.slab()),
                ("adam.first", &*self.adam.first),
                ("adam.second", &*self.adam.second),
            ],
        )
    }

    /// Replaces the state of a new run, but for what it knows of its images, by the one of a checkpoint; `path` is for
    /// messages. Returns the SHA-256 of the checkpoint's images, if it knows it.
    ///
    /// # Errors
    /// If the checkpoint is of another configuration or of another version of the program. The state is then as it
    /// was.
    pub fn restore(
        &mut self,
        checkpoint: &Checkpoint,
        identity: &str,
        path: &Path,
    ) -> Result<Option<String>> {
        let unfit = |what: &str| Error::request(format!("cannot continue from {}: {what}", path.display()));
        let note = Note::parse(&checkpoint.note).map_err(|cause| unfit(&cause))?;
        if note.configuration != identity {
            return Err(unfit("it is the checkpoint of another configuration"));
        }
        let slab = |name: &str| -> Result<Vec<f32>> {
            let (_, values) = checkpoint.tensors.f32s(name)?;
            let expected = self.params.slab().len();
            if values.len() != expected {
                let found = values.len();
                return Err(unfit(&format!("{name} holds {found} numbers, the model has {expected}")));
            }
            Ok(values)
        };
        let (parameters, first, second) = (slab("parameters")?, slab("adam.first")?, slab("adam.second")?);
        self.params.slab_mut().copy_from_slice(&parameters);
        self.adam.first.copy_from_slice(&first);
        self.adam.second.copy_from_slice(&second);
        self.adam.decays = note.decays;
        self.progress = note.progress;
        self.best_sha256 = note.best_sha256;
        Ok(note.images_sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_may_have_names_in_another_spelling_but_no_other_names() {
        let params = Params::new();
        let adam = Adam::new(&params, 1e-3);
        let progress = Progress { epochs: 3, ..Progress::default() };
        let saved = State { params, adam, progress, images_sha256: None, best_sha256: None };
        let mut state = State { progress: Progress::default(), ..saved.clone() };
        let path = Path::new("checkpoint.safetensors");
        let checkpoint = |identity| {
            Checkpoint::from_bytes(&saved.to_checkpoint(identity), path).expect("it was just made")
        };
        let of_another = checkpoint("data.test_domain = \"cafe\"\n");
        let composed = "data.test_domain = \"caf\u{e9}\"\n";
        let message = state.restore(&of_another, composed, path).unwrap_err().to_string();
        assert!(message.ends_with("it is the checkpoint of another configuration"), "{message}");
        let apart = checkpoint("data.test_domain = \"cafe\u{301}\"\n");
        state.restore(&apart, composed, path).unwrap();
        assert_eq!(state.progress, saved.progress);
    }
}
