//! Bytes made to do harm: everything is refused with an error that says what and where, nothing panics, nothing is allocated for a count that is a lie.

use credence_format_gguf::{Gguf, Limits, language_graph};
use credence_import::language::FloatRun;
use proptest::prelude::*;

use crate::build::{Change, Datum, chain, llama, parse, text};

/// Everything a caller would do with a file.
fn use_all(bytes: Vec<u8>) -> bool {
    let Ok(file) = parse(bytes) else { return false };
    let Ok(graph) = language_graph(&file) else {
        return false;
    };
    // The logits may be none, if a weight is not finite.
    let logits = FloatRun::new(&graph).logits(&[0], &[0]);
    logits.map_or(true, |logits| logits.len() == 1)
}

#[test]
fn every_truncation_is_refused() {
    let whole = llama().bytes();
    assert!(use_all(whole.clone()));
    for length in 0..whole.len() {
        assert!(
            parse(whole[..length].to_vec()).is_err() || length == whole.len() - 16,
            "{length}"
        );
    }
    // The last tensor has 48 bytes: without its padding the file is still whole.
    assert!(use_all(whole[..whole.len() - 16].to_vec()));
}

#[test]
fn no_flipped_bit_makes_a_panic() {
    let whole = llama().bytes();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let (mut sound, mut refused) = (0, 0);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            if pool.install(|| use_all(bytes)) {
                sound += 1;
            } else {
                refused += 1;
            }
        }
    }
    // Weights may change; what is said of them may not, by and large.
    assert!(sound > 0 && refused > 2000, "{sound} {refused}");
}

#[test]
fn every_byte_takes_the_extremes_without_panic() {
    let whole = llama().bytes();
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            if let Ok(file) = parse(bytes) {
                drop(language_graph(&file));
            }
        }
    }
}

fn lying_string(length: u64) -> Datum {
    Datum::Raw(8, length.to_le_bytes().to_vec())
}

fn lying_array(kind: u32, length: u64) -> Datum {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(length.to_le_bytes());
    Datum::Raw(9, bytes)
}

fn nested(depth: usize) -> Datum {
    (0..depth).fold(Datum::Array(4, vec![]), |inner, _| {
        Datum::Array(9, vec![inner])
    })
}

/// Changes to what stands before the tensors, and what is then said.
const HEADERS: &[(Change, &str)] = &[
    (|f| f.magic = *b"GGML", "does not begin with `GGUF`"),
    (
        |f| f.version = 1,
        "GGUF version 1; versions 2 and 3 are read",
    ),
    (|f| f.version = 0, "GGUF version 0"),
    (|f| f.version = 4, "GGUF version 4"),
    (|f| f.version = 3_u32.swap_bytes(), "big-endian"),
    (
        |f| f.tensor_count = Some(u64::MAX),
        "the number of tensors at byte 8 is 18446744073709551615; at most 65536",
    ),
    (|f| f.tensor_count = Some(65_536), "a tensor's name at byte"),
    (
        |f| f.key_count = Some(u64::MAX),
        "the number of keys at byte 16",
    ),
    (|f| f.key_count = Some(65_536), "at byte"),
    (
        |f| {
            f.key("x", lying_string(u64::MAX));
        },
        "a text at byte",
    ),
    (
        |f| {
            f.key("x", lying_string(1 << 26));
        },
        "needs 67108864 bytes",
    ),
    (
        |f| {
            f.key("x", lying_array(0, u64::MAX));
        },
        "the length of an array at byte",
    ),
    (
        |f| {
            f.key("x", lying_array(0, 1 << 24));
        },
        "an array at byte",
    ),
    (
        |f| {
            f.key("x", lying_array(10, 1 << 24));
        },
        "needs 134217728 bytes",
    ),
    (
        |f| {
            f.key("x", lying_array(8, 1 << 24));
        },
        "at byte",
    ),
    (
        |f| {
            f.key("x", lying_array(9, 1 << 24));
        },
        "at byte",
    ),
    (
        |f| {
            f.key("x", lying_array(7, 1 << 24));
        },
        "the truth value at byte",
    ),
    (
        |f| {
            f.key("x", lying_array(13, 1));
        },
        "has type 13; GGUF has types 0 to 12",
    ),
    (
        |f| {
            f.key("x", nested(4));
        },
        "the depth of arrays at byte",
    ),
    (
        |f| {
            f.key("x", Datum::Raw(13, vec![]));
        },
        "has type 13",
    ),
    (
        |f| {
            f.key("x", Datum::Bool(2));
        },
        "the truth value at byte",
    ),
    (
        |f| {
            f.key("x", Datum::Array(7, vec![Datum::Bool(255)]));
        },
        "is 255, but must be 0 or 1",
    ),
    (
        |f| {
            f.key("x", Datum::Text(vec![0xff]));
        },
        "is not UTF-8",
    ),
    (
        |f| {
            f.key("x", Datum::Array(8, vec![Datum::Text(vec![0xc0, 0x80])]));
        },
        "a text in an array at byte",
    ),
    (
        |f| {
            f.keys
                .push(("general.architecture".to_owned(), text("llama")))
        },
        "the key `general.architecture` is there twice",
    ),
    (
        |f| {
            f.key("", Datum::U8(0));
        },
        "a key at byte",
    ),
    (
        |f| {
            f.key(&"k".repeat(1025), Datum::U8(0));
        },
        "is 1025; at most 1024",
    ),
    (
        |f| {
            f.key("general.alignment", Datum::U32(0));
        },
        "`general.alignment` must be a power of two from 8 to 65536, but is 0",
    ),
    (
        |f| {
            f.key("general.alignment", Datum::U32(48));
        },
        "but is 48",
    ),
    (
        |f| {
            f.key("general.alignment", Datum::U32(1 << 31));
        },
        "but is 2147483648",
    ),
    (
        |f| {
            f.key("general.alignment", text("32"));
        },
        "but is the text `32`",
    ),
];

#[test]
fn unsound_headers_are_refused_by_name() {
    check_all(HEADERS);
}

const NAME: &str = "blk.0.attn_q.weight";

/// Changes to tensors, and what is then said.
const TENSORS: &[(Change, &str)] = &[
    (|f| f.entry(NAME).name.clear(), "a tensor's name at byte"),
    (
        |f| f.entry(NAME).name = "output_norm.weight".to_owned(),
        "the tensor `output_norm.weight` is there twice",
    ),
    (|f| f.entry(NAME).dims.clear(), "has 0 dimensions; 1 to 4"),
    (|f| f.entry(NAME).dims = vec![1; 5], "has 5 dimensions"),
    (
        |f| f.entry(NAME).dims = vec![4, 0],
        "dimensions [4, 0], whose product must be positive",
    ),
    (
        |f| f.entry(NAME).dims = vec![1 << 32, 1 << 32],
        "whose product must be positive and a size",
    ),
    (|f| f.entry(NAME).dims = vec![u64::MAX], "a size in memory"),
    (|f| f.entry(NAME).dims = vec![1 << 62], "a size in memory"),
    (
        |f| f.entry(NAME).dims = vec![1 << 61],
        "`blk.0.attn_q.weight` ends at byte",
    ),
    (|f| f.entry(NAME).dims = vec![1 << 40], "but the file has"),
    (
        |f| f.entry(NAME).kind = 10,
        "elements of type Q2_K; supported are F32, F16, BF16, Q8_0",
    ),
    (|f| f.entry(NAME).kind = 999, "elements of type 999"),
    (
        |f| f.entry(NAME).kind = 8,
        "rows of 4 elements; type Q8_0 needs a multiple of 32",
    ),
    (
        |f| f.entry(NAME).offset = Some(0),
        "begins at offset 0 of the data, but",
    ),
    (
        |f| f.entry(NAME).offset = Some(u64::MAX),
        "begins at offset 18446744073709551615",
    ),
    (
        |f| f.entry(NAME).dims = vec![4, 5],
        "is where the tensors before it end",
    ),
    (|f| f.padding = 1, "is padding and must be 0, but is 1"),
    (|f| f.trailing = vec![0], "but its tensors end at"),
    (|f| f.trailing = vec![0; 32], "but its tensors end at"),
    (
        |f| {
            f.tensors.last_mut().unwrap().data.pop();
            f.alignment = 1;
        },
        "is padding and must be 0",
    ),
];

#[test]
fn unsound_tensors_are_refused_by_name() {
    check_all(TENSORS);
}

fn check_all(changes: &[(Change, &str)]) {
    for (change, expected) in changes {
        let mut file = llama();
        change(&mut file);
        let message = chain(&file.parse().unwrap_err());
        assert!(
            message.contains(expected),
            "{message}\nexpected: {expected}"
        );
    }
}

#[test]
fn arrays_up_to_the_depth_allowed_are_taken() {
    let mut file = llama();
    file.key("x", nested(3));
    file.parse().unwrap();
}

#[test]
fn the_callers_limits_hold() {
    let bytes = llama().bytes();
    type Limit = fn(&mut Limits);
    let changes: [(Limit, &str); 5] = [
        (|l| l.keys_max = 11, "the number of keys"),
        (|l| l.tensors_max = 10, "the number of tensors"),
        (|l| l.name_bytes_max = 3, "a key at byte"),
        (|l| l.string_bytes_max = 2, "a text at byte"),
        (|l| l.array_max = 4, "the length of an array"),
    ];
    for (change, expected) in changes {
        let mut limits = Limits::MODELS;
        change(&mut limits);
        let error = Gguf::parse(std::sync::Arc::new(bytes.clone()), &limits).unwrap_err();
        assert!(chain(&error).contains(expected), "{error}");
    }
}

proptest! {
    #[test]
    fn random_bytes_are_refused_without_panic(tail in prop::collection::vec(any::<u8>(), 0..200), counts in any::<[u8; 2]>()) {
        let mut bytes = b"GGUF\x03\x00\x00\x00".to_vec();
        for count in counts {
            bytes.extend(u64::from(count % 4).to_le_bytes());
        }
        bytes.extend(tail);
        // Whatever it is, reading it ends.
        drop(parse(bytes));
    }

    #[test]
    fn several_changed_bytes_make_no_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = llama().bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        use_all(bytes);
    }
}
