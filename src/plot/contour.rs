//! Contours by marching squares (Lorensen and Cline's marching cubes of 1987 in the plane): of each cell of a grid, the pieces of a level's line.

use crate::error::Result;
use std::ops::Range;

/// Points along each axis.
const POINTS: usize = 121;

/// A function's values on a grid.
pub struct Grid {
    x: Vec<f64>,
    y: Vec<f64>,
    /// The value at `(x[i], y[j])` is `values[i * POINTS + j]`.
    values: Vec<f64>,
}

impl Grid {
    pub fn new(x: &Range<f64>, y: &Range<f64>, f: &mut impl FnMut(f64, f64) -> Result<f64>) -> Result<Self> {
        let along = |r: &Range<f64>| (0..POINTS).map(|k| r.start + (r.end - r.start) * k as f64 / (POINTS - 1) as f64).collect::<Vec<f64>>();
        let (x, y) = (along(x), along(y));
        let mut values = Vec::with_capacity(POINTS * POINTS);
        for x in &x {
            for y in &y {
                values.push(f(*x, *y)?);
            }
        }
        Ok(Grid { x, y, values })
    }

    /// The pieces of the line where the function, linear along the edges of each cell, has this value: two points each.
    pub fn segments(&self, level: f64) -> Vec<(f64, f64)> {
        let mut out = Vec::new();
        for i in 0..POINTS - 1 {
            for j in 0..POINTS - 1 {
                // The corners in a round.
                let corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
                let value = |k: usize| self.values[corners[k % 4].0 * POINTS + corners[k % 4].1];
                if !(0..4).all(|k| value(k).is_finite()) {
                    continue;
                }
                let mut crossings = Vec::with_capacity(4);
                for k in 0..4 {
                    let (a, b) = (value(k), value(k + 1));
                    if (a < level) != (b < level) {
                        let t = (level - a) / (b - a);
                        let at = |k: usize| (self.x[corners[k % 4].0], self.y[corners[k % 4].1]);
                        let ((ax, ay), (bx, by)) = (at(k), at(k + 1));
                        crossings.push((ax + t * (bx - ax), ay + t * (by - ay)));
                    }
                }
                // In a saddle, where all four edges are crossed, the mean of the corners decides which corners are connected.
                if crossings.len() == 4 && ((0..4).map(value).sum::<f64>() / 4.0 < level) == (value(0) < level) {
                    crossings.rotate_left(1);
                }
                out.extend(crossings);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On circles all points lie at their radius, and the pieces together are as long as they should be.
    #[test]
    fn circles_are_round() -> Result<()> {
        let grid = Grid::new(&(-2.0..2.0), &(-2.0..2.0), &mut |x, y| Ok(x * x + y * y))?;
        for radius in [0.5, 1.0, 1.9f64] {
            let segments = grid.segments(radius * radius);
            assert!(segments.len().is_multiple_of(2) && segments.iter().all(|(x, y)| (x.hypot(*y) - radius).abs() < 2e-3));
            let length: f64 = segments.chunks(2).map(|s| (s[0].0 - s[1].0).hypot(s[0].1 - s[1].1)).sum();
            assert!((length / (std::f64::consts::TAU * radius) - 1.0).abs() < 2e-3, "{radius}: {length}");
        }
        assert!(grid.segments(9.0).is_empty());
        Ok(())
    }

    /// `x y = c` has a branch on either side of the saddle, and none crosses the other diagonal.
    #[test]
    fn saddles_are_not_crossed() -> Result<()> {
        let grid = Grid::new(&(-1.01..0.99), &(-1.02..0.98), &mut |x, y| Ok(x * y))?;
        for level in [1e-4, -1e-4] {
            let segments = grid.segments(level);
            assert!(segments.iter().all(|(x, y)| x * y * level > 0.0 || (x * y).abs() < 2e-4));
            assert!(segments.chunks(2).all(|s| s[0].0 * s[1].0 > 0.0), "{level}");
        }
        Ok(())
    }
}
