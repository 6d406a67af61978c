//! Embeddings: every form of input, the receipt of each vector, and what is refused by name.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_base::{Nonce, SigningKey};
use credence_claim::{FinishReason, MethodId, SeedSource};
use credence_method_replay::Replay;
use credence_model::{Elements, Model, TensorLimits, Tensors};
use credence_node::http::{NONCE_HEADER, RECEIPT_HEADER, router};
use credence_node::{Hosted, Operator, Service};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, Inference, Statement};
use credence_testkit::schema::fits;
use credence_testkit::speaking::{EMBEDDING_CONTEXT, EMBEDDING_WIDTH, embedding};
use credence_verify::{Facts, Policy, check_bytes};
use serde_json::{Value, json};

use crate::common::{Answer, Kept, ROOMY, ask, get, model, options, post, spoken};
use crate::speech_schemas::schema;

const PATH: &str = "/v1/embeddings";

fn encoder() -> Arc<Model> {
    Arc::new(embedding(2))
}

/// An encoder, a language model and a model of tensors.
fn api() -> Router {
    let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
    let hosted = |name: &str, model| Hosted::new(name.to_owned(), model, options()).unwrap();
    let models = vec![
        hosted("embed", encoder()),
        hosted("talk", spoken()),
        hosted("small", model()),
    ];
    let receipts = Box::new(Kept::default());
    router(Arc::new(Service::new(operator, models, receipts)), ROOMY)
}

fn wanted(input: Value) -> Value {
    json!({"model": "embed", "input": input})
}

async fn made(api: &Router, body: &Value) -> Answer {
    fits(&schema("http-embeddings-request"), body).unwrap();
    let answer = ask(api, post(PATH, body)).await;
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, StatusCode::OK, "{body} {text}");
    answer
}

fn floats(vector: &Value) -> Vec<f32> {
    serde_json::from_value(vector.clone()).unwrap()
}

/// Checks a bundle as a client with the model does, and gives the claim and the vector that it opens.
fn check(bytes: &[u8], nonce: Option<Nonce>) -> (Inference, Vec<f32>) {
    let replay = Replay::new(encoder(), options()).unwrap();
    let policy = Policy {
        required: vec![MethodId::SIGNED, MethodId::REPLAY],
        models: Some(vec![encoder().id()]),
        nonce,
        ..Policy::signature_only()
    };
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let facts = Facts::at(since.unwrap().as_secs());
    check_bytes(bytes, BUNDLE_LEN_MAX, &policy, &[&replay], &facts).unwrap();
    let bundle = Bundle::decode(bytes, BUNDLE_LEN_MAX).unwrap();
    let content = &bundle.openings().output.as_ref().unwrap().content;
    let limits = TensorLimits { bytes_max: 1 << 20 };
    let output = Tensors::decode(content, limits).unwrap();
    let tensor = output.iter().next().unwrap();
    let Elements::Fp32(vector) = tensor.elements() else {
        panic!("{tensor:?}")
    };
    match bundle.receipt().open().unwrap().into_statement() {
        Statement::Inference(inference) => (inference, vector.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_vector_has_a_receipt_that_replay_confirms() {
    let api = api();
    let ids = json!([2, 4, 5, 3]);
    for (input, count) in [
        (json!("the things!"), 1),
        (json!(["the", "thing", "the"]), 3),
        (ids.clone(), 1),
        (json!([ids, [2, 3]]), 2),
    ] {
        let answer = made(&api, &wanted(input.clone())).await;
        let header = answer.headers[RECEIPT_HEADER].clone();
        let body = answer.json();
        fits(&schema("http-embeddings"), &body).unwrap();
        assert_eq!(
            (&body["object"], &body["model"]),
            (&json!("list"), &json!("embed"))
        );
        assert_eq!(body["credence"]["receipt"], header.to_str().unwrap());
        assert_eq!(body["credence"]["model"], encoder().id().to_string());
        let data = body["data"].as_array().unwrap();
        assert_eq!(data.len(), count, "{input}");
        let mut tokens = 0;
        for (index, own) in data.iter().enumerate() {
            assert_eq!(own["index"], index);
            let kept = get(&api, own["credence"]["bundle"].as_str().unwrap()).await;
            let (inference, vector) = check(&kept.body, None);
            assert_eq!(floats(&own["embedding"]), vector);
            assert_eq!(vector.len(), usize::try_from(EMBEDDING_WIDTH).unwrap());
            let fields = inference.claim.fields();
            assert_eq!(
                (fields.finish, fields.seed),
                (FinishReason::Complete, SeedSource::Nothing)
            );
            assert_eq!(fields.counts.output, 1);
            tokens += fields.counts.input;
        }
        assert_eq!(
            body["usage"],
            json!({"prompt_tokens": tokens, "total_tokens": tokens})
        );
    }
}

#[tokio::test]
async fn what_others_ask_changes_no_bit() {
    let api = api();
    let several = made(&api, &wanted(json!(["a", "the things", "!"])))
        .await
        .json();
    let alone = made(&api, &wanted(json!("the things"))).await.json();
    assert_eq!(
        several["data"][1]["embedding"],
        alone["data"][0]["embedding"]
    );
    assert_ne!(
        several["data"][0]["embedding"],
        several["data"][1]["embedding"]
    );
    let mut coded = wanted(json!("the things"));
    coded["encoding_format"] = json!("base64");
    coded["dimensions"] = json!(EMBEDDING_WIDTH);
    let coded = made(&api, &coded).await.json();
    fits(&schema("http-embeddings"), &coded).unwrap();
    let bytes = STANDARD.decode(coded["data"][0]["embedding"].as_str().unwrap());
    let bytes = bytes.unwrap();
    let (chunks, _) = bytes.as_chunks::<4>();
    let vector: Vec<f32> = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
    assert_eq!(vector, floats(&alone["data"][0]["embedding"]));
}

#[tokio::test]
async fn a_nonce_is_claimed() {
    let api = api();
    let nonce = "5a".repeat(32);
    let mut body = wanted(json!("the"));
    body["credence"] = json!({"nonce": nonce});
    let answer = made(&api, &body).await.json();
    let kept = get(&api, answer["credence"]["bundle"].as_str().unwrap()).await;
    check(&kept.body, Some(nonce.parse().unwrap()));
    let mut request = post(PATH, &body);
    let other = "00".repeat(32).parse().unwrap();
    request.headers_mut().insert(NONCE_HEADER, other);
    let refused = ask(&api, request).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["error"]["param"], "credence.nonce");
}

#[tokio::test]
async fn what_cannot_be_embedded_is_refused_by_name() {
    let api = api();
    let long = vec![4; usize::try_from(EMBEDDING_CONTEXT).unwrap() + 1];
    let with = |name: &str, value: Value| {
        let mut body = wanted(json!("the"));
        body[name] = value;
        body
    };
    for (body, status, param, code) in [
        (
            with("model", json!("absent")),
            404,
            "model",
            "model_not_found",
        ),
        (with("model", json!("talk")), 400, "model", "invalid_value"),
        (with("model", json!("small")), 400, "model", "invalid_value"),
        (
            with("dimensions", json!(7)),
            400,
            "dimensions",
            "unsupported_parameter",
        ),
        (wanted(json!([])), 400, "input", "invalid_value"),
        (wanted(json!([[]])), 400, "input", "invalid_value"),
        (wanted(json!([9999])), 400, "input", "invalid_value"),
        (wanted(json!(long)), 400, "input", "context_length_exceeded"),
        (
            with("truncate", json!(true)),
            400,
            "truncate",
            "unknown_parameter",
        ),
    ] {
        let refused = ask(&api, post(PATH, &body)).await;
        assert_eq!(refused.status.as_u16(), status, "{body}");
        // What a model has no schema says.
        let fit = fits(&schema("http-embeddings-request"), &body).is_ok();
        let none = [json!([]), json!([[]])].contains(&body["input"]);
        assert_eq!(fit, param != "truncate" && !none, "{body}");
        let error = refused.json()["error"].clone();
        assert_eq!(
            (&error["param"], &error["code"]),
            (&json!(param), &json!(code)),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_encoder_is_listed_and_says_nothing() {
    let api = api();
    let listed = get(&api, "/v1/models/embed").await.json();
    assert_eq!(listed["credence"]["context"], EMBEDDING_CONTEXT);
    let chat = json!({"model": "embed", "messages": [{"role": "user", "content": "hi"}]});
    let refused = ask(&api, post("/v1/chat/completions", &chat)).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let message = refused.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("/v1/embeddings"), "{message}");
    let tensors = r#"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}"#;
    let infer = post(
        "/v2/models/embed/infer",
        &serde_json::from_str(tensors).unwrap(),
    );
    let refused = ask(&api, infer).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.error().contains("/v1/embeddings"));
}

#[tokio::test]
async fn what_takes_too_long_is_refused_in_the_form_of_this_api() {
    let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
    let embed = Hosted::new("embed".to_owned(), encoder(), options()).unwrap();
    let service = Service::new(operator, vec![embed], Box::new(Kept::default()));
    let limits = credence_node::http::Limits {
        request_time_max: std::time::Duration::ZERO,
        ..ROOMY
    };
    let api = router(Arc::new(service), limits);
    let answer = ask(&api, post(PATH, &wanted(json!(vec!["the thing"; 200])))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"]["code"], "timeout");
    fits(&schema("http-openai-error"), &answer.json()).unwrap();
}

#[tokio::test]
async fn too_many_texts_are_too_many_of_input() {
    let api = api();
    for input in [json!([]), json!(vec!["a"; 257])] {
        let answer = ask(&api, post(PATH, &wanted(input))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.json()["error"]["param"], "input");
    }
}
