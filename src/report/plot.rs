//! A chart as pixels: series over one pair of axes, with title, numbers, units and legend.
//!
//! Grid lines are faint and there is no frame: ink is for data. The label of the vertical axis stands above it,
//! written as people read. The legend stands beside the plot, where no line can run through it.

use super::axis::Axis;
use super::canvas::{Align, Canvas};
use super::chart::Chart;
use super::font::Size;
use super::palette::{Colour, FAINT, GREY, INK};
use super::picture::Picture;
use super::text::{self, GAP, LETTER, MARGIN, MIDDLE, Paragraph, with_gap};

/// Pixels between the first and the last tick, across and down; a long legend makes the plot higher.
const PLOT: [usize; 2] = [640, 360];

/// Most intervals between ticks, across and down.
const INTERVALS: [usize; 2] = [10, 6];

/// Pixels of a tick mark.
const MARK: usize = 6;

/// Half the width of a line, in pixels.
const LINE: f64 = 1.25;

/// The radius of the dot of a lone point, in pixels.
const DISC: f64 = 3.5;

/// Pixels of a dash, and of the gap behind it.
const DASH: usize = 5;

/// Pixels of the piece of line before a name in the legend.
const SAMPLE: [usize; 2] = [28, 3];

/// Names in the legend are broken into lines of so many pixels.
const NAME: usize = 200;

/// Where everything goes, in pixels, and the ticks across and down.
struct PlotLayout {
    title: Paragraph,
    labels: [Paragraph; 2],
    /// The names, with their colours; without one where a dashed line stands for it.
    legend: Vec<(Paragraph, Option<Colour>)>,
    axes: [Axis; 2],
    /// Upper left corner of the plot.
    corner: [usize; 2],
    /// From the first tick to the last, across and down.
    plot: [usize; 2],
    size: [usize; 2],
}

impl Chart {
    /// The chart as an RGB image. Without a single point to draw it is an empty pair of axes from 0 to 1.
    pub fn render(&self) -> Picture {
        let layout = self.layout();
        let mut canvas = Canvas::new(layout.size[0], layout.size[1]);
        let upwards = [MARGIN, MARGIN + with_gap(layout.title.height(), GAP)];
        canvas.write([MARGIN, MARGIN], &layout.title, Align::Left, INK);
        canvas.write(upwards, &layout.labels[1], Align::Left, GREY);
        layout.upwards(&mut canvas);
        layout.across(&mut canvas);
        layout.legend(&mut canvas);
        if let Some((place, _)) = &self.upright {
            let corner = [layout.corner[0] + layout.along(0, *place), layout.corner[1]];
            layout.dashes(&mut canvas, corner, 1, layout.plot[1]);
        }
        for series in &self.series {
            for run in series.points.split(|&point| !self.shows(point)) {
                let places: Vec<_> = run.iter().map(|&point| layout.place(point)).collect();
                canvas.line(&places, if places.len() == 1 { DISC } else { LINE }, series.colour);
            }
            for &mark in series.marks.iter().filter(|&&mark| self.shows(mark)) {
                canvas.line(&[layout.place(mark)], DISC, series.colour);
            }
        }
        canvas.into_picture()
    }

    /// The chart as the bytes of a PNG file; the same chart gives the same bytes.
    pub fn to_png(&self) -> Vec<u8> {
        self.render().to_png()
    }

    fn layout(&self) -> PlotLayout {
        let mut legend = Vec::new();
        for series in self.series.iter().filter(|series| !series.name.is_empty()) {
            legend.push((Paragraph::new(&series.name, NAME), Some(series.colour)));
        }
        if let Some((_, name)) = &self.upright {
            legend.push((Paragraph::new(name, NAME), None));
        }
        let names = [
            legend.iter().map(|(name, _)| name.width()).max().unwrap_or(0),
            legend.iter().map(|(name, _)| name.height() + GAP / 2).sum(),
        ];
        let height = if self.is_of_shares { PLOT[0] } else { PLOT[1] };
        let plot = [PLOT[0], height.max(names[1])];
        let axes = [spaced(|intervals| self.axis(0, intervals)), self.axis(1, INTERVALS[1])];
        let [across, upwards] = [0, 1].map(|axis| widest(&axes[axis]));

        let left = MARGIN + (upwards + 2 * MARK).max(across / 2);
        let label = Paragraph::new(&self.labels[0], plot[0]);
        let beside = if names[0] > 0 { SAMPLE[0] + 3 * GAP + names[0] } else { across.div_ceil(2) };
        let right = left + (plot[0] + 1 + beside).max(label.width());
        let right = right
            .max(MARGIN + text::longest_word(&self.title, Size::Title))
            .max(MARGIN + text::longest_word(&self.labels[1], Size::Text));
        let title = Paragraph::title(&self.title, right - MARGIN);
        let above = Paragraph::new(&self.labels[1], right - MARGIN);
        let top = MARGIN + with_gap(title.height(), GAP) + with_gap(above.height(), 2 * GAP);
        let below = if label.height() > 0 { GAP / 2 + label.height() } else { 0 };
        let numbers = top + plot[1] + 1 + 2 * MARK + Size::Text.height();
        let size = [right + MARGIN, numbers + below + MARGIN];
        PlotLayout { title, labels: [label, above], legend, axes, corner: [left, top], plot, size }
    }
}

/// The axis across with the most ticks whose numbers stay at least a letter apart.
fn spaced(axis: impl Fn(usize) -> Axis) -> Axis {
    let fits = |axis: &Axis| (axis.labels().len() - 1) * (widest(axis) + LETTER) <= PLOT[0];
    (2..=INTERVALS[0]).rev().map(&axis).find(fits).unwrap_or_else(|| axis(1))
}

/// Pixels of the longest number at an axis.
fn widest(axis: &Axis) -> usize {
    axis.labels().iter().map(|label| text::width(label, Size::Text)).max().unwrap_or(0)
}

impl PlotLayout {
    /// Where a point is drawn: at the centre of the pixel of a tick if it lies on that tick.
    fn place(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [across, upwards] = [self.axes[0].position(x), 1.0 - self.axes[1].position(y)];
        [
            self.corner[0] as f64 + 0.5 + across * self.plot[0] as f64,
            self.corner[1] as f64 + 0.5 + upwards * self.plot[1] as f64,
        ]
    }

    /// The pixels from the first tick of an axis to each of its ticks, and their numbers.
    fn ticks(&self, axis: usize) -> Vec<(usize, Paragraph)> {
        let ticks = self.axes[axis].ticks().into_iter().zip(self.axes[axis].labels());
        ticks.map(|(tick, label)| (self.along(axis, tick), Paragraph::new(&label, 0))).collect()
    }

    /// The pixels from the first tick of an axis to a value on it.
    fn along(&self, axis: usize, value: f64) -> usize {
        (self.axes[axis].position(value) * self.plot[axis] as f64).round() as usize
    }

    /// The axis across: a line, marks, numbers, the label below.
    fn across(&self, canvas: &mut Canvas) {
        let [left, bottom] = [self.corner[0], self.corner[1] + self.plot[1]];
        canvas.fill([left, bottom], [self.plot[0] + 1, 1], GREY);
        for (place, number) in self.ticks(0) {
            canvas.fill([left + place, bottom], [1, 1 + MARK], GREY);
            let corner = [left + place - number.width() / 2, bottom + 1 + 2 * MARK];
            canvas.write(corner, &number, Align::Left, GREY);
        }
        let label = &self.labels[0];
        let indent = self.plot[0].saturating_sub(label.width()) / 2;
        let below = bottom + 1 + 2 * MARK + Size::Text.height() + GAP / 2;
        canvas.write([left + indent, below], label, Align::Centre, GREY);
    }

    /// The axis upwards: faint lines across the plot and the numbers before them.
    fn upwards(&self, canvas: &mut Canvas) {
        let [left, bottom] = [self.corner[0], self.corner[1] + self.plot[1]];
        for (place, number) in self.ticks(1) {
            canvas.fill([left, bottom - place], [self.plot[0] + 1, 1], FAINT);
            let corner = [left - 2 * MARK - number.width(), bottom - place - MIDDLE];
            canvas.write(corner, &number, Align::Left, GREY);
        }
        for value in self.axes[1].between_ticks() {
            canvas.fill([left - MARK / 2, bottom - self.along(1, value)], [MARK / 2, 1], GREY);
        }
    }

    /// A dashed line of `width` x `height` pixels from its upper left corner on, one of which is 1.
    fn dashes(&self, canvas: &mut Canvas, [x, y]: [usize; 2], width: usize, height: usize) {
        for start in (0..width.max(height)).step_by(2 * DASH) {
            let [across, down] = if height > 1 { [0, start] } else { [start, 0] };
            let size = [width - across, height - down].map(|rest| rest.min(DASH));
            canvas.fill([x + across, y + down], size, GREY);
        }
    }

    /// A piece of line and a name for each series, from the top down.
    fn legend(&self, canvas: &mut Canvas) {
        let [left, mut top] = [self.corner[0] + self.plot[0] + 1 + 2 * GAP, self.corner[1]];
        for (name, colour) in &self.legend {
            let middle = top + MIDDLE - SAMPLE[1] / 2;
            match colour {
                Some(colour) => canvas.fill([left, middle], SAMPLE, *colour),
                None => self.dashes(canvas, [left, middle + 1], SAMPLE[0], 1),
            }
            canvas.write([left + SAMPLE[0] + GAP, top], name, Align::Left, INK);
            top += name.height() + GAP / 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::canvas::tests::{find, find_title};
    use crate::report::palette::{WHITE, series};
    use proptest::prelude::*;

    /// Accuracies from 0 to 1 over 40 epochs: a falling diagonal and a constant.
    fn plot() -> Chart {
        Chart::new("Accuracy")
            .axes("epoch", "share right")
            .series("falling", series(0), vec![[0.0, 1.0], [40.0, 0.0]])
            .series("constant", series(1), vec![[0.0, 0.5], [40.0, 0.5]])
    }

    /// Pixels of a line of text.
    fn wide(line: &str) -> usize {
        text::width(line, Size::Text)
    }

    /// The corner of the plot: a margin of 16, the numbers (11 for a digit and 5 for a point, twice 6 for marks); downwards a margin,
    /// and a title of 29 and a label of 22 with gaps of 10 and 20.
    const CORNER: [usize; 2] = [16 + 27 + 12, 16 + 39 + 42];

    #[test]
    fn the_size_follows_from_the_contents() {
        let size = |plot: &Chart| {
            let picture = plot.render();
            [picture.width, picture.height]
        };
        // to the right the gap, the sample and the longest name; below numbers and label
        let right = 20 + 28 + 10 + wide("constant") + 16;
        let below = 12 + 22 + 5 + 22 + 16;
        assert_eq!(size(&plot()), [CORNER[0] + 641 + right, CORNER[1] + 361 + below]);
        // 30 names of 22 with gaps of 5 are higher than 360
        let long = (0..28).fold(plot(), |plot, _| plot.series("x", WHITE, vec![]));
        assert_eq!(size(&long)[1], CORNER[1] + 30 * 27 + 1 + below);
        // nothing but axes with the numbers 0.0 to 1.0: half of the last number goes beyond the plot
        assert_eq!(size(&Chart::new("")), [CORNER[0] + 641 + 14 + 16, 16 + 361 + 12 + 22 + 16]);
    }

    #[test]
    fn text_stands_where_it_belongs() {
        let drawn = plot().render();
        let [left, top] = CORNER;
        assert_eq!(find_title(&drawn, "Accuracy", INK), [[16, 16]]);
        assert_eq!(find(&drawn, "share right", GREY), [[16, 16 + 39]]);
        let middle = left + (640 - wide("epoch")) / 2;
        assert_eq!(find(&drawn, "epoch", GREY), [[middle, top + 361 + 12 + 22 + 5]]);
        assert_eq!(find(&drawn, "falling", INK), [[left + 641 + 20 + 38, top]]);
        assert_eq!(find(&drawn, "constant", INK), [[left + 641 + 20 + 38, top + 27]]);
        for (tick, label) in ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"].iter().enumerate() {
            assert_eq!(find(&drawn, label, GREY), [[16, top + 360 - 72 * tick - 12]]);
        }
        for (tick, label) in ["15", "20", "25", "30", "35", "40"].iter().enumerate() {
            assert_eq!(find(&drawn, label, GREY), [[left + 80 * (tick + 3) - 11, top + 361 + 12]]);
        }
        assert_eq!(drawn.colour(top + 12, left + 641 + 20), series(0));
        assert_eq!(drawn.colour(top + 27 + 12, left + 641 + 20 + 27), series(1));
    }

    #[test]
    fn points_stand_at_their_values() {
        let drawn = plot().render();
        let [left, top] = CORNER;
        let at = |x: usize, y: usize| drawn.colour(top + y, left + x);
        // epoch 10: the diagonal has fallen to 0.75, the constant is at 0.5
        assert_eq!(at(160, 90), series(0));
        assert_eq!(at(160, 180), series(1));
        assert_eq!([at(160, 178), at(160, 182)], [WHITE; 2]);
        assert_eq!([at(160, 86), at(160, 94)], [WHITE; 2]);
        // where the two meet, the later one is above
        assert_eq!(at(320, 180), series(1));
        // the ends stand on the first and the last tick; the grid line of 0.8 and the axis
        assert_eq!([at(0, 0), at(640, 360), at(0, 180), at(640, 180)], [0, 0, 1, 1].map(series));
        assert_eq!([at(500, 72), at(300, 360)], [FAINT, GREY]);
    }

    #[test]
    fn a_logarithmic_axis_shows_equal_shares_at_equal_heights() {
        let points = vec![[0.0, 1.0], [1.0, 100.0], [2.0, 0.0], [3.0, 1e4], [4.0, 1e4]];
        let drawn = Chart::new("").logarithmic().series("", series(0), points).render();
        // "10000" has five digits of 11; 100 is half way up, the grid lines are 90 pixels apart
        let at = |x: usize, y: usize| drawn.colour(16 + y, 16 + 55 + 12 + x);
        assert_eq!([at(0, 360), at(160, 180), at(560, 0)], [series(0); 3]);
        assert_eq!([90, 180, 270].map(|y| at(600, y)), [FAINT; 3]);
        // short marks to the left, at 2 and 3 thousand 90 lg 2 and 90 lg 3 pixels above a thousand
        let left = |y: usize| drawn.colour(16 + y, 16 + 55 + 12 - 2);
        assert_eq!([90 - 27, 90 - 43, 90 - 35].map(left), [GREY, GREY, WHITE]);
        // What is not above 0 is a gap.
        assert_eq!([at(240, 270), at(320, 359), at(400, 100)], [FAINT, WHITE, WHITE]);
    }

    #[test]
    fn a_place_across_is_marked_by_dashes_behind_the_series() {
        let drawn = plot().at(20.0, "half").render();
        let [left, top] = CORNER;
        let at = |y: usize| drawn.colour(top + y, left + 320);
        assert_eq!([0, 4, 5, 9, 10, 350].map(at), [GREY, GREY, WHITE, WHITE, GREY, GREY]);
        assert_eq!(at(180), series(1));
        // Named below the series, with a dash of its own; the place is among those that the axis covers.
        assert_eq!(find(&drawn, "half", INK), [[left + 641 + 20 + 38, top + 54]]);
        assert_eq!([0, 4, 5].map(|x| drawn.colour(top + 54 + 12, left + 641 + 20 + x)), [GREY, GREY, WHITE]);
        assert!(Chart::new("").at(50.0, "").axis(0, 5).ticks().contains(&50.0));
    }

    #[test]
    fn what_is_not_a_number_leaves_a_gap_and_a_lone_point_is_a_dot() {
        for gap in [f64::NAN, f64::INFINITY, -f64::MAX] {
            let points = [0.5, 0.5, gap, 0.5, gap, 1.0, 1.0, 0.0];
            let points = points.iter().zip(0_u8..).map(|(&y, x)| [f64::from(x), y]).collect();
            let drawn = Chart::new("").series("", series(2), points).render();
            // epochs 0 to 7 are 640 / 7 pixels apart; 0.5 is half way down
            let at = |tenths: usize| drawn.colour(16 + 180, CORNER[0] + tenths * 64 / 7);
            assert_eq!([0, 5, 10, 30].map(at), [series(2); 4], "{gap}");
            assert_eq!([12, 20, 28, 32, 40, 50].map(at), [WHITE; 6], "{gap}");
            // A line covers one row fully; of the dot, 0.3 beside this column, the rows within 3 pixels are.
            let rows = |tenths: usize| {
                let column = CORNER[0] + tenths * 64 / 7;
                (0..20).filter(|row| drawn.colour(16 + 170 + row, column) == series(2)).count()
            };
            assert_eq!([rows(5), rows(30)], [1, 5], "{gap}");
        }
    }

    #[test]
    fn series_without_anything_to_draw_leave_the_axes_empty() {
        let empty = Chart::new("").render();
        for points in [vec![], vec![[f64::NAN, 1.0]], vec![[1.0, f64::NEG_INFINITY]; 3]] {
            assert_eq!(Chart::new("").series("", series(0), points).render(), empty);
        }
        let mut colours: Vec<&[u8]> = empty.pixels.chunks(3).collect();
        colours.sort_unstable();
        colours.dedup();
        // Axes and numbers are grey: nothing is coloured but what is drawn of series.
        assert!(colours.contains(&&GREY[..]) && colours.contains(&&FAINT[..]), "{colours:?}");
        assert!(colours.iter().all(|colour| colour[0] == colour[1] && colour[1] == colour[2]), "{colours:?}");
    }

    #[test]
    fn a_constant_stands_in_the_middle() {
        let drawn = Chart::new("").series("", series(0), vec![[1.0, 0.5], [3.0, 0.5]]).render();
        let ink: Vec<_> = (0..drawn.height).filter(|&row| drawn.colour(row, 400) == series(0)).collect();
        assert_eq!(ink, [16 + 180]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever is plotted, each word and number can be read somewhere: not cut off, nothing drawn over it.
        /// What is outside the picture panics.
        #[test]
        fn every_word_can_be_read(
            title in "[ -~°é]{0,30}",
            labels in ["[ -~°é]{0,60}", "[ -~°é]{0,60}"],
            series in prop::collection::vec(
                ("[ -~°é]{0,30}", prop::collection::vec([value(), value()], 0..5)),
                0..4,
            ),
        ) {
            let [across, upwards] = labels.clone();
            let mut plot = Chart::new(title.clone()).axes(across, upwards);
            for (number, (name, points)) in series.iter().enumerate() {
                plot = plot.series(name.clone(), super::super::palette::series(number), points.clone());
            }
            let drawn = plot.render();
            for word in series.iter().flat_map(|(name, _)| name.split_whitespace()) {
                prop_assert!(!find(&drawn, word, INK).is_empty(), "{word:?}");
            }
            for word in title.split_whitespace() {
                prop_assert!(!find_title(&drawn, word, INK).is_empty(), "{word:?}");
            }
            let numbers: Vec<_> = plot.layout().axes.iter().flat_map(Axis::labels).collect();
            for text in labels.iter().chain(&numbers) {
                for word in text.split_whitespace() {
                    prop_assert!(!find(&drawn, word, GREY).is_empty(), "{word:?}");
                }
            }
        }
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![any::<f64>(), -1e3..1e3, 0.97..0.98, Just(1.0), Just(f64::NAN), Just(1e300)]
    }
}
