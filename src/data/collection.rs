//! Images of named domains and named classes, as a lab has them, before one domain is held out.

use super::Dataset;
use crate::error::{Error, Result};
use crate::parallel;
use sha2::{Digest, Sha256};

/// The class of an image of which no class is known. No class has this number, so that it matches none.
pub const UNLABELLED: u32 = u32::MAX;

/// Images with the names of their domains and classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// The images; their `domains` are indices into `domain_names`, their `classes` into `class_names` or [`UNLABELLED`].
    pub images: Dataset,
    /// What each image is known by.
    pub origins: Vec<Origin>,
    /// What the domains are called: patients, hospitals, microscopes.
    pub domain_names: Vec<String>,
    /// What the classes are called.
    pub class_names: Vec<String>,
}

/// What an image is known by, whatever becomes of the folder that it lies in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The file, below the folder of all, with slashes; empty of an image that no file holds.
    pub file: String,
    /// The SHA-256 of the file's bytes, or of the image's where there is no file.
    pub sha256: [u8; 32],
    /// What it belongs to within its domain, whatever its class, a patient for example; empty if that is not known.
    pub group: String,
}

/// How many images a domain has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainCounts {
    /// The images of each class.
    pub of_class: Vec<usize>,
    /// The images without a class.
    pub unlabelled: usize,
}

impl DomainCounts {
    /// The images with and without a class.
    pub fn all(&self) -> usize {
        self.of_class.iter().sum::<usize>() + self.unlabelled
    }
}

impl Collection {
    /// Images that no file holds, with the names of what their labels count.
    ///
    /// # Panics
    /// If an image has a domain or a class without a name.
    #[track_caller]
    pub fn new(images: Dataset, domain_names: Vec<String>, class_names: Vec<String>) -> Self {
        let origin = |i: usize| Origin {
            file: String::new(),
            sha256: Sha256::digest(images.image(i)).into(),
            group: String::new(),
        };
        let origins = parallel::map(images.len(), origin);
        Collection::of_files(images, origins, domain_names, class_names)
    }

    /// Images of files, with the names of what their labels count.
    ///
    /// # Panics
    /// If there is not an origin for each image, or an image has a domain or a class without a name.
    #[track_caller]
    pub fn of_files(
        images: Dataset,
        origins: Vec<Origin>,
        domain_names: Vec<String>,
        class_names: Vec<String>,
    ) -> Self {
        assert_eq!(origins.len(), images.len(), "an origin for each image");
        let (domains, classes) = (domain_names.len(), class_names.len());
        for (&domain, &class) in images.domains.iter().zip(&images.classes) {
            assert!((domain as usize) < domains, "domain {domain} of {domains}");
            assert!(class == UNLABELLED || (class as usize) < classes, "class {class} of {classes}");
        }
        Collection { images, origins, domain_names, class_names }
    }

    /// The images of the domains and classes of these names, each numbered in this order; those without a class stay.
    ///
    /// # Errors
    /// If there is no domain or no class of a name, or no image is left of a domain.
    pub fn arranged(mut self, domain_names: &[String], class_names: &[String]) -> Result<Self> {
        let place =
            |names: &[String], name: &String| names.iter().position(|other| other == name).map(|i| i as u32);
        if let Some(name) = domain_names.iter().find(|&name| !self.domain_names.contains(name)) {
            let found = self.domain_names.join(", ");
            return Err(Error::request(format!("cannot find the domain {name:?}: the data have {found}")));
        }
        if let Some(name) = class_names.iter().find(|&name| !self.class_names.contains(name)) {
            let found = self.class_names.join(", ");
            return Err(Error::request(format!("cannot find the class {name:?}: the data have {found}")));
        }
        let counts = self.counts();
        let domains: Vec<Option<u32>> =
            self.domain_names.iter().map(|name| place(domain_names, name)).collect();
        let classes: Vec<Option<u32>> =
            self.class_names.iter().map(|name| place(class_names, name)).collect();
        let Dataset { pixels, classes: of_class, domains: of_domain, .. } = &mut self.images;
        let (images, mut kept) = (of_class.len(), 0);
        let values = pixels.len().checked_div(images).unwrap_or(0);
        for image in 0..images {
            let Some(domain) = domains[of_domain[image] as usize] else { continue };
            let class = match of_class[image] {
                UNLABELLED => UNLABELLED,
                class => match classes[class as usize] {
                    Some(class) => class,
                    None => continue,
                },
            };
            (of_domain[kept], of_class[kept]) = (domain, class);
            self.origins.swap(kept, image);
            pixels.copy_within(image * values..(image + 1) * values, kept * values);
            kept += 1;
        }
        pixels.truncate(kept * values);
        of_class.truncate(kept);
        of_domain.truncate(kept);
        self.origins.truncate(kept);
        let mut is_left = vec![false; domain_names.len()];
        of_domain.iter().for_each(|&domain| is_left[domain as usize] = true);
        if let Some(name) =
            domain_names.iter().zip(is_left).find_map(|(name, is_left)| (!is_left).then_some(name))
        {
            let before =
                self.domain_names.iter().position(|other| other == name).expect("it was found above");
            return Err(Error::request(match counts[before].all() {
                0 => format!("cannot use the domain {name}: none of its files can be read"),
                _ => format!(
                    "cannot use the domain {name}: none of its images is of the classes {}",
                    class_names.join(", ")
                ),
            }));
        }
        Ok(Collection {
            images: self.images,
            origins: self.origins,
            domain_names: domain_names.to_vec(),
            class_names: class_names.to_vec(),
        })
    }

    /// Puts image `order[i]` in place i, for all i, with what it is known by.
    ///
    /// # Panics
    /// If `order` does not name each image once.
    #[track_caller]
    pub fn rearrange(&mut self, order: &[usize]) {
        self.images.rearrange(order);
        let mut old: Vec<Option<Origin>> = std::mem::take(&mut self.origins).into_iter().map(Some).collect();
        self.origins = order.iter().map(|&image| old[image].take().expect("each image once")).collect();
    }

    /// How many images of each kind every domain has, in the order of `domain_names`.
    pub fn counts(&self) -> Vec<DomainCounts> {
        let none = DomainCounts { of_class: vec![0; self.class_names.len()], unlabelled: 0 };
        let mut counts = vec![none; self.domain_names.len()];
        for (&domain, &class) in self.images.domains.iter().zip(&self.images.classes) {
            let counts = &mut counts[domain as usize];
            match class {
                UNLABELLED => counts.unlabelled += 1,
                class => counts.of_class[class as usize] += 1,
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn images_are_counted() {
        let images =
            Dataset::new([1, 1, 1], vec![0; 5], vec![1, UNLABELLED, 1, 0, UNLABELLED], vec![0, 0, 0, 2, 2]);
        let counts = Collection::new(images, names(&["a", "b", "c"]), names(&["x", "y"])).counts();
        let expected = [([0, 2], 1), ([0, 0], 0), ([1, 0], 1)];
        assert_eq!(
            counts,
            expected.map(|(of_class, unlabelled)| DomainCounts { of_class: of_class.into(), unlabelled })
        );
        assert_eq!(counts.iter().map(DomainCounts::all).collect::<Vec<_>>(), [3, 0, 2]);
    }

    #[test]
    fn domains_and_classes_are_numbered_as_they_are_named() {
        let images =
            Dataset::new([1, 1, 1], (0..5).collect(), vec![1, UNLABELLED, 1, 0, 0], vec![0, 2, 1, 2, 0]);
        let all = Collection::new(images, names(&["a", "b", "c"]), names(&["x", "y"]));
        let some = all.clone().arranged(&names(&["c", "a"]), &names(&["y", "x"])).unwrap();
        let expected = Dataset::new([1, 1, 1], vec![0, 1, 3, 4], vec![0, UNLABELLED, 1, 1], vec![1, 0, 0, 1]);
        assert_eq!(some, Collection::new(expected, names(&["c", "a"]), names(&["y", "x"])));
        // Images of other classes are left out, those without a class stay.
        let of_x = all.clone().arranged(&names(&["a", "c"]), &names(&["x"])).unwrap();
        let expected = Dataset::new([1, 1, 1], vec![1, 3, 4], vec![UNLABELLED, 0, 0], vec![1, 1, 0]);
        assert_eq!(of_x, Collection::new(expected, names(&["a", "c"]), names(&["x"])));
        let refused = |domains: &[&str], classes: &[&str]| {
            all.clone().arranged(&names(domains), &names(classes)).unwrap_err().to_string()
        };
        assert_eq!(refused(&["a", "d"], &["x", "y"]), "cannot find the domain \"d\": the data have a, b, c");
        assert_eq!(refused(&["a"], &["x", "z"]), "cannot find the class \"z\": the data have x, y");
        assert_eq!(
            refused(&["a", "b"], &["x"]),
            "cannot use the domain b: none of its images is of the classes x"
        );
        let mut unread = all.clone();
        unread.images.domains = vec![0, 0, 0, 2, 2];
        let message = unread.arranged(&names(&["a", "b"]), &names(&["x"])).unwrap_err().to_string();
        assert_eq!(message, "cannot use the domain b: none of its files can be read");
    }

    #[test]
    #[should_panic(expected = "class 1 of 1")]
    fn a_class_without_a_name_is_a_bug() {
        Collection::new(Dataset::new([1, 1, 1], vec![0], vec![1], vec![0]), names(&["a"]), names(&["x"]));
    }
}
