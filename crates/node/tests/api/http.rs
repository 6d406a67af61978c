//! The API without a socket: answers, receipts, and each refusal with its status and reason.

use std::sync::Arc;

use crate::common::{ASKED, LIMITS, api, ask, get, infer, model, options, service};
use crate::speech_schemas::schema;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use credence_base::ReceiptDigest;
use credence_claim::{MethodId, Openings};
use credence_method_replay::Replay;
use credence_method_spot::Evidence;
use credence_node::http::{BUNDLE_HEADER, Limits, NONCE_HEADER, RECEIPT_HEADER, router};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::{MemoryReceipts, Receipts, StoreError};
use credence_testkit::schema::fits;
use credence_verify::{Facts, Policy, check_bytes};
use serde_json::{Value, json};

const NONCE: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

#[tokio::test]
async fn health_and_metadata() {
    let api = api();
    let id = model().id().to_string();
    let version = format!("/v2/models/small/versions/{id}");
    let metadata = json!({
        "name": "small",
        "versions": [id],
        "platform": "credence_exact-1",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "best", "datatype": "INT64", "shape": [-1]},
        ],
    });
    let ready = json!({"name": "small", "ready": true});
    let cases = [
        ("/v2/health/live", json!({"live": true})),
        ("/v2/health/ready", json!({"ready": true})),
        ("/v2/models/small", metadata.clone()),
        (&version, metadata),
        ("/v2/models/small/ready", ready.clone()),
        (&format!("{version}/ready"), ready),
    ];
    for (path, expected) in cases {
        let answer = get(&api, path).await;
        assert_eq!(
            (answer.status, answer.json()),
            (StatusCode::OK, expected),
            "{path}"
        );
    }
    assert_eq!(get(&api, "/v2").await.json()["name"], "credence");
    let by_id = get(&api, &format!("/v2/models/{id}")).await;
    assert_eq!(by_id.json()["name"], id.as_str());
}

#[tokio::test]
async fn an_answer_has_a_receipt_that_anyone_can_verify() {
    let api = api();
    let answer = infer(&api, ASKED, &[(NONCE_HEADER, NONCE)]).await;
    assert_eq!(answer.status, StatusCode::OK);
    let id = model().id().to_string();
    let expected = json!({
        "model_name": "small",
        "model_version": id,
        "id": "7",
        "outputs": [
            {"name": "scores", "shape": [2, 3], "datatype": "FP32", "data": [2.5, -2.5, 8.5, -2.5, 12.5, -4.5]},
            {"name": "best", "shape": [2], "datatype": "INT64", "data": [2, 1]},
        ],
    });
    assert_eq!(answer.json(), expected);

    let digest = answer.headers[RECEIPT_HEADER].to_str().unwrap();
    let path = answer.headers[BUNDLE_HEADER].to_str().unwrap();
    let kept = get(&api, path).await;
    assert_eq!(kept.status, StatusCode::OK);
    assert_eq!(
        kept.headers["content-type"],
        "application/vnd.credence.bundle.v1+json"
    );
    assert_eq!(kept.headers["cache-control"], "private");

    let replay = Replay::new(model(), options()).unwrap();
    let policy = Policy {
        required: vec![MethodId::SIGNED, MethodId::REPLAY],
        models: Some(vec![model().id()]),
        nonce: Some(NONCE.parse().unwrap()),
        ..Policy::signature_only()
    };
    let now_unix_s = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let verified = check_bytes(
        &kept.body,
        1 << 20,
        &policy,
        &[&replay],
        &Facts::at(now_unix_s),
    )
    .unwrap();
    assert_eq!(verified.value().digest().to_string(), digest);
}

#[tokio::test]
async fn requests_are_read_in_every_form_that_the_protocol_has() {
    let api = api();
    let all = infer(&api, ASKED, &[]).await.json()["outputs"].clone();
    let nested = ASKED.replace("[1,2,3,-4]", "[[1,2.0],[3,-4e0]]");
    assert_eq!(infer(&api, &nested, &[]).await.json()["outputs"], all);
    let off = ASKED.replace(
        r#""id":"7""#,
        r#""parameters":{"binary_data_output":false}"#,
    );
    let answer = infer(&api, &off, &[]).await.json();
    assert_eq!(answer["outputs"], all);
    assert!(answer.get("id").is_none());
    let chosen = ASKED.replace(
        r#""id":"7""#,
        r#""outputs":[{"name":"best","parameters":{"binary_data":false}}]"#,
    );
    let outputs = infer(&api, &chosen, &[]).await.json()["outputs"].clone();
    assert_eq!(outputs, json!([all[1]]));
}

#[tokio::test]
async fn bad_requests_are_refused_with_their_reason_and_get_no_receipt() {
    let api = api();
    let inputs = |changed: &str, to: &str| {
        let body = ASKED.replace(changed, to);
        assert_ne!(body, ASKED, "{changed}");
        body
    };
    let cases = [
        ("{".to_owned(), "not the JSON of an inference request"),
        ("{}".to_owned(), "missing field `inputs`"),
        (r#"{"inputs":[]}"#.to_owned(), "input `x` is missing"),
        (inputs("\"x\"", "\"y\""), "`y` is not an input"),
        (inputs("FP32", "INT32"), "convert its elements"),
        (inputs("FP32", "BF16"), "`BF16`"),
        (inputs("[2,2]", "[4,1]"), "[4, 1]"),
        (inputs("[2,2]", "[2,2,1]"), "[2, 2, 1]"),
        (inputs("[2,2]", "[3,2]"), "has 4 elements"),
        (
            inputs("[2,2]", "[-2,2]"),
            "not the JSON of an inference request",
        ),
        (inputs("[2,2]", "[9223372036854775807,2]"), "has 4 elements"),
        (
            inputs("[2,2]", "[0,2]").replace("[1,2,3,-4]", "[]"),
            "batch is empty",
        ),
        (
            inputs("1,2,3", "1,NaN,3"),
            "not the JSON of an inference request",
        ),
        (inputs("1,2,3", "1,1e39,3"), "element 1 of tensor `x`"),
        (inputs("1,2,3", "1,true,3"), "boolean"),
        (inputs("[1,2,3,-4]", "[[1,2,3],[-4]]"), "stand side by side"),
        (
            inputs("[1,2,3,-4]", "[[1],[2],[3],[-4]]"),
            "nested as [4, 1]",
        ),
        (
            inputs("\"id\":\"7\"", "\"outputs\":[{\"name\":\"z\"}]"),
            "there is no output `z`; the model has `scores`, `best`",
        ),
        (
            inputs("\"id\":\"7\"", "\"parameters\":{\"temperature\":1}"),
            "parameter `temperature` of the request",
        ),
        (
            inputs(
                "\"shape\"",
                "\"parameters\":{\"binary_data_size\":8},\"shape\"",
            ),
            "parameter `binary_data_size` of tensor `x`",
        ),
        (inputs("\"id\"", "\"ids\""), "unknown field `ids`"),
        (inputs("}]}", "}]} "), ""),
    ];
    for (body, expected) in cases {
        let answer = infer(&api, &body, &[]).await;
        // White space behind the value is JSON as well.
        if expected.is_empty() {
            assert_eq!(answer.status, StatusCode::OK);
            continue;
        }
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(
            answer.error().contains(expected),
            "{body}: {}",
            answer.error()
        );
        assert!(!answer.headers.contains_key(RECEIPT_HEADER));
    }
}

#[tokio::test]
async fn headers_that_mean_something_else_are_refused() {
    let api = api();
    let long = format!("{NONCE}5a");
    let upper = NONCE.to_uppercase();
    for nonce in ["", "5a", &long, &upper] {
        let answer = infer(&api, ASKED, &[(NONCE_HEADER, nonce)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{nonce}");
        assert!(answer.error().contains(NONCE_HEADER));
    }
    let twice = [(NONCE_HEADER, NONCE), (NONCE_HEADER, NONCE)];
    assert_eq!(
        infer(&api, ASKED, &twice).await.status,
        StatusCode::BAD_REQUEST
    );
    let binary = [("inference-header-content-length", "9")];
    let answer = infer(&api, ASKED, &binary).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.error().contains("binary"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let api = api();
    let zeros = "0".repeat(64);
    let cases = [
        ("/", StatusCode::NOT_FOUND),
        ("/v2/models/other", StatusCode::NOT_FOUND),
        ("/v2/models/other/ready", StatusCode::NOT_FOUND),
        (
            &format!("/v2/models/small/versions/{zeros}"),
            StatusCode::NOT_FOUND,
        ),
        (&format!("/v1/receipts/{zeros}"), StatusCode::NOT_FOUND),
        ("/v1/receipts/12", StatusCode::BAD_REQUEST),
        ("/v1/receipts/..%2Foperator.pem", StatusCode::BAD_REQUEST),
        ("/v2/models/small/infer", StatusCode::METHOD_NOT_ALLOWED),
    ];
    for (path, status) in cases {
        let answer = get(&api, path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.error().is_empty());
    }
    let post = |path: &str| {
        let request = Request::builder().method(Method::POST).uri(path);
        request.body(Body::from(ASKED)).unwrap()
    };
    let other = ask(&api, post("/v2/models/other/infer")).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    let version = format!("/v2/models/small/versions/{zeros}/infer");
    assert_eq!(
        ask(&api, post(&version)).await.status,
        StatusCode::NOT_FOUND
    );
    let version = format!("/v2/models/small/versions/{}/infer", model().id());
    assert_eq!(ask(&api, post(&version)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn limits_hold() {
    let long = format!("{ASKED}{}", " ".repeat(LIMITS.body_bytes_max));
    let answer = infer(&api(), &long, &[]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.error().contains("4096"));

    let none = Limits {
        concurrent_max: 0,
        ..LIMITS
    };
    let full = router(service(Box::new(MemoryReceipts::new(1 << 20))), none);
    let answer = infer(&full, ASKED, &[]).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers["retry-after"], "1");
    assert!(answer.error().contains("try again"));
    assert_eq!(
        get(&full, "/v2/health/live").await.status,
        StatusCode::OK,
        "health is not limited"
    );

    let permits = api();
    for _ in 0..2 * LIMITS.concurrent_max {
        let bad = infer(&permits, "{", &[]).await;
        assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(
        infer(&permits, ASKED, &[]).await.status,
        StatusCode::OK,
        "a refused request gives its permit back"
    );
}

/// A disk that is full.
pub(crate) struct Full;

impl Receipts for Full {
    fn put(&self, _: ReceiptDigest, _: &[u8]) -> Result<(), StoreError> {
        Err(StoreError::Full {
            path: "/secret/place".into(),
            source: std::io::Error::from(std::io::ErrorKind::StorageFull),
        })
    }

    fn get(&self, _: ReceiptDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        Err(StoreError::Denied {
            path: "/secret/place".into(),
            action: credence_store::Action::Read,
        })
    }
}

#[tokio::test]
async fn no_receipt_no_answer_and_no_paths() {
    let api = router(service(Box::new(Full)), LIMITS);
    let answer = infer(&api, ASKED, &[]).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.error().contains("no answer is given"));
    let read = get(&api, &format!("/v1/receipts/{}", "0".repeat(64))).await;
    assert_eq!(read.status, StatusCode::INTERNAL_SERVER_ERROR);
    for answer in [answer, read] {
        let text = String::from_utf8(answer.body).unwrap();
        assert!(
            !text.contains("secret") && !text.contains("scores"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn without_its_key_a_receipt_shows_nothing_of_what_was_asked() {
    let api = api();
    let answer = infer(&api, ASKED, &[]).await;
    let digest = answer.headers[RECEIPT_HEADER].to_str().unwrap();
    let path = answer.headers[BUNDLE_HEADER].to_str().unwrap();
    let whole = Bundle::decode(&get(&api, path).await.body, BUNDLE_LEN_MAX).unwrap();
    assert!(whole.openings().input.is_some());

    let public = get(&api, &format!("/v1/receipts/{digest}")).await;
    assert_eq!(public.status, StatusCode::OK);
    let public = Bundle::decode(&public.body, BUNDLE_LEN_MAX).unwrap();
    assert_eq!(public.receipt(), whole.receipt());
    assert_eq!(*public.openings(), Openings::default());
    assert!(public.evidence().is_empty());

    let zeros = "0".repeat(64);
    let other = infer(&api, ASKED, &[]).await;
    let others = other.headers[BUNDLE_HEADER].to_str().unwrap();
    let others = others.split_once("key=").unwrap().1;
    for key in [zeros.as_str(), others] {
        let refused = get(&api, &format!("/v1/receipts/{digest}?key={key}")).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{key}");
    }
    for query in ["key=12", "kee=1", "key="] {
        let refused = get(&api, &format!("/v1/receipts/{digest}?{query}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn a_run_is_opened_to_whoever_has_the_key_and_asks_in_bounds() {
    let api = api();
    let answer = infer(&api, ASKED, &[]).await;
    let path = answer.headers[BUNDLE_HEADER].to_str().unwrap();
    let path = path.replacen('?', "/audit?", 1);
    let challenge = "07".repeat(32);
    let asked = |cells: u32, rows: u32, card: &str| {
        json!({"challenge": challenge, "cells": cells, "rows": rows, "card": card}).to_string()
    };
    let send = async |path: &str, body: String| {
        let fit = serde_json::from_str::<Value>(&body)
            .is_ok_and(|body| fits(&schema("http-audit-request"), &body).is_ok());
        let request = Request::post(path).body(Body::from(body)).unwrap();
        let answer = ask(&api, request).await;
        assert_eq!(fit, answer.status != StatusCode::BAD_REQUEST);
        answer
    };
    let opened = send(&path, asked(8, 1, "program")).await;
    assert_eq!(opened.status, StatusCode::OK);
    assert_eq!(opened.headers["cache-control"], "private");
    let evidence = Evidence::decode(&opened.body).unwrap();
    assert_eq!((evidence.cells, evidence.card.is_some()), (8, true));
    // Another challenge opens other cells, and the same one the same.
    assert_eq!(send(&path, asked(8, 1, "program")).await.body, opened.body);

    let public = path.split_once('?').unwrap().0;
    let other = format!("{public}?key={}", "0".repeat(64));
    let absent = path.replacen(&public[13..77], &"1".repeat(64), 1);
    let with = |name: &str, value: Value| {
        let mut body = json!({"challenge": challenge, "cells": 8});
        body[name] = value;
        body.to_string()
    };
    let cases = [
        (public, asked(8, 1, "nothing"), StatusCode::FORBIDDEN),
        (&other, asked(8, 1, "nothing"), StatusCode::FORBIDDEN),
        (&absent, asked(8, 1, "nothing"), StatusCode::NOT_FOUND),
        (&path, asked(0, 1, "nothing"), StatusCode::BAD_REQUEST),
        (&path, asked(4097, 1, "nothing"), StatusCode::BAD_REQUEST),
        (&path, asked(8, 17, "nothing"), StatusCode::BAD_REQUEST),
        (&path, asked(8, 1, "weights"), StatusCode::BAD_REQUEST),
        (&path, "{}".to_owned(), StatusCode::BAD_REQUEST),
        (
            &path,
            with("cosignatures", json!("x")),
            StatusCode::BAD_REQUEST,
        ),
        (
            &path,
            with("challenge", json!("07")),
            StatusCode::BAD_REQUEST,
        ),
        (
            &path,
            with("challenge", json!(null)),
            StatusCode::BAD_REQUEST,
        ),
        (&path, with("claim", json!("")), StatusCode::BAD_REQUEST),
        (&path, with("card", json!(null)), StatusCode::BAD_REQUEST),
        (&path, with("cosignatures", json!(null)), StatusCode::OK),
        (&path, " ".repeat(5000), StatusCode::BAD_REQUEST),
    ];
    for (path, body, status) in cases {
        assert_eq!(send(path, body).await.status, status, "{path}");
    }
}
