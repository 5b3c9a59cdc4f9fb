//! Line charts and scatter plots as SVG inside a page.
//!
//! Numbers are written with as many decimals as can be seen, so that equal data give equal bytes. Colours are those of
//! the pictures ([`palette`](crate::report::palette)).

use super::{escape, escape_plain};
use crate::report::axis::Axis;
use crate::report::chart::{Chart, Series};
use crate::report::palette::{Colour, GREY};
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
/// Room for numbers on the left, for the last number on the right, for the title above, for numbers below.
/// Letters are 12 or, in small charts, 22 high (style.css).
const MARGINS: [f64; 4] = [72.0, 28.0, 34.0, 52.0];

/// A line chart with its legend.
pub fn svg(chart: &Chart) -> String {
    let Chart { title, series, is_of_shares, upright, .. } = chart;
    let [left, right, top, bottom] = MARGINS;
    let (class, height) = match is_of_shares {
        true => ("chart shares", WIDTH - left - right + top + bottom),
        false => ("chart", HEIGHT),
    };
    let (across, up) = (chart.axis(0, 6), chart.axis(1, 5));
    let place = |[x, y]: [f64; 2]| {
        let x = left + across.position(x) * (WIDTH - left - right);
        let y = height - bottom - up.position(y) * (height - top - bottom);
        (x, y)
    };
    let mut svg = opening(class, WIDTH, height, title);
    let _ = writeln!(svg, "<text class=\"title\" x=\"{left}\" y=\"22\">{}</text>", escape_plain(title));
    svg += &axes(chart, [&across, &up], height);
    if let Some((at, name)) = upright {
        let at = left + across.position(*at) * (WIDTH - left - right);
        let _ = writeln!(
            svg,
            "<line stroke=\"{}\" stroke-dasharray=\"5 5\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{:.1}\">\
             <title>{}</title></line>",
            hexadecimal(GREY),
            height - bottom,
            escape_plain(name)
        );
    }
    for Series { name, colour, points, marks } in series {
        let colour = hexadecimal(*colour);
        let path: Vec<String> = points
            .iter()
            .filter(|&&point| chart.shows(point))
            .map(|&point| {
                let (x, y) = place(point);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"line\" stroke=\"{colour}\" points=\"{}\"><title>{}</title></polyline>",
            path.join(" "),
            escape_plain(name)
        );
        for &point in marks.iter().filter(|&&mark| chart.shows(mark)) {
            let (x, y) = place(point);
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"/>");
        }
    }
    svg += "</svg>\n";
    let names = series.iter().map(|series| (series.name.as_str(), series.colour));
    let dashed = upright.as_ref().map(|(_, name)| format!("dashed: {name}"));
    svg + &legend(names.chain(dashed.iter().map(|name| (name.as_str(), GREY))))
}

/// Guides, numbers and labels of the axes across and upwards of a chart so many units high.
fn axes(chart: &Chart, [across, up]: [&Axis; 2], height: f64) -> String {
    let [x, y] = &chart.labels;
    let [left, right, top, bottom] = MARGINS;
    let across_at = |value: f64| left + across.position(value) * (WIDTH - left - right);
    let up_at = |value: f64| height - bottom - up.position(value) * (height - top - bottom);
    let mut svg = String::new();
    for (value, label) in up.ticks().into_iter().zip(up.labels()) {
        let at = up_at(value);
        let _ = writeln!(
            svg,
            "<line class=\"guide\" x1=\"{left}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            WIDTH - right,
            left - 8.0,
            at + 5.0
        );
    }
    for value in up.between_ticks() {
        let at = up_at(value);
        let _ = writeln!(
            svg,
            "<line stroke=\"{}\" x1=\"{:.1}\" x2=\"{left}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            hexadecimal(GREY),
            left - 4.0
        );
    }
    for (value, label) in across.ticks().into_iter().zip(across.labels()) {
        let at = across_at(value);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            height - bottom + 22.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><text x=\"{:.1}\" y=\"22\" text-anchor=\"end\">{}</text>",
        WIDTH - right,
        height - 6.0,
        escape_plain(x),
        WIDTH - right,
        escape_plain(y)
    );
    svg
}

/// A scatter plot of points with labels: square, without axes, as the directions of such a plot have no unit. `sheet` is
/// the identifier of the picture that holds the points' images, in their order.
pub fn scatter(
    title: &str,
    points: &[[f64; 2]],
    labels: &[usize],
    colours: &[Colour],
    sheet: Option<&str>,
) -> String {
    const SIDE: f64 = 320.0;
    const MARGIN: f64 = 10.0;
    const TOP: f64 = 24.0;
    let range = |axis: usize| {
        let values = points.iter().map(|point| point[axis]).filter(|value| value.is_finite());
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low < high { (low, high) } else { (low - 1.0, low + 1.0) }
    };
    let (horizontal, vertical) = (range(0), range(1));
    let mut svg = opening("scatter", SIDE, SIDE + TOP, title);
    if let Some(sheet) = sheet {
        svg = svg.replacen("<svg ", &format!("<svg data-sheet=\"{}\" ", escape_plain(sheet)), 1);
    }
    let _ = writeln!(svg, "<text class=\"title\" x=\"{MARGIN}\" y=\"16\">{}</text>", escape_plain(title));
    for (number, (&[x, y], &label)) in points.iter().zip(labels).enumerate() {
        if !x.is_finite() || !y.is_finite() {
            continue;
        }
        let along = |value: f64, (low, high): (f64, f64)| {
            MARGIN + (value - low) / (high - low) * (SIDE - 2.0 * MARGIN)
        };
        let (x, y) = (along(x, horizontal), TOP + SIDE - along(y, vertical));
        let colour = hexadecimal(colours[label % colours.len()]);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\" fill=\"{colour}\" data-image=\"{number}\"/>"
        );
    }
    svg + "</svg>\n"
}

/// Names with the colours that stand for them.
pub fn legend<'a>(names: impl Iterator<Item = (&'a str, Colour)>) -> String {
    let item = |(name, colour): (&str, Colour)| {
        format!("<li><i style=\"background:{}\"></i>{}</li>", hexadecimal(colour), escape(name))
    };
    format!("<ul class=\"legend\">{}</ul>\n", names.map(item).collect::<String>())
}

fn opening(class: &str, width: f64, height: f64, description: &str) -> String {
    let description = escape_plain(description);
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{description}\">\n"
    )
}

fn hexadecimal([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<[f64; 2]>) -> Chart {
        Chart::new("title").axes("epoch", "%").series("a <b>", [0, 114, 178], points).marked([[2.0, 50.0]])
    }

    #[test]
    fn a_point_lies_where_the_axes_say() {
        // Epochs 1 to 3 across 640 less margins of 72 and 28; 0 to 100 up 300 less margins of 34 and 52.
        let svg = svg(&chart(vec![[1.0, 0.0], [2.0, 50.0], [3.0, 100.0]]));
        assert!(svg.contains("points=\"72.0,248.0 342.0,141.0 612.0,34.0\""), "{svg}");
        assert!(svg.contains("<circle cx=\"342.0\" cy=\"141.0\" r=\"5\" fill=\"#0072b2\"/>"), "{svg}");
        assert!(svg.contains("a &lt;b&gt;") && !svg.contains("<b>"), "{svg}");
    }

    #[test]
    fn a_logarithmic_axis_and_a_marked_place_are_drawn() {
        let svg = svg(&chart(vec![[1.0, 1.0], [2.0, 0.0], [3.0, 100.0]]).logarithmic().at(2.0, "<here>"));
        // 1 to 100 upwards; 10 half way; what is not above 0 is left out
        assert!(svg.contains("points=\"72.0,248.0 612.0,34.0\"") && svg.contains(">20</text>"), "{svg}");
        let dashes = "<line stroke=\"#606060\" stroke-dasharray=\"5 5\" x1=\"342.0\" x2=\"342.0\" y1=\"34\" y2=\"248.0\">";
        assert!(svg.contains(dashes) && svg.contains("dashed: &lt;here&gt;"), "{svg}");
        assert!(!svg.contains("<here>"));
    }

    #[test]
    fn shares_are_drawn_in_a_square_whatever_they_are() {
        let svg = svg(&chart(vec![[0.25, 0.5], [0.5, 0.5]]).of_shares());
        // 540 across from 72, and 540 up from 574.
        assert!(
            svg.contains("viewBox=\"0 0 640 626\"") && svg.contains("points=\"207.0,304.0 342.0,304.0\""),
            "{svg}"
        );
        assert_eq!(svg.matches(">0.2</text>").count(), 2, "{svg}");
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let drawn = svg(&chart(vec![[1.0, f64::NAN], [1.0, 0.0], [3.0, 100.0]]));
        assert!(drawn.contains("points=\"72.0,248.0 612.0,34.0\""), "{drawn}");
        assert!(!svg(&Chart::new("empty")).contains("NaN"));
        let svg = scatter("t", &[[f64::NAN, 0.0], [1.0, 1.0]], &[0, 1], &[[0; 3], [255; 3]], Some("s"));
        assert!(!svg.contains("NaN") && svg.matches("<circle").count() == 1, "{svg}");
        assert!(svg.contains("data-image=\"1\"") && svg.contains("data-sheet=\"s\""), "{svg}");
    }

    #[test]
    fn a_scatter_fills_its_square() {
        let svg = scatter("t", &[[-3.0, 10.0], [5.0, 30.0]], &[0, 1], &[[0; 3], [255; 3]], None);
        assert!(
            svg.contains("cx=\"10.0\" cy=\"334.0\"") && svg.contains("cx=\"310.0\" cy=\"34.0\""),
            "{svg}"
        );
        assert!(svg.contains("fill=\"#000000\"") && svg.contains("fill=\"#ffffff\""), "{svg}");
    }
}
