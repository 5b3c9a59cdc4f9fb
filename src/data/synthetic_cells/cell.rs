//! A red blood cell, what lies beside it, what lies on it, and what lives in it.
//!
//! The parasites are those of Plasmodium falciparum in the stages that a blood smear shows: the ring with its dot of
//! chromatin, the larger trophozoite with its pigment, the schizont that has divided, and the crescent of the gametocyte.

use super::Draws;
use super::canvas::{Canvas, Dyes, Outline, Texture, disc};
use super::patient::Patient;

/// A cell of a patient, painted on `side` x `side` pixels.
pub(super) fn painted(patient: &Patient, is_parasitised: bool, side: usize, draws: &mut Draws) -> Canvas {
    let mut canvas = Canvas::new(side);
    let (coarse, fine) = (Texture::drawn(5, draws), Texture::drawn(18, draws));
    let centre = draws.in_disc().map(|at| 0.08 * at);
    let radius = (patient.radius[0] + patient.radius[1] * draws.about_normal()).clamp(0.45, 0.88);
    let cell = Outline::drawn(centre, radius, patient.unrest, draws);
    if draws.chance(0.35) {
        let far = radius * draws.between(1.9, 2.3);
        let [x, y] = draws.direction();
        let beside = [centre[0] + far * x, centre[1] + far * y];
        let neighbour = Outline::drawn(beside, radius * draws.between(0.85, 1.1), patient.unrest, draws);
        body(&mut canvas, &neighbour, patient, &coarse, draws);
    }
    body(&mut canvas, &cell, patient, &coarse, draws);
    if is_parasitised {
        parasite(&mut canvas, &cell, patient.azure * draws.between(0.75, 1.2), &fine, draws);
    }
    artefacts(&mut canvas, &cell, patient, &fine, draws);
    canvas
}

/// The cell itself: a disc, thinner in its middle, with a rim.
fn body(canvas: &mut Canvas, cell: &Outline, patient: &Patient, texture: &Texture, draws: &mut Draws) {
    let strength = draws.between(0.85, 1.15);
    let [eosin, azure] = patient.cell_dyes.map(|amount| (amount * strength) as f32);
    let outline = |x, y| cell.distance(x, y);
    canvas.paint(outline, 0.035, [eosin, azure, 0.0], (texture, 0.14));
    let rim = |x, y| (cell.distance(x, y) + 0.05).abs() - 0.02;
    canvas.paint(rim, 0.05, [0.16 * eosin, 0.12 * azure, 0.0], (texture, 0.3));
    let pale = 1.0 - patient.pallor * draws.between(0.4, 1.2);
    let middle = cell.inside(0.10, draws);
    canvas.fade(disc(middle, 0.38 * cell.radius), 0.30 * cell.radius, pale as f32);
}

/// Chromatin stains reddish violet.
fn chromatin(azure: f64) -> Dyes {
    [(0.55 * azure) as f32, (1.25 * azure) as f32, 0.0]
}

/// The parasite's own body stains blue.
fn cytoplasm(azure: f64, amount: f64) -> Dyes {
    [0.0, (amount * azure) as f32, 0.0]
}

fn parasite(canvas: &mut Canvas, cell: &Outline, azure: f64, texture: &Texture, draws: &mut Draws) {
    let kind = draws.between(0.0, 1.0);
    if kind < 0.50 {
        let rings = if draws.chance(0.15) { 2 } else { 1 };
        (0..rings).for_each(|_| ring(canvas, cell, azure, texture, draws));
    } else if kind < 0.78 {
        trophozoite(canvas, cell, azure, texture, draws);
    } else if kind < 0.90 {
        schizont(canvas, cell, azure, texture, draws);
    } else {
        gametocyte(canvas, cell, azure, texture, draws);
    }
}

fn ring(canvas: &mut Canvas, cell: &Outline, azure: f64, texture: &Texture, draws: &mut Draws) {
    let radius = cell.radius * draws.between(0.15, 0.25);
    let loop_of = Outline::drawn(cell.inside(0.62, draws), radius, 0.10, draws);
    // Thicker on the side of the dot.
    let [dot_x, dot_y] = draws.direction();
    let band = |x: f64, y: f64| {
        let along = ((x - loop_of.centre[0]) * dot_x + (y - loop_of.centre[1]) * dot_y) / radius;
        loop_of.distance(x, y).abs() - 0.022 * (1.0 + 0.4 * along.clamp(-1.0, 1.0))
    };
    canvas.fade(disc(loop_of.centre, 0.8 * radius), 0.04, 0.90);
    canvas.paint(band, 0.03, cytoplasm(azure, 0.62), (texture, 0.35));
    let dots = if draws.chance(0.2) { 2 } else { 1 };
    for i in 0..dots {
        let side = if i == 0 { 1.0 } else { -draws.between(0.4, 1.0) };
        let place = [loop_of.centre[0] + side * radius * dot_x, loop_of.centre[1] + side * radius * dot_y];
        canvas.paint(
            disc(place, cell.radius * draws.between(0.055, 0.085)),
            0.03,
            chromatin(azure),
            (texture, 0.1),
        );
    }
}

fn trophozoite(canvas: &mut Canvas, cell: &Outline, azure: f64, texture: &Texture, draws: &mut Draws) {
    let radius = cell.radius * draws.between(0.26, 0.42);
    let blob = Outline::drawn(cell.inside(0.45, draws), radius, 0.28, draws);
    canvas.paint(|x, y| blob.distance(x, y), 0.05, cytoplasm(azure, 0.58), (texture, 0.45));
    canvas.fade(disc(blob.inside(0.4, draws), 0.35 * radius), 0.05, 0.55);
    let nucleus =
        Outline::drawn(blob.inside(0.7, draws), cell.radius * draws.between(0.08, 0.13), 0.15, draws);
    canvas.paint(|x, y| nucleus.distance(x, y), 0.03, chromatin(azure), (texture, 0.2));
    for _ in 0..draws.whole(1, 4) {
        pigment(canvas, &blob, 0.5, texture, draws);
    }
}

/// A grain of what is left of the blood's iron, at most `share` of the parasite's radius from its centre.
fn pigment(canvas: &mut Canvas, parasite: &Outline, share: f64, texture: &Texture, draws: &mut Draws) {
    let grain = disc(parasite.inside(share, draws), draws.between(0.015, 0.035));
    canvas.paint(grain, 0.02, [0.0, 0.0, draws.between(0.5, 1.0) as f32], (texture, 0.0));
}

fn schizont(canvas: &mut Canvas, cell: &Outline, azure: f64, texture: &Texture, draws: &mut Draws) {
    let radius = cell.radius * draws.between(0.42, 0.68);
    let body = Outline::drawn(cell.inside(0.25, draws), radius, 0.10, draws);
    canvas.paint(|x, y| body.distance(x, y), 0.06, cytoplasm(azure, 0.26), (texture, 0.4));
    for _ in 0..draws.whole(8, 16) {
        let [x, y] = draws.direction();
        let far = radius * draws.between(0.35, 0.85);
        let place = [body.centre[0] + far * x, body.centre[1] + far * y];
        let merozoite = disc(place, cell.radius * draws.between(0.055, 0.085));
        canvas.paint(merozoite, 0.03, chromatin(0.8 * azure), (texture, 0.15));
    }
    (0..4).for_each(|_| pigment(canvas, &body, 0.06, texture, draws));
}

/// A sausage along the parabola v = bend (u^2 - length^2 / 2) in the coordinates of a random direction.
fn gametocyte(canvas: &mut Canvas, cell: &Outline, azure: f64, texture: &Texture, draws: &mut Draws) {
    let [cosine, sine] = draws.direction();
    let middle = cell.inside(0.12, draws);
    let length = cell.radius * draws.between(0.72, 0.92);
    let width = cell.radius * draws.between(0.17, 0.25);
    let bend = draws.between(0.15, 0.55) / length;
    let crescent = |x: f64, y: f64| {
        let [dx, dy] = [x - middle[0], y - middle[1]];
        let (u, v) = (dx * cosine + dy * sine, dy * cosine - dx * sine);
        let v = v - bend * (u * u - 0.5 * length * length);
        let (u, v) = (u / length, v / width);
        ((u * u + v * v).sqrt() - 1.0) * width
    };
    canvas.paint(crescent, 0.04, cytoplasm(azure, 0.62), (texture, 0.25));
    let at = |u: f64| {
        let v = bend * (u * u - 0.5 * length * length);
        [middle[0] + u * cosine - v * sine, middle[1] + u * sine + v * cosine]
    };
    let nucleus = Outline::drawn(at(length * draws.between(-0.15, 0.15)), 0.85 * width, 0.2, draws);
    canvas.paint(|x, y| nucleus.distance(x, y), 0.05, chromatin(0.5 * azure), (texture, 0.4));
    (0..5).for_each(|_| pigment(canvas, &nucleus, 0.5, texture, draws));
}

/// What lies on cells of both classes: platelets, drops of stain, dust, and now and then a remnant of the cell's nucleus.
fn artefacts(canvas: &mut Canvas, cell: &Outline, patient: &Patient, texture: &Texture, draws: &mut Draws) {
    let [platelet, drops, dust] = patient.artefacts;
    if draws.chance(platelet) {
        // On the cell, over its edge or beside it.
        let [x, y] = draws.direction();
        let far = cell.radius * draws.between(0.3, 1.35);
        let radius = cell.radius * draws.between(0.13, 0.24);
        let place = [cell.centre[0] + far * x, cell.centre[1] + far * y];
        let outline = Outline::drawn(place, radius, 0.22, draws);
        canvas.fade(disc(place, 1.35 * radius), 0.06, 0.85);
        let amount = patient.azure * draws.between(0.45, 0.8);
        canvas.paint(
            |x, y| outline.distance(x, y),
            0.07,
            [(0.35 * amount) as f32, amount as f32, 0.0],
            (texture, 0.9),
        );
    }
    if draws.chance(drops) {
        let [x, y] = draws.in_disc();
        for _ in 0..draws.whole(1, 5) {
            let [dx, dy] = draws.in_disc();
            let drop = disc([0.85 * x + 0.18 * dx, 0.85 * y + 0.18 * dy], draws.between(0.015, 0.06));
            let amount = patient.azure * draws.between(0.5, 1.3);
            canvas.paint(drop, 0.03, [(0.4 * amount) as f32, amount as f32, 0.0], (texture, 0.2));
        }
    }
    if draws.chance(dust) {
        for _ in 0..draws.whole(1, 2) {
            let speck = Outline::drawn(draws.in_disc(), draws.between(0.015, 0.045), 0.4, draws);
            canvas.paint(|x, y| speck.distance(x, y), 0.015, [1.0, 1.0, 1.2], (texture, 0.1));
        }
    }
    if draws.chance(0.08) {
        let remnant = disc(cell.inside(0.7, draws), cell.radius * draws.between(0.06, 0.10));
        canvas.paint(remnant, 0.03, chromatin(patient.azure), (texture, 0.05));
    }
}
