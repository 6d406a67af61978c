//! Answers in words: whole and streamed, alone and side by side, and the receipt of each.

use axum::http::StatusCode;
use credence_base::{Digest, Nonce, PublicKey, Signature};
use credence_claim::SeedSource;
use credence_claim::chain::{Chunk, Head, Prefix, check_stream};
use credence_node::http::{NONCE_HEADER, RECEIPT_HEADER};
use serde_json::{Value, json};

use crate::common::{Answer, ask, check, chunks, endless, get, output, post, spoken, talking_api};

const CHAT: &str = "/v1/chat/completions";
const PLAIN: &str = "/v1/completions";
const NONCE: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

fn hello(more: Value) -> Value {
    let mut body = json!({
        "model": "talk",
        "messages": [{"role": "user", "content": "the hat"}],
        "max_tokens": 12,
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn bundle(api: &axum::Router, receipt: &Value) -> Vec<u8> {
    let kept = get(api, receipt.as_str().unwrap()).await;
    assert_eq!(kept.status, StatusCode::OK);
    kept.body
}

async fn said(api: &axum::Router, path: &str, body: &Value) -> Answer {
    let answer = ask(api, post(path, body)).await;
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, StatusCode::OK, "{body} {text}");
    answer
}

#[tokio::test]
async fn an_answer_has_a_receipt_that_replay_confirms() {
    let api = talking_api();
    let cases = [
        (json!({"temperature": 0}), SeedSource::Nothing),
        (json!({"temperature": 0, "seed": 3}), SeedSource::Nothing),
        (json!({}), SeedSource::Operator),
        (
            json!({"seed": -3, "top_p": 0.9, "top_k": 40}),
            SeedSource::Client,
        ),
        (
            json!({"credence": {"nonce": NONCE}, "min_p": 0.01}),
            SeedSource::Derived,
        ),
        (
            json!({"frequency_penalty": 0.5, "presence_penalty": -1, "logit_bias": {"65": 2.5}, "seed": 1}),
            SeedSource::Client,
        ),
    ];
    for (more, source) in cases {
        let body = said(&api, CHAT, &hello(more.clone())).await;
        let header = body.headers[RECEIPT_HEADER].clone();
        let body = body.json();
        assert_eq!(body["object"], "chat.completion");
        assert_eq!(body["credence"]["receipt"], header.to_str().unwrap());
        assert_eq!(body["credence"]["model"], spoken().id().to_string());
        assert_eq!(body["credence"]["assurance"]["basis"], "signed");
        let bundle = bundle(&api, &body["credence"]["bundle"]).await;
        let nonce: Option<Nonce> = more.get("credence").map(|_| NONCE.parse().unwrap());
        let claim = check(&bundle, nonce).claim;
        assert_eq!(claim.fields().seed, source, "{more}");
        assert_eq!(body["credence"]["finish"], claim.fields().finish.as_str());
        let output = output(&bundle);
        assert_eq!(body["choices"][0]["message"]["content"], output.text);
        let usage = &body["usage"];
        assert_eq!(usage["completion_tokens"], output.tokens.len());
        assert_eq!(usage["completion_tokens"], claim.fields().counts.output);
        assert_eq!(usage["prompt_tokens"], claim.fields().counts.input);
    }
}

#[tokio::test]
async fn a_nonce_in_the_header_is_one_in_the_body() {
    let api = talking_api();
    let with_header = |body: &Value| {
        let mut request = post(CHAT, body);
        let headers = request.headers_mut();
        headers.insert(NONCE_HEADER, NONCE.parse().unwrap());
        request
    };
    let first = ask(&api, with_header(&hello(json!({})))).await.json();
    let body = hello(json!({"credence": {"nonce": NONCE}}));
    let second = said(&api, CHAT, &body).await.json();
    assert_eq!(
        first["choices"][0]["message"],
        second["choices"][0]["message"]
    );
    assert_eq!(ask(&api, with_header(&body)).await.status, StatusCode::OK);
    let other = hello(json!({"credence": {"nonce": "00".repeat(32)}}));
    let refused = ask(&api, with_header(&other)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["error"]["param"], "credence.nonce");
}

#[tokio::test]
async fn each_choice_is_an_answer_of_its_own() {
    let api = talking_api();
    let body = said(&api, CHAT, &hello(json!({"n": 3, "seed": 5})))
        .await
        .json();
    let choices = body["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 3);
    let mut drawn = 0;
    for choice in choices {
        let bundle = bundle(&api, &choice["credence"]["bundle"]).await;
        check(&bundle, None);
        assert_eq!(choice["message"]["content"], output(&bundle).text);
        drawn += output(&bundle).tokens.len();
    }
    assert_eq!(body["usage"]["completion_tokens"], drawn);
    assert_ne!(choices[0]["message"], choices[1]["message"]);
    // The first of several is what one alone would be.
    let one = said(&api, CHAT, &hello(json!({"seed": 5}))).await.json();
    assert_eq!(one["choices"][0]["message"], choices[0]["message"]);
}

#[tokio::test]
async fn why_an_answer_ends_is_told_and_true() {
    let api = talking_api();
    let long = said(
        &api,
        CHAT,
        &hello(json!({"logit_bias": endless(), "seed": 1})),
    )
    .await;
    assert_eq!(long.json()["choices"][0]["finish_reason"], "length");
    assert_eq!(long.json()["usage"]["completion_tokens"], 12);
    let ends = endless();
    let (end, _) = ends.as_object().unwrap().iter().next().unwrap();
    let short = said(&api, CHAT, &hello(json!({"logit_bias": {end: 100}}))).await;
    assert_eq!(short.json()["choices"][0]["finish_reason"], "stop");
    assert_eq!(short.json()["choices"][0]["message"]["content"], "");
    // Without a bound an answer goes on to the context's end: 300 positions, and the token after the last.
    let mut endless = hello(json!({"logit_bias": endless(), "temperature": 0}));
    endless.as_object_mut().unwrap().remove("max_tokens");
    let whole = said(&api, CHAT, &endless).await.json();
    let usage = &whole["usage"];
    assert_eq!(usage["total_tokens"], 301);
    check(&bundle(&api, &whole["credence"]["bundle"]).await, None);
    // A text that it said becomes one that stops it.
    let text = long.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    let stop: String = text.chars().skip(3).take(2).collect();
    let more = json!({"logit_bias": self::endless(), "seed": 1, "stop": [stop]});
    let stopped = said(&api, CHAT, &hello(more)).await.json();
    let expected = &text[..text.find(&stop).unwrap()];
    assert_eq!(stopped["choices"][0]["message"]["content"], expected);
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    check(&bundle(&api, &stopped["credence"]["bundle"]).await, None);
}

fn digest<T: std::str::FromStr>(value: &Value) -> T {
    value.as_str().unwrap().parse().ok().unwrap()
}

/// Reads one choice's chunks as a client does that checks them.
fn read_stream(all: &[Value], index: usize) -> (Prefix, Vec<Chunk>) {
    let own: Vec<&Value> = all
        .iter()
        .filter(|c| c["choices"][0]["index"] == index)
        .collect();
    let stream = &own[0]["credence"]["stream"];
    let key: Digest = digest(&stream["operator"]);
    let prefix = Prefix {
        profile: credence_base::Profile::Exact1,
        model: digest(&stream["model"]),
        input: digest(&stream["input"]),
        params: digest(&stream["params"]),
        nonce: stream.get("nonce").map(digest),
        operator: PublicKey::from_bytes(key.as_bytes()).unwrap(),
    };
    let chunk = |chunk: &&Value| {
        use base64::Engine as _;
        let credence = &chunk["credence"];
        let choice = &chunk["choices"][0];
        let shown = choice["delta"]
            .get("content")
            .or_else(|| choice.get("text"));
        let text = credence.get("text").or(shown).and_then(Value::as_str);
        let signature = credence["signature"].as_str().unwrap();
        let signature = base64::engine::general_purpose::STANDARD.decode(signature);
        Chunk {
            head: Head::from_digest(digest(&credence["head"])),
            signature: Signature::from_bytes(signature.unwrap().try_into().unwrap()),
            tokens: serde_json::from_value(credence["tokens"].clone()).unwrap(),
            text: text.unwrap_or_default().to_owned(),
        }
    };
    (prefix, own.iter().map(chunk).collect())
}

#[tokio::test]
async fn a_stream_is_the_answer_in_signed_pieces() {
    let api = talking_api();
    for (path, more) in [
        (CHAT, json!({"seed": 9})),
        (
            CHAT,
            json!({"seed": 9, "n": 2, "stream_options": {"include_usage": true}}),
        ),
        (
            CHAT,
            json!({"seed": 9, "tools": [{"type": "function", "function": {"name": "f"}}]}),
        ),
        (
            CHAT,
            json!({"temperature": 0, "credence": {"nonce": NONCE}, "logprobs": true, "top_logprobs": 2}),
        ),
        (
            PLAIN,
            json!({"seed": 9, "prompt": ["a", "b"], "logprobs": 1}),
        ),
    ] {
        let mut body = hello(more.clone());
        if path == PLAIN {
            body.as_object_mut().unwrap().remove("messages");
        }
        let mut streamed = body.clone();
        streamed["stream"] = json!(true);
        let streamed = said(&api, path, &streamed).await;
        assert_eq!(streamed.headers["content-type"], "text/event-stream");
        let (mut all, done) = chunks(&streamed.body);
        assert!(done, "{more}");
        body.as_object_mut().unwrap().remove("stream_options");
        let whole = said(&api, path, &body).await.json();
        if more.get("stream_options").is_some() {
            let usage = all.pop().unwrap();
            assert_eq!(usage["choices"], json!([]));
            assert_eq!(usage["usage"], whole["usage"]);
            assert!(usage["credence"]["receipt"].is_string());
            assert!(all.iter().all(|chunk| chunk["usage"].is_null()));
        }
        for (index, choice) in whole["choices"].as_array().unwrap().iter().enumerate() {
            let (prefix, own) = read_stream(&all, index);
            let said = check_stream(&prefix, &own, &prefix.operator).unwrap();
            let shown = choice["message"]
                .get("content")
                .or_else(|| choice.get("text"));
            assert_eq!(shown, Some(&json!(said.text)), "{more}");
            let last = all
                .iter()
                .rfind(|c| c["choices"][0]["index"] == index)
                .unwrap();
            assert_eq!(last["choices"][0]["finish_reason"], choice["finish_reason"]);
            let bundle = bundle(&api, &last["credence"]["bundle"]).await;
            let inference = check(&bundle, prefix.nonce);
            let fields = inference.claim.fields();
            assert_eq!((fields.input, fields.params), (prefix.input, prefix.params));
            assert_eq!((fields.model, fields.nonce), (prefix.model, prefix.nonce));
            assert_eq!(inference.operator, prefix.operator);
            assert_eq!(output(&bundle).tokens, said.tokens);
            assert_eq!(output(&bundle).text, said.text);
            let reports = reports(&all, index, path);
            assert_eq!(json!(reports), whole_reports(choice, path), "{more}");
        }
    }
}

/// Reports of a choice, chunk by chunk.
fn reports(all: &[Value], index: usize, path: &str) -> Vec<Value> {
    let own = all.iter().filter(|c| c["choices"][0]["index"] == index);
    own.flat_map(|chunk| {
        whole_reports(&chunk["choices"][0], path)
            .as_array()
            .cloned()
    })
    .flatten()
    .collect()
}

fn whole_reports(choice: &Value, path: &str) -> Value {
    let name = if path == CHAT {
        "content"
    } else {
        "token_logprobs"
    };
    match choice["logprobs"].get(name) {
        Some(reports) => reports.clone(),
        None => json!([]),
    }
}

#[tokio::test]
async fn side_by_side_is_as_alone() {
    let api = talking_api();
    let request = |i: usize| {
        hello(json!({
            "messages": [{"role": "system", "content": "x".repeat(i * 23)}, {"role": "user", "content": "go"}],
            "seed": i, "max_tokens": 10 + i, "logit_bias": endless(), "logprobs": true, "top_logprobs": 3,
        }))
    };
    let mut alone = Vec::new();
    for i in 0..8 {
        alone.push(said(&api, CHAT, &request(i)).await.json()["choices"][0].clone());
    }
    let tasks: Vec<_> = (0..8)
        .map(|i| {
            let api = api.clone();
            tokio::spawn(async move { said(&api, CHAT, &request(i)).await.json() })
        })
        .collect();
    for (task, alone) in tasks.into_iter().zip(alone) {
        let together = task.await.unwrap();
        for name in ["message", "logprobs", "finish_reason"] {
            assert_eq!(together["choices"][0][name], alone[name]);
        }
        let receipt = &together["credence"]["bundle"];
        check(&bundle(&api, receipt).await, None);
    }
}

#[tokio::test]
async fn completions_go_on_from_texts_and_tokens() {
    let api = talking_api();
    let plain = |prompt: Value| json!({"model": "talk", "prompt": prompt, "seed": 2});
    let text = said(&api, PLAIN, &plain(json!("the"))).await.json();
    assert_eq!(text["object"], "text_completion");
    assert!(text["usage"]["completion_tokens"].as_u64().unwrap() <= 16);
    // `the` is one token of this vocabulary, the 258th.
    let ids = said(&api, PLAIN, &plain(json!([257]))).await.json();
    assert_eq!(ids["choices"][0]["text"], text["choices"][0]["text"]);
    assert_eq!(ids["usage"], text["usage"]);
    for choice in [&text, &ids] {
        check(&bundle(&api, &choice["credence"]["bundle"]).await, None);
    }
    let several = said(&api, PLAIN, &plain(json!([[257], [104, 97]])))
        .await
        .json();
    assert_eq!(several["choices"].as_array().unwrap().len(), 2);
    assert_eq!(several["usage"]["prompt_tokens"], 3);
    assert_eq!(several["choices"][0]["text"], text["choices"][0]["text"]);
}

#[tokio::test]
async fn reports_name_tokens_with_their_probabilities() {
    let api = talking_api();
    let more =
        json!({"logprobs": true, "top_logprobs": 5, "temperature": 0, "logit_bias": endless()});
    let body = said(&api, CHAT, &hello(more)).await.json();
    let content = body["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    assert_eq!(content.len(), 12);
    for entry in content {
        assert_eq!(entry["top_logprobs"].as_array().unwrap().len(), 5);
        let sum: f64 = entry["top_logprobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|top| top["logprob"].as_f64().unwrap().exp())
            .sum();
        assert!(sum > 0.0 && sum < 1.0 + 1e-3, "{sum}");
        let bytes: Vec<u8> = serde_json::from_value(entry["bytes"].clone()).unwrap();
        assert_eq!(entry["token"], String::from_utf8_lossy(&bytes).into_owned());
    }
}

#[tokio::test]
async fn models_are_listed_and_found() {
    let api = talking_api();
    let list = get(&api, "/v1/models").await.json();
    let names: Vec<&Value> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| &m["id"])
        .collect();
    assert_eq!(names, ["talk"], "models of tensors do not speak");
    let id = spoken().id().to_string();
    for name in ["talk", id.as_str()] {
        let model = get(&api, &format!("/v1/models/{name}")).await.json();
        assert_eq!(
            (&model["id"], &model["object"]),
            (&json!(name), &json!("model"))
        );
        assert_eq!(model["credence"], json!({"model": id, "context": 300}));
        let body = hello(json!({"model": name}));
        assert_eq!(said(&api, CHAT, &body).await.json()["model"], name);
    }
    for name in ["small", "other"] {
        let absent = get(&api, &format!("/v1/models/{name}")).await;
        assert_eq!(absent.status, StatusCode::NOT_FOUND);
        assert_eq!(absent.json()["error"]["code"], "model_not_found");
    }
    let tensors = post("/v2/models/talk/infer", &json!({"inputs": []}));
    let refused = ask(&api, tensors).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.error().contains("/v1/chat/completions"));
}

#[tokio::test]
async fn an_answer_whose_receipt_is_not_kept_is_withdrawn() {
    let service = crate::common::talking(Box::new(crate::http::Full), crate::common::CAPS);
    let api = credence_node::http::router(service, crate::common::ROOMY);
    let answer = ask(&api, post(CHAT, &hello(json!({})))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json()["error"]["type"], "server_error");
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"));
    let streamed = said(&api, CHAT, &hello(json!({"stream": true}))).await;
    let (all, done) = chunks(&streamed.body);
    assert!(!done, "a stream without a receipt has no end");
    assert_eq!(all.last().unwrap()["error"]["type"], "server_error");
    assert!(
        all.iter()
            .all(|chunk| chunk["choices"][0]["finish_reason"].is_null())
    );
}

/// Receipts whose place panics the first time: a fault that must not silence the model.
#[derive(Default)]
struct Panics(std::sync::atomic::AtomicBool);

impl credence_store::Receipts for Panics {
    fn put(
        &self,
        _: credence_base::ReceiptDigest,
        _: &[u8],
    ) -> Result<(), credence_store::StoreError> {
        let before = self.0.swap(true, std::sync::atomic::Ordering::SeqCst);
        assert!(before, "as a fault would");
        Ok(())
    }

    fn get(
        &self,
        _: credence_base::ReceiptDigest,
    ) -> Result<Option<std::sync::Arc<[u8]>>, credence_store::StoreError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_panic_is_an_answer_withdrawn_and_the_next_is_given() {
    let service = crate::common::talking(Box::new(Panics::default()), crate::common::CAPS);
    let api = credence_node::http::router(service, crate::common::ROOMY);
    let answer = ask(&api, post(CHAT, &hello(json!({})))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json()["error"]["code"], "internal_error");
    let answer = ask(&api, post(CHAT, &hello(json!({})))).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn seats_are_counted_before_anything_is_prepared() {
    let api = talking_api();
    // 16 prompts of 4 choices are more than ever wait and run; the last prompt would be refused if it were looked at.
    let mut prompts = vec![json!([1]); 15];
    prompts.push(json!([100_000]));
    let body = json!({"model": "talk", "prompt": prompts, "n": 4});
    let answer = ask(&api, post("/v1/completions", &body)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let said = answer.json();
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("64 are"), "{said}");
}
