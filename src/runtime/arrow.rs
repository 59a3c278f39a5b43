//! Apache Arrow arrays as columns, without copying: their value buffers are read where they lie.

use super::columns::{Columns, Fault};
use crate::column::Column;
use crate::real::Real;
use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, DictionaryArray, FixedSizeListArray, PrimitiveArray};

/// The columns, unless a sample has no value: what lies behind a null means nothing.
fn unless_null<'d, T: Copy>(array: &dyn Array, columns: Columns<'d, T>) -> Columns<'d, T> {
    // Not the array's own nulls alone: a key may be of a null in the dictionary.
    match array.logical_nulls().filter(|nulls| nulls.null_count() > 0).and_then(|nulls| nulls.iter().position(|there| !there)) {
        Some(sample) => Columns::faulty(Fault::Null(sample)),
        None => columns,
    }
}

/// What the array can't be bound as.
fn unfit<T: Real>(array: &dyn Array) -> Columns<'_, T> {
    Columns::faulty(Fault::Source(format!(
        "an Arrow array of type {} is neither {} nor labels nor a list of fixed size of {}",
        array.data_type(),
        T::NAME,
        T::NAME
    )))
}

/// Numbers of one type: columns, lists of fixed size as rows, and whatever an array of unknown type holds.
macro_rules! numbers {
    ($($t:ty, $arrow:ident;)*) => {$(
        impl<'d> From<&'d PrimitiveArray<$arrow>> for Columns<'d, $t> {
            /// One column. Binding returns [`crate::Error::Null`] if a number is missing.
            fn from(array: &'d PrimitiveArray<$arrow>) -> Self {
                unless_null(array, Columns::of(vec![Column::Real(array.values())]))
            }
        }

        impl<'d> From<&'d FixedSizeListArray> for Columns<'d, $t> {
            /// The lists' numbers as row-major columns, see [`Columns::from_rows`]. Binding returns [`crate::Error::Null`] if a list or a number in one is missing,
            /// [`crate::Error::ColumnSource`] if the lists are of another type.
            fn from(array: &'d FixedSizeListArray) -> Self {
                let Some(numbers) = array.values().as_primitive_opt::<$arrow>() else { return unfit(array) };
                let (samples, width) = (array.len(), usize::try_from(array.value_length()).unwrap_or_default());
                if let Some(at) = numbers.nulls().filter(|nulls| nulls.null_count() > 0).and_then(|nulls| nulls.iter().position(|there| !there)) {
                    // A list that is missing as a whole may come first.
                    let inside = at / width.max(1);
                    let sample = (0..inside).find(|i| array.is_null(*i)).unwrap_or(inside);
                    return Columns::faulty(Fault::Null(sample));
                }
                unless_null(array, Columns::strided(numbers.values(), [samples, width], [width, 1]))
            }
        }

        impl<'d> From<&'d dyn Array> for Columns<'d, $t> {
            /// Numbers of the program's type, integers and dictionaries as labels, lists of fixed size as rows. Binding returns [`crate::Error::ColumnSource`]
            /// for other types.
            fn from(array: &'d dyn Array) -> Self {
                if let Some(numbers) = array.as_primitive_opt::<$arrow>() {
                    return numbers.into();
                }
                if let Some(lists) = array.as_fixed_size_list_opt() {
                    return lists.into();
                }
                labels(array).unwrap_or_else(|| unfit(array))
            }
        }

        impl<'d> From<&'d ArrayRef> for Columns<'d, $t> {
            /// As of the array it refers to: a record batch's columns.
            fn from(array: &'d ArrayRef) -> Self {
                Columns::from(&**array)
            }
        }
    )*};
}
numbers! { f64, Float64Type; f32, Float32Type; }

/// Integer arrays, and dictionaries with such keys.
macro_rules! integers {
    ($($arrow:ident)*) => {
        $(
            impl<'d, T: Real> From<&'d PrimitiveArray<$arrow>> for Columns<'d, T> {
                /// A column of labels. Binding returns [`crate::Error::Label`] if one is missing.
                fn from(array: &'d PrimitiveArray<$arrow>) -> Self {
                    unless_null(array, Columns::of(vec![Column::Labels(array.values()[..].into())]))
                }
            }

            impl<'d, T: Real> From<&'d DictionaryArray<$arrow>> for Columns<'d, T> {
                /// A column of labels: the keys, so that label `l` stands for entry `l` of the dictionary. Binding returns [`crate::Error::Label`] if one is
                /// missing.
                fn from(array: &'d DictionaryArray<$arrow>) -> Self {
                    unless_null(array, Columns::of(vec![Column::Labels(array.keys().values()[..].into())]))
                }
            }
        )*

        fn labels<'d, T: Real>(array: &'d dyn Array) -> Option<Columns<'d, T>> {
            $(
                if let Some(integers) = array.as_primitive_opt::<$arrow>() {
                    return Some(integers.into());
                }
                if let Some(dictionary) = array.as_dictionary_opt::<$arrow>() {
                    return Some(dictionary.into());
                }
            )*
            None
        }
    };
}
integers! { UInt8Type UInt16Type UInt32Type UInt64Type Int8Type Int16Type Int32Type Int64Type }
