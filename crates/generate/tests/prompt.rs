//! What was rendered is what is claimed, whatever numbers a conversation has; and bytes that are no prompt's are refused.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use std::collections::BTreeMap;

use credence_generate::{Content, Prompt};
use credence_testkit::speaking::text_spec;
use credence_text::{Conversation, Text};
use serde_json::{Value, json};

/// A model whose template shows a number of the message.
fn text() -> Text {
    let mut spec = text_spec();
    spec.chat_template = Some("{{ messages[0]['x'] | tojson }}".to_owned());
    Text::new(&spec).unwrap()
}

fn chat(number: Value) -> Content {
    Content::Chat(Conversation {
        messages: vec![json!({ "x": number })],
        tools: None,
        add_generation_prompt: true,
        date: None,
        extra: BTreeMap::new(),
    })
}

#[test]
fn numbers_are_rendered_as_they_are_claimed() {
    let text = text();
    for (number, shown) in [
        ("1", "1"),
        ("1.0", "1"),
        ("-0.0", "0"),
        ("0.5", "0.5"),
        ("1e400", ""),
        ("9007199254740993", "9007199254740992"),
        ("18446744073709551615", "1.8446744073709552e+19"),
        ("1e21", "1e+21"),
    ] {
        let Ok(value) = serde_json::from_str(number) else {
            assert_eq!(shown, "", "{number}");
            continue;
        };
        let prompt = Prompt::new(chat(value), 0, &text).unwrap();
        let ids: Vec<u32> = shown.bytes().map(u32::from).collect();
        assert_eq!(prompt.ids(), ids, "{number}");
        let again = Prompt::decode(&prompt.encode().unwrap()).unwrap();
        assert_eq!(again, prompt, "{number}");
        assert!(again.check(&text).is_ok(), "{number}");
    }
}

#[test]
fn what_is_no_prompt_is_refused() {
    for bytes in [
        "",
        "{}",
        r#"{"choice":0,"tokens":[],"version":1}"#,
        r#"{"choice":0,"tokens":[1],"version":2}"#,
        r#"{"choice":0, "tokens":[1],"version":1}"#,
        r#"{"choice":0,"text":null,"tokens":[1],"version":1}"#,
        r#"{"choice":0,"text":"a","tokens":[1],"version":1,"version":1}"#,
        r#"{"chat":{"add_generation_prompt":true,"extra":{},"messages":[1.0]},"choice":0,"tokens":[1],"version":1}"#,
        r#"{"chat":{"add_generation_prompt":true,"extra":{},"messages":[]},"choice":0,"text":"","tokens":[1],"version":1}"#,
    ] {
        assert!(Prompt::decode(bytes.as_bytes()).is_err(), "{bytes}");
    }
}
