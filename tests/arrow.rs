//! Arrow arrays: bound where they lie, whole or sliced, with the bits of slices; what is missing or of another type is an error with its name.

use arrow_array::builder::{FixedSizeListBuilder, Float64Builder};
use arrow_array::types::{Float64Type, Int32Type, UInt8Type};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use std::sync::Arc;
use tapeless::prelude::*;
use tapeless::{Error, Real};

fn line<T: Real>(g: &Graph) -> Program<T> {
    tapeless::compile((g.param("w") * g.data("x") - g.data("y")).square().sum(), &Options::new()).unwrap()
}

#[test]
fn numbers_are_read_where_they_lie() {
    let g = Graph::new();
    let program = line::<f64>(&g);
    let theta = program.params([("w", 0.7)]).unwrap();
    let (x, y): (Vec<f64>, Vec<f64>) = (0..9000).map(|i| ((f64::from(i) * 0.37).sin(), f64::from(i) * 1e-3)).unzip();
    let expected = program.bind([("x", &x), ("y", &y)]).unwrap().value_and_grad(&theta).unwrap();
    let (a, b) = (Float64Array::from(x.clone()), Float64Array::from(y.clone()));
    let bound = program.bind([("x", &a), ("y", &b)]).unwrap();
    let (value, grad) = bound.value_and_grad(&theta).unwrap();
    assert_eq!((value, grad.values()), (expected.0, expected.1.values()));

    // Slices of arrays start where they start.
    let (a, b) = (a.slice(100, 5000), b.slice(100, 5000));
    let sliced = program.bind([("x", &a), ("y", &b)]).unwrap().value(&theta).unwrap();
    assert_eq!(sliced, program.bind([("x", &x[100..5100]), ("y", &y[100..5100])]).unwrap().value(&theta).unwrap());

    // The columns of a record batch, by name.
    let columns: [(&str, ArrayRef); 2] = [("x", Arc::new(a)), ("y", Arc::new(b))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let schema = batch.schema();
    let named = schema.fields().iter().map(|field| field.name()).zip(batch.columns());
    assert_eq!(program.bind(named).unwrap().value(&theta).unwrap(), sliced);

    let g = Graph::new();
    let program = line::<f32>(&g);
    let x = Float32Array::from(vec![1.0, 2.0]);
    assert_eq!(program.bind([("x", &x), ("y", &x)]).unwrap().value(&program.params([("w", 2.0)]).unwrap()).unwrap(), 5.0);
}

#[test]
fn integers_and_dictionaries_are_labels() {
    let g = Graph::new();
    let loss = (g.data("x") * g.param_with("w", &[3]).gather(g.labels("site"))).sum();
    let program = loss.compile().unwrap();
    let theta = program.params([("w", [1.0, 10.0, 100.0])]).unwrap();
    let x = Float64Array::from(vec![1.0, 2.0, 3.0, 4.0]);
    let value = |site: Columns<'_, f64>| program.bind([("x", Columns::from(&x)), ("site", site)]).map(|bound| bound.value(&theta).unwrap());
    assert_eq!(value(Columns::from(&Int64Array::from(vec![2, 0, 1, 0]))).unwrap(), 136.0);
    assert_eq!(value(Columns::from(&UInt32Array::from(vec![2, 0, 1, 0]))).unwrap(), 136.0);
    assert_eq!(value(Columns::from(&Int8Array::from(vec![9, 2, 0, 1, 0, 9]).slice(1, 4))).unwrap(), 136.0);
    // "north" is 0, "south" 1, "west" 2: as they come.
    let names: DictionaryArray<Int32Type> = ["north", "south", "west", "north"].into_iter().collect();
    assert_eq!(value(Columns::from(&names)).unwrap(), 1.0 + 20.0 + 300.0 + 4.0);
    let reference: ArrayRef = Arc::new(names);
    assert_eq!(value(Columns::from(&reference)).unwrap(), 325.0);

    let missing = |site: Columns<'_, f64>, sample: usize| {
        let error = value(site).unwrap_err();
        assert!(matches!(&error, Error::Label { name, sample: s, .. } if name == "site" && *s == sample), "{error}");
        assert!(error.to_string().contains("the label is missing"), "{error}");
    };
    missing(Columns::from(&Int64Array::from(vec![Some(2), Some(0), None, None])), 2);
    let some: DictionaryArray<UInt8Type> = [Some("a"), None, Some("a"), Some("b")].into_iter().collect();
    missing(Columns::from(&some), 1);
    // A key of a null in the dictionary.
    let keys = arrow_array::UInt8Array::from(vec![0, 0, 0, 1]);
    let odd = DictionaryArray::<UInt8Type>::try_new(keys, Arc::new(StringArray::from(vec![Some("a"), None]))).unwrap();
    missing(Columns::from(&odd), 3);
    assert!(value(Columns::from(&Int64Array::from(vec![0, 3, 0, 0]))).unwrap_err().to_string().contains("label 3 is not below 3"));
}

#[test]
fn lists_of_fixed_size_are_rows() {
    let g = Graph::new();
    let program = g.data_with("x", &[3]).dot(g.param_with("w", &[3])).square().sum().compile().unwrap();
    let theta = program.params([("w", [1.0, 10.0, 100.0])]).unwrap();
    let rows = |rows: &[Option<[f64; 3]>]| FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(rows.iter().map(|r| r.map(|r| r.map(Some))), 3);
    let lists = rows(&[Some([9.0; 3]), Some([1.0, 2.0, 3.0]), Some([4.0, 5.0, 6.0])]);
    let value = |x: Columns<'_, f64>| program.bind([("x", x)]).map(|bound| bound.value(&theta).unwrap());
    assert_eq!(value(Columns::from(&lists)).unwrap(), 999f64.powi(2) + 321f64.powi(2) + 654f64.powi(2));
    assert_eq!(value(Columns::from(&lists.slice(1, 2))).unwrap(), 321f64.powi(2) + 654f64.powi(2));
    let reference: ArrayRef = Arc::new(lists.slice(2, 1));
    assert_eq!(value(Columns::from(&reference)).unwrap(), 654f64.powi(2));

    let null_at = |x: Columns<'_, f64>, sample: usize| assert_eq!(value(x).unwrap_err(), Error::Null { name: "x".into(), sample });
    null_at(Columns::from(&rows(&[Some([1.0; 3]), Some([1.0; 3]), None])), 2);
    let mut builder = FixedSizeListBuilder::new(Float64Builder::new(), 3);
    for x in [Some(1.0), Some(2.0), Some(3.0), Some(4.0), None, Some(6.0)] {
        builder.values().append_option(x);
    }
    builder.append(true);
    builder.append(true);
    let holes = builder.finish();
    null_at(Columns::from(&holes), 1);
    assert_eq!(value(Columns::from(&holes.slice(0, 1))).unwrap(), 321f64.powi(2));
    let two = FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(1.0), Some(2.0)])], 2);
    assert!(value(Columns::from(&two)).unwrap_err().to_string().contains("`x` has 2 columns"));
}

#[test]
fn nulls_and_other_types_are_errors_with_a_name() {
    let g = Graph::new();
    let program = line::<f64>(&g);
    let fine = Float64Array::from(vec![1.0, f64::NAN, 3.0]);
    let error = |y: Columns<'_, f64>| program.bind([("x", Columns::from(&fine)), ("y", y)]).unwrap_err();
    let holes = Float64Array::from(vec![Some(1.0), None, None]);
    assert_eq!(error(Columns::from(&holes)), Error::Null { name: "y".into(), sample: 1 });
    assert_eq!(error(Columns::from(&holes)).to_string(), "data `y`, sample 1: the number is missing");
    // Nulls outside of the slice don't count, and a NaN is a number.
    assert!(program.bind([("x", &holes.slice(0, 1)), ("y", &fine.slice(1, 1))]).is_ok());
    for array in [Arc::new(StringArray::from(vec!["a", "b", "c"])) as ArrayRef, Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0]))] {
        let message = error(Columns::from(&array)).to_string();
        assert!(message.contains("`y`") && message.contains(&array.data_type().to_string()) && message.contains("neither f64 nor labels"), "{message}");
    }
    assert!(error(Columns::from(&Int64Array::from(vec![1, 2, 3]))).to_string().contains("integers"));
    assert!(error(Columns::from(&Float64Array::from(vec![1.0]))).to_string().contains("`y` has 1 samples"));
}
