//! Compares what an auditor sent and was answered with what a receipt opens, by the readers of requests that servers use.
//!
//! ```text
//! body ─read as a server reads it─▶ conversation, text, tokens or tensors = the opened input?        answer ─▶ words or tensors = the opened output?
//! ```
//!
//! Of text the parameters are compared as well: with a grammar that nobody asked for an answer would be one that an auditor cannot check. It deliberately does not compare the
//! number of tokens, where the request names none, nor a seed. Nor calls of tools, whose words are cut out of the answer's.

use credence_claim::{Opened, Openings};
use credence_exec::sampling::Parameters;
use credence_generate::{Content, Output, Prompt};
use credence_model::{TensorLimits, Tensors};
use credence_node::oip::{InferRequest, InferResponse, read_tensors};
use credence_node::openai::{Asked, Prompted, read_chat, read_completion};
use credence_watch::auditor::Exchange;
use serde_json::Value;

const LIMITS: TensorLimits = TensorLimits {
    bytes_max: 64 << 20,
};

/// Whether the answer of a request could be compared; else why not, in words.
pub(crate) fn is_readable(path: &str, body: &str) -> Result<(), String> {
    let bad = |error: &dyn core::error::Error| error.to_string();
    if path.starts_with("/v2/") {
        let sent: InferRequest = serde_json::from_str(body).map_err(|e| bad(&e))?;
        return read_tensors(sent.inputs).map(drop).map_err(|e| bad(&e));
    }
    if path == "/v1/chat/completions" {
        return read_chat(body.as_bytes()).map(drop).map_err(|e| bad(&e));
    }
    read_completion(body.as_bytes())
        .map(drop)
        .map_err(|e| bad(&e))
}

/// Whether opened parameters are those that were asked for; what the request leaves to the operator is taken from the opened ones.
fn is_asked_for(asked: &Asked, opened: &Parameters) -> bool {
    let opened = opened.settings();
    let mut own = asked.settings.clone();
    own.max_tokens = asked.max_tokens.unwrap_or(opened.max_tokens);
    own.seed = own.seed.or(opened.seed);
    own == *opened
}

/// Whether the openings are of this exchange; else why not, in words.
pub(crate) fn is_same(exchange: &Exchange<'_>, openings: &Openings) -> Result<(), String> {
    let content = |opened: &Option<Opened>| {
        let opened = opened.as_ref().map(|opened| opened.content.clone());
        opened.ok_or("the receipt's bundle opens nothing")
    };
    let (input, output) = (content(&openings.input)?, content(&openings.output)?);
    if exchange.path.starts_with("/v2/") {
        is_same_inference(exchange, &input, &output)
    } else {
        is_same_text(exchange, (&input, &content(&openings.params)?), &output)
    }
}

fn is_same_inference(exchange: &Exchange<'_>, input: &[u8], output: &[u8]) -> Result<(), String> {
    let bad = |what: &str| what.to_owned();
    let sent: InferRequest =
        serde_json::from_str(exchange.body).map_err(|_| bad("our request is none"))?;
    let sent = read_tensors(sent.inputs).map_err(|_| bad("our request is none"))?;
    let opened = Tensors::decode(input, LIMITS).map_err(|_| bad("the opened input is none"))?;
    if sent != opened {
        return Err(bad("the receipt is of another request"));
    }
    let said: InferResponse =
        serde_json::from_slice(exchange.answer).map_err(|_| bad("the answer is none"))?;
    let said = read_tensors(said.outputs).map_err(|_| bad("the answer is none"))?;
    let opened = Tensors::decode(output, LIMITS).map_err(|_| bad("the opened output is none"))?;
    let is_there = |tensor| opened.iter().any(|own| own == tensor);
    if said.iter().next().is_none() || !said.iter().all(is_there) {
        return Err(bad("the receipt is of another answer"));
    }
    Ok(())
}

fn is_same_text(
    exchange: &Exchange<'_>,
    (input, params): (&[u8], &[u8]),
    output: &[u8],
) -> Result<(), String> {
    let bad = |what: &str| what.to_owned();
    let prompt = Prompt::decode(input).map_err(|_| bad("the opened input is none"))?;
    let output = Output::decode(output).map_err(|_| bad("the opened output is none"))?;
    let is_chat = exchange.path == "/v1/chat/completions";
    let (is_asked, has_tools, asked) = if is_chat {
        let sent = read_chat(exchange.body.as_bytes()).map_err(|_| bad("our request is none"))?;
        let mut conversation = sent.conversation;
        let is_asked = match prompt.content() {
            Content::Chat(opened) => {
                // The date is the server's where we sent none.
                conversation.date = conversation.date.or_else(|| opened.date.clone());
                *opened == conversation
            }
            Content::Text(_) | Content::Tokens => false,
        };
        (
            is_asked,
            sent.tools || sent.asked.settings.grammar.is_some(),
            sent.asked,
        )
    } else {
        let sent =
            read_completion(exchange.body.as_bytes()).map_err(|_| bad("our request is none"))?;
        let is_asked = sent
            .prompts
            .iter()
            .any(|sent| match (sent, prompt.content()) {
                (Prompted::Text(sent), Content::Text(opened)) => sent == opened,
                (Prompted::Tokens(sent), Content::Tokens) => sent == prompt.ids(),
                _ => false,
            });
        (is_asked, false, sent.asked)
    };
    if !is_asked {
        return Err(bad("the receipt is of another request"));
    }
    let opened = Parameters::decode(params).map_err(|_| bad("the opened parameters are none"))?;
    if !is_asked_for(&asked, &opened) {
        return Err(bad("the receipt is of other parameters"));
    }
    let answer: Value =
        serde_json::from_slice(exchange.answer).map_err(|_| bad("the answer is none"))?;
    let at = if is_chat { "message/content" } else { "text" };
    let words = answer.pointer(&format!("/choices/{}/{at}", prompt.choice()));
    match words.and_then(Value::as_str) {
        Some(words) if words == output.text => Ok(()),
        None if has_tools => Ok(()),
        Some(_) | None => Err(bad("the receipt is of another answer")),
    }
}
