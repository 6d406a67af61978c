//! Every quantised type against the `gguf` package's floats, bit for bit; `tests/python/golden/make_gguf_quants.py` makes the file.

use credence_format_gguf::supported_kinds;
use credence_import::language::Rows;
use serde_json::Value;

use crate::build::File;

const NUMBERS: [(&str, u32, usize); 11] = [
    ("F32", 0, 96),
    ("F16", 1, 96),
    ("BF16", 30, 96),
    ("Q8_0", 8, 32),
    ("Q4_0", 2, 32),
    ("Q4_1", 3, 32),
    ("Q5_0", 6, 32),
    ("Q5_1", 7, 32),
    ("Q4_K", 12, 256),
    ("Q5_K", 13, 256),
    ("Q6_K", 14, 256),
];

fn golden() -> Vec<Value> {
    serde_json::from_str(include_str!("../golden/quants.json")).unwrap()
}

#[test]
fn every_type_gives_the_floats_of_the_gguf_package() {
    let cases = golden();
    let names: Vec<&str> = cases
        .iter()
        .map(|case| case["kind"].as_str().unwrap())
        .collect();
    assert_eq!(names.join(", "), supported_kinds());
    for case in cases {
        let name = case["kind"].as_str().unwrap();
        let (_, number, columns) = NUMBERS.iter().find(|row| row.0 == name).unwrap();
        let bytes = hex::decode(case["bytes"].as_str().unwrap()).unwrap();
        let expected = hex::decode(case["float_bits"].as_str().unwrap()).unwrap();
        let (expected, _) = expected.as_chunks::<4>();
        let rows = expected.len() / columns;
        let mut file = File::new();
        let wide = |count: usize| u64::try_from(count).unwrap();
        file.tensor("t", &[wide(*columns), wide(rows)], *number, bytes);
        let matrix = file.parse().unwrap().matrix("t").unwrap();
        let mut got = vec![0.0_f32; *columns];
        for row in 0..rows {
            matrix.read(row, &mut got);
            for (at, value) in got.iter().enumerate() {
                let expected = u32::from_be_bytes(expected[row * columns + at]);
                assert_eq!(value.to_bits(), expected, "{name}, row {row}, element {at}");
            }
        }
    }
}

#[test]
fn rows_that_are_not_there_are_no_weights() {
    let mut file = File::new();
    file.singles("t", &[3, 2])
        .singles("v", &[3])
        .singles("cube", &[1, 2, 3]);
    let file = file.parse().unwrap();
    let matrix = file.matrix("t").unwrap();
    let mut out = [0.0; 3];
    matrix.read(1, &mut out);
    assert!(out.iter().all(|x| x.is_finite()));
    for row in [2, usize::MAX] {
        matrix.read(row, &mut out);
        assert!(out.iter().all(|x| x.is_nan()));
        out = [0.0; 3];
    }
    let mut long = [0.0; 4];
    matrix.read(0, &mut long);
    assert!(long.iter().all(|x| x.is_nan()));
    assert_eq!(file.matrix("v").unwrap().rows(), 1);
    assert!(file.matrix("cube").is_none() && file.matrix("absent").is_none());
}
