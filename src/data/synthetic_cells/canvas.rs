//! Amounts of dye on a square, and the shapes that are painted with it.
//!
//! The square reaches from -1 to 1 both ways, y downwards. A shape is a function of a point: about how far outside of the
//! shape it lies, negative inside. Its edge is soft, so that what is smaller than a pixel is pale and not lost.

use super::Draws;

/// The amounts of a paint: eosin (pink), azure (blue-violet), pigment (brown).
pub(super) type Dyes = [f32; 3];

/// How much of each dye there is, pixel by pixel.
pub(super) struct Canvas {
    pub(super) side: usize,
    /// Row by row.
    pub(super) dyes: Vec<Dyes>,
}

impl Canvas {
    pub(super) fn new(side: usize) -> Self {
        Canvas { side, dyes: vec![[0.0; 3]; side * side] }
    }

    /// Calls `change` with every pixel's dyes, how far it is covered by the shape (0 to 1) and its place.
    ///
    /// A point `edge` inside or further is covered, one `edge` outside is not.
    fn touch(
        &mut self,
        shape: impl Fn(f64, f64) -> f64,
        edge: f64,
        change: impl Fn(&mut Dyes, f32, [f64; 2]),
    ) {
        let side = self.side as f64;
        let edge = edge.max(1.0 / side);
        for (place, dyes) in self.dyes.iter_mut().enumerate() {
            let x = (2 * (place % self.side) + 1) as f64 / side - 1.0;
            let y = (2 * (place / self.side) + 1) as f64 / side - 1.0;
            let inside = smooth((0.5 - 0.5 * shape(x, y) / edge).clamp(0.0, 1.0));
            if inside > 0.0 {
                change(dyes, inside as f32, [x, y]);
            }
        }
    }

    /// Adds `dyes` times 1 + `grain` x the texture's value where the shape is.
    pub(super) fn paint(
        &mut self,
        shape: impl Fn(f64, f64) -> f64,
        edge: f64,
        dyes: Dyes,
        (texture, grain): (&Texture, f64),
    ) {
        self.touch(shape, edge, |to, inside, [x, y]| {
            let amount = inside * (1.0 + grain * texture.at(x, y)).max(0.0) as f32;
            to.iter_mut().zip(dyes).for_each(|(to, dye)| *to += amount * dye);
        });
    }

    /// Leaves the share `kept` of what is there where the shape is.
    pub(super) fn fade(&mut self, shape: impl Fn(f64, f64) -> f64, edge: f64, kept: f32) {
        self.touch(shape, edge, |to, inside, _| {
            to.iter_mut().for_each(|to| *to *= 1.0 - inside * (1.0 - kept));
        });
    }
}

/// From 0 to 1 without a bend at either end.
fn smooth(t: f64) -> f64 {
    t * t * (3.0 - 2.0 * t)
}

/// Numbers between -1 and 1 that change slowly from place to place: drawn on a grid, interpolated smoothly.
pub(super) struct Texture {
    cells: usize,
    values: Vec<f64>,
}

impl Texture {
    /// With `cells` x `cells` cells on the square.
    pub(super) fn drawn(cells: usize, draws: &mut Draws) -> Self {
        let corners = cells + 1;
        Texture { cells, values: (0..corners * corners).map(|_| draws.between(-1.0, 1.0)).collect() }
    }

    fn at(&self, x: f64, y: f64) -> f64 {
        let place = |at: f64| {
            let scaled = (0.5 + 0.5 * at).clamp(0.0, 1.0) * self.cells as f64;
            let cell = (scaled as usize).min(self.cells - 1);
            (cell, smooth(scaled - cell as f64))
        };
        let ((column, right), (row, down)) = (place(x), place(y));
        let corner = |row: usize, column: usize| self.values[row * (self.cells + 1) + column];
        let line = |row: usize| corner(row, column) * (1.0 - right) + corner(row, column + 1) * right;
        line(row) * (1.0 - down) + line(row + 1) * down
    }
}

/// A disc that is not quite round: r(t) = radius (1 + sum over k = 2 to 5 of a_k cos kt + b_k sin kt).
pub(super) struct Outline {
    pub(super) centre: [f64; 2],
    pub(super) radius: f64,
    waves: [[f64; 2]; 4],
}

impl Outline {
    /// `unrest` says how far from round: at 0.05 an eye sees it.
    pub(super) fn drawn(centre: [f64; 2], radius: f64, unrest: f64, draws: &mut Draws) -> Self {
        let waves = [1.0, 0.6, 0.4, 0.3].map(|size| {
            let [a, b] = draws.in_disc();
            [a * size * unrest, b * size * unrest]
        });
        Outline { centre, radius, waves }
    }

    /// How far outside a point lies, measured from the centre.
    pub(super) fn distance(&self, x: f64, y: f64) -> f64 {
        let [dx, dy] = [x - self.centre[0], y - self.centre[1]];
        let far = (dx * dx + dy * dy).sqrt();
        if far == 0.0 {
            return -self.radius;
        }
        // (cos t + i sin t)^k = cos kt + i sin kt: no sine has to be computed.
        let (cosine, sine) = (dx / far, dy / far);
        let (mut re, mut im) = (cosine, sine);
        let mut radius = 1.0;
        for [a, b] in self.waves {
            (re, im) = (re * cosine - im * sine, re * sine + im * cosine);
            radius += a * re + b * im;
        }
        far - self.radius * radius
    }

    /// A point inside, at most `share` of the way from the centre to the edge of the round disc.
    pub(super) fn inside(&self, share: f64, draws: &mut Draws) -> [f64; 2] {
        let [x, y] = draws.in_disc();
        [self.centre[0] + x * share * self.radius, self.centre[1] + y * share * self.radius]
    }
}

/// A disc.
pub(super) fn disc(centre: [f64; 2], radius: f64) -> impl Fn(f64, f64) -> f64 {
    move |x, y| {
        let [dx, dy] = [x - centre[0], y - centre[1]];
        (dx * dx + dy * dy).sqrt() - radius
    }
}
