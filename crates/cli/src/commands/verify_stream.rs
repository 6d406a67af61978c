//! `credence verify --stream`: a stream of chunks, as `curl -N` saves it, checked as a chain of signed heads.
//!
//! ```text
//! SSE text ─▶ for each choice: what its chain begins with, its chunks, the receipt that its last chunk names ─▶ check_stream
//!                                                                  bundle, verified as without a stream ─▶ of the same words?
//! ```
//!
//! Without a bundle it shows that one key signed these words in this order, and nothing about a model: a policy that asks for more is not met.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_base::{Digest, Profile, PublicKey, ReceiptDigest, Signature};
use credence_claim::MethodId;
use credence_claim::chain::{Chunk, Head, Prefix, Said, StreamError, check_stream};
use credence_generate::Output;
use credence_store::file;
use credence_verify::{Policy, Receipt, Verified};
use serde::Serialize;
use serde_json::Value;

use crate::error::{CliError, chain};
use crate::exit::Exit;
use crate::view::assurance::AcceptedView;

/// Most bytes of a saved stream.
const STREAM_BYTES_MAX: u64 = 64 << 20;

/// What `verify --stream --json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct StreamView {
    accepted: bool,
    choices: Vec<ChoiceView>,
    /// Which choice the bundle is of.
    bundle_fits: Option<u64>,
    /// What the check of the bundle earned.
    bundle: Option<AcceptedView>,
    not_checked: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct ChoiceView {
    choice: u64,
    operator: String,
    model: String,
    tokens: usize,
    text: String,
    receipt: Option<String>,
}

/// One choice of a saved stream, checked.
struct Checked {
    choice: u64,
    prefix: Prefix,
    said: Said,
    receipt: Option<ReceiptDigest>,
}

/// Chunks of one choice as they were read.
#[derive(Default)]
struct Read {
    prefix: Option<Prefix>,
    chunks: Vec<Chunk>,
    receipt: Option<ReceiptDigest>,
}

impl StreamView {
    /// The same for people.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(bundle) = &self.bundle {
            lines.push(bundle.text());
        }
        for own in &self.choices {
            lines.push(format!(
                "choice {}: {} tokens and their text are signed, from the first, in this order",
                own.choice, own.tokens
            ));
            lines.push(format!("  operator: {}", own.operator));
            lines.push(format!("  model:    {}", own.model));
            let receipt = own.receipt.as_deref();
            let none = "none: the stream broke off";
            lines.push(format!("  receipt:  {}", receipt.unwrap_or(none)));
        }
        if let Some(choice) = self.bundle_fits {
            lines.push(format!(
                "the bundle's receipt is of these very words of choice {choice}"
            ));
        }
        lines.extend(
            self.not_checked
                .iter()
                .map(|what| format!("not checked: {what}")),
        );
        lines.join("\n")
    }
}

/// Checks a saved stream, and that a verified bundle is of one of its choices; all choices are of the bundle's operator.
pub(crate) fn check(
    path: &Path,
    policy: &Policy,
    bundle: Option<&Verified<Receipt>>,
) -> Result<StreamView, CliError> {
    if bundle.is_none() {
        refuse_demands(policy)?;
    }
    let policy = match bundle {
        Some(bundle) => &Policy {
            operators: Some(vec![bundle.value().inference().operator]),
            ..policy.clone()
        },
        None => policy,
    };
    let choices = choices(path)?;
    let mut checked = Vec::new();
    for (choice, read) in choices {
        checked.push(check_choice(path, policy, (choice, read))?);
    }
    let bundle_fits = match bundle {
        None => None,
        Some(bundle) => Some(fits(path, &checked, bundle)?),
    };
    let mut not_checked = Vec::new();
    if bundle.is_none() {
        not_checked.push("whether a model gave these words: verify the receipt's bundle with it");
    } else if checked.len() > 1 {
        not_checked.push("whether a model gave the other choices' words: verify their bundles");
    }
    if policy.operators.is_none() {
        not_checked
            .push("whose key it is: the stream itself names it (`--operator` demands another)");
    }
    let view = |own: &Checked| ChoiceView {
        choice: own.choice,
        operator: own.prefix.operator.to_string(),
        model: own.prefix.model.to_string(),
        tokens: own.said.tokens.len(),
        text: own.said.text.clone(),
        receipt: own.receipt.map(|receipt| receipt.to_string()),
    };
    Ok(StreamView {
        accepted: true,
        choices: checked.iter().map(view).collect(),
        bundle_fits,
        bundle: bundle.map(AcceptedView::new),
        not_checked,
    })
}

/// What a policy asks and a stream without its bundle cannot meet.
fn refuse_demands(policy: &Policy) -> Result<(), CliError> {
    let unmet = |what: &str| {
        let what =
            format!("a stream without its bundle shows that a key signed it and no more: {what}");
        Err(CliError::new(Exit::PolicyUnmet, what).hint(
            "give the bundle as well, or ask for the signature alone with `--require signed`",
        ))
    };
    let more = policy.required.iter().find(|id| **id != MethodId::SIGNED);
    if let Some(method) = more {
        return unmet(&format!("`{method}` is asked for"));
    }
    if policy.bits_min.is_some() {
        return unmet("a signature bounds nothing, and bits are asked for");
    }
    if policy.age_max_s.is_some() {
        return unmet("it names no time, and the policy bounds its age");
    }
    if policy.log.as_ref().is_some_and(|log| log.required) {
        return unmet("it is in no log, and the policy asks for one");
    }
    Ok(())
}

fn malformed(path: &Path, what: &str) -> CliError {
    let what = format!("`{}` is no saved stream: {what}", path.display());
    CliError::new(Exit::Malformed, what)
        .hint("save it whole: `curl -sN … -d '{\"stream\": true, …}' > FILE`")
}

fn check_choice(
    path: &Path,
    policy: &Policy,
    (choice, read): (u64, Read),
) -> Result<Checked, CliError> {
    let prefix = read
        .prefix
        .ok_or_else(|| malformed(path, "the first chunk of a choice has no `credence.stream`"))?;
    let own = prefix.operator;
    let unmet = |what: String| Err(CliError::new(Exit::PolicyUnmet, what));
    if policy
        .operators
        .as_ref()
        .is_some_and(|all| !all.contains(&own))
    {
        return unmet(format!(
            "the stream is of operator `{own}`, which is none that is accepted"
        ));
    }
    if policy
        .models
        .as_ref()
        .is_some_and(|all| !all.contains(&prefix.model))
    {
        let model = prefix.model;
        return unmet(format!(
            "the stream is of model `{model}`, which is none that is accepted"
        ));
    }
    if policy.nonce.is_some() && policy.nonce != prefix.nonce {
        return unmet("the stream has another nonce than the one that is asked for".to_owned());
    }
    let said = check_stream(&prefix, &read.chunks, &own).map_err(|error| {
        let exit = match error {
            StreamError::Signature { .. } => Exit::BadSignature,
            StreamError::Head { .. } | StreamError::Operator { .. } => Exit::Inconsistent,
            StreamError::Empty | StreamError::Opening | StreamError::TooLong { .. } => {
                Exit::Malformed
            }
        };
        let what = format!(
            "choice {choice} of `{}` is refused: {}",
            path.display(),
            chain(&error)
        );
        CliError::new(exit, what).hint("the stream was changed on the way, or is not whole")
    })?;
    Ok(Checked {
        choice,
        prefix,
        said,
        receipt: read.receipt,
    })
}

/// Which choice of the stream the bundle is of: the receipt that its last chunk names, over the same commitments and words.
fn fits(path: &Path, all: &[Checked], bundle: &Verified<Receipt>) -> Result<u64, CliError> {
    let receipt = bundle.value();
    let refuse = |what: &str| {
        let what = format!("the bundle is not of `{}`: {what}", path.display());
        CliError::new(Exit::Inconsistent, what)
    };
    let own = all
        .iter()
        .find(|own| own.receipt.as_ref() == Some(receipt.digest()));
    let own = own.ok_or_else(|| refuse("no choice names its receipt"))?;
    let fields = receipt.inference().claim.fields();
    let Prefix {
        profile,
        model,
        input,
        params,
        nonce,
        operator,
    } = &own.prefix;
    let same = (profile, model, input, params)
        == (
            &fields.profile,
            &fields.model,
            &fields.input,
            &fields.params,
        )
        && (nonce, operator) == (&fields.nonce, &receipt.inference().operator);
    if !same {
        return Err(refuse(
            "the claim commits to something else than the stream's beginning",
        ));
    }
    let opened = receipt
        .output()
        .ok_or_else(|| CliError::new(Exit::Missing, "the bundle does not open its output"))?;
    let output = Output::decode(opened)
        .map_err(|error| CliError::because(Exit::Malformed, "the output has no sense", error))?;
    if (output.text, output.tokens) != (own.said.text.clone(), own.said.tokens.clone()) {
        return Err(refuse(
            "its words or tokens are others than those that were streamed",
        ));
    }
    Ok(own.choice)
}

fn choices(path: &Path) -> Result<BTreeMap<u64, Read>, CliError> {
    let bytes = file::read(path, STREAM_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| malformed(path, "it is not UTF-8"))?;
    let mut all: BTreeMap<u64, Read> = BTreeMap::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let Some(data) = line.strip_prefix("data:").map(str::trim) else {
            continue;
        };
        if data == "[DONE]" {
            continue;
        }
        let wrong = || malformed(path, &format!("line {number} is no chunk of a stream here"));
        let body: Value = serde_json::from_str(data).map_err(|_| wrong())?;
        // A chunk that counts tokens has no choice; one that tells of an error ends what was signed.
        let Some(choice) = body.get("choices").and_then(|all| all.get(0)) else {
            continue;
        };
        let index = choice.get("index").and_then(Value::as_u64);
        let own = all.entry(index.ok_or_else(wrong)?).or_default();
        let credence = body.get("credence").ok_or_else(wrong)?;
        if let Some(stream) = credence.get("stream") {
            own.prefix = Some(read_prefix(stream).ok_or_else(wrong)?);
        }
        if let Some(receipt) = credence.get("receipt") {
            own.receipt = Some(digest(receipt).ok_or_else(wrong)?);
        }
        own.chunks
            .push(read_chunk(choice, credence).ok_or_else(wrong)?);
    }
    if all.is_empty() {
        return Err(malformed(path, "it has no chunk"));
    }
    Ok(all)
}

fn digest<T: std::str::FromStr>(value: &Value) -> Option<T> {
    value.as_str()?.parse().ok()
}

fn read_prefix(stream: &Value) -> Option<Prefix> {
    let of = |name: &str| stream.get(name);
    let operator: Digest = digest(of("operator")?)?;
    let known = of("profile")? == Profile::Exact1.as_str()
        && of("protocolVersion")? == credence_base::PROTOCOL_VERSION;
    known.then_some(())?;
    Some(Prefix {
        profile: Profile::Exact1,
        model: digest(of("model")?)?,
        input: digest(of("input")?)?,
        params: digest(of("params")?)?,
        nonce: match of("nonce") {
            None => None,
            Some(nonce) => Some(digest(nonce)?),
        },
        operator: PublicKey::from_bytes(operator.as_bytes()).ok()?,
    })
}

/// A chunk's text is what was signed: with tools on offer that stands in `credence.text`, and what is shown can be less or later.
fn read_chunk(choice: &Value, credence: &Value) -> Option<Chunk> {
    let shown = choice.get("delta").and_then(|delta| delta.get("content"));
    let shown = shown.or_else(|| choice.get("text"));
    let text = credence.get("text").or(shown);
    let signature = STANDARD.decode(credence.get("signature")?.as_str()?).ok()?;
    Some(Chunk {
        head: Head::from_digest(digest(credence.get("head")?)?),
        signature: Signature::from_bytes(signature.try_into().ok()?),
        tokens: serde_json::from_value(credence.get("tokens")?.clone()).ok()?,
        text: text.and_then(Value::as_str).unwrap_or_default().to_owned(),
    })
}
