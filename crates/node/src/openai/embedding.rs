//! `POST /v1/embeddings`: texts or token ids to one vector each, and what the answer looks like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_base::{ModelId, Nonce};
use credence_receipt::Kept;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::openai::completion::Prompted;
use crate::openai::error::RequestError;
use crate::openai::fields::Fields;
use crate::service::Embedded;

/// Most texts of a request.
pub const INPUTS_MAX: usize = 256;
/// Most tokens of all texts of a request.
pub const INPUT_TOKENS_MAX: usize = 65_536;

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Numbers.
    Float,
    /// Binary32, little-endian, in base64.
    Base64,
}

/// A request for embeddings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embeddings {
    /// The model asked.
    pub model: String,
    /// At least one.
    pub inputs: Vec<Prompted>,
    /// How vectors are written.
    pub encoding: Encoding,
    /// Elements that the client expects a vector to have.
    pub dimensions: Option<u64>,
    /// The client's nonce.
    pub nonce: Option<Nonce>,
}

/// An input, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Inputs {
    One(Prompted),
    Several(Vec<Prompted>),
}

/// Reads the body.
///
/// # Errors
/// [`RequestError`], naming the parameter at fault.
pub fn read_embeddings(body: &[u8]) -> Result<Embeddings, RequestError> {
    let mut fields = Fields::read(body)?;
    let model = fields.text("model")?;
    let model = model.ok_or(RequestError::Missing { param: "model" })?;
    let encoding = match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => Encoding::Float,
        Some("base64") => Encoding::Base64,
        Some(_) => {
            return Err(RequestError::Kind {
                param: "encoding_format".to_owned(),
                expected: "`float` or `base64`",
            });
        }
    };
    let dimensions = fields.count("dimensions", (1, u64::from(u32::MAX)))?;
    // It changes nothing here, as at the other endpoints.
    let _: Option<String> = fields.text("user")?;
    let expected = "a text, a list of texts, a list of token ids, or a list of such lists";
    let inputs: Option<Inputs> = fields.typed("input", expected)?;
    let inputs = match inputs.ok_or(RequestError::Missing { param: "input" })? {
        Inputs::One(input) => vec![input],
        Inputs::Several(inputs) => inputs,
    };
    if !(1..=INPUTS_MAX).contains(&inputs.len()) {
        return Err(RequestError::Count {
            param: "input",
            what: "texts",
            max: INPUTS_MAX,
            got: inputs.len(),
        });
    }
    let nonce = fields.take("credence").map(nonce).transpose()?.flatten();
    fields.finish()?;
    Ok(Embeddings {
        model,
        inputs,
        encoding,
        dimensions,
        nonce,
    })
}

/// The member `credence`: a nonce, and nothing else.
fn nonce(value: &RawValue) -> Result<Option<Nonce>, RequestError> {
    let mut own: Fields<'_> =
        serde_json::from_str(value.get()).map_err(|_| RequestError::Kind {
            param: "credence".to_owned(),
            expected: "an object",
        })?;
    let text = own.text("nonce")?;
    own.finish()?;
    let parsed = text.map(|text| text.parse::<Nonce>()).transpose();
    parsed.map_err(|_| RequestError::Kind {
        param: "credence.nonce".to_owned(),
        expected: "64 lower-case hexadecimal digits",
    })
}

/// The answer's body.
#[must_use]
pub fn embeddings_body(
    (model, id): (&str, ModelId),
    encoding: Encoding,
    embedded: &[Embedded],
) -> Value {
    let more = "fetch `bundle` from this server and run `credence verify` on it with the model: it runs every token again";
    let receipt = |kept: &Kept| json!({"receipt": kept.digest.to_string(), "bundle": kept.path()});
    let data = embedded.iter().enumerate().map(|(index, own)| {
        json!({
            "object": "embedding",
            "index": index,
            "embedding": vector(&own.vector, encoding),
            "credence": receipt(&own.kept),
        })
    });
    let tokens: usize = embedded.iter().map(|own| own.tokens).sum();
    let mut all = embedded
        .first()
        .map_or_else(|| json!({}), |own| receipt(&own.kept));
    all["model"] = json!(id.to_string());
    all["assurance"] = json!({"basis": "signed", "more": more});
    json!({
        "object": "list",
        "data": data.collect::<Vec<Value>>(),
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "credence": all,
    })
}

/// Numbers in the shortest digits that give the same binary32, or its bytes.
fn vector(vector: &[f32], encoding: Encoding) -> Value {
    match encoding {
        Encoding::Float => json!(vector),
        Encoding::Base64 => {
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            json!(STANDARD.encode(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Embeddings, RequestError> {
        read_embeddings(body.as_bytes())
    }

    #[test]
    fn every_form_of_input_is_read() {
        let text = |s: &str| Prompted::Text(s.to_owned());
        for (input, expected) in [
            (r#""a""#, vec![text("a")]),
            (r#"["a","b"]"#, vec![text("a"), text("b")]),
            ("[1,2]", vec![Prompted::Tokens(vec![1, 2])]),
            (
                "[[1],[2,3]]",
                vec![Prompted::Tokens(vec![1]), Prompted::Tokens(vec![2, 3])],
            ),
        ] {
            let body = format!(r#"{{"model":"m","input":{input}}}"#);
            let got = read(&body).unwrap();
            assert_eq!((got.inputs, got.encoding), (expected, Encoding::Float));
        }
        let full = r#"{"model":"m","input":"a","encoding_format":"base64","dimensions":384,"user":"u","credence":{"nonce":"0000000000000000000000000000000000000000000000000000000000000001"}}"#;
        let got = read(full).unwrap();
        assert_eq!(
            (got.encoding, got.dimensions),
            (Encoding::Base64, Some(384))
        );
        assert!(got.nonce.is_some());
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (body, param) in [
            (r#"{"input":"a"}"#, "model"),
            (r#"{"model":"m"}"#, "input"),
            (r#"{"model":"m","input":[-1]}"#, "input"),
            (r#"{"model":"m","input":{"a":1}}"#, "input"),
            (
                r#"{"model":"m","input":"a","encoding_format":"hex"}"#,
                "encoding_format",
            ),
            (r#"{"model":"m","input":"a","dimensions":0}"#, "dimensions"),
            (r#"{"model":"m","input":"a","truncate":true}"#, "truncate"),
            (
                r#"{"model":"m","input":"a","credence":{"nonce":"x"}}"#,
                "credence.nonce",
            ),
            (r#"{"model":"m","input":"a","credence":{"seed":1}}"#, "seed"),
            (r#"{"model":"m","input":"a","credence":3}"#, "credence"),
        ] {
            let error = read(body).unwrap_err();
            assert_eq!(error.param(), Some(param), "{body}: {error}");
        }
        let many = format!(r#"{{"model":"m","input":[{}"a"]}}"#, r#""a","#.repeat(256));
        assert_eq!(read(&many).unwrap_err().param(), Some("input"));
    }

    #[test]
    fn vectors_are_written_so_that_nothing_is_lost() {
        let own = [0.1_f32, -1.0 / 3.0, 1e-20, 0.0];
        let written = vector(&own, Encoding::Float).to_string();
        let back: Vec<f32> = serde_json::from_str(&written).unwrap();
        assert!(
            own.iter()
                .zip(&back)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
        let coded = vector(&own, Encoding::Base64);
        let bytes = STANDARD.decode(coded.as_str().unwrap()).unwrap();
        let (chunks, _) = bytes.as_chunks::<4>();
        let back = chunks.iter().map(|b| f32::from_le_bytes(*b));
        assert!(back.eq(own));
    }
}
