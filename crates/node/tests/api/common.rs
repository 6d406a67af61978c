//! A small model, a service over it, and requests without a socket.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use credence_base::SigningKey;
use credence_exact::{ArgMax, Dtype, Input, Linear, NodeId, Op, ParamId};
use credence_exec::{Isa, Options};
use credence_model::{
    BorderType, Decode, Encode, InputSpec, Model, NodeSpec, OutputSpec, ParamSpec, ProgramSpec,
};
use credence_node::http::{Limits, router};
use credence_node::{Hosted, Operator, Service};
use credence_store::{MemoryReceipts, Receipts};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const LIMITS: Limits = Limits {
    body_bytes_max: 4096,
    bodies_bytes_max: 1 << 20,
    concurrent_max: 2,
    connections_max: 64,
    head_time_max: Duration::from_secs(20),
    request_time_max: Duration::from_secs(20),
};

/// Two FP32 in; three scores and the best one out.
pub(crate) fn model() -> Arc<Model> {
    let node = |name: &str, op, dtype, cut| NodeSpec {
        name: name.to_owned(),
        op,
        dtype,
        cut,
    };
    let output = |name: &str, node, decode| OutputSpec {
        name: name.to_owned(),
        node: NodeId(node),
        decode,
    };
    let linear = Op::Linear(Linear {
        x: NodeId(0),
        weight: ParamId(0),
        bias: None,
    });
    let (multiplier, shift) = (1, 1);
    let encode = Encode::Quantise {
        multiplier,
        shift: 0,
        min: -128,
        max: 127,
    };
    let spec = ProgramSpec {
        profile: "exact-1".to_owned(),
        inputs: vec![InputSpec {
            name: "x".to_owned(),
            dtype: BorderType::Fp32,
            shape: vec![2],
            encode,
        }],
        params: vec![ParamSpec {
            name: "w".to_owned(),
            dtype: Dtype::I8,
            shape: vec![3, 2],
        }],
        nodes: vec![
            node("x", Op::Input(Input { index: 0 }), Dtype::I8, true),
            node("scores", linear, Dtype::I32, true),
            node(
                "best",
                Op::ArgMax(ArgMax { x: NodeId(1) }),
                Dtype::I32,
                true,
            ),
        ],
        outputs: vec![
            output("scores", 1, Decode::Scale { multiplier, shift }),
            output("best", 2, Decode::Integer {}),
        ],
        language: None,
    };
    Arc::new(Model::new(spec, vec![vec![1, 2, 3, 252, 5, 6]]).unwrap())
}

pub(crate) fn options() -> Options {
    Options {
        threads: NonZeroUsize::MIN,
        isa: Isa::detect(),
    }
}

pub(crate) fn service(receipts: Box<dyn Receipts>) -> Arc<Service> {
    let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
    let hosted = Hosted::new("small".to_owned(), model(), options()).unwrap();
    Arc::new(Service::new(operator, vec![hosted], receipts))
}

pub(crate) fn api() -> Router {
    router(service(Box::new(MemoryReceipts::new(1 << 20))), LIMITS)
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn error(&self) -> String {
        let json = self.json();
        let fields = json.as_object().unwrap();
        assert_eq!(fields.len(), 1, "{json}");
        fields["error"].as_str().unwrap().to_owned()
    }
}

pub(crate) async fn ask(api: &Router, request: Request<Body>) -> Answer {
    let response = api.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: to_bytes(body, 1 << 24).await.unwrap().to_vec(),
    }
}

pub(crate) async fn get(api: &Router, path: &str) -> Answer {
    ask(api, Request::get(path).body(Body::empty()).unwrap()).await
}

pub(crate) async fn infer(api: &Router, body: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::post("/v2/models/small/infer");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ask(api, request.body(Body::from(body.to_owned())).unwrap()).await
}

/// A request of two items.
pub(crate) const ASKED: &str =
    r#"{"id":"7","inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[1,2,3,-4]}]}"#;
