//! Images of named domains and named classes, as a lab has them, before one domain is held out.

use super::Dataset;

/// The class of an image of which no class is known. No class has this number, so that it matches none.
pub const UNLABELLED: u32 = u32::MAX;

/// Images with the names of their domains and classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// The images; their `domains` are indices into `domain_names`, their `classes` into `class_names` or [`UNLABELLED`].
    pub images: Dataset,
    /// What the domains are called: patients, hospitals, microscopes.
    pub domain_names: Vec<String>,
    /// What the classes are called.
    pub class_names: Vec<String>,
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
    /// Images with the names of what their labels count.
    ///
    /// # Panics
    /// If an image has a domain or a class without a name.
    #[track_caller]
    pub fn new(images: Dataset, domain_names: Vec<String>, class_names: Vec<String>) -> Self {
        let (domains, classes) = (domain_names.len(), class_names.len());
        for (&domain, &class) in images.domains.iter().zip(&images.classes) {
            assert!((domain as usize) < domains, "domain {domain} of {domains}");
            assert!(class == UNLABELLED || (class as usize) < classes, "class {class} of {classes}");
        }
        Collection { images, domain_names, class_names }
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
    #[should_panic(expected = "class 1 of 1")]
    fn a_class_without_a_name_is_a_bug() {
        Collection::new(Dataset::new([1, 1, 1], vec![0], vec![1], vec![0]), names(&["a"]), names(&["x"]));
    }
}
