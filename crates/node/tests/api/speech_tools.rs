//! Calls of tools, as a model would make them: what a client is shown, and what was signed.

use credence_base::{ModelId, ReceiptDigest};
use credence_claim::FinishReason;
use credence_generate::Language;
use credence_node::openai::{CallForm, Frame, Kind, Reply, Teller};
use credence_node::speech::{Ended, Event, Said, Trouble};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::common::{CAPS, Kept, ask, options, post, spoken, talking, talking_by};
use crate::speech_schemas::holds;

const ANSWER: &str = "I look.\n<tool_call>{\"name\":\"f\",\"arguments\":{\"x\":1}}</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call>";

fn frame(tools: Option<CallForm>) -> Frame {
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
        grammar: None,
        include_usage: false,
    }
}

fn events() -> Vec<Event> {
    events_of(ANSWER)
}

fn events_of(answer: &str) -> Vec<Event> {
    let said = answer.chars().map(|c| {
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
    let mut reply = Reply::new(frame(Some(CallForm::Tagged)));
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
    let mut reply = Reply::new(frame(None));
    events().into_iter().for_each(|event| reply.take(event));
    let (body, _) = reply.finish().unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], ANSWER);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
}

#[test]
fn a_stream_shows_calls_and_signs_the_text() {
    let service = talking(Box::new(Kept::default()), CAPS);
    let prefix = prefix(&service);
    let mut teller = Teller::new(
        frame(Some(CallForm::Tagged)),
        Arc::clone(service.keeper()),
        vec![prefix],
    );
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

/// Templates as those of Llama 3 and of Mistral, as far as tools go.
const LLAMA: &str = r#"{% if tools is not none %}{{ 'Respond in the format {"name": function name, "parameters": dictionary}.' }}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}{{ '{"name": "' + c.function.name + '", ' }}{{ '"parameters": ' }}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}"#;
const MISTRAL: &str = r#"{% for m in messages %}{% if tools is defined and tools is not none %}{{ '[AVAILABLE_TOOLS]' + (tools | tojson) }}{% endif %}{{ m.content }}{% for c in m.tool_calls %}{{ '[TOOL_CALLS] [' + (c | tojson) + ']' }}{% endfor %}{% endfor %}"#;

#[tokio::test]
async fn each_form_is_known_by_its_template_and_what_cannot_be_forced_is_refused() {
    let unknown = "{{ tools | tojson }}{% for m in messages %}{{ m.content }}{% endfor %}";
    for (template, param) in [(LLAMA, None), (MISTRAL, None), (unknown, Some("tools"))] {
        let api = talking_by(Some(template));
        let tools = json!([{"type": "function", "function": {"name": "f"}}]);
        let mut body = json!({"model": "talk", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2, "tools": tools});
        let answer = ask(&api, post("/v1/chat/completions", &body)).await.json();
        match param {
            None => assert!(answer["choices"][0]["message"].is_object(), "{answer}"),
            Some(param) => assert_eq!(answer["error"]["param"], param),
        }
        body["tool_choice"] = json!("required");
        let answer = ask(&api, post("/v1/chat/completions", &body)).await.json();
        let param = param.unwrap_or("tool_choice");
        assert_eq!(answer["error"]["param"], param, "{answer}");
        assert_eq!(answer["error"]["code"], "unsupported_parameter");
    }
}

/// An answer of Llama 3's form and one of Mistral's, whole and streamed.
#[test]
fn calls_of_other_forms_are_calls() {
    let bare = r#"{"name": "f", "parameters": {"x": 1}}; {"name": "g", "parameters": {}}"#;
    let listed =
        r#"[TOOL_CALLS] [{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}]"#;
    let service = talking(Box::new(Kept::default()), CAPS);
    for (form, answer) in [(CallForm::Bare, bare), (CallForm::Listed, listed)] {
        let mut reply = Reply::new(frame(Some(form)));
        let mut teller = Teller::new(
            frame(Some(form)),
            Arc::clone(service.keeper()),
            vec![prefix(&service)],
        );
        let mut streamed = Vec::new();
        for (event, same) in events_of(answer).into_iter().zip(events_of(answer)) {
            reply.take(event);
            for chunk in teller.tell(same) {
                let calls = chunk["choices"][0]["delta"]["tool_calls"].as_array();
                streamed.extend(calls.cloned().unwrap_or_default());
                assert_eq!(chunk["choices"][0]["delta"]["content"], Value::Null);
            }
        }
        let (body, _) = reply.finish().unwrap();
        let choice = &body["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{body}");
        assert_eq!(choice["message"]["content"], Value::Null);
        let calls = choice["message"]["tool_calls"].as_array().unwrap();
        let named = |call: &Value| {
            (
                call["function"]["name"].clone(),
                call["function"]["arguments"].clone(),
            )
        };
        let found: Vec<_> = calls.iter().map(named).collect();
        let (f, g) = ((json!("f"), json!("{\"x\": 1}")), (json!("g"), json!("{}")));
        assert_eq!(found, [f, g]);
        assert_eq!(streamed.iter().map(named).collect::<Vec<_>>(), found);
        // In another form it is text.
        let mut reply = Reply::new(frame(Some(CallForm::Tagged)));
        events_of(answer)
            .into_iter()
            .for_each(|event| reply.take(event));
        let (body, _) = reply.finish().unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], answer);
    }
}

#[test]
fn choices_that_ended_are_named_where_another_failed() {
    let many = || Frame {
        answers: 3,
        grammar: Some("response_format"),
        ..frame(None)
    };
    let service = talking(Box::new(Kept::default()), CAPS);
    let told = || {
        let ended = Event::Ended(Ended {
            choice: 1,
            text: String::new(),
            finish: FinishReason::Stop,
            receipt: credence_node::Kept {
                digest: ReceiptDigest::from_bytes([2; 32]),
                key: None,
            },
        });
        [
            Event::Failed(Trouble::Grammar),
            ended,
            Event::Failed(Trouble::Run),
        ]
    };
    let mut reply = Reply::new(many());
    told().into_iter().for_each(|event| reply.take(event));
    let prefixes = vec![prefix(&service); 3];
    let mut teller = Teller::new(many(), Arc::clone(service.keeper()), prefixes);
    told()
        .into_iter()
        .for_each(|event| drop(teller.tell(event)));
    for failure in [reply.finish().unwrap_err(), teller.finish().unwrap_err()] {
        assert_eq!(failure.trouble, Trouble::Grammar, "the first reason");
        assert_eq!(failure.param, Some("response_format"));
        let kept: Vec<_> = failure
            .kept
            .iter()
            .map(|(at, kept)| (*at, kept.digest))
            .collect();
        assert_eq!(kept, [(1, ReceiptDigest::from_bytes([2; 32]))]);
    }
}

fn prefix(service: &credence_node::Service) -> credence_claim::chain::Prefix {
    credence_claim::chain::Prefix {
        profile: credence_base::Profile::Exact1,
        model: ModelId::from_bytes([1; 32]),
        input: credence_base::InputCommitment::from_bytes([1; 32]),
        params: credence_base::ParamsCommitment::from_bytes([1; 32]),
        nonce: None,
        operator: *service.operator().public_key(),
    }
}

#[test]
fn a_chunk_costs_microseconds() {
    let service = talking(Box::new(Kept::default()), CAPS);
    let prefix = prefix(&service);
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
