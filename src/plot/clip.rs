//! Curves cut where they leave what is shown, and broken at points that can't be.

use std::ops::Range;

type Point = (f64, f64);

/// The visible pieces of a curve through these points, in the axes' own measure (logarithms where an axis is logarithmic).
pub fn pieces(points: &[Point], x: &Range<f64>, y: &Range<f64>) -> Vec<Vec<Point>> {
    let mut out: Vec<Vec<Point>> = Vec::new();
    for pair in points.windows(2) {
        let Some((a, b)) = segment(pair[0], pair[1], x, y) else { continue };
        match out.last_mut() {
            Some(piece) if piece.last() == Some(&a) => piece.push(b),
            _ => out.push(vec![a, b]),
        }
    }
    out
}

/// The part of a segment within the ranges (Liang and Barsky, *A new concept and method for line clipping*, 1984).
fn segment(a: Point, b: Point, x: &Range<f64>, y: &Range<f64>) -> Option<(Point, Point)> {
    let (mut from, mut to) = (0.0, 1.0);
    for (start, step, range) in [(a.0, b.0 - a.0, x), (a.1, b.1 - a.1, y)] {
        if !(start.is_finite() && step.is_finite()) {
            return None;
        }
        if step == 0.0 {
            if start < range.start || start > range.end {
                return None;
            }
            continue;
        }
        let (t0, t1) = ((range.start - start) / step, (range.end - start) / step);
        (from, to) = (f64::max(from, t0.min(t1)), f64::min(to, t0.max(t1)));
    }
    let at = |t: f64| (a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1));
    // The ends themselves, where nothing is cut: pieces are joined where they are equal.
    (from <= to).then(|| (if from == 0.0 { a } else { at(from) }, if to == 1.0 { b } else { at(to) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_cut_and_broken() {
        let cut = |points: &[Point]| pieces(points, &(0.0..4.0), &(0.0..4.0));
        assert_eq!(cut(&[(1.0, 1.0), (2.0, 2.0), (3.0, 1.0)]), [[(1.0, 1.0), (2.0, 2.0), (3.0, 1.0)]]);
        assert_eq!(cut(&[(-2.0, 1.0), (2.0, 3.0), (4.0, 5.0)]), [[(0.0, 2.0), (2.0, 3.0), (3.0, 4.0)]]);
        assert_eq!(cut(&[(1.0, 1.0), (2.0, f64::NAN), (3.0, 1.0), (3.0, 2.0)]), [[(3.0, 1.0), (3.0, 2.0)]]);
        assert_eq!(cut(&[(1.0, -1.0), (1.0, 9.0), (9.0, 9.0), (9.0, 1.0)]), [[(1.0, 0.0), (1.0, 4.0)]]);
        assert!(cut(&[(5.0, 5.0), (6.0, 6.0)]).is_empty() && cut(&[(1.0, 1.0)]).is_empty());
    }
}
