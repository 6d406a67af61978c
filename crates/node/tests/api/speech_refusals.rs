//! Every parameter that is refused, by its name, in OpenAI's form.

use axum::http::StatusCode;
use credence_testkit::schema::fits;
use serde_json::{Value, json};

use crate::common::{ask, get, post, talking_api};
use crate::speech_schemas::schema;

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "/v1/completions";

fn base(path: &str) -> Value {
    if path == CHAT {
        json!({"model": "talk", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2})
    } else {
        json!({"model": "talk", "prompt": "hi", "max_tokens": 2})
    }
}

/// Whether the published schema lets a body pass.
fn fits_schema(path: &str, body: &Value) -> bool {
    let chat = path == CHAT;
    let name = if chat {
        "http-chat-request"
    } else {
        "http-completion-request"
    };
    fits(&schema(name), body).is_ok()
}

/// What the schema cannot say of what is refused: what a model has and its template reads, what a server allows, that two members agree.
fn is_beyond_the_schema(path: &str, more: &Value) -> bool {
    let mut cases = vec![
        json!({"logit_bias": {"262": 1}}),
        json!({"max_tokens": 1001}),
        json!({"model": "other"}),
        json!({"model": "small"}),
        json!({"n": 5}),
    ];
    cases.extend(if path == CHAT {
        vec![
            json!({"chat_template_kwargs": {"enable_thinking": true, "mood": 1}}),
            json!({"chat_template_kwargs": {"messages": 1}}),
            json!({"max_completion_tokens": 3}),
            json!({"messages": [{"role": "user", "content": "a", "reasoning_content": "b"}]}),
        ]
    } else {
        vec![
            json!({"best_of": 2}),
            json!({"prompt": ""}),
            json!({"prompt": [262]}),
        ]
    });
    // So is what is too long for the model.
    more.to_string().len() > 500 || cases.contains(more)
}

async fn refused(path: &str, more: &Value, param: &str, status: StatusCode) {
    let mut body = base(path);
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let beyond = is_beyond_the_schema(path, more);
    assert_eq!(fits_schema(path, &body), beyond, "{more} by the schema");
    let answer = ask(&talking_api(), post(path, &body)).await;
    let json = answer.json();
    assert_eq!(answer.status, status, "{more} {json}");
    let error = json["error"].as_object().unwrap();
    let names: Vec<&String> = error.keys().collect();
    assert_eq!(names, ["code", "message", "param", "type"]);
    assert_eq!(error["param"], param, "{more} {json}");
    assert_eq!(error["type"], "invalid_request_error");
    assert!(error["code"].is_string() && error["message"].is_string());
    assert!(answer.headers.get("credence-receipt").is_none());
}

/// What both refuse: a body's further members, and the parameter named.
fn common() -> Vec<(Value, &'static str)> {
    let mut cases = sampling();
    cases.extend([
        (json!({"audio": {}}), "audio"),
        (json!({"best_guess": 1}), "best_guess"),
        (json!({"credence": {"nonce": "5A"}}), "credence.nonce"),
        (json!({"credence": {"nounce": "5a"}}), "credence"),
        (json!({"function_call": "auto"}), "function_call"),
        (json!({"functions": []}), "functions"),
        (json!({"modalities": ["audio"]}), "modalities"),
        (json!({"model": null}), "model"),
        (json!({"model": 1}), "model"),
        (json!({"model": "small"}), "model"),
        (json!({"prediction": {}}), "prediction"),
        (json!({"reasoning_effort": "low"}), "reasoning_effort"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {}}}),
            "response_format",
        ),
        (json!({"service_tier": "priority"}), "service_tier"),
        (json!({"store": true}), "store"),
        (json!({"stream": 1}), "stream"),
        (
            json!({"stream_options": {"include_usage": true}}),
            "stream_options",
        ),
        (
            json!({"stream": true, "stream_options": {"usage": true}}),
            "stream_options",
        ),
        (
            json!({"stream": true, "stream_options": {"include_obfuscation": true}}),
            "stream_options.include_obfuscation",
        ),
        (json!({"verbosity": "low"}), "verbosity"),
        (json!({"web_search_options": {}}), "web_search_options"),
    ]);
    cases
}

/// Those that are numbers of sampling.
fn sampling() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"frequency_penalty": 2.000001}), "frequency_penalty"),
        (json!({"logit_bias": {"262": 1}}), "logit_bias"),
        (json!({"logit_bias": {"1": 100.1}}), "logit_bias"),
        (json!({"logit_bias": {"01": 1}}), "logit_bias"),
        (json!({"logit_bias": {"x": 1}}), "logit_bias"),
        (json!({"logit_bias": [1]}), "logit_bias"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 1001}), "max_tokens"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (json!({"max_tokens": -1}), "max_tokens"),
        (json!({"min_p": 1.1}), "min_p"),
        (json!({"min_p": -0.1}), "min_p"),
        (json!({"n": 0}), "n"),
        (json!({"n": 17}), "n"),
        (json!({"n": 5}), "n"),
        (json!({"presence_penalty": -3}), "presence_penalty"),
        (json!({"presence_penalty": 1e300}), "presence_penalty"),
        (json!({"seed": 0.5}), "seed"),
        (json!({"seed": 9_223_372_036_854_775_808_u64}), "seed"),
        (json!({"stop": ["a", ""]}), "stop"),
        (json!({"stop": vec!["a"; 17]}), "stop"),
        (json!({"stop": 1}), "stop"),
        (json!({"temperature": 2.1}), "temperature"),
        (json!({"temperature": -1}), "temperature"),
        (json!({"temperature": "1"}), "temperature"),
        (json!({"top_k": -2}), "top_k"),
        (json!({"top_k": 1.5}), "top_k"),
        (json!({"top_p": 0}), "top_p"),
        (json!({"top_p": 1.1}), "top_p"),
    ]
}

#[tokio::test]
async fn what_chat_and_completions_refuse_alike() {
    for path in [CHAT, PLAIN] {
        for (more, param) in &common() {
            refused(path, more, param, StatusCode::BAD_REQUEST).await;
        }
        let other = json!({"model": "other"});
        refused(path, &other, "model", StatusCode::NOT_FOUND).await;
    }
}

type Cases = Vec<(Value, &'static str)>;

fn message(message: Value) -> Value {
    json!({"messages": [message]})
}

fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

/// Messages that are none.
fn messages() -> Cases {
    vec![
        (json!({"messages": null}), "messages"),
        (json!({"messages": "hi"}), "messages"),
        (
            json!({"messages": [{"role": "user", "content": "long ".repeat(400)}]}),
            "messages",
        ),
        (json!({"prompt": "hi"}), "prompt"),
        (message(json!("hi")), "messages[0]"),
        (message(json!({"content": "hi"})), "messages[0].role"),
        (
            message(json!({"role": "robot", "content": "hi"})),
            "messages[0].role",
        ),
        (message(json!({"role": "user"})), "messages[0].content"),
        (
            message(json!({"role": "user", "content": 1})),
            "messages[0].content",
        ),
        (
            message(json!({"role": "user", "content": "a", "mood": "b"})),
            "messages[0].mood",
        ),
        (
            message(json!({"role": "user", "content": "a", "name": 1})),
            "messages[0].name",
        ),
        (
            message(
                json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
            ),
            "messages[0].content[0].type",
        ),
        (
            message(json!({"role": "user", "content": [{"type": "text"}]})),
            "messages[0].content[0]",
        ),
    ]
}

/// Calls in messages, and tools, that are none.
fn calls() -> Cases {
    let called = |more: Value| {
        let call =
            json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        message(json!({"role": "assistant", "tool_calls": [with(call, &more)]}))
    };
    let tools = |more: Value| json!({"tools": [{"type": "function", "function": with(json!({"name": "f"}), &more)}]});
    vec![
        (
            message(
                json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "["}}]}),
            ),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            message(json!({"role": "assistant", "tool_calls": [{}]})),
            "messages[0].tool_calls[0].function",
        ),
        (
            called(json!({"index": 0})),
            "messages[0].tool_calls[0].index",
        ),
        (
            called(json!({"type": "custom"})),
            "messages[0].tool_calls[0].type",
        ),
        (called(json!({"id": 7})), "messages[0].tool_calls[0].id"),
        (
            called(json!({"function": {"name": "f", "strict": true}})),
            "messages[0].tool_calls[0].function.strict",
        ),
        (tools(json!({"strict": true})), "tools[0].function.strict"),
        (tools(json!({"strict": 1})), "tools[0].function.strict"),
    ]
}

#[tokio::test]
async fn what_chat_refuses() {
    let others = vec![
        (json!({"logprobs": 1}), "logprobs"),
        (
            json!({"logprobs": true, "top_logprobs": 21}),
            "top_logprobs",
        ),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"max_completion_tokens": 3}), "max_tokens"),
        (json!({"parallel_tool_calls": false}), "parallel_tool_calls"),
        (json!({"tools": [{"type": "custom"}]}), "tools[0]"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}),
            "tool_choice",
        ),
        (json!({"credence": {"date": "yesterday"}}), "credence.date"),
        (
            json!({"chat_template_kwargs": {"messages": 1}}),
            "chat_template_kwargs",
        ),
        (
            json!({"chat_template_kwargs": {"enable_thinking": true, "mood": 1}}),
            "chat_template_kwargs.mood",
        ),
        (
            message(json!({"role": "user", "content": "a", "reasoning_content": "b"})),
            "messages[0].reasoning_content",
        ),
        (json!({"chat_template_kwargs": 1}), "chat_template_kwargs"),
    ];
    for (more, param) in messages().into_iter().chain(calls()).chain(others) {
        refused(CHAT, &more, param, StatusCode::BAD_REQUEST).await;
    }
}

/// A template that reads roles and contents alone, as many do.
#[tokio::test]
async fn what_the_models_template_does_not_read_is_refused_by_name() {
    let api = crate::common::talking_by(None);
    let user = json!({"role": "user", "content": "a"});
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let call = json!({"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]});
    let forced = json!({"type": "function", "function": {"name": "f"}});
    let named = |role: &str| json!([user, {"role": role, "content": "b", "name": "n"}]);
    let cases = [
        (json!({"tools": tools}), "tools"),
        (json!({"tools": tools, "tool_choice": "required"}), "tools"),
        (json!({"tools": tools, "tool_choice": forced}), "tools"),
        (json!({"credence": {"date": "2025-01-31"}}), "credence.date"),
        (
            json!({"chat_template_kwargs": {"enable_thinking": true}}),
            "chat_template_kwargs.enable_thinking",
        ),
        (json!({"messages": [user, call]}), "messages[1].tool_calls"),
        (json!({"messages": named("user")}), "messages[1].name"),
        (json!({"messages": named("assistant")}), "messages[1].name"),
        (json!({"messages": named("tool")}), "messages[1].name"),
    ];
    for (more, param) in cases {
        let mut body = base(CHAT);
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let answer = ask(&api, post(CHAT, &body)).await;
        let json = answer.json();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{more} {json}");
        assert_eq!(json["error"]["param"], param, "{json}");
        assert_eq!(json["error"]["code"], "unsupported_parameter");
    }
    let none = json!({"tools": tools, "tool_choice": "none"});
    let mut body = base(CHAT);
    body["tools"] = none["tools"].clone();
    body["tool_choice"] = none["tool_choice"].clone();
    let answer = ask(&api, post(CHAT, &body)).await;
    assert_eq!(answer.status, StatusCode::OK, "none are on offer");
}

#[tokio::test]
async fn what_completions_refuse() {
    let cases = [
        (json!({"prompt": null}), "prompt"),
        (json!({"prompt": ""}), "prompt"),
        (json!({"prompt": 1}), "prompt"),
        (json!({"prompt": [262]}), "prompt"),
        (json!({"prompt": [-1]}), "prompt"),
        (json!({"prompt": vec![1; 301]}), "prompt"),
        (json!({"prompt": vec!["a"; 17]}), "prompt"),
        (json!({"messages": []}), "messages"),
        (json!({"best_of": 2}), "best_of"),
        (json!({"echo": true}), "echo"),
        (json!({"suffix": "x"}), "suffix"),
        (json!({"logprobs": 21}), "logprobs"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"max_completion_tokens": 3}), "max_completion_tokens"),
        (json!({"tools": []}), "tools"),
        (json!({"credence": {"date": "2025-01-31"}}), "credence.date"),
    ];
    for (more, param) in cases {
        refused(PLAIN, &more, param, StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn what_changes_nothing_is_let_pass() {
    let common = [
        json!({"user": "u"}),
        json!({"metadata": {"a": "b"}}),
        json!({"safety_identifier": "s", "prompt_cache_key": "k", "prompt_cache_retention": "24h"}),
        json!({"store": false, "service_tier": "auto", "modalities": ["text"]}),
        json!({"response_format": {"type": "text"}}),
        json!({"temperature": null, "stop": null, "seed": null, "n": null, "logit_bias": null}),
        json!({"stop": "x", "top_k": -1}),
    ];
    let chat = [
        json!({"max_tokens": null, "max_completion_tokens": 2}),
        json!({"tools": [], "tool_choice": "none", "parallel_tool_calls": true}),
        json!({"tools": [{"type": "function", "function": {"name": "f", "strict": true}}], "tool_choice": "none"}),
        json!({"tools": [{"type": "function", "function": {"name": "f", "strict": false}}]}),
        json!({"credence": {"date": "2025-01-31"}, "chat_template_kwargs": {"enable_thinking": false}}),
        json!({"messages": [
            {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "x", "name": "n"},
            {"role": "assistant", "content": null, "refusal": null, "annotations": [], "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "2", "name": "f"},
        ]}),
    ];
    let plain = [json!({"echo": false, "best_of": 1, "suffix": null, "n": 1})];
    let all = common.iter().map(|more| (CHAT, more));
    let all = all.chain(common.iter().map(|more| (PLAIN, more)));
    let all = all.chain(chat.iter().map(|more| (CHAT, more)));
    let all = all.chain(plain.iter().map(|more| (PLAIN, more)));
    for (path, more) in all {
        let mut body = base(path);
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        assert!(fits_schema(path, &body), "{more} by the schema");
        let answer = ask(&talking_api(), post(path, &body)).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, StatusCode::OK, "{more} {text}");
    }
}

#[tokio::test]
async fn bodies_and_paths_that_are_none() {
    let api = talking_api();
    for body in [
        "",
        "[]",
        "{",
        "{\"model\":\"talk\",\"model\":\"talk\"}",
        "\u{0}",
    ] {
        let request = axum::http::Request::post(CHAT);
        let request = request.body(axum::body::Body::from(body)).unwrap();
        let answer = ask(&api, request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json()["error"]["code"], "invalid_json");
    }
    let long = json!({"model": "x".repeat(1 << 20)});
    let answer = ask(&api, post(CHAT, &long)).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.json()["error"]["code"], "body_too_long");
    let answer = get(&api, "/v1/images/generations").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["error"]["code"], "unknown_url");
    let answer = get(&api, CHAT).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(answer.json()["error"]["message"].is_string());
    let mut deep = base(CHAT);
    deep["messages"] = json!([]);
    let body = deep.to_string().replace("[]", &"[".repeat(100_000));
    let request = axum::http::Request::post(CHAT);
    let request = request.body(axum::body::Body::from(body)).unwrap();
    assert_eq!(ask(&api, request).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_name_that_is_no_text_and_too_many_prompts() {
    let api = talking_api();
    let answer = get(&api, "/v1/models/%FF").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    // There are twelve places, of which four run.
    let body = json!({"model": "talk", "prompt": vec!["a"; 13], "max_tokens": 1});
    let answer = ask(&api, post(PLAIN, &body)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["error"]["param"], "prompt");
}
