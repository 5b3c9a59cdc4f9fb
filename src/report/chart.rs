//! A chart: what is to be drawn, as pixels (`plot`) or in a page ([`html::chart`](super::html::chart)).

use super::axis::{Axis, drawable, drawable_by_logarithm};
use super::palette::Colour;

/// Several series over one pair of axes, with a title and a legend.
///
/// ```
/// use diva::report::{Chart, palette};
/// let png = Chart::new("Accuracy on the unseen domain")
///     .axes("epoch", "accuracy (%)")
///     .series("DIVA", palette::series(0), vec![[1.0, 71.5], [2.0, 88.0], [3.0, 90.25]])
///     .series("baseline", palette::series(1), vec![[1.0, 65.0], [2.0, f64::NAN], [3.0, 80.5]])
///     .to_png();
/// assert_eq!(&png[1..4], b"PNG");
/// ```
#[derive(Clone, Debug)]
pub struct Chart {
    pub(super) title: String,
    /// Of the axes across and upwards.
    pub(super) labels: [String; 2],
    pub(super) series: Vec<Series>,
    pub(super) is_of_shares: bool,
    is_logarithmic: bool,
    /// Where a line stands from the bottom to the top, and what the legend calls it.
    pub(super) upright: Option<(f64, String)>,
}

/// One line of a chart.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// What the legend calls it.
    pub(super) name: String,
    pub(super) colour: Colour,
    /// (x, y), in order.
    pub(super) points: Vec<[f64; 2]>,
    /// The places of dots that mark points of it.
    pub(super) marks: Vec<[f64; 2]>,
}

impl Chart {
    /// A chart without series; an empty title takes no room.
    pub fn new(title: impl Into<String>) -> Self {
        let labels = [String::new(), String::new()];
        Chart {
            title: title.into(),
            labels,
            series: Vec::new(),
            is_of_shares: false,
            is_logarithmic: false,
            upright: None,
        }
    }

    /// What the axes across and upwards show, with units, as "accuracy (%)".
    #[must_use]
    pub fn axes(mut self, across: impl Into<String>, upwards: impl Into<String>) -> Self {
        self.labels = [across.into(), upwards.into()];
        self
    }

    /// Both axes show shares, from 0 to 1: a square.
    #[must_use]
    pub fn of_shares(mut self) -> Self {
        self.is_of_shares = true;
        self
    }

    /// The axis upwards is logarithmic: what is small stays in sight beside what is large. Points that are not above 0 are not
    /// drawn.
    #[must_use]
    pub fn logarithmic(mut self) -> Self {
        self.is_logarithmic = true;
        self
    }

    /// Marks one place on the axis across by a dashed line behind all series, which the legend names.
    #[must_use]
    pub fn at(mut self, place: f64, name: impl Into<String>) -> Self {
        self.upright = Some((place, name.into()));
        self
    }

    /// Adds a line through points `[x, y]` in the given order, above the lines before it.
    ///
    /// A point with a value that is not finite (or beyond 1e300) is not drawn; among pixels it leaves a gap, and a point
    /// without neighbours is a dot, and a series without a name is not in the legend.
    #[must_use]
    pub fn series(mut self, name: impl Into<String>, colour: Colour, points: Vec<[f64; 2]>) -> Self {
        self.series.push(Series { name: name.into(), colour, points, marks: vec![] });
        self
    }

    /// Marks points of the last series by dots.
    #[must_use]
    pub fn marked(mut self, marks: impl IntoIterator<Item = [f64; 2]>) -> Self {
        if let Some(last) = self.series.last_mut() {
            last.marks.extend(marks);
        }
        self
    }

    /// The axis across (0) or upwards (1), with about so many intervals.
    pub(super) fn axis(&self, axis: usize, intervals: usize) -> Axis {
        if self.is_of_shares {
            return Axis::of_shares();
        }
        let points = self.series.iter().flat_map(|series| &series.points);
        let values = points.filter(|&&point| self.shows(point)).map(|point| point[axis]);
        match axis {
            0 => Axis::covering(values.chain(self.upright.iter().map(|(place, _)| *place)), intervals),
            _ if self.is_logarithmic => Axis::logarithmic(values),
            _ => Axis::covering(values, intervals),
        }
    }

    /// Whether a point can be drawn.
    pub(super) fn shows(&self, [x, y]: [f64; 2]) -> bool {
        drawable(x) && if self.is_logarithmic { drawable_by_logarithm(y) } else { drawable(y) }
    }
}
