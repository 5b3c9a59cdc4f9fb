//! Parameters, their gradients and their starting values: slabs of one layout.
//!
//! All parameters of a model lie in one buffer, each at a multiple of 64 bytes; gradients and Adam's moments are
//! buffers of the same layout. Saving a model is saving slabs. A layer holds [`Param`] handles, which are numbers.
//!
//! Names equal those of the published PyTorch state dict. The order of the numbers does not: images are channels-last
//! here, so each entry also carries its [`Layout`], which only the reading and writing of weight files looks at.

use crate::rng::Stream;
use crate::simd::slice;
use crate::tensor::{Buffer, Shape};
use std::ops::Range;

/// A handle to one parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param(usize);

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trained: has a gradient.
    Weight,
    /// Observed: a running average of batch normalisation.
    Statistic,
}

/// How the published PyTorch file orders the numbers of a parameter.
///
/// Seen as a tensor of sizes `view`, the file's axes come in the order `order` here: axis i of ours is axis
/// `order[i]` of the view. The file names the sizes `shape`, which hold the same numbers in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The sizes that the file states.
    pub shape: Vec<usize>,
    /// The same numbers as a tensor whose axes can be permuted.
    pub view: Vec<usize>,
    /// Which axis of `view` each axis of ours is.
    pub order: Vec<usize>,
}

impl Layout {
    /// The same order in the file as here.
    pub fn same(shape: Shape) -> Self {
        let sizes = shape.sizes().to_vec();
        Layout { order: (0..sizes.len()).collect(), view: sizes.clone(), shape: sizes }
    }

    /// Numbers in the file's order, from ours.
    ///
    /// # Panics
    /// If their number is not that of the layout.
    pub fn to_published(&self, ours: &[f32]) -> Vec<f32> {
        let mut published = vec![0.0; ours.len()];
        self.for_each_run(ours.len(), |mine, theirs, step| {
            for (to, from) in published[theirs..].iter_mut().step_by(step).zip(&ours[mine]) {
                *to = *from;
            }
        });
        published
    }

    /// Overwrites numbers in our order with those of the file.
    ///
    /// # Panics
    /// If the number of either is not that of the layout.
    pub fn from_published(&self, published: &[f32], ours: &mut [f32]) {
        assert_eq!(published.len(), ours.len(), "numbers of a file and of a parameter");
        self.for_each_run(published.len(), |mine, theirs, step| {
            for (to, from) in ours[mine].iter_mut().zip(published[theirs..].iter().step_by(step)) {
                *to = *from;
            }
        });
    }

    /// Calls `run(indices here, first index in the file, step in the file)` for all runs of our innermost axis.
    fn for_each_run(&self, len: usize, mut run: impl FnMut(Range<usize>, usize, usize)) {
        assert_eq!(
            self.view.iter().product::<usize>(),
            len,
            "a layout of sizes {:?} for {len} numbers",
            self.view
        );
        let mut strides = vec![1; self.view.len()];
        for axis in (1..self.view.len()).rev() {
            strides[axis - 1] = strides[axis] * self.view[axis];
        }
        let Some((&innermost, outer)) = self.order.split_last() else {
            return run(0..len, 0, 1); // a single number
        };
        let count = self.view[innermost].max(1);
        for mine in (0..len).step_by(count) {
            let (mut rest, mut theirs) = (mine / count, 0);
            for &axis in outer.iter().rev() {
                theirs += rest % self.view[axis] * strides[axis];
                rest /= self.view[axis];
            }
            run(mine..mine + count, theirs, strides[innermost]);
        }
    }
}

/// The name, place and nature of one parameter.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The published name, such as `qzd.encoder.0.weight`.
    pub name: String,
    /// The shape here.
    pub shape: Shape,
    /// Whether it is trained or observed.
    pub role: Role,
    /// The published order of its numbers.
    pub layout: Layout,
    offset: usize,
}

/// All parameters of a model.
#[derive(Clone, Debug, Default)]
pub struct Params {
    entries: Vec<Entry>,
    values: Buffer,
    is_outline: bool,
}

impl Params {
    /// No parameters yet.
    pub fn new() -> Self {
        Params::default()
    }

    /// No parameters yet, and never a number: of those that are made only the entries are kept, to compare a file with
    /// before memory is taken for it. Only [`Builder::without_start`] makes parameters in it.
    pub fn outline() -> Self {
        Params { is_outline: true, ..Params::default() }
    }

    /// The entries, in the order in which they were made.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The handle of every entry, in the same order.
    pub fn handles(&self) -> impl Iterator<Item = Param> + use<> {
        (0..self.entries.len()).map(Param)
    }

    /// The entry of a parameter.
    pub fn entry(&self, param: Param) -> &Entry {
        &self.entries[param.0]
    }

    /// The handle of the parameter of this name.
    pub fn find(&self, name: &str) -> Option<Param> {
        self.entries.iter().position(|entry| entry.name == name).map(Param)
    }

    /// The numbers of a parameter.
    pub fn get(&self, param: Param) -> &[f32] {
        &self.values[self.range(param)]
    }

    /// The numbers of a parameter, to be changed.
    pub fn get_mut(&mut self, param: Param) -> &mut [f32] {
        let range = self.range(param);
        &mut self.values[range]
    }

    /// All numbers, padding included: what is saved.
    pub fn slab(&self) -> &[f32] {
        &self.values
    }

    /// All numbers, to be replaced by what was saved.
    pub fn slab_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Where the numbers of a parameter lie in a slab of this layout.
    pub fn range(&self, param: Param) -> Range<usize> {
        let entry = &self.entries[param.0];
        entry.offset..entry.offset + entry.shape.len()
    }

    /// How many numbers are trained.
    pub fn trained(&self) -> usize {
        self.entries.iter().filter(|e| e.role == Role::Weight).map(|e| e.shape.len()).sum()
    }

    /// Replaces every statistic by the value that the last backward pass observed.
    pub fn take_statistics(&mut self, gradients: &Gradients) {
        for param in self.handles() {
            if self.entry(param).role == Role::Statistic {
                let range = self.range(param);
                self.values[range.clone()].copy_from_slice(&gradients.values[range]);
            }
        }
    }

    fn insert(&mut self, name: String, shape: Shape, role: Role, layout: Layout) -> Param {
        assert!(self.find(&name).is_none(), "two parameters are named {name}");
        let offset =
            self.entries.last().map_or(0, |last| last.offset + last.shape.len().next_multiple_of(16));
        let len = shape.len();
        assert_eq!(
            layout.view.iter().product::<usize>(),
            len,
            "{name}: {shape} has a layout of {:?}",
            layout.view
        );
        if !self.is_outline {
            self.values.resize(offset + len.next_multiple_of(16));
        }
        self.entries.push(Entry { name, shape, role, layout, offset });
        Param(self.entries.len() - 1)
    }

    /// The first number of a slab with the layout of the parameters that is not finite, and its parameter's name.
    pub fn not_finite(&self, slab: &[f32]) -> Option<(&str, f32)> {
        if slice::all_finite(slab) {
            return None;
        }
        self.handles().find_map(|param| {
            let bad = slab[self.range(param)].iter().find(|number| !number.is_finite())?;
            Some((self.entry(param).name.as_str(), *bad))
        })
    }
}

/// One backward pass: the gradient of every weight, and the new value of every statistic, in the layout of [`Params`].
#[derive(Clone, Debug)]
pub struct Gradients {
    values: Buffer,
}

impl Gradients {
    /// Room for the gradients of these parameters.
    pub fn new(params: &Params) -> Self {
        Gradients { values: Buffer::zeros(params.values.len()) }
    }

    /// The gradient of a weight, or the new value of a statistic.
    pub fn get<'a>(&'a self, params: &Params, param: Param) -> &'a [f32] {
        &self.values[params.range(param)]
    }

    /// All numbers, in the layout of the parameters' slab.
    pub fn slab(&self) -> &[f32] {
        &self.values
    }

    /// Zero for every weight, the present value for every statistic.
    pub(super) fn reset(&mut self, params: &Params) {
        self.values.fill(0.0);
        for param in params.handles().filter(|&p| params.entry(p).role == Role::Statistic) {
            self.values[params.range(param)].copy_from_slice(params.get(param));
        }
    }

    pub(super) fn get_mut(&mut self, params: &Params, param: Param) -> &mut [f32] {
        &mut self.values[params.range(param)]
    }
}

/// The starting value of a weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// The same number everywhere.
    Constant(f32),
    /// Uniform in ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, AISTATS 2010, equation 16).
    XavierUniform {
        /// How many inputs reach one output.
        fan_in: usize,
        /// How many outputs one input reaches.
        fan_out: usize,
    },
}

/// Makes parameters under a path of names, with starting values drawn from (seed, full name).
#[derive(Debug)]
pub struct Builder<'a> {
    params: &'a mut Params,
    /// None where the weights are to be replaced before they are used.
    seed: Option<u64>,
    path: String,
}

impl<'a> Builder<'a> {
    /// Starts at the root.
    pub fn new(params: &'a mut Params, seed: u64) -> Self {
        Builder { params, seed: Some(seed), path: String::new() }
    }

    /// Starts at the root and draws nothing: every weight is 0, to be replaced by what was saved.
    pub fn without_start(params: &'a mut Params) -> Self {
        Builder { params, seed: None, path: String::new() }
    }

    /// The builder of what lies under `name`: `px`, then `px.de1`, then `px.de1.0`.
    pub fn scope(&mut self, name: &str) -> Builder<'_> {
        Builder { path: format!("{}{name}.", self.path), params: self.params, seed: self.seed }
    }

    /// A trained parameter.
    ///
    /// # Panics
    /// If the name is taken or the layout does not fit the shape.
    pub fn weight(&mut self, name: &str, shape: impl Into<Shape>, layout: Layout, init: Init) -> Param {
        let name = format!("{}{name}", self.path);
        let stream = self.seed.map(|seed| Stream::new(seed, &format!("init/{name}"), &[]));
        let param = self.params.insert(name, shape.into(), Role::Weight, layout);
        let Some(stream) = stream else { return param };
        let values = self.params.get_mut(param);
        match init {
            Init::Constant(value) => values.fill(value),
            Init::XavierUniform { fan_in, fan_out } => {
                let bound = (6.0 / (fan_in + fan_out) as f64).sqrt() as f32;
                stream.fill_uniform(-bound, bound, values);
            }
        }
        param
    }

    /// A running statistic that starts as `value`.
    ///
    /// # Panics
    /// If the name is taken or the layout does not fit the shape.
    pub fn statistic(&mut self, name: &str, shape: impl Into<Shape>, layout: Layout, value: f32) -> Param {
        let name = format!("{}{name}", self.path);
        let param = self.params.insert(name, shape.into(), Role::Statistic, layout);
        if !self.params.is_outline {
            self.params.get_mut(param).fill(value);
        }
        param
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_permutes_as_a_naive_loop_does() {
        // A PyTorch Linear over a flattened (channels 2, pixels 3) image with 4 outputs: file (4, 6), ours (6, 4).
        let layout = Layout { shape: vec![4, 6], view: vec![4, 2, 3], order: vec![2, 1, 0] };
        let file: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let mut ours = [f32::NAN; 24];
        layout.from_published(&file, &mut ours);
        for pixel in 0..3 {
            for channel in 0..2 {
                for output in 0..4 {
                    assert_eq!(
                        ours[(pixel * 2 + channel) * 4 + output],
                        file[output * 6 + channel * 3 + pixel]
                    );
                }
            }
        }
        assert_eq!(layout.to_published(&ours), file);

        // A kernel (2, 3 channels, 2 x 2), whose channels come first in the file, and a single number.
        let kernel = vec![2, 3, 2, 2];
        let layout = Layout { shape: kernel.clone(), view: kernel, order: vec![2, 3, 1, 0] };
        layout.from_published(&file, &mut ours);
        for output in 0..2 {
            for input in 0..3 {
                for place in 0..4 {
                    assert_eq!(
                        ours[(place * 3 + input) * 2 + output],
                        file[(output * 3 + input) * 4 + place]
                    );
                }
            }
        }
        assert_eq!(layout.to_published(&ours), file);
        let mut one = [f32::NAN];
        Layout::same(Shape::SCALAR).from_published(&[7.0], &mut one);
        assert_eq!((one, Layout::same(Shape::SCALAR).to_published(&one)), ([7.0], vec![7.0]));
    }

    #[test]
    fn a_model_without_a_start_has_the_same_entries_and_only_zeros() {
        let make = |mut builder: Builder<'_>| {
            let init = Init::XavierUniform { fan_in: 3, fan_out: 7 };
            builder.scope("a").weight("w", [3, 7], Layout::same([3, 7].into()), init);
            builder.scope("a").statistic("variance", [7], Layout::same([7].into()), 1.0);
        };
        let (mut drawn, mut without) = (Params::new(), Params::new());
        make(Builder::new(&mut drawn, 1));
        make(Builder::without_start(&mut without));
        let mut outline = Params::outline();
        make(Builder::without_start(&mut outline));
        let names = |params: &Params| -> Vec<_> {
            params.handles().map(|p| (params.entry(p).name.clone(), params.range(p))).collect()
        };
        assert_eq!(names(&drawn), names(&without));
        assert_eq!((names(&drawn), &[][..]), (names(&outline), outline.slab()));
        assert!(drawn.slab()[..21].iter().all(|&x| x != 0.0));
        assert!(without.slab()[..21].iter().all(|&x| x == 0.0));
    }

    #[test]
    fn a_start_depends_on_seed_and_name_only() {
        let draw = |seed, names: &[&str]| {
            let mut params = Params::new();
            let mut root = Builder::new(&mut params, seed);
            for name in names {
                let init = Init::XavierUniform { fan_in: 3, fan_out: 7 };
                root.scope("a").weight(name, [3, 7], Layout::same([3, 7].into()), init);
            }
            params
        };
        let (alone, second) = (draw(1, &["w"]), draw(1, &["v", "w"]));
        let of = |p: &Params, name| p.get(p.find(name).expect("made above")).to_vec();
        assert_eq!(of(&alone, "a.w"), of(&second, "a.w"));
        assert_ne!(of(&second, "a.v"), of(&second, "a.w"));
        assert_ne!(of(&alone, "a.w"), of(&draw(2, &["w"]), "a.w"));
        let bound = (6.0_f32 / 10.0).sqrt();
        assert!(of(&alone, "a.w").iter().all(|x| x.abs() <= bound));
        assert_eq!(second.range(second.find("a.w").expect("made above")), 32..53);
        assert_eq!(second.trained(), 42);
    }
}
