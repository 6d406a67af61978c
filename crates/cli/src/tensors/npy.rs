//! One array in numpy's format, versions 1.0 to 3.0 (`numpy/lib/format.py`).
//!
//! ```text
//! \x93NUMPY, major, minor, u16 or u32 length of the header, header, elements
//! header: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   a Python literal, spaces and a newline behind
//! ```
//!
//! Read are little-endian binary32, i32 and i64 in C order: what a model takes. Other types are refused by name and not
//! converted, since a receipt covers the elements that the model saw.
//!
//! The kept crate for this format (npyz 0.9) is used in tests and benchmarks, but not on bytes from strangers: it multiplies the dimensions of a
//! header unchecked and reads any nesting of Python literals.

use credence_model::{Elements, Tensor, TensorError};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest header that is read, in bytes; numpy's own limit.
const HEADER_LEN_MAX: usize = 10_000;

/// Why bytes are not an array that is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NpyError {
    /// Another kind of file.
    #[error("it does not begin as an array of numpy's format does")]
    Magic,
    /// A version of the format that is not known.
    #[error("version {major} of numpy's format is not known; 1 to 3 are")]
    Version {
        /// The version found.
        major: u8,
    },
    /// The file ends early, or the header is too long.
    #[error("the header is cut off or longer than {HEADER_LEN_MAX} bytes")]
    Header,
    /// The header is not what numpy writes.
    #[error("the header cannot be read at `{at}`")]
    Literal {
        /// What stands where something else was expected.
        at: String,
    },
    /// An element type that no model takes.
    #[error(
        "its elements are `{got}`; `<f4`, `<i4` and `<i8` are taken: convert with `.astype(numpy.float32)`"
    )]
    Type {
        /// numpy's name for the type.
        got: String,
    },
    /// Columns first.
    #[error("it is in Fortran order: convert with `numpy.ascontiguousarray`")]
    Fortran,
    /// The elements do not fill the shape.
    #[error("its shape takes {expected} bytes of elements, but there are {got}")]
    Elements {
        /// Bytes that the shape takes.
        expected: u64,
        /// Bytes after the header.
        got: usize,
    },
    /// The tensor is refused.
    #[error("it is refused")]
    Tensor(#[from] TensorError),
}

#[derive(Debug, PartialEq, Eq)]
struct Header<'a> {
    descr: &'a str,
    fortran_order: bool,
    shape: Vec<u64>,
}

/// Reads the array in `bytes` as the tensor called `name`.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Result<Tensor, NpyError> {
    let (header, elements) = split(bytes)?;
    let header = Literal(header).header()?;
    if header.fortran_order {
        return Err(NpyError::Fortran);
    }
    let width = match header.descr {
        "<f4" | "<i4" => 4_u64,
        "<i8" => 8,
        other => {
            return Err(NpyError::Type {
                got: other.to_owned(),
            });
        }
    };
    let expected = header
        .shape
        .iter()
        .try_fold(width, |bytes, dim| bytes.checked_mul(*dim))
        .unwrap_or(u64::MAX);
    if u64::try_from(elements.len()) != Ok(expected) {
        let got = elements.len();
        return Err(NpyError::Elements { expected, got });
    }
    let elements = match header.descr {
        "<f4" => Elements::Fp32(words(elements, f32::from_le_bytes)),
        "<i4" => Elements::Int32(words(elements, i32::from_le_bytes)),
        _ => Elements::Int64(words(elements, i64::from_le_bytes)),
    };
    Ok(Tensor::new(name, header.shape, elements)?)
}

fn words<const N: usize, T>(bytes: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (words, _) = bytes.as_chunks::<N>();
    words.iter().map(|word| from(*word)).collect()
}

/// The header's text, and the elements.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), NpyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
    let ([major, _minor], rest) = rest.split_first_chunk().ok_or(NpyError::Header)?;
    let (len, rest) = match major {
        1 => {
            let (len, rest) = rest.split_first_chunk().ok_or(NpyError::Header)?;
            (u32::from(u16::from_le_bytes(*len)), rest)
        }
        2 | 3 => {
            let (len, rest) = rest.split_first_chunk().ok_or(NpyError::Header)?;
            (u32::from_le_bytes(*len), rest)
        }
        _ => return Err(NpyError::Version { major: *major }),
    };
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > HEADER_LEN_MAX {
        return Err(NpyError::Header);
    }
    let (header, elements) = rest.split_at_checked(len).ok_or(NpyError::Header)?;
    let header = std::str::from_utf8(header).map_err(|_| NpyError::Header)?;
    Ok((header, elements))
}

/// A reader of the few Python literals that a header has.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    fn header(mut self) -> Result<Header<'a>, NpyError> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.token("{")?;
        while !self.peek("}") {
            let key = self.quoted()?;
            self.token(":")?;
            // Each key once: a second one is as wrong as an unknown one.
            match key {
                "descr" if descr.is_none() => descr = Some(self.quoted()?),
                "fortran_order" if fortran_order.is_none() => fortran_order = Some(self.boolean()?),
                "shape" if shape.is_none() => shape = Some(self.tuple()?),
                other => {
                    return Err(NpyError::Literal {
                        at: other.to_owned(),
                    });
                }
            }
            if !self.peek("}") {
                self.token(",")?;
            }
        }
        self.token("}")?;
        match (descr, fortran_order, shape, self.0.trim().is_empty()) {
            (Some(descr), Some(fortran_order), Some(shape), true) => Ok(Header {
                descr,
                fortran_order,
                shape,
            }),
            _ => Err(self.wrong()),
        }
    }

    fn wrong(&self) -> NpyError {
        NpyError::Literal {
            at: self.0.trim().chars().take(20).collect(),
        }
    }

    fn peek(&self, token: &str) -> bool {
        self.0.trim_start().starts_with(token)
    }

    fn token(&mut self, token: &str) -> Result<(), NpyError> {
        let rest = self.0.trim_start().strip_prefix(token);
        self.0 = rest.ok_or_else(|| self.wrong())?;
        Ok(())
    }

    /// Text in single or double quotes, without escapes: numpy writes none for the types that are taken.
    fn quoted(&mut self) -> Result<&'a str, NpyError> {
        let rest = self.0.trim_start();
        let inner = ['\'', '"'].into_iter().find_map(|quote| {
            let inner = rest.strip_prefix(quote)?;
            inner.split_once(quote)
        });
        let (text, rest) = inner.ok_or_else(|| self.wrong())?;
        self.0 = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        if self.peek("True") {
            self.token("True").map(|()| true)
        } else {
            self.token("False").map(|()| false)
        }
    }

    fn tuple(&mut self) -> Result<Vec<u64>, NpyError> {
        let mut dims = Vec::new();
        self.token("(")?;
        while !self.peek(")") {
            let rest = self.0.trim_start();
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (digits, rest) = rest.split_at_checked(end).ok_or_else(|| self.wrong())?;
            dims.push(digits.parse().map_err(|_| self.wrong())?);
            self.0 = rest;
            if !self.peek(")") {
                self.token(",")?;
            }
        }
        self.token(")")?;
        Ok(dims)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An array as numpy 1.17 and later write it.
    pub(crate) fn npy(header: &str, elements: &[u8]) -> Vec<u8> {
        let mut header = header.as_bytes().to_vec();
        while !(header.len() + 11).is_multiple_of(64) {
            header.push(b' ');
        }
        header.push(b'\n');
        let len = u16::try_from(header.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0][..], &len, &header, elements].concat()
    }

    fn header(descr: &str, shape: &str) -> String {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
    }

    #[test]
    fn reads_what_numpy_writes() {
        let ones = [1.0_f32, -2.5].map(f32::to_le_bytes).concat();
        let cases = [
            (
                "<f4",
                "(2, 1)",
                ones.clone(),
                vec![2, 1],
                Elements::Fp32(vec![1.0, -2.5]),
            ),
            (
                "<f4",
                "(2,)",
                ones,
                vec![2],
                Elements::Fp32(vec![1.0, -2.5]),
            ),
            (
                "<i4",
                "(1, 1)",
                (-7_i32).to_le_bytes().to_vec(),
                vec![1, 1],
                Elements::Int32(vec![-7]),
            ),
            (
                "<i8",
                "()",
                i64::MIN.to_le_bytes().to_vec(),
                vec![],
                Elements::Int64(vec![i64::MIN]),
            ),
            ("<f4", "(0, 4)", vec![], vec![0, 4], Elements::Fp32(vec![])),
        ];
        for (descr, shape, bytes, dims, elements) in cases {
            let tensor = read("x", &npy(&header(descr, shape), &bytes)).unwrap();
            assert_eq!((tensor.shape(), tensor.elements()), (&dims[..], &elements));
        }
    }

    #[test]
    fn other_arrays_are_refused_by_name() {
        let cases = [
            (header("<f8", "(1,)"), 8, "`<f8`"),
            (header(">f4", "(1,)"), 4, "`>f4`"),
            (header("|b1", "(4,)"), 4, "`|b1`"),
            (header("<f4", "(2,)"), 4, "takes 8 bytes"),
            (header("<f4", "(1,)"), 8, "takes 4 bytes"),
            (header("<f4", "(-1,)"), 4, "cannot be read at `-1"),
            (
                header("<f4", "(4294967296, 4294967296)"),
                4,
                "takes 18446744073709551615 bytes",
            ),
            (header("<f4", "(1,)").replace("False", "True"), 4, "Fortran"),
            (header("<f4", "(1,)").replace("descr", "other"), 4, "other"),
            ("{}".to_owned(), 4, "cannot be read"),
            (String::new(), 4, "cannot be read"),
        ];
        for (header, len, expected) in cases {
            let error = read("x", &npy(&header, &vec![0; len])).unwrap_err();
            assert!(error.to_string().contains(expected), "{header}: {error}");
        }
        assert_eq!(read("x", b"PK\x03\x04"), Err(NpyError::Magic));
        assert_eq!(
            read("x", b"\x93NUMPY\x04\x00"),
            Err(NpyError::Version { major: 4 })
        );
    }

    #[test]
    fn cut_or_changed_bytes_never_panic() {
        let good = npy(&header("<f4", "(2, 1)"), &[0; 8]);
        for len in 0..good.len() {
            assert!(read("x", &good[..len]).is_err(), "{len}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(tensor) = read("x", &bytes) {
                    assert_eq!(tensor.elements().len(), 2);
                }
            }
        }
    }
}
