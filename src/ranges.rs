//! Numbers in their order, as ranges.

use std::ops::Range;

/// Neighbours that follow each other, as one range each: the same numbers in the same order, in the fewest ranges.
pub fn ranges(numbers: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for k in numbers {
        match out.last_mut() {
            Some(last) if last.end == k => last.end += 1,
            _ => out.push(k..k + 1),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_in_the_same_order() {
        assert_eq!(ranges([3, 4, 5, 7, 6, 7, 7].into_iter()), [3..6, 7..8, 6..8, 7..8]);
        assert_eq!(ranges(std::iter::empty()), []);
    }
}
