//! Answers of a given shape: what fits, what is signed, and what is refused, by its name.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::common::{ask, check, chunks, get, output, post, talking_api};

const CHAT: &str = "/v1/chat/completions";

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"zeta": {"type": "integer", "minimum": 0, "maximum": 99}, "alpha": {"enum": ["x", "y"]}},
        "required": ["zeta", "alpha"],
        "additionalProperties": false,
    })
}

/// The client's own spelling: here the order of members counts, which a `Value` does not keep.
fn body(more: &str) -> axum::http::Request<axum::body::Body> {
    let text = format!(
        r#"{{"model":"talk","messages":[{{"role":"user","content":"hi"}}],"max_tokens":60,{more}}}"#
    );
    let request = axum::http::Request::post(CHAT);
    request.body(axum::body::Body::from(text)).unwrap()
}

/// With a bias against white space, of which a model that says noise would say much.
const FORMAT: &str = r#""logit_bias":{"9":-100,"10":-100,"32":-100},"response_format":{"type":"json_schema","json_schema":{"name":"pair","strict":true,"schema":{"type":"object","properties":{"zeta":{"type":"integer","minimum":0,"maximum":99},"alpha":{"enum":["x","y"]}},"required":["zeta","alpha"],"additionalProperties":false}}}"#;

#[tokio::test]
async fn an_answer_fits_its_schema_and_its_receipt_says_so() {
    let api = talking_api();
    for seed in 0..5 {
        let answer = ask(&api, body(&format!(r#""seed":{seed},"n":2,{FORMAT}"#))).await;
        assert_eq!(answer.status, StatusCode::OK);
        for choice in answer.json()["choices"].as_array().unwrap() {
            assert_eq!(choice["finish_reason"], "stop");
            let text = choice["message"]["content"].as_str().unwrap();
            let value: Value = serde_json::from_str(text).unwrap();
            credence_testkit::schema::fits(&schema(), &value).unwrap();
            // In the order of the client's schema.
            assert!(text.find("zeta") < text.find("alpha"), "{text}");
            let path = choice["credence"]["bundle"].as_str().unwrap();
            let bundle = get(&api, path).await.body;
            let claim = check(&bundle, None).claim;
            let constrained = claim.fields().constrained.as_ref().unwrap();
            assert_eq!(constrained.engine.as_str(), "credence-grammar");
            assert_eq!(output(&bundle).text, text);
        }
    }
}

#[tokio::test]
async fn any_object_and_a_stream() {
    let api = talking_api();
    let format = r#""stream":true,"max_completion_tokens":60,"response_format":{"type":"json_object"},"logit_bias":{"125":30}"#;
    let (all, done) = chunks(&ask(&api, body(format)).await.body);
    assert!(done);
    let parts = all
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    let text: String = parts.collect();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert!(value.is_object());
    let last = all.last().unwrap();
    let path = last["credence"]["bundle"].as_str().unwrap();
    let bundle = get(&api, path).await.body;
    check(&bundle, None);
}

#[tokio::test]
async fn a_length_cut_is_a_length_cut() {
    let api = talking_api();
    let format =
        r#""max_completion_tokens":3,"max_tokens":3,"response_format":{"type":"json_object"}"#;
    let text =
        format!(r#"{{"model":"talk","messages":[{{"role":"user","content":"hi"}}],{format}}}"#);
    let request = axum::http::Request::post(CHAT);
    let answer = ask(&api, request.body(axum::body::Body::from(text)).unwrap()).await;
    let finish = answer.json()["choices"][0]["finish_reason"].clone();
    assert!(finish == "length" || finish == "stop", "{finish}");
}

const TOOLS: &str = r##""tools":[{"type":"function","function":{"name":"get","parameters":{"type":"object","properties":{"at":{"$ref":"#/$defs/at"}},"required":["at"],"additionalProperties":false,"$defs":{"at":{"enum":[1,2]}}}}},{"type":"function","function":{"name":"stop"}}]"##;

#[tokio::test]
async fn a_forced_call_is_made() {
    let api = talking_api();
    for (choice, parallel, names) in [
        (r#""required""#, true, &["get", "stop"][..]),
        (
            r#"{"type":"function","function":{"name":"get"}}"#,
            false,
            &["get"],
        ),
        (
            r#"{"type":"function","function":{"name":"stop"}}"#,
            true,
            &["stop"],
        ),
    ] {
        let more = format!(
            r#""tool_choice":{choice},"parallel_tool_calls":{parallel},"max_completion_tokens":150,"seed":3,{TOOLS}"#
        );
        let text =
            format!(r#"{{"model":"talk","messages":[{{"role":"user","content":"hi"}}],{more}}}"#);
        let request = axum::http::Request::post(CHAT);
        let answer = ask(&api, request.body(axum::body::Body::from(text)).unwrap()).await;
        let json = answer.json();
        assert_eq!(answer.status, StatusCode::OK, "{json}");
        let choice = &json["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{json}");
        let calls = choice["message"]["tool_calls"].as_array().unwrap();
        assert_eq!(calls.len(), 1);
        let function = &calls[0]["function"];
        let name = function["name"].as_str().unwrap();
        assert!(names.contains(&name), "{name}");
        let arguments: Value =
            serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
        match name {
            "get" => assert!(arguments["at"] == 1 || arguments["at"] == 2, "{arguments}"),
            _ => assert_eq!(arguments, json!({})),
        }
        let path = choice["credence"]["bundle"].as_str().unwrap();
        let bundle = get(&api, path).await.body;
        check(&bundle, None);
    }
}

type Case = (String, &'static str, &'static str);

/// A body's further members, the parameter at fault, and what its message names.
fn formats() -> Vec<Case> {
    let schema = |schema: &str| {
        format!(
            r#""response_format":{{"type":"json_schema","json_schema":{{"name":"x","schema":{schema}}}}}"#
        )
    };
    vec![
        (
            schema(r#"{"type":"string","pattern":"a"}"#),
            "response_format",
            "pattern",
        ),
        (
            schema(r#"{"type":"object","properties":{"a":{"not":{}}}}"#),
            "response_format",
            "#/properties/a",
        ),
        (schema("1"), "response_format", "schema"),
        (schema(r#"{"enum":[]}"#), "response_format", "fits"),
        (
            schema(&format!(r#"{{"title":"{}"}}"#, "x".repeat(70_000))),
            "response_format",
            "65536",
        ),
        (schema(&"{\"items\":".repeat(5000)), "", "JSON"),
        (
            r#""response_format":{"type":"json_schema"}"#.to_owned(),
            "response_format",
            "json_schema",
        ),
        (
            r#""response_format":{"type":"json_schema","json_schema":{"name":"x"}}"#.to_owned(),
            "response_format",
            "schema",
        ),
        (
            r#""response_format":{"type":"json_object","more":1}"#.to_owned(),
            "response_format",
            "json_object",
        ),
        (
            r#""response_format":{"type":"grammar"}"#.to_owned(),
            "response_format",
            "json_object",
        ),
        (
            r#""response_format":"json""#.to_owned(),
            "response_format",
            "json_object",
        ),
    ]
}

fn choices() -> Vec<Case> {
    let forced = |rest: &str| format!(r#""tool_choice":"required",{rest}"#);
    let tool = |function: &str| format!(r#""tools":[{{"type":"function","function":{function}}}]"#);
    vec![
        (format!("{FORMAT},{TOOLS}"), "response_format", "tools"),
        (forced(r#""tools":[]"#), "tool_choice", "tools"),
        (
            r#""tool_choice":"required""#.to_owned(),
            "tool_choice",
            "tools",
        ),
        (
            format!(
                r#""tool_choice":{{"type":"function","function":{{"name":"absent"}}}},{TOOLS}"#
            ),
            "tool_choice",
            "tools",
        ),
        (
            format!(r#""tool_choice":"sometimes",{TOOLS}"#),
            "tool_choice",
            "required",
        ),
        (forced(&tool(r#"{"name":"a b"}"#)), "tool_choice", "a b"),
        (
            forced(&tool(
                r#"{"name":"f","parameters":{"type":"object","minProperties":1}}"#,
            )),
            "tool_choice",
            "minProperties",
        ),
    ]
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_by_name() {
    for (more, param, named) in formats().into_iter().chain(choices()) {
        let answer = ask(&talking_api(), body(&more)).await;
        let json = answer.json();
        let shown: String = more.chars().take(200).collect();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{shown} {json}");
        let error = &json["error"];
        assert_eq!(
            error["param"].as_str().unwrap_or(""),
            param,
            "{shown} {json}"
        );
        assert!(
            error["message"].as_str().unwrap().contains(named),
            "{shown} {json}"
        );
    }
    let unsupported = formats().swap_remove(0).0;
    let answer = ask(&talking_api(), body(&unsupported)).await;
    assert_eq!(answer.json()["error"]["code"], "unsupported_parameter");
    let plain =
        json!({"model": "talk", "prompt": "hi", "response_format": {"type": "json_object"}});
    let answer = ask(&talking_api(), post("/v1/completions", &plain)).await;
    assert_eq!(answer.json()["error"]["param"], "response_format");
}
