//! The order in which an epoch sees the images, and the gathering of one batch.
//!
//! The order is a function of (seed, epoch) alone: an interrupted epoch is taken up at its batch without
//! replaying anything. Every epoch shuffles all images anew and cuts them into batches; the last, smaller
//! batch is trained on too, unless it has a single image, from which batch norm can take no variance.

use super::Dataset;
use crate::error::{Error, Result};
use crate::rng::Stream;

/// Whether the class of an image is told to the training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It is.
    Labelled,
    /// Only the domain is.
    Unlabelled,
}

/// The steps of one epoch: batches of labelled images and, if there are any, of unlabelled ones in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    labelled: BatchOrder,
    unlabelled: Option<BatchOrder>,
    /// Of each step, its part and which batch of that part it is.
    steps: Vec<(Part, usize)>,
}

impl Epoch {
    /// Epoch `epoch` of a run with seed `seed`, on so many labelled and unlabelled images in batches of `batch`.
    ///
    /// The part with fewer batches takes every step i with i mod p = 1 (counted from 0; p = all batches / its own,
    /// rounded down), labelled batches if there are as many of each; the other part takes the rest, and what is left
    /// of either comes last. These are the published interleavings: with k unlabelled batches to a labelled one, i is
    /// labelled if i mod (k + 1) = 1; with one unlabelled domain of five, i is unlabelled if i mod 5 = 1.
    ///
    /// # Errors
    /// If `batch` is below 2 or above the number of images of either part; no unlabelled images are no error.
    pub fn new(seed: u64, epoch: u64, labelled: usize, unlabelled: usize, batch: usize) -> Result<Self> {
        let labelled = BatchOrder::new(seed, "batches", epoch, labelled, batch)?;
        let unlabelled = (unlabelled > 0)
            .then(|| BatchOrder::new(seed, "unlabelled batches", epoch, unlabelled, batch))
            .transpose()?;
        let steps = interleave(labelled.len(), unlabelled.as_ref().map_or(0, BatchOrder::len));
        Ok(Epoch { labelled, unlabelled, steps })
    }

    /// The number of steps, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "an epoch without a batch cannot be made")]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The images of step `index`, as indices into the data of their part.
    ///
    /// # Panics
    /// If there is no such step.
    #[track_caller]
    pub fn step(&self, index: usize) -> (Part, &[usize]) {
        assert!(index < self.len(), "step {index} of {} was asked for", self.len());
        let (part, batch) = self.steps[index];
        let order = match part {
            Part::Labelled => &self.labelled,
            Part::Unlabelled => self.unlabelled.as_ref().expect("its steps come from its batches"),
        };
        (part, order.batch(batch))
    }
}

/// The parts of an epoch with so many batches of each, and which of its batches each step takes.
fn interleave(labelled: usize, unlabelled: usize) -> Vec<(Part, usize)> {
    let (rare, common) = match labelled <= unlabelled {
        true => ((Part::Labelled, labelled), (Part::Unlabelled, unlabelled)),
        false => ((Part::Unlabelled, unlabelled), (Part::Labelled, labelled)),
    };
    let all = rare.1 + common.1;
    let period = all.checked_div(rare.1).unwrap_or(usize::MAX);
    let (mut rares, mut commons) = (0, 0);
    let step = |i: usize| {
        let is_due = i % period == 1 && rares < rare.1;
        let (part, count) =
            if is_due || commons == common.1 { (rare.0, &mut rares) } else { (common.0, &mut commons) };
        *count += 1;
        (part, *count - 1)
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

    fn batch(&self, index: usize) -> &[usize] {
        let start = index * self.batch;
        &self.order[start..self.order.len().min(start + self.batch)]
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

    /// Writes the classes of the images `indices` to `to`.
    ///
    /// # Panics
    /// If an index is too large or `to` has another length.
    #[track_caller]
    pub fn gather_classes(&self, indices: &[usize], to: &mut [u32]) {
        gather_labels(&self.classes, indices, to);
    }

    /// Writes the domains of the images `indices` to `to`.
    ///
    /// # Panics
    /// If an index is too large or `to` has another length.
    #[track_caller]
    pub fn gather_domains(&self, indices: &[usize], to: &mut [u32]) {
        gather_labels(&self.domains, indices, to);
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

#[track_caller]
fn gather_labels(labels: &[u32], indices: &[usize], to: &mut [u32]) {
    assert_eq!(to.len(), indices.len(), "labels of a batch");
    for (to, &index) in to.iter_mut().zip(indices) {
        *to = labels[index];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(order: &BatchOrder) -> Vec<usize> {
        (0..order.len()).flat_map(|i| order.batch(i).to_vec()).collect()
    }

    #[test]
    fn an_epoch_sees_every_image_once() {
        for (images, batch, sizes) in
            [(10, 5, vec![5, 5]), (11, 3, vec![3, 3, 3, 2]), (4, 4, vec![4]), (5000, 100, vec![100; 50])]
        {
            let order = BatchOrder::new(1, "batches", 2, images, batch).unwrap();
            assert_eq!((0..order.len()).map(|i| order.batch(i).len()).collect::<Vec<_>>(), sizes);
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

    /// The parts as letters; each part's batches must come in their order.
    fn parts(labelled: usize, unlabelled: usize) -> String {
        let steps = interleave(labelled, unlabelled);
        for (part, count) in [(Part::Labelled, labelled), (Part::Unlabelled, unlabelled)] {
            let batches: Vec<usize> = steps.iter().filter(|step| step.0 == part).map(|step| step.1).collect();
            assert_eq!(batches, (0..count).collect::<Vec<_>>());
        }
        steps.iter().map(|step| if step.0 == Part::Labelled { 'L' } else { 'u' }).collect()
    }

    #[test]
    fn parts_take_turns_as_published() {
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
    fn each_part_of_an_epoch_is_shuffled_for_itself() {
        let epoch = Epoch::new(3, 4, 20, 40, 10).unwrap();
        let (labelled, alone) =
            (Epoch::new(3, 4, 20, 0, 10).unwrap(), BatchOrder::new(3, "batches", 4, 20, 10).unwrap());
        assert_eq!((epoch.len(), labelled.len()), (6, 2));
        assert_eq!(labelled.step(1), (Part::Labelled, alone.batch(1)));
        // Labelled images come in the order in which they come without the others.
        assert_eq!(epoch.step(1), labelled.step(0));
        assert_eq!(epoch.step(4), labelled.step(1));
        let mut others: Vec<usize> =
            [0, 2, 3, 5].into_iter().flat_map(|i| epoch.step(i).1.to_vec()).collect();
        assert!([0, 2, 3, 5].into_iter().all(|i| epoch.step(i).0 == Part::Unlabelled));
        assert_ne!(others, (0..40).collect::<Vec<_>>());
        others.sort_unstable();
        assert_eq!(others, (0..40).collect::<Vec<_>>());
        let message = Epoch::new(3, 4, 20, 5, 10).unwrap_err().to_string();
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
        let mut labels = [0; 2];
        data.gather_classes(&[2, 0], &mut labels);
        assert_eq!(labels, [9, 7]);
        data.gather_domains(&[2, 1], &mut labels);
        assert_eq!(labels, [2, 1]);
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
