//! A small model, a service over it, and requests without a socket.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use credence_base::{Nonce, ReceiptDigest, SigningKey};
use credence_claim::MethodId;
use credence_exact::{ArgMax, Dtype, Input, Linear, NodeId, Op, ParamId};
use credence_exec::{Isa, Options};
use credence_generate::Output;
use credence_method_replay::Replay;
use credence_model::{
    BorderType, Decode, Encode, InputSpec, Model, NodeSpec, OutputSpec, ParamSpec, ProgramSpec,
};
use credence_node::http::{Limits, router};
use credence_node::speech::Caps;
use credence_node::{Hosted, Operator, Service};
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, Inference, Statement};
use credence_store::{MemoryReceipts, Receipts, StoreError};
use credence_testkit::speaking::{speaking, speaking_by, text_spec};
use credence_verify::{Facts, Policy, check_bytes};
use serde_json::Value;
use tower::ServiceExt as _;

pub(crate) const LIMITS: Limits = Limits {
    body_bytes_max: 4096,
    bodies_bytes_max: 1 << 20,
    concurrent_max: 2,
    connections_max: 64,
    head_time_max: Duration::from_secs(20),
    request_time_max: Duration::from_secs(20),
    write_time_max: Duration::from_secs(20),
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

/// Receipts that a test can look at.
#[derive(Clone, Default)]
pub(crate) struct Kept(pub(crate) Arc<Mutex<Vec<Vec<u8>>>>);

impl Receipts for Kept {
    fn put(&self, _: ReceiptDigest, bundle: &[u8]) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(bundle.to_vec());
        Ok(())
    }

    fn get(&self, digest: ReceiptDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        let all = self.0.lock().unwrap();
        let found = all.iter().find(|bytes| {
            let bundle = Bundle::decode(bytes, BUNDLE_LEN_MAX).unwrap();
            bundle.receipt().digest() == digest
        });
        Ok(found.map(|bytes| bytes.as_slice().into()))
    }
}

pub(crate) const CAPS: Caps = Caps {
    running_max: 4,
    waiting_max: 8,
    prompt_tokens_max: 64,
    answer_tokens_max: 1000,
};

/// Reads all that a request may bring: tools, calls, names, the date, `enable_thinking`.
const TEMPLATE: &str = r#"{% if tools %}{{ 'Answer <tool_call>{"name": f, "arguments": a}</tool_call>' }}{% for tool in tools %}{{ tool.function.name }}{% endfor %}{% endif %}\
{% if strftime_now is defined %}{{ strftime_now('%d') }}{% endif %}{% if enable_thinking %}{{ 'think' }}{% endif %}\
{% for message in messages %}{{ '<|start|>' + message.role }}{% if message.name %}{{ ' ' + message.name }}{% endif %}{{ '\n' + message.content }}\
{% for call in message.tool_calls %}{{ call.function.name }}{% endfor %}{{ '<|stop|>' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"#;

/// A small language model, made once.
pub(crate) fn spoken() -> Arc<Model> {
    static MODEL: OnceLock<Arc<Model>> = OnceLock::new();
    let template = TEMPLATE.replace("\\\n", "");
    Arc::clone(MODEL.get_or_init(|| Arc::new(speaking_by(7, &template))))
}

/// A service of a language model, `talk`, with another template; without one it is what [`speaking`] gives, which reads roles and contents.
pub(crate) fn talking_by(template: Option<&str>) -> Router {
    let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
    let model = template.map_or_else(|| speaking(7), |template| speaking_by(7, template));
    let talk = Hosted::with_caps("talk".to_owned(), Arc::new(model), options(), CAPS).unwrap();
    let service = Service::new(operator, vec![talk], Box::new(Kept::default()));
    router(Arc::new(service), ROOMY)
}

/// A service of a language model, `talk`, and one of tensors, `small`.
pub(crate) fn talking(receipts: Box<dyn Receipts>, caps: Caps) -> Arc<Service> {
    let operator = Operator::new(SigningKey::from_seed(&[1; 32]));
    let talk = Hosted::with_caps("talk".to_owned(), spoken(), options(), caps).unwrap();
    let small = Hosted::new("small".to_owned(), model(), options()).unwrap();
    Arc::new(Service::new(operator, vec![talk, small], receipts))
}

pub(crate) const ROOMY: Limits = Limits {
    body_bytes_max: 1 << 20,
    bodies_bytes_max: 1 << 24,
    ..LIMITS
};

pub(crate) fn talking_api() -> Router {
    router(talking(Box::new(Kept::default()), CAPS), ROOMY)
}

pub(crate) fn post(path: &str, body: &Value) -> Request<Body> {
    let body = Body::from(body.to_string());
    Request::post(path).body(body).unwrap()
}

/// The ends of the model's answers, which a bias keeps away.
pub(crate) fn endless() -> Value {
    let ends = text_spec().ends;
    Value::Object(
        ends.iter()
            .map(|id| (id.to_string(), (-100).into()))
            .collect(),
    )
}

/// Checks a bundle as a client with the model does.
pub(crate) fn check(bundle: &[u8], nonce: Option<Nonce>) -> Inference {
    let replay = Replay::new(spoken(), options()).unwrap();
    let policy = Policy {
        required: vec![MethodId::SIGNED, MethodId::REPLAY],
        models: Some(vec![spoken().id()]),
        nonce,
        ..Policy::signature_only()
    };
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let facts = Facts::at(since.unwrap().as_secs());
    check_bytes(bundle, BUNDLE_LEN_MAX, &policy, &[&replay], &facts).unwrap();
    let bundle = Bundle::decode(bundle, BUNDLE_LEN_MAX).unwrap();
    match bundle.receipt().open().unwrap().into_statement() {
        Statement::Inference(inference) => inference,
        other => panic!("{other:?}"),
    }
}

/// The output that a bundle opens.
pub(crate) fn output(bundle: &[u8]) -> Output {
    let bundle = Bundle::decode(bundle, BUNDLE_LEN_MAX).unwrap();
    Output::decode(&bundle.openings().output.as_ref().unwrap().content).unwrap()
}

/// The chunks of a stream, and whether it ended as it should.
pub(crate) fn chunks(body: &[u8]) -> (Vec<Value>, bool) {
    let text = std::str::from_utf8(body).unwrap();
    let mut events: Vec<&str> = text.split_terminator("\n\n").collect();
    let done = events.last() == Some(&"data: [DONE]");
    if done {
        events.pop();
    }
    let read = |event: &&str| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
    (events.iter().map(read).collect(), done)
}
