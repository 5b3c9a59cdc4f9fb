//! The order in which an epoch sees the images, and the gathering of one batch.
//!
//! The order is a function of (seed, epoch) alone: an interrupted epoch is taken up at its batch without
//! replaying anything. Every epoch shuffles all images anew and cuts them into batches; the last, smaller
//! batch is trained on too, unless it has a single image, from which batch norm can take no variance.

use super::Dataset;
use crate::error::{Error, Result};
use crate::rng::Stream;
use std::ops::Range;

/// Whether the class of an image is told to the training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Supervision {
    /// It is.
    Labelled,
    /// Only the domain is.
    Unlabelled,
}

/// How labelled and unlabelled images share an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turns {
    /// A step is on a batch of one part or of the other.
    Alternating,
    /// A step is on a labelled batch and on what is due of the unlabelled ones.
    Together,
    /// The same, and where no unlabelled batch is due, on a second labelled one, shuffled for itself, whose classes are not
    /// looked at.
    TogetherWithSecond,
}

/// The steps of one epoch: batches of labelled images and, if there are any, of unlabelled ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    labelled: BatchOrder,
    unlabelled: Option<BatchOrder>,
    second: Option<BatchOrder>,
    /// Of each step, its labelled batches and its unlabelled ones.
    steps: Vec<[Range<usize>; 2]>,
}

/// The images of a step, as indices into the data of each part; some may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepIndices<'a> {
    /// Of those whose classes are known.
    pub labelled: &'a [usize],
    /// Of those of which only the domain is.
    pub unlabelled: &'a [usize],
    /// Of those whose classes are known, to be used without them.
    pub second: &'a [usize],
}

impl StepIndices<'_> {
    /// The number of images.
    pub fn images(&self) -> usize {
        self.labelled.len() + self.without_class()
    }

    /// How many are used without their class.
    pub fn without_class(&self) -> usize {
        self.unlabelled.len() + self.second.len()
    }
}

impl Epoch {
    /// Epoch `epoch` of a run with seed `seed`, on so many images of both parts in batches of `batch`.
    ///
    /// Alternating, the part with fewer batches takes every step i with i mod p = 1 (counted from 0; p = all batches /
    /// its own, rounded down), labelled batches if there are as many of each; the other part takes the rest, and what
    /// is left of either comes last. These are the published interleavings: with k unlabelled batches to a labelled
    /// one, i is labelled if i mod (k + 1) = 1; with one unlabelled domain of five, i is unlabelled if i mod 5 = 1.
    /// Together, there are as many steps as labelled batches, and the unlabelled ones are dealt out to them evenly.
    ///
    /// # Errors
    /// If `batch` is below 2 or above the number of images of either part; no unlabelled images are no error.
    pub fn new(
        [seed, epoch]: [u64; 2],
        [labelled, unlabelled]: [usize; 2],
        batch: usize,
        turns: Turns,
    ) -> Result<Self> {
        let images = labelled;
        let labelled = BatchOrder::new(seed, "batches", epoch, images, batch)?;
        let unlabelled = (unlabelled > 0)
            .then(|| BatchOrder::new(seed, "unlabelled batches", epoch, unlabelled, batch))
            .transpose()?;
        let second = (turns == Turns::TogetherWithSecond)
            .then(|| BatchOrder::new(seed, "second batches", epoch, images, batch))
            .transpose()?;
        let (ours, others) = (labelled.len(), unlabelled.as_ref().map_or(0, BatchOrder::len));
        let steps = match turns {
            Turns::Alternating => alternate(ours, others),
            Turns::Together | Turns::TogetherWithSecond => {
                let due = |i: usize| i * others / ours;
                (0..ours).map(|i| [i..i + 1, due(i)..due(i + 1)]).collect()
            }
        };
        Ok(Epoch { labelled, unlabelled, second, steps })
    }

    /// The number of steps, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "an epoch without a batch cannot be made")]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The images of step `index`.
    ///
    /// # Panics
    /// If there is no such step.
    #[track_caller]
    pub fn step(&self, index: usize) -> StepIndices<'_> {
        assert!(index < self.len(), "step {index} of {} was asked for", self.len());
        let [labelled, unlabelled] = &self.steps[index];
        let second = self.second.as_ref().filter(|_| unlabelled.is_empty());
        StepIndices {
            labelled: self.labelled.batches(labelled),
            unlabelled: self.unlabelled.as_ref().map_or(&[], |order| order.batches(unlabelled)),
            second: second.map_or(&[], |order| order.batches(labelled)),
        }
    }
}

/// The steps of an epoch with so many batches of each part, one batch a step.
fn alternate(labelled: usize, unlabelled: usize) -> Vec<[Range<usize>; 2]> {
    let labelled_is_rare = labelled <= unlabelled;
    let (rare, common) = if labelled_is_rare { (labelled, unlabelled) } else { (unlabelled, labelled) };
    let all = rare + common;
    let period = all.checked_div(rare).unwrap_or(usize::MAX);
    let (mut rares, mut commons) = (0, 0);
    let step = |i: usize| {
        let takes_rare = (i % period == 1 && rares < rare) || commons == common;
        let count = if takes_rare { &mut rares } else { &mut commons };
        let (batch, none) = (*count..*count + 1, 0..0);
        *count += 1;
        if takes_rare == labelled_is_rare { [batch, none] } else { [none, batch] }
    };
    (0..all).map(step).collect()
}

/// All images of one part in random order, cut into batches.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BatchOrder {
    order: Vec<usize>,
    batch: usize,
}

impl BatchOrder {
    /// Refuses a `batch` below 2 (batch norm needs two images) or above `images`.
    fn new(seed: u64, purpose: &str, epoch: u64, images: usize, batch: usize) -> Result<Self> {
        if batch < 2 || batch > images {
            return Err(Error::request(format!(
                "cannot cut {images} images into batches of {batch}, expected 2 to the number of images"
            )));
        }
        let mut order = Stream::new(seed, purpose, &[epoch]).permutation(images);
        if images % batch == 1 {
            order.pop();
        }
        Ok(BatchOrder { order, batch })
    }

    fn len(&self) -> usize {
        self.order.len().div_ceil(self.batch)
    }

    /// The images of neighbouring batches.
    fn batches(&self, which: &Range<usize>) -> &[usize] {
        let end = |batches: usize| self.order.len().min(batches * self.batch);
        &self.order[end(which.start)..end(which.end)]
    }
}

impl Dataset {
    /// Writes the images `indices` as numbers in [0, 1], byte / 255, to `[images, height, width, channels]`.
    ///
    /// # Panics
    /// If an index is too large or `to` has another size.
    #[track_caller]
    pub fn gather_pixels(&self, indices: &[usize], to: &mut [f32]) {
        self.gather(indices, to, |byte| f32::from(byte) / 255.0);
    }

    /// Writes the grey or colour levels 0 to 255 of the images `indices` to `[images, height, width,
    /// channels]`.
    ///
    /// # Panics
    /// If an index is too large or `to` has another size.
    #[track_caller]
    pub fn gather_levels<Level: From<u8>>(&self, indices: &[usize], to: &mut [Level]) {
        self.gather(indices, to, Level::from);
    }

    #[track_caller]
    fn gather<T>(&self, indices: &[usize], to: &mut [T], convert: impl Fn(u8) -> T) {
        assert_eq!(to.len(), indices.len() * self.values(), "values of a batch of {} images", indices.len());
        for (to, &index) in to.chunks_exact_mut(self.values()).zip(indices) {
            for (to, &byte) in to.iter_mut().zip(self.image(index)) {
                *to = convert(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(order: &BatchOrder) -> Vec<usize> {
        (0..order.len()).flat_map(|i| order.batches(&(i..i + 1)).to_vec()).collect()
    }

    #[test]
    fn an_epoch_sees_every_image_once() {
        for (images, batch, sizes) in
            [(10, 5, vec![5, 5]), (11, 3, vec![3, 3, 3, 2]), (4, 4, vec![4]), (5000, 100, vec![100; 50])]
        {
            let order = BatchOrder::new(1, "batches", 2, images, batch).unwrap();
            assert_eq!((0..order.len()).map(|i| order.batches(&(i..i + 1)).len()).collect::<Vec<_>>(), sizes);
            let mut seen = all(&order);
            seen.sort_unstable();
            assert_eq!(seen, (0..images).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_last_batch_of_one_image_is_left_out() {
        let order = BatchOrder::new(1, "batches", 2, 10, 3).unwrap();
        assert_eq!((order.len(), all(&order).len()), (3, 9));
        // another image each epoch
        let missing = |epoch| {
            let seen = all(&BatchOrder::new(1, "batches", epoch, 10, 3).unwrap());
            (0..10).find(|i| !seen.contains(i)).unwrap()
        };
        let mut missed: Vec<usize> = (0..100).map(missing).collect();
        missed.sort_unstable();
        missed.dedup();
        assert_eq!(missed, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_is_a_function_of_seed_and_epoch() {
        let order = |seed, epoch| all(&BatchOrder::new(seed, "batches", epoch, 50, 10).unwrap());
        assert_eq!(order(1, 2), order(1, 2));
        assert_ne!(order(1, 2), order(1, 3));
        assert_ne!(order(1, 2), order(2, 2));
        assert_ne!(order(1, 2), order(2, 1));
        // by another implementation of Philox and Fisher-Yates, in Python; a later version must do the same
        assert_eq!(all(&BatchOrder::new(3, "batches", 4, 7, 7).unwrap()), [0, 5, 6, 2, 3, 4, 1]);
    }

    /// The parts as letters; each part's batches must come in their order, one a step.
    fn parts(labelled: usize, unlabelled: usize) -> String {
        let steps = alternate(labelled, unlabelled);
        for (part, count) in [labelled, unlabelled].into_iter().enumerate() {
            let batches: Vec<usize> = steps.iter().flat_map(|step| step[part].clone()).collect();
            assert_eq!(batches, (0..count).collect::<Vec<_>>());
        }
        assert!(steps.iter().all(|[a, b]| a.len() + b.len() == 1));
        steps.iter().map(|[labelled, _]| if labelled.len() == 1 { 'L' } else { 'u' }).collect()
    }

    #[test]
    fn parts_alternate_as_published() {
        // "+k": step i is labelled if i mod (k + 1) = 1.
        for k in [1, 3, 5, 9] {
            let expected: String =
                (0..50 * (k + 1)).map(|i| if i % (k + 1) == 1 { 'L' } else { 'u' }).collect();
            assert_eq!(parts(50, 50 * k), expected);
        }
        // One unlabelled domain of five: step i is unlabelled if i mod 5 = 1.
        let expected: String = (0..50).map(|i| if i % 5 == 1 { 'u' } else { 'L' }).collect();
        assert_eq!(parts(40, 10), expected);
        assert_eq!(parts(4, 0), "LLLL");
        // What does not come out even: the rest comes last.
        assert_eq!(parts(7, 2), "LuLLLuLLL");
        assert_eq!(parts(2, 3), "uLuLu");
        assert_eq!(parts(3, 2), "LuLuL");
        assert_eq!(parts(1, 1), "uL");
    }

    #[test]
    fn unlabelled_batches_are_dealt_out_evenly_where_steps_take_both() {
        let counts = |images| {
            let epoch = Epoch::new([3, 4], images, 10, Turns::Together).unwrap();
            let steps = (0..epoch.len()).map(|i| epoch.step(i));
            let mut seen: Vec<usize> = steps.clone().flat_map(|step| step.unlabelled.to_vec()).collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..images[1]).collect::<Vec<_>>());
            steps.map(|step| [step.labelled.len(), step.unlabelled.len()]).collect::<Vec<_>>()
        };
        assert_eq!(counts([40, 10]), [[10, 0], [10, 0], [10, 0], [10, 10]]);
        assert_eq!(counts([20, 40]), [[10, 20], [10, 20]]);
        assert_eq!(counts([20, 33]), [[10, 20], [10, 13]]);
        assert_eq!(counts([20, 0]), [[10, 0], [10, 0]]);
    }

    #[test]
    fn a_second_batch_stands_where_no_unlabelled_one_is_due() {
        let epoch = |turns| Epoch::new([3, 4], [40, 10], 10, turns).unwrap();
        let (with, without) = (epoch(Turns::TogetherWithSecond), epoch(Turns::Together));
        let alone = BatchOrder::new(3, "second batches", 4, 40, 10).unwrap();
        for i in 0..4 {
            let (step, expected) = (with.step(i), without.step(i));
            assert_eq!((step.labelled, step.unlabelled), (expected.labelled, expected.unlabelled));
            let second = if i == 3 { &[][..] } else { alone.batches(&(i..i + 1)) };
            assert_eq!((step.second, step.images()), (second, 20));
            assert_ne!(step.second, step.labelled);
        }
    }

    #[test]
    fn each_part_of_an_epoch_is_shuffled_for_itself() {
        let epoch = |images| Epoch::new([3, 4], images, 10, Turns::Alternating).unwrap();
        let (both, labelled) = (epoch([20, 40]), epoch([20, 0]));
        let alone = BatchOrder::new(3, "batches", 4, 20, 10).unwrap();
        assert_eq!((both.len(), labelled.len()), (6, 2));
        assert_eq!(
            labelled.step(1),
            StepIndices { labelled: alone.batches(&(1..2)), unlabelled: &[], second: &[] }
        );
        // Labelled images come in the order in which they come without the others.
        assert_eq!(both.step(1), labelled.step(0));
        assert_eq!(both.step(4), labelled.step(1));
        let others = [0, 2, 3, 5].map(|i| both.step(i));
        assert!(others.iter().all(|step| step.labelled.is_empty() && step.images() == 10));
        let mut others: Vec<usize> = others.iter().flat_map(|step| step.unlabelled.to_vec()).collect();
        assert_ne!(others, (0..40).collect::<Vec<_>>());
        others.sort_unstable();
        assert_eq!(others, (0..40).collect::<Vec<_>>());
        let message = Epoch::new([3, 4], [20, 5], 10, Turns::Alternating).unwrap_err().to_string();
        assert!(message.contains("5 images into batches of 10"), "{message}");
    }

    #[test]
    fn impossible_batches_are_refused() {
        for (images, batch) in [(10, 0), (10, 1), (10, 11), (0, 2), (0, 0), (1, 1), (1, 2)] {
            let message = BatchOrder::new(0, "batches", 0, images, batch).unwrap_err().to_string();
            assert!(message.contains(&format!("{images} images into batches of {batch}")), "{message}");
        }
        assert_eq!(BatchOrder::new(0, "batches", 0, 2, 2).unwrap().len(), 1);
    }

    #[test]
    fn a_batch_is_gathered() {
        let data = Dataset::new([1, 1, 2], vec![0, 51, 255, 1, 102, 204], vec![7, 8, 9], vec![0, 1, 2]);
        let mut pixels = [f32::NAN; 4];
        data.gather_pixels(&[2, 0], &mut pixels);
        assert_eq!(pixels, [0.4, 0.8, 0.0, 0.2]);
        let mut levels = [0_u32; 4];
        data.gather_levels(&[1, 2], &mut levels);
        assert_eq!(levels, [255, 1, 102, 204]);
    }

    /// round(255 x) of a pixel is the byte it came from, whatever its division by 255 lost.
    #[test]
    fn levels_come_back_from_pixels() {
        let data = Dataset::new([1, 256, 1], (0..=255).collect(), vec![0], vec![0]);
        let mut pixels = [0.0; 256];
        data.gather_pixels(&[0], &mut pixels);
        for (byte, pixel) in pixels.into_iter().enumerate() {
            assert_eq!((f64::from(pixel) * 255.0).round() as usize, byte);
            assert_eq!(pixel, (byte as f64 / 255.0) as f32);
        }
    }

    #[test]
    #[should_panic(expected = "values of a batch of 1 images")]
    fn a_buffer_of_another_size_is_a_bug() {
        Dataset::new([1, 1, 1], vec![0], vec![0], vec![0]).gather_pixels(&[0], &mut [0.0; 2]);
    }
}
