//! A small writer of GGUF files, sound and unsound ones alike.

use std::sync::Arc;

use credence_format_gguf::{Gguf, GgufError, Limits};

/// A change to a file that was sound.
pub(crate) type Change = fn(&mut File);

/// A metadata value, written with its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Datum {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(u8),
    Text(Vec<u8>),
    /// Element type, elements.
    Array(u32, Vec<Datum>),
    U64(u64),
    I64(i64),
    F64(f64),
    /// Any type number, any bytes.
    Raw(u32, Vec<u8>),
}

pub(crate) fn text(text: &str) -> Datum {
    Datum::Text(text.as_bytes().to_vec())
}

fn string(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(u64::try_from(bytes.len()).unwrap().to_le_bytes());
    out.extend(bytes);
}

impl Datum {
    fn number(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Text(_) => 8,
            Self::Array(..) => 9,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
            Self::Raw(number, _) => *number,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(x) | Self::Bool(x) => out.push(*x),
            Self::I8(x) => out.extend(x.to_le_bytes()),
            Self::U16(x) => out.extend(x.to_le_bytes()),
            Self::I16(x) => out.extend(x.to_le_bytes()),
            Self::U32(x) => out.extend(x.to_le_bytes()),
            Self::I32(x) => out.extend(x.to_le_bytes()),
            Self::F32(x) => out.extend(x.to_le_bytes()),
            Self::U64(x) => out.extend(x.to_le_bytes()),
            Self::I64(x) => out.extend(x.to_le_bytes()),
            Self::F64(x) => out.extend(x.to_le_bytes()),
            Self::Text(bytes) => string(bytes, out),
            Self::Raw(_, bytes) => out.extend(bytes),
            Self::Array(kind, elements) => {
                out.extend(kind.to_le_bytes());
                out.extend(u64::try_from(elements.len()).unwrap().to_le_bytes());
                elements.iter().for_each(|element| element.write(out));
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct TensorEntry {
    pub(crate) name: String,
    pub(crate) dims: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) data: Vec<u8>,
    /// Written in place of the right offset.
    pub(crate) offset: Option<u64>,
}

/// What is written; every field may be wrong.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u32,
    pub(crate) tensor_count: Option<u64>,
    pub(crate) key_count: Option<u64>,
    pub(crate) keys: Vec<(String, Datum)>,
    pub(crate) tensors: Vec<TensorEntry>,
    pub(crate) alignment: usize,
    pub(crate) padding: u8,
    pub(crate) trailing: Vec<u8>,
}

impl File {
    pub(crate) fn new() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            tensor_count: None,
            key_count: None,
            keys: Vec::new(),
            tensors: Vec::new(),
            alignment: 32,
            padding: 0,
            trailing: Vec::new(),
        }
    }

    pub(crate) fn key(&mut self, key: &str, value: Datum) -> &mut Self {
        self.keys.retain(|(other, _)| other != key);
        self.keys.push((key.to_owned(), value));
        self
    }

    pub(crate) fn without(&mut self, key: &str) -> &mut Self {
        self.keys.retain(|(other, _)| other != key);
        self
    }

    pub(crate) fn tensor(
        &mut self,
        name: &str,
        dims: &[u64],
        kind: u32,
        data: Vec<u8>,
    ) -> &mut Self {
        self.tensors.push(TensorEntry {
            name: name.to_owned(),
            dims: dims.to_vec(),
            kind,
            data,
            offset: None,
        });
        self
    }

    /// A tensor of singles that count up.
    pub(crate) fn singles(&mut self, name: &str, dims: &[u64]) -> &mut Self {
        let count: u64 = dims.iter().product();
        let value = |at: u64| f32::from(u8::try_from((at * 37 + 11) % 101).unwrap()) / 101.0 - 0.5;
        let data = (0..count).flat_map(|at| value(at).to_le_bytes()).collect();
        self.tensor(name, dims, 0, data)
    }

    /// The tensor of this name, to be changed.
    pub(crate) fn entry(&mut self, name: &str) -> &mut TensorEntry {
        self.tensors
            .iter_mut()
            .find(|tensor| tensor.name == name)
            .unwrap()
    }

    fn pad(&self, out: &mut Vec<u8>) {
        while !out.len().is_multiple_of(self.alignment) {
            out.push(self.padding);
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        let counted = |len: usize| u64::try_from(len).unwrap();
        out.extend(
            self.tensor_count
                .unwrap_or(counted(self.tensors.len()))
                .to_le_bytes(),
        );
        out.extend(
            self.key_count
                .unwrap_or(counted(self.keys.len()))
                .to_le_bytes(),
        );
        for (key, value) in &self.keys {
            string(key.as_bytes(), &mut out);
            out.extend(value.number().to_le_bytes());
            value.write(&mut out);
        }
        let mut offset = 0_usize;
        for tensor in &self.tensors {
            string(tensor.name.as_bytes(), &mut out);
            out.extend(u32::try_from(tensor.dims.len()).unwrap().to_le_bytes());
            tensor
                .dims
                .iter()
                .for_each(|dim| out.extend(dim.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(counted(offset)).to_le_bytes());
            offset += tensor.data.len().next_multiple_of(self.alignment);
        }
        for tensor in &self.tensors {
            self.pad(&mut out);
            out.extend(&tensor.data);
        }
        self.pad(&mut out);
        out.extend(&self.trailing);
        out
    }

    pub(crate) fn parse(&self) -> Result<Gguf, GgufError> {
        parse(self.bytes())
    }
}

pub(crate) fn parse(bytes: Vec<u8>) -> Result<Gguf, GgufError> {
    Gguf::parse(Arc::new(bytes), &Limits::MODELS)
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut whole = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        whole.push_str(": ");
        whole.push_str(&cause.to_string());
        next = cause.source();
    }
    whole
}

/// A llama of one block, small enough to flip every bit of.
pub(crate) fn llama() -> File {
    let mut file = File::new();
    file.key("general.architecture", text("llama"));
    for (key, value) in [
        ("context_length", 8),
        ("embedding_length", 4),
        ("block_count", 1),
        ("feed_forward_length", 3),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
        ("rope.dimension_count", 2),
    ] {
        file.key(&format!("llama.{key}"), Datum::U32(value));
    }
    file.key("llama.attention.layer_norm_rms_epsilon", Datum::F32(1e-5));
    file.key("tokenizer.ggml.model", text("gpt2"));
    let tokens = ["a", "b", "c", "d", "ab"].map(text);
    file.key("tokenizer.ggml.tokens", Datum::Array(8, tokens.to_vec()));
    file.key("tokenizer.ggml.merges", Datum::Array(8, vec![text("a b")]));
    file.singles("token_embd.weight", &[4, 5]);
    file.singles("output_norm.weight", &[4]);
    for (name, dims) in [
        ("attn_norm", vec![4]),
        ("attn_q", vec![4, 4]),
        ("attn_k", vec![4, 2]),
        ("attn_v", vec![4, 2]),
        ("attn_output", vec![4, 4]),
        ("ffn_norm", vec![4]),
        ("ffn_gate", vec![4, 3]),
        ("ffn_up", vec![4, 3]),
        ("ffn_down", vec![3, 4]),
    ] {
        file.singles(&format!("blk.0.{name}.weight"), &dims);
    }
    file
}
