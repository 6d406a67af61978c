//! `vectors/arithmetic/`: the rounding, the border's codings, table entries (`docs/spec/arithmetic.md`, sections 2, 3 and 7).

use credence_exact::border::{order_key, quantise, to_fp32};
use credence_exact::{Shift, fixed, rescale};
use serde_json::{Value, json};

pub(super) fn files() -> Result<Vec<(String, Value)>, String> {
    let file = |name: &str, value| (format!("arithmetic/{name}.json"), value);
    Ok(vec![
        file("rescale", rescale_cases()?),
        file("quantise", quantise_cases()),
        file("order_key", order_key_cases()),
        file("to_fp32", to_fp32_cases()),
        file("tables", table_cases()),
    ])
}

fn rescale_cases() -> Result<Value, String> {
    let mut cases = Vec::new();
    for shift in [1_u8, 2, 7, 8, 31, 32, 45, 46] {
        let checked = Shift::try_from(shift).map_err(|error| error.to_string())?;
        let (one, half) = (1_i64 << shift, 1_i64 << (shift - 1));
        let limit = 1_i64 << 62;
        let near = [
            0,
            1,
            half - 1,
            half,
            half + 1,
            one - 1,
            one,
            one + half,
            one + half - 1,
            3 * half,
            limit - half - 1,
            limit - half,
        ];
        for t in near.into_iter().flat_map(|t| [t, -t, -t - 1]) {
            // 64-bit integers are decimal strings; null stands for an error.
            let y = rescale(t, checked).ok().map(|y| y.to_string());
            cases.push(json!({ "t": t.to_string(), "shift": shift, "y": y }));
        }
    }
    Ok(Value::Array(cases))
}

/// Bit patterns at the edges of FP32: zeros, subnormals, normals around powers of two, the largest, and what is not finite.
fn edge_bits() -> Vec<u32> {
    let magnitudes = [
        0,
        1,
        2,
        0x007f_ffff,
        0x0080_0000,
        0x0080_0001,
        0x3eff_ffff,
        0x3f00_0000,
        0x3f00_0001,
        0x3f7f_ffff,
        0x3f80_0000,
        0x3fc0_0000,
        0x4020_0000,
        0x42fe_0000,
        0x4300_0000,
        0x4b7f_ffff,
        0x4b80_0000,
        0x5f00_0000,
        0x7f7f_ffff,
        0x7f80_0000,
        0x7fc0_0000,
    ];
    magnitudes
        .into_iter()
        .flat_map(|bits: u32| [bits, bits | 1 << 31])
        .collect()
}

fn quantise_cases() -> Value {
    let codings = [
        (1, 0, -128, 127),
        (127, 4, -127, 127),
        (16_777_215, 23, -32_768, 32_767),
        (8_388_608, -126, -127, 127),
        (8_388_608, 126, -127, 127),
        (10_000_000, 40, 0, 127),
        (12_345_678, 10, i32::MIN, i32::MAX),
    ];
    let case = |bits: u32, (multiplier, shift, min, max): (i32, i32, i32, i32)| {
        let q = quantise(bits, multiplier, shift, min, max).ok();
        json!({ "bits": bits, "multiplier": multiplier, "shift": shift, "min": min, "max": max, "q": q })
    };
    edge_bits()
        .into_iter()
        .flat_map(|bits| codings.map(|coding| case(bits, coding)))
        .collect()
}

fn order_key_cases() -> Value {
    edge_bits()
        .into_iter()
        .map(|bits| json!({ "bits": bits, "key": order_key(bits).ok() }))
        .collect()
}

fn to_fp32_cases() -> Value {
    let values = [
        0,
        1,
        -1,
        2,
        3,
        127,
        -128,
        16_777_215,
        16_777_216,
        16_777_217,
        -16_777_219,
        i32::MAX,
        i32::MIN,
    ];
    let scales = [
        (1, 0),
        (1, 126),
        (3, 1),
        (2_147_483_647, 0),
        (2_147_483_647, 126),
        (1_234_567_890, 31),
        (16_777_217, 24),
    ];
    let case = |q: i32, (multiplier, shift): (i32, i32)| json!({ "q": q, "multiplier": multiplier, "shift": shift, "bits": to_fp32(q.into(), multiplier, shift) });
    values
        .into_iter()
        .flat_map(|q| scales.map(|scale| case(q, scale)))
        .collect()
}

fn table_cases() -> Value {
    let inputs = [
        0,
        1,
        2,
        255,
        256,
        1000,
        2048,
        4096,
        32_767,
        32_768,
        i32::MAX,
    ];
    let signed = inputs.into_iter().flat_map(|x| [x, -x]);
    let exp: Value = inputs
        .into_iter()
        .map(|x| json!([x, fixed::exp_neg(x.unsigned_abs(), 11, 24)]))
        .collect();
    let sigmoid: Value = signed
        .clone()
        .map(|x| json!([x, fixed::sigmoid(x, 11, 15)]))
        .collect();
    let tanh: Value = signed.map(|x| json!([x, fixed::tanh(x, 11, 15)])).collect();
    json!({ "x_bits": 11, "exp_neg": { "bits": 24, "entries": exp }, "sigmoid": { "bits": 15, "entries": sigmoid }, "tanh": { "bits": 15, "entries": tanh } })
}
