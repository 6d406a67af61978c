//! What is written fits the published schemas, and the schemas refuse what is not written.

use credence_testkit::schema::fits;
use serde_json::{Value, json};

use crate::common::{ask, chunks, get, post, talking_api};

pub(crate) fn schema(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas");
    let path = format!("{folder}/{name}.v1.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// It fits, and with a member too many at its top or in its first choice it does not.
pub(crate) fn holds(name: &str, value: &Value) {
    let schema = schema(name);
    fits(&schema, value).unwrap();
    let mut more = value.clone();
    more["mood"] = json!("good");
    assert!(fits(&schema, &more).is_err(), "{name}");
    if let Some(choice) = value["choices"].get(0) {
        let mut more = value.clone();
        more["choices"][0] = choice.clone();
        more["choices"][0]["mood"] = json!("good");
        assert!(fits(&schema, &more).is_err(), "{name}");
    }
}

#[tokio::test]
async fn answers_chunks_and_lists_fit() {
    let api = talking_api();
    let nonce = "5a".repeat(32);
    let chat = json!({
        "model": "talk", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3, "n": 2,
        "logprobs": true, "top_logprobs": 2, "credence": {"nonce": nonce},
    });
    let plain = json!({"model": "talk", "prompt": ["a", "b"], "max_tokens": 3, "logprobs": 2});
    for (path, body, whole, chunk) in [
        (
            "/v1/chat/completions",
            chat,
            "http-chat-completion",
            "http-chat-chunk",
        ),
        (
            "/v1/completions",
            plain,
            "http-completion",
            "http-completion-chunk",
        ),
    ] {
        holds(whole, &ask(&api, post(path, &body)).await.json());
        let mut body = body.clone();
        body["stream"] = json!(true);
        for usage in [false, true] {
            body["stream_options"] = json!({"include_usage": usage});
            let (all, done) = chunks(&ask(&api, post(path, &body)).await.body);
            assert!(done);
            for own in &all {
                holds(chunk, own);
            }
        }
        let refused = ask(&api, post(path, &json!({"model": "absent"}))).await;
        holds("http-openai-error", &refused.json());
    }
    holds(
        "http-language-models",
        &get(&api, "/v1/models").await.json(),
    );
    holds(
        "http-language-model",
        &get(&api, "/v1/models/talk").await.json(),
    );
    holds(
        "http-openai-error",
        &get(&api, "/v1/embeddings").await.json(),
    );
}
