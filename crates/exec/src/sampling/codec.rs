//! Canonical bytes of parameters (`docs/spec/sampling.md`, section 1.1): version 2 of what a claim commits to, or 3 if there is a grammar.
//!
//! Every value is of fixed width or behind its count, so there is one spelling; a decoder checks ranges as a constructor does and refuses what
//! trails. Version 1 is the empty list of a tensor model and is not read here.

use credence_base::wire::{Reader, WireError, Writer};

use super::parameters::{BIASES_MAX, GRAMMAR_BYTES_MAX, STOP_BYTES_MAX, STOPS_MAX};
use super::{GrammarText, Parameters, ParametersError, Settings};

/// The version of a language model's parameters.
const VERSION: u8 = 2;
/// The version of those that have a grammar, and of those alone.
const VERSION_GRAMMAR: u8 = 3;
/// Bytes of a bias: id and value.
const BIAS_BYTES: usize = 8;
/// Fewest bytes of a stop text: its length and one byte.
const STOP_BYTES_MIN: usize = 5;

/// Why bytes are not the parameters of a language model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersDecodeError {
    /// Another version.
    #[error(
        "expected version {expected} of the parameters, or the next for those with a grammar, got {got}: a newer build may read it"
    )]
    Version {
        /// The version this build reads, besides the next.
        expected: u8,
        /// The version found.
        got: u8,
    },
    /// Bytes that end early, trail, or say too much.
    #[error("the bytes are not a list of parameters: encode them as the specification says")]
    Wire(#[from] WireError),
    /// A value that no parameter has.
    #[error("the bytes hold parameters that are out of range: mend the request")]
    Value(#[from] ParametersError),
}

impl Parameters {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let settings = self.settings();
        let mut writer = Writer::new();
        writer
            .u8(if settings.grammar.is_some() {
                VERSION_GRAMMAR
            } else {
                VERSION
            })
            .u32(settings.temperature)
            .u32(settings.top_p);
        writer.u32(settings.top_k).u32(settings.min_p);
        writer.raw(&settings.frequency_penalty.to_le_bytes());
        writer.raw(&settings.presence_penalty.to_le_bytes());
        writer
            .u32(settings.max_tokens)
            .u8(u8::from(settings.seed.is_some()));
        if let Some(seed) = &settings.seed {
            writer.raw(seed);
        }
        writer.u32(length(settings.logit_bias.len()));
        for (id, bias) in &settings.logit_bias {
            writer.u32(*id).raw(&bias.to_le_bytes());
        }
        writer.u32(length(settings.stop.len()));
        for text in &settings.stop {
            writer.u32(length(text.len())).raw(text.as_bytes());
        }
        if let Some(GrammarText { kind, text }) = &settings.grammar {
            writer.u8(*kind).u32(length(text.len()));
            writer.raw(text.as_bytes());
        }
        writer.finish()
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`ParametersDecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ParametersDecodeError> {
        let mut reader = Reader::new(bytes);
        let got = reader.u8()?;
        if got != VERSION && got != VERSION_GRAMMAR {
            return Err(ParametersDecodeError::Version {
                expected: VERSION,
                got,
            });
        }
        let settings = Settings {
            temperature: reader.u32()?,
            top_p: reader.u32()?,
            top_k: reader.u32()?,
            min_p: reader.u32()?,
            frequency_penalty: i32::from_le_bytes(reader.array()?),
            presence_penalty: i32::from_le_bytes(reader.array()?),
            max_tokens: reader.u32()?,
            seed: seed(&mut reader)?,
            logit_bias: biases(&mut reader)?,
            stop: stops(&mut reader)?,
            grammar: (got == VERSION_GRAMMAR)
                .then(|| grammar(&mut reader))
                .transpose()?,
        };
        reader.finish()?;
        Ok(Self::new(settings)?)
    }
}

/// A length that [`Parameters::new`] has bounded.
fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn seed(reader: &mut Reader<'_>) -> Result<Option<[u8; 32]>, WireError> {
    match reader.u8()? {
        0 => Ok(None),
        1 => reader.array().map(Some),
        got => Err(WireError::Tag { got }),
    }
}

fn biases(reader: &mut Reader<'_>) -> Result<Vec<(u32, i32)>, WireError> {
    let count = reader.count(BIASES_MAX, BIAS_BYTES)?;
    let pair = |_| Ok((reader.u32()?, i32::from_le_bytes(reader.array()?)));
    (0..count).map(pair).collect()
}

fn stops(reader: &mut Reader<'_>) -> Result<Vec<String>, WireError> {
    let count = reader.count(STOPS_MAX, STOP_BYTES_MIN)?;
    let text = |_| reader.str(STOP_BYTES_MAX).map(str::to_owned);
    (0..count).map(text).collect()
}

fn grammar(reader: &mut Reader<'_>) -> Result<GrammarText, WireError> {
    let kind = reader.u8()?;
    let text = reader.str(GRAMMAR_BYTES_MAX)?.to_owned();
    Ok(GrammarText { kind, text })
}
