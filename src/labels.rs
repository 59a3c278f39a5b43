//! Columns of labels, borrowed in whatever integer type they are in.

use crate::strided::Strided;
use std::ops::Range;

/// What is wrong with a label that isn't there.
pub(crate) const MISSING: &str = "the label is missing";

/// A whole number that may be missing, as a label column holds it.
trait Label: Copy {
    /// The number, `None` if it is missing.
    fn whole(self) -> Option<i128>;
}

impl<L: Label> Label for Option<L> {
    fn whole(self) -> Option<i128> {
        self.and_then(Label::whole)
    }
}

macro_rules! labels {
    ($($variant:ident $t:ty,)*) => {
        $(impl Label for $t {
            #[inline]
            fn whole(self) -> Option<i128> {
                Some(self as i128)
            }
        })*
        column_types! { $($variant $t,)* F64 f64, F32 f32, MaybeU32 Option<u32>, MaybeI64 Option<i64>, }
    };
}

macro_rules! column_types {
    ($($variant:ident $t:ty,)*) => {
        /// A column of labels in the integer type it was given in; nothing is copied.
        #[derive(Clone, Copy, Debug)]
        #[non_exhaustive]
        pub enum LabelColumn<'d> {
            $(
                #[doc = concat!("Of `", stringify!($t), "`.")]
                $variant(&'d [$t]),
            )*
            /// Of `f64`, one in each row of a table.
            RowsF64(Strided<'d, f64>),
            /// Of `f32`, one in each row of a table.
            RowsF32(Strided<'d, f32>),
        }

        /// The same expression for whichever type it is.
        macro_rules! each {
            ($labels:expr, $x:ident => $e:expr) => {
                match $labels {
                    $(LabelColumn::$variant($x) => $e,)*
                    LabelColumn::RowsF64($x) => $e,
                    LabelColumn::RowsF32($x) => $e,
                }
            };
        }

        impl<'d> LabelColumn<'d> {
            /// The samples of a range.
            pub fn slice(self, range: Range<usize>) -> Self {
                match self {
                    $(LabelColumn::$variant(x) => LabelColumn::$variant(&x[range]),)*
                    LabelColumn::RowsF64(x) => LabelColumn::RowsF64(x.slice(range)),
                    LabelColumn::RowsF32(x) => LabelColumn::RowsF32(x.slice(range)),
                }
            }
        }

        $(impl<'d> From<&'d [$t]> for LabelColumn<'d> {
            fn from(x: &'d [$t]) -> Self {
                LabelColumn::$variant(x)
            }
        })*
    };
}

impl<'d> From<Strided<'d, f64>> for LabelColumn<'d> {
    fn from(x: Strided<'d, f64>) -> Self {
        LabelColumn::RowsF64(x)
    }
}

impl<'d> From<Strided<'d, f32>> for LabelColumn<'d> {
    fn from(x: Strided<'d, f32>) -> Self {
        LabelColumn::RowsF32(x)
    }
}

impl Label for f64 {
    fn whole(self) -> Option<i128> {
        (self.fract() == 0.0 && self.abs() < 1e18).then_some(self as i128)
    }
}

impl Label for f32 {
    fn whole(self) -> Option<i128> {
        f64::from(self).whole()
    }
}

labels! { U8 u8, U16 u16, U32 u32, U64 u64, Usize usize, I8 i8, I16 i16, I32 i32, I64 i64, }

impl LabelColumn<'_> {
    /// The number of samples.
    pub fn len(&self) -> usize {
        each!(self, x => x.len())
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The label of a sample, whatever it is; `None` if it is missing.
    pub fn get(&self, i: usize) -> Option<i128> {
        each!(self, x => x[i].whole())
    }

    /// The first sample whose label is missing or not in `0..below`, and that label.
    pub fn first_outside(&self, below: u32) -> Option<(usize, Option<i128>)> {
        let fits = |label: Option<i128>| label.is_some_and(|n| (0..i128::from(below)).contains(&n));
        each!(self, x => x.iter().map(|l| l.whole()).enumerate().find(|(_, l)| !fits(*l)))
    }

    /// A sample's label in words: what is wrong with it, where something is.
    pub fn describe(&self, i: usize, below: u32) -> String {
        match (self, self.get(i)) {
            (LabelColumn::F64(x), None) if !x[i].is_nan() => format!("{} is no whole number", x[i]),
            (LabelColumn::F32(x), None) if !x[i].is_nan() => format!("{} is no whole number", x[i]),
            (LabelColumn::RowsF64(x), None) if !x[i].is_nan() => format!("{} is no whole number", x[i]),
            (LabelColumn::RowsF32(x), None) if !x[i].is_nan() => format!("{} is no whole number", x[i]),
            (_, None) => MISSING.into(),
            (_, Some(n)) if n < 0 => format!("label {n} is negative"),
            (_, Some(n)) => format!("label {n} is not below {below}"),
        }
    }

    /// Converts the labels from sample `start` on, as many as there is room for, where [`LabelColumn::view`] can't look at them where they lie. They must
    /// have been checked: one that no `u32` holds is taken for `u32::MAX`, which is no label.
    pub fn convert(&self, start: usize, room: &mut [u32]) {
        let n = room.len();
        if matches!(self, LabelColumn::U32(_)) {
            return;
        }
        let part = self.slice(start..start + n);
        each!(part, x => {
            for (to, from) in room.iter_mut().zip(x.iter()) {
                *to = from.whole().and_then(|l| u32::try_from(l).ok()).unwrap_or(u32::MAX);
            }
        });
    }

    /// The labels from sample `start` on, as many as were converted.
    pub fn view<'a>(&'a self, start: usize, converted: &'a [u32]) -> &'a [u32] {
        match self {
            LabelColumn::U32(x) => &x[start..start + converted.len()],
            _ => converted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_and_the_first_misfit_found() {
        fn two(labels: LabelColumn<'_>, start: usize) -> Vec<u32> {
            let mut room = [0; 2];
            labels.convert(start, &mut room);
            labels.view(start, &room).to_vec()
        }
        assert_eq!(two(LabelColumn::from(&[7u8, 8, 9][..]), 1), [8, 9]);
        assert_eq!(two(LabelColumn::from(&[7u32, 8, 9][..]), 1), [8, 9]);
        assert_eq!(two(LabelColumn::from(&[7i64, 8, 9][..]), 0), [7, 8]);
        assert_eq!(two(LabelColumn::from(&[Some(7u32), Some(3)][..]), 0), [7, 3]);
        assert_eq!(two(LabelColumn::from(&[7.0, 3.0][..]), 0), [7, 3]);
        assert_eq!(LabelColumn::from(&[1.0, 2.5, f64::NAN][..]).first_outside(9), Some((1, None)));
        assert_eq!(LabelColumn::from(&[1.0, 2.5, f64::NAN][..]).describe(1, 9), "2.5 is no whole number");
        assert_eq!(LabelColumn::from(&[0i64, 4, -1][..]).first_outside(5), Some((2, Some(-1))));
        assert_eq!(LabelColumn::from(&[0u64, u64::MAX][..]).first_outside(5), Some((1, Some(u64::MAX as i128))));
        assert_eq!(LabelColumn::from(&[Some(0i64), None][..]).first_outside(5), Some((1, None)));
        assert_eq!(LabelColumn::from(&[0usize, 4][..]).first_outside(5), None);
    }
}
