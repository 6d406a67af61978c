//! Calls of tools, as a model would make them: what a client is shown, and what was signed.

use credence_base::{ModelId, ReceiptDigest};
use credence_claim::FinishReason;
use credence_generate::Language;
use credence_node::openai::{Frame, Kind, Reply, Teller};
use credence_node::speech::{Ended, Event, Said};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::common::{CAPS, Kept, options, spoken, talking};
use crate::speech_schemas::holds;

const ANSWER: &str = "I look.\n<tool_call>{\"name\":\"f\",\"arguments\":{\"x\":1}}</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call>";

fn frame(tools: bool) -> Frame {
    let engine = credence_exec::Engine::new(spoken(), options()).unwrap();
    Frame {
        kind: Kind::Chat,
        id: "77".to_owned(),
        created: 5,
        model: "talk".to_owned(),
        model_id: ModelId::from_bytes([1; 32]),
        language: Arc::new(Language::new(engine).unwrap()),
        answers: 1,
        prompt_tokens: 3,
        tools,
        include_usage: false,
    }
}

fn events() -> Vec<Event> {
    let said = ANSWER.chars().map(|c| {
        Event::Said(Said {
            choice: 0,
            token: 65,
            text: c.to_string(),
            logprobs: None,
        })
    });
    let ended = Event::Ended(Ended {
        choice: 0,
        text: String::new(),
        finish: FinishReason::Stop,
        receipt: credence_node::Kept {
            digest: ReceiptDigest::from_bytes([2; 32]),
            key: None,
        },
    });
    said.chain([ended]).collect()
}

#[test]
fn a_whole_answer_names_its_calls() {
    let mut reply = Reply::new(frame(true));
    for event in events() {
        assert!(!reply.is_whole());
        reply.take(event);
    }
    let (body, receipt) = reply.finish().unwrap();
    assert_eq!(receipt.digest.to_string(), "02".repeat(32));
    holds("http-chat-completion", &body);
    let call = |number: usize, name: &str, arguments: &str| json!({"id": format!("call_77_0_{number}"), "type": "function", "function": {"name": name, "arguments": arguments}});
    let expected = json!({
        "role": "assistant", "content": "I look.", "refusal": null,
        "tool_calls": [call(0, "f", "{\"x\":1}"), call(1, "g", "{}")],
    });
    assert_eq!(body["choices"][0]["message"], expected);
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn without_tools_on_offer_it_is_text() {
    let mut reply = Reply::new(frame(false));
    events().into_iter().for_each(|event| reply.take(event));
    let (body, _) = reply.finish().unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], ANSWER);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_stream_shows_calls_and_signs_the_text() {
    let service = talking(Box::new(Kept::default()), CAPS);
    let prefix = credence_claim::chain::Prefix {
        profile: credence_base::Profile::Exact1,
        model: ModelId::from_bytes([1; 32]),
        input: credence_base::InputCommitment::from_bytes([1; 32]),
        params: credence_base::ParamsCommitment::from_bytes([1; 32]),
        nonce: None,
        operator: *service.operator().public_key(),
    };
    let mut teller = Teller::new(frame(true), Arc::clone(service.keeper()), vec![prefix]);
    let mut all = teller.begin();
    for event in events() {
        all.extend(teller.tell(event));
    }
    assert!(teller.is_whole());
    assert_eq!(teller.finish().unwrap(), None);
    let text = |name: &str| -> String {
        let texts = all.iter().filter_map(|chunk| match name {
            "signed" => chunk["credence"]["text"].as_str(),
            _ => chunk["choices"][0]["delta"]["content"].as_str(),
        });
        texts.collect()
    };
    assert_eq!(text("signed"), ANSWER);
    all.iter().for_each(|chunk| holds("http-chat-chunk", chunk));
    assert_eq!(text("shown"), "I look.");
    let calls = all
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array());
    let calls: Vec<Value> = calls.flatten().cloned().collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (&calls[1]["index"], &calls[1]["function"]["name"]),
        (&json!(1), &json!("g"))
    );
    assert_eq!(
        all.last().unwrap()["choices"][0]["finish_reason"],
        "tool_calls"
    );
}

#[test]
fn a_chunk_costs_microseconds() {
    let service = talking(Box::new(Kept::default()), CAPS);
    let prefix = credence_claim::chain::Prefix {
        profile: credence_base::Profile::Exact1,
        model: ModelId::from_bytes([1; 32]),
        input: credence_base::InputCommitment::from_bytes([1; 32]),
        params: credence_base::ParamsCommitment::from_bytes([1; 32]),
        nonce: None,
        operator: *service.operator().public_key(),
    };
    let mut head = credence_claim::chain::Head::start(&prefix);
    let rounds = 5000_u32;
    let started = std::time::Instant::now();
    for token in 0..rounds {
        head = head.link(&[token], " word").unwrap();
        std::hint::black_box(service.operator().sign_head(&head));
    }
    let each = started.elapsed() / rounds;
    eprintln!("chain::link_and_sign {each:?}");
    // 20 µs on an idle machine in release form; the bound leaves room for a busy one, and for debug builds.
    assert!(each < std::time::Duration::from_millis(5), "{each:?}");
}
