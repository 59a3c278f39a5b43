//! Random numbers for initial values and orders of samples: a small generator that gives the same numbers on every platform and in every version of
//! this crate, which those of general libraries don't promise.

/// Steele, Lea and Flood's generator SplitMix64 (*Fast splittable pseudorandom number generators*, OOPSLA 2014): a counter that steps by the golden
/// ratio, and a mixing function.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator for one of many streams of a seed: it starts at `mix(mix(seed) xor stream)`, where `mix(s)` is the first number of the generator that
    /// starts at `s`.
    pub(crate) fn stream(seed: u64, stream: u64) -> Self {
        SplitMix64(SplitMix64(SplitMix64(seed).next() ^ stream).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`, each as likely as the others: the high half of a product, whose low half tells the few draws that would favour some (Lemire,
    /// *Fast random integer generation in an interval*, 2019).
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        let mut product = u128::from(self.next()) * u128::from(n);
        if (product as u64) < n {
            let unfair = n.wrapping_neg() % n;
            while (product as u64) < unfair {
                product = u128::from(self.next()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }

    /// A number in `[-1, 1)`, a multiple of 2^-52, each as likely as the others.
    pub(crate) fn symmetric(&mut self) -> f64 {
        (self.next() >> 11) as f64 * 2f64.powi(-52) - 1.0
    }

    /// A number of the standard normal distribution (Box and Muller, *A note on the generation of random normal deviates*, 1958).
    pub(crate) fn normal(&mut self) -> f64 {
        // In (0, 1]: the logarithm is finite.
        let radius = ((self.next() >> 11) + 1) as f64 * 2f64.powi(-53);
        // Of `libm`, to be the same on every platform.
        libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(std::f64::consts::PI * self.symmetric())
    }

    /// Puts the numbers from 0 in order into `rows` and shuffles them: Fisher and Yates's shuffle (Knuth, *The art of computer programming*, vol. 2,
    /// algorithm P: from the last place down, each exchanged with one up to it).
    pub(crate) fn permutation(&mut self, rows: &mut [usize]) {
        for (k, row) in rows.iter_mut().enumerate() {
            *row = k;
        }
        for last in (1..rows.len()).rev() {
            rows.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation, Sebastiano Vigna's `splitmix64.c`.
    #[test]
    fn the_generator_is_splitmix64() {
        let mut random = SplitMix64(1234567);
        let expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821];
        assert_eq!([(); 5].map(|()| random.next()), expected);
    }

    #[test]
    fn small_numbers_come_equally_often() {
        let mut random = SplitMix64(1);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[random.below(7) as usize] += 1;
        }
        // Chi-square of 6 degrees of freedom is below 22.5 with probability 0.999.
        let chi: f64 = counts.iter().map(|c| (f64::from(*c) - 1e4).powi(2) / 1e4).sum();
        assert!(chi < 22.5, "{counts:?}");
        assert!((0..100).all(|_| random.below(1) == 0 && random.below(u64::MAX) < u64::MAX && random.below((1 << 63) + 1) <= 1 << 63));
    }

    /// Mean, variance and fourth moment are 0, 1 and 3 within four standard errors.
    #[test]
    fn normal_numbers_have_their_moments() {
        let mut random = SplitMix64(3);
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|_| random.normal()).collect();
        let moment = |k: i32| draws.iter().map(|x| x.powi(k)).sum::<f64>() / f64::from(n);
        let errors = [(1, 0.0, 1.0), (2, 1.0, 2.0), (4, 3.0, 96.0)].map(|(k, expected, variance)| (moment(k) - expected) / f64::sqrt(variance / f64::from(n)));
        assert!(errors.iter().all(|e| e.abs() < 4.0), "{errors:?}");
    }

    #[test]
    fn symmetric_numbers_fill_their_range_evenly() {
        let mut random = SplitMix64(2);
        let mut counts = [0u32; 8];
        for _ in 0..80_000 {
            let x = random.symmetric();
            assert!((-1.0..1.0).contains(&x));
            counts[((x + 1.0) * 4.0) as usize] += 1;
        }
        // Of 7 degrees of freedom: below 24.3 with probability 0.999.
        let chi: f64 = counts.iter().map(|c| (f64::from(*c) - 1e4).powi(2) / 1e4).sum();
        assert!(chi < 24.3, "{counts:?}");
    }
}
