//! Texts that a language model is calibrated and compared on, and how any such text becomes tokens.
//!
//! A document is samples between lines of `---`. A sample whose first line is `[chat]` is a conversation, lines `role: words`, and is put into the
//! model's chat template; a model without one leaves it out. Samples are runs of their own; a long one is cut into several.
//!
//! The built-in documents were written for this: what they say is of no interest, but a change to the first changes ids.

use std::collections::BTreeMap;

use credence_text::{Context, Conversation, Special, Text, TextError};
use serde_json::json;

/// What units are measured on unless somebody brings a text.
pub const CALIBRATION_TEXT: &str = include_str!("calibration.txt");
/// What fidelity is measured on: other words than [`CALIBRATION_TEXT`].
pub const EVALUATION_TEXT: &str = include_str!("evaluation.txt");

/// Most tokens of one run.
const RUN_TOKENS_MAX: usize = 256;
/// Most tokens of all runs.
const TOKENS_MAX: usize = 4096;
/// What stands between samples.
const BETWEEN: &str = "---";
/// What begins a conversation.
const CHAT: &str = "[chat]";

/// Why a text gives no samples.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// There is nothing in it.
    #[error("the text has no tokens: give one of some hundred words")]
    Empty,
    /// The tokeniser refuses.
    #[error("a sample of the text cannot be tokenised")]
    Text(#[from] TextError),
}

/// The tokens of a document, one run for each sample, at most `context` tokens long and 4,096 together; what is beyond is left out.
///
/// # Errors
/// [`SampleError`] if there are none, or a sample is longer than what is tokenised at once.
pub fn samples(text: &Text, document: &str, context: usize) -> Result<Vec<Vec<u32>>, SampleError> {
    let run_max = context.clamp(1, RUN_TOKENS_MAX);
    let (mut runs, mut left) = (Vec::new(), TOKENS_MAX);
    for sample in split(document) {
        for run in tokens(text, &sample)?.chunks(run_max) {
            let run = run.get(..run.len().min(left)).unwrap_or_default();
            left -= run.len();
            if !run.is_empty() {
                runs.push(run.to_vec());
            }
        }
    }
    if runs.is_empty() {
        return Err(SampleError::Empty);
    }
    Ok(runs)
}

/// The tokens of a document's sentences, each a run of its own between the tokens that begin and end a text; what is longer than `context` is cut there, what
/// is beyond `max` tokens together is left out. Sentences end where `.`, `!` or `?` stands before white space, and at empty lines; conversations are lines.
///
/// # Errors
/// As [`samples`].
pub fn sentences(
    text: &Text,
    document: &str,
    (context, max): (usize, usize),
) -> Result<Vec<Vec<u32>>, SampleError> {
    let (mut runs, mut left) = (Vec::new(), max);
    for sentence in split(document).iter().flat_map(|sample| cut(sample)) {
        let mut run = text.tokenise(&sentence, Special::Plain, Context::Begin)?;
        if let (true, Some(last)) = (run.len() > context, run.last().copied()) {
            run.truncate(context);
            if let Some(end) = run.last_mut() {
                *end = last;
            }
        }
        if run.len() > left {
            break;
        }
        left -= run.len();
        runs.push(run);
    }
    if runs.is_empty() {
        return Err(SampleError::Empty);
    }
    Ok(runs)
}

/// The sentences of a sample, white space made single.
fn cut(sample: &str) -> Vec<String> {
    let by_lines = sample.starts_with(CHAT);
    let (mut sentences, mut words) = (Vec::new(), Vec::new());
    let mut close = |words: &mut Vec<&str>| {
        if !words.is_empty() {
            sentences.push(words.join(" "));
            words.clear();
        }
    };
    for line in sample.lines().skip(usize::from(by_lines)) {
        if line.trim().is_empty() {
            close(&mut words);
        }
        for word in line.split_whitespace() {
            words.push(word);
            if word.ends_with(['.', '!', '?']) {
                close(&mut words);
            }
        }
        if by_lines {
            close(&mut words);
        }
    }
    close(&mut words);
    sentences
}

fn split(document: &str) -> Vec<String> {
    let mut samples = vec![String::new()];
    for line in document.lines() {
        if line == BETWEEN {
            samples.push(String::new());
        } else if let Some(sample) = samples.last_mut() {
            sample.push_str(line);
            sample.push('\n');
        }
    }
    samples.retain(|sample| !sample.trim().is_empty());
    samples
}

fn tokens(text: &Text, sample: &str) -> Result<Vec<u32>, TextError> {
    let Some(chat) = sample.strip_prefix(CHAT) else {
        return text.tokenise(sample.trim_end(), Special::Plain, Context::Begin);
    };
    if !text.has_template() {
        return Ok(Vec::new());
    }
    let mut turns: Vec<(&str, String)> = Vec::new();
    for line in chat.trim().lines() {
        let role = line.split_once(": ");
        match role.filter(|(role, _)| ["system", "user", "assistant"].contains(role)) {
            Some((role, words)) => turns.push((role, words.to_owned())),
            None => {
                if let Some((_, words)) = turns.last_mut() {
                    words.push('\n');
                    words.push_str(line);
                }
            }
        }
    }
    let refuses = |refused: &TextError| {
        matches!(
            refused,
            TextError::TemplateRaised { .. } | TextError::TemplateFails { .. }
        )
    };
    let mut rendered = render(text, &turns);
    if rendered.as_ref().is_err_and(refuses) {
        // Some templates know no system message.
        turns.retain(|(role, _)| *role != "system");
        rendered = render(text, &turns);
    }
    match rendered {
        // The template has written the token that begins a text, if there is one.
        Ok(rendered) => text.tokenise(&rendered, Special::Parse, Context::Continue),
        Err(refused) if refuses(&refused) => Ok(Vec::new()),
        Err(refused) => Err(refused),
    }
}

fn render(text: &Text, turns: &[(&str, String)]) -> Result<String, TextError> {
    let message = |(role, content): &(&str, String)| json!({"role": role, "content": content});
    text.render(&Conversation {
        messages: turns.iter().map(message).collect(),
        tools: None,
        add_generation_prompt: false,
        date: None,
        extra: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use credence_text::{SPEC_VERSION, SpecialIds, TextSpec};

    use super::*;

    /// Bytes are tokens, 256 is a mark that the template writes.
    fn text(template: Option<&str>) -> Text {
        let mut tokens: Vec<String> = (0..=255_u8).map(|b| format!("<0x{b:02X}>")).collect();
        tokens.extend(["|".to_owned(), "\u{2581}".to_owned()]);
        let mut types = vec![6; 256];
        types.extend([3, 1]);
        let spec = TextSpec {
            version: SPEC_VERSION,
            kind: "spm".to_owned(),
            pre: None,
            scores: Some(vec![0; tokens.len()]),
            tokens,
            types,
            merges: None,
            special: SpecialIds::default(),
            add_bos: false,
            add_eos: false,
            add_space_prefix: false,
            ends: Vec::new(),
            chat_template: template.map(str::to_owned),
        };
        Text::new(&spec).unwrap()
    }

    #[test]
    fn sentences_end_where_people_end_them() {
        let text = text(None);
        let document =
            "One two. Three\nfour! Five\n\nsix\n---\n[chat]\nuser: hi there\nassistant: e.g. this?";
        let runs = sentences(&text, document, (99, 999)).unwrap();
        let expected = [
            "One two.",
            "Three four!",
            "Five",
            "six",
            "user: hi there",
            "assistant: e.g.",
            "this?",
        ];
        let got: Vec<String> = words(&text, &runs)
            .iter()
            .map(|s| s.replace('\u{2581}', " "))
            .collect();
        assert_eq!(got, expected);
        let short = sentences(&text, document, (3, 7)).unwrap();
        assert_eq!(words(&text, &short), ["On.", "Th!"]);
        assert!(matches!(
            sentences(&text, " \n", (9, 9)),
            Err(SampleError::Empty)
        ));
    }

    const TEMPLATE: &str = "{% for m in messages %}|{{ m.role }} {{ m.content }}{% endfor %}";

    fn words(text: &Text, runs: &[Vec<u32>]) -> Vec<String> {
        let show = |run: &Vec<u32>| {
            let bytes = run.iter().flat_map(|&id| text.token_bytes(id).unwrap());
            String::from_utf8_lossy(&bytes.copied().collect::<Vec<u8>>()).into_owned()
        };
        runs.iter().map(show).collect()
    }

    #[test]
    fn a_document_is_samples_and_conversations() {
        let document = "one\n---\n[chat]\nuser: a\nb\nassistant: c\n---\n\n---\ntwo\nlines\n";
        let chats = text(Some(TEMPLATE));
        let runs = samples(&chats, document, 64).unwrap();
        assert_eq!(
            words(&chats, &runs),
            ["one", "|user a\nb|assistant c", "two\nlines"]
        );
        assert_eq!(runs[1][0], 256, "the template's marks are tokens");
        let plain = text(None);
        let runs = samples(&plain, document, 64).unwrap();
        assert_eq!(words(&plain, &runs), ["one", "two\nlines"]);
    }

    #[test]
    fn runs_are_short_and_not_too_many() {
        let text = text(None);
        let runs = samples(&text, "abcdefg", 3).unwrap();
        assert_eq!(words(&text, &runs), ["abc", "def", "g"]);
        let runs = samples(&text, &"x".repeat(10_000), 100_000).unwrap();
        assert!(runs.iter().all(|run| run.len() <= RUN_TOKENS_MAX));
        assert_eq!(runs.iter().map(Vec::len).sum::<usize>(), TOKENS_MAX);
        assert!(matches!(
            samples(&text, "---\n \n---\n", 9),
            Err(SampleError::Empty)
        ));
    }

    #[test]
    fn a_template_that_takes_no_system_message_gets_none() {
        let picky = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}\
                     {% for m in messages %}|{{ m.content }}{% endfor %}";
        let text = text(Some(picky));
        let runs = samples(&text, "[chat]\nsystem: s\nuser: u\n", 64).unwrap();
        assert_eq!(words(&text, &runs), ["|u"]);
    }

    #[test]
    fn the_documents_differ_and_have_conversations() {
        let own = split(CALIBRATION_TEXT);
        let other = split(EVALUATION_TEXT);
        for document in [&own, &other] {
            assert!(document.iter().any(|sample| sample.starts_with(CHAT)));
            assert!(document.len() >= 4);
        }
        assert!(own.iter().all(|sample| !other.contains(sample)));
    }
}
