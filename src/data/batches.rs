//! The order in which an epoch sees the images, and the gathering of one batch.
//!
//! The order is a function of (seed, epoch) alone: an interrupted epoch is taken up at its batch without
//! replaying anything. Every epoch shuffles all images anew and cuts them into batches; the last, smaller
//! batch is trained on too, unless it has a single image, from which batch norm can take no variance.

use super::Dataset;
use crate::error::{Error, Result};
use crate::rng::Stream;

/// The batches of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOrder {
    order: Vec<usize>,
    batch: usize,
}

impl BatchOrder {
    /// The order of `images` images in batches of `batch`, in epoch `epoch` of a run with seed `seed`.
    ///
    /// # Errors
    /// If `batch` is below 2 (batch norm needs two images) or above `images`.
    pub fn new(seed: u64, epoch: u64, images: usize, batch: usize) -> Result<Self> {
        if batch < 2 || batch > images {
            return Err(Error::request(format!(
                "cannot cut {images} images into batches of {batch}, expected 2 to the number of images"
            )));
        }
        let mut order = Stream::new(seed, "batches", &[epoch]).permutation(images);
        if images % batch == 1 {
            order.pop();
        }
        Ok(BatchOrder { order, batch })
    }

    /// The number of batches, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "an epoch without a batch cannot be made")]
    pub fn len(&self) -> usize {
        self.order.len().div_ceil(self.batch)
    }

    /// The images of batch `index`, as indices into the data.
    ///
    /// # Panics
    /// If there is no such batch.
    #[track_caller]
    pub fn batch(&self, index: usize) -> &[usize] {
        assert!(index < self.len(), "batch {index} of {} was asked for", self.len());
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
            let order = BatchOrder::new(1, 2, images, batch).unwrap();
            assert_eq!((0..order.len()).map(|i| order.batch(i).len()).collect::<Vec<_>>(), sizes);
            let mut seen = all(&order);
            seen.sort_unstable();
            assert_eq!(seen, (0..images).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_last_batch_of_one_image_is_left_out() {
        let order = BatchOrder::new(1, 2, 10, 3).unwrap();
        assert_eq!((order.len(), all(&order).len()), (3, 9));
        // another image each epoch
        let missing = |epoch| {
            let seen = all(&BatchOrder::new(1, epoch, 10, 3).unwrap());
            (0..10).find(|i| !seen.contains(i)).unwrap()
        };
        let mut missed: Vec<usize> = (0..100).map(missing).collect();
        missed.sort_unstable();
        missed.dedup();
        assert_eq!(missed, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn the_order_is_a_function_of_seed_and_epoch() {
        let order = |seed, epoch| all(&BatchOrder::new(seed, epoch, 50, 10).unwrap());
        assert_eq!(order(1, 2), order(1, 2));
        assert_ne!(order(1, 2), order(1, 3));
        assert_ne!(order(1, 2), order(2, 2));
        assert_ne!(order(1, 2), order(2, 1));
        // by another implementation of Philox and Fisher-Yates, in Python; a later version must do the same
        assert_eq!(all(&BatchOrder::new(3, 4, 7, 7).unwrap()), [0, 5, 6, 2, 3, 4, 1]);
    }

    #[test]
    fn impossible_batches_are_refused() {
        for (images, batch) in [(10, 0), (10, 1), (10, 11), (0, 2), (0, 0), (1, 1), (1, 2)] {
            let message = BatchOrder::new(0, 0, images, batch).unwrap_err().to_string();
            assert!(message.contains(&format!("{images} images into batches of {batch}")), "{message}");
        }
        assert_eq!(BatchOrder::new(0, 0, 2, 2).unwrap().len(), 1);
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
