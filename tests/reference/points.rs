//! Where functions are evaluated: edges, the hard points of the recipes' table, and random points that crowd where errors may be large.

use super::check::lines;
use super::rows::{Pairs, Row};
use tapeless::Real;
use tapeless::real::Bits;

/// SplitMix64 (Steele, Lea and Flood 2014).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.bits() >> 11) as f64 * 2f64.powi(-53)
    }

    /// A magnitude uniform in its logarithm, either sign.
    fn magnitude(&mut self, low: f64, high: f64) -> f64 {
        let size = self.within(low, high).exp2();
        if self.bits() & 1 == 1 { -size } else { size }
    }

    fn any<T: Real>(&mut self) -> T {
        T::from_bits(T::Bits::truncate(self.bits()))
    }

    fn pick(&mut self, from: &[f64]) -> f64 {
        from[(self.bits() % from.len() as u64) as usize]
    }
}

/// A few numbers of the type further on.
fn nudged<T: Real>(x: T, steps: i64) -> T {
    T::from_bits(T::Bits::truncate(x.bits().widen().wrapping_add(steps as u64)))
}

/// Where a function's results are small or change their kind; 0 if the row names none.
fn spots(row: &Row) -> &'static [f64] {
    if row.spots.is_empty() { &[0.0] } else { row.spots }
}

fn in_a_span<T: Real>(row: &Row, numbers: &mut Numbers) -> T {
    let (low, high) = row.spans[(numbers.bits() % row.spans.len() as u64) as usize];
    T::from_f64(numbers.within(low, high))
}

/// Within 64 numbers of a spot.
fn next_to_a_spot<T: Real>(row: &Row, numbers: &mut Numbers) -> T {
    let steps = numbers.bits() % 129;
    nudged(T::from_f64(numbers.pick(spots(row))), steps as i64 - 64)
}

fn one<T: Real>(row: &Row, numbers: &mut Numbers) -> T {
    match numbers.bits() % 8 {
        0 | 1 => numbers.any(),
        2..=4 => in_a_span(row, numbers),
        5 => {
            let (spot, off) = (numbers.pick(spots(row)), numbers.magnitude(-54.0, -1.0));
            T::from_f64(if spot == 0.0 { off } else { spot + spot * off })
        }
        6 => next_to_a_spot(row, numbers),
        _ if row.periodic => {
            // Next to whole multiples of a quarter turn, near and far.
            let whole = numbers.within(0.0, 60.0).exp2().round();
            let steps = numbers.bits() % 5;
            nudged(T::from_f64(whole * std::f64::consts::FRAC_PI_2), steps as i64 - 2)
        }
        _ => T::from_f64(numbers.magnitude(-40.0, 12.0)),
    }
}

/// One random point.
pub fn draw<T: Real>(row: &Row, numbers: &mut Numbers) -> (T, T) {
    let x: T = one(row, numbers);
    let (low, high) = if T::DOUBLE { (-746.0, 710.0) } else { (-104.5, 89.0) };
    let kind = numbers.bits() % 8;
    let y = match row.pairs {
        Pairs::None => return (x, T::from_f64(0.0)),
        _ if kind == 0 => numbers.any(),
        Pairs::Free => one(row, numbers),
        Pairs::Power => {
            let base = if x.to_f64() < 0.0 && kind > 2 { x.abs() } else { x };
            let log = base.to_f64().abs().ln();
            let y = match kind {
                1 | 2 => numbers.magnitude(0.0, 6.0).round(),
                3..=5 => numbers.within(low, high) / log,
                6 => numbers.within(-1.0, 1.0) / log,
                _ => numbers.within(-3.0, 3.0),
            };
            return (base, T::from_f64(y));
        }
        // Of similar size, or some binades apart.
        Pairs::Similar => match kind {
            1..=3 => T::from_f64(x.to_f64() * numbers.within(-3.0, 3.0)),
            4 => T::from_f64(x.to_f64() * (1.0 + numbers.magnitude(-53.0, -4.0))),
            5 => T::from_f64(x.to_f64() * numbers.pick(&[0.41421356237309503, 2.414213562373095]) * numbers.within(0.99, 1.01)),
            _ => T::from_f64(x.to_f64() * numbers.magnitude(-60.0, 30.0)),
        },
        Pairs::Sum => match kind {
            1 | 2 => T::from_f64(x.to_f64() + numbers.within(low, high) * 0.1),
            3 | 4 => T::from_f64(x.to_f64() + numbers.magnitude(-20.0, 4.0)),
            5 => T::from_f64(numbers.within(-3.0, 3.0)),
            // Where the result is next to 0: e^x + e^y = 1.
            6 => {
                let steps = numbers.bits() % 65;
                nudged(T::from_f64((-x.to_f64().exp_m1()).ln()), steps as i64 - 32)
            }
            _ => x,
        },
    };
    (x, y)
}

/// A point like those of [`draw`], made without any function of the system's library: the same one everywhere.
pub fn fixed<T: Real>(row: &Row, numbers: &mut Numbers) -> (T, T) {
    let one = |numbers: &mut Numbers| -> T {
        match numbers.bits() % 8 {
            0 | 1 => numbers.any(),
            2..=4 => in_a_span(row, numbers),
            5 => next_to_a_spot(row, numbers),
            // A magnitude about uniform in its logarithm: a random exponent, random digits, a random sign.
            _ => {
                let (digits, exponent) = (numbers.bits(), 1023 - 40 + numbers.bits() % 52);
                let size = f64::from_bits(exponent << 52 | digits >> 12);
                T::from_f64(if digits & 1 == 1 { -size } else { size })
            }
        }
    };
    let x = one(numbers);
    let kind = numbers.bits() % 8;
    let y = match row.pairs {
        Pairs::None => T::from_f64(0.0),
        Pairs::Free => one(numbers),
        Pairs::Power => match kind {
            0 => numbers.any(),
            1 | 2 => T::from_f64(numbers.within(-64.0, 64.0).trunc()),
            3 | 4 => T::from_f64(numbers.within(-3.0, 3.0)),
            // By x's own exponent, so that the power is neither 0 nor infinite.
            _ => {
                let exponent = (x.to_f64().abs().to_bits() >> 52) as f64 - 1022.5;
                T::from_f64(numbers.within(-1100.0, 1100.0) / exponent * if T::DOUBLE { 1.0 } else { 0.14 })
            }
        },
        Pairs::Similar => match kind {
            0 | 1 => one(numbers),
            2 => T::from_f64(x.to_f64() * (1.0 + numbers.within(-1e-6, 1e-6))),
            3 => T::from_f64(x.to_f64() * numbers.pick(&[0.41421356237309503, 2.414213562373095]) * numbers.within(0.99, 1.01)),
            _ => T::from_f64(x.to_f64() * numbers.within(-3.0, 3.0)),
        },
        Pairs::Sum => match kind {
            0 | 1 => one(numbers),
            2 => x,
            3 => T::from_f64(numbers.within(-3.0, 3.0)),
            _ => T::from_f64(x.to_f64() + numbers.within(-80.0, 80.0)),
        },
    };
    (x, y)
}

/// Zeros of both signs, subnormals, the smallest and largest normal, infinities, NaN, round numbers, the spots and their neighbours, and for two
/// operands all pairs of a choice of them; then the recipes' hard points.
pub fn edges<T: Real>(row: &Row) -> Vec<(T, T)> {
    let pattern = |b: u64| T::from_bits(T::Bits::truncate(b));
    let infinity = T::from_f64(f64::INFINITY).bits().widen();
    let least = 1u64 << T::MANTISSA;
    let mut few: Vec<T> = [0, 1, 3, least - 1, least, least + 1, infinity - 1, infinity, infinity + 1].map(pattern).to_vec();
    few.extend([1.0, 2.0, 3.0, 0.5, 2.5, 1e-10, 1e-5, 0.1, 10.0, 1e3, 1e10, 1e30].map(T::from_f64));
    let mut many = few.clone();
    let top = if T::DOUBLE {
        [709.0, 709.78, 710.0, 745.0, 745.2, 708.4, 744.44, 1024.0, 1074.0, 1075.0]
    } else {
        [88.0, 88.72, 88.73, 89.0, 103.0, 103.9, 104.1, 87.3, 128.0, 149.0]
    };
    many.extend(top.map(T::from_f64));
    many.extend((2..=64).map(|i| T::from_f64(f64::from(i) / 2.0)));
    let spans = row.spans.iter().flat_map(|(low, high)| [*low, *high]);
    for spot in row.spots.iter().copied().chain(spans) {
        many.extend((-4..=4).map(|steps| nudged(T::from_f64(spot), steps)));
    }
    let both = |from: &[T]| -> Vec<T> { from.iter().flat_map(|x| [*x, -*x]).collect() };
    let (few, many) = (both(&few), both(&many));
    let mut out: Vec<(T, T)> = match row.pairs {
        Pairs::None => many.iter().map(|x| (*x, T::from_f64(0.0))).collect(),
        _ => few.iter().flat_map(|x| few.iter().map(|y| (*x, *y))).collect(),
    };
    out.extend(lines::<T>(row).iter().map(|l| (l.x, l.y)));
    out
}
