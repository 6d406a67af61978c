//! Many at once, clients that leave, and a stop in the middle: what is signed is kept, and nothing is held that nobody waits for.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::http::StatusCode;
use credence_claim::FinishReason;
use credence_node::http::{Limits, router};
use credence_node::speech::Caps;
use credence_node::{Grace, Service, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use crate::common::{CAPS, Kept, ROOMY, ask, check, chunks, endless, output, post, talking};

const CHAT: &str = "/v1/chat/completions";

/// An answer of as many tokens as there is room for.
fn long(more: Value) -> Value {
    let mut body = json!({
        "model": "talk",
        "messages": [{"role": "user", "content": "on"}],
        "logit_bias": endless(),
        "seed": 4,
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

async fn quiet(service: &Service) {
    let quiet = tokio::time::timeout(Duration::from_secs(60), service.quiet());
    quiet.await.expect("all seats come back");
}

#[tokio::test]
async fn a_thousand_at_once_are_answered_or_told_to_wait() {
    let kept = Kept::default();
    let service = talking(Box::new(kept.clone()), CAPS);
    let api = router(Arc::clone(&service), ROOMY);
    let expected = ask(&api, post(CHAT, &long(json!({"max_tokens": 20}))))
        .await
        .json();
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let api = api.clone();
            tokio::spawn(
                async move { ask(&api, post(CHAT, &long(json!({"max_tokens": 20})))).await },
            )
        })
        .collect();
    let (mut answered, mut refused) = (0, 0);
    for task in tasks {
        let answer = task.await.unwrap();
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused += 1;
            assert_eq!(answer.headers["retry-after"], "1");
            assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
        } else {
            answered += 1;
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(
                answer.json()["choices"][0]["message"],
                expected["choices"][0]["message"]
            );
        }
    }
    assert_eq!(answered + refused, 1000);
    assert!(answered >= CAPS.running_max);
    quiet(&service).await;
    assert_eq!(
        kept.0.lock().unwrap().len(),
        answered + 1,
        "one receipt each"
    );
    let after = ask(&api, post(CHAT, &long(json!({"max_tokens": 20})))).await;
    assert_eq!(after.status, StatusCode::OK);
}

#[tokio::test]
async fn more_than_there_are_places_wait_or_are_refused() {
    let caps = Caps {
        running_max: 2,
        waiting_max: 0,
        ..CAPS
    };
    let service = talking(Box::new(Kept::default()), caps);
    let api = router(Arc::clone(&service), ROOMY);
    let ok = ask(&api, post(CHAT, &long(json!({"n": 2})))).await;
    assert_eq!(ok.status, StatusCode::OK);
    let never = ask(&api, post(CHAT, &long(json!({"n": 3})))).await;
    assert_eq!(never.status, StatusCode::BAD_REQUEST);
    assert_eq!(never.json()["error"]["param"], "n");
    let plain = json!({"model": "talk", "prompt": ["a", "b", "c"]});
    let never = ask(&api, post("/v1/completions", &plain)).await;
    assert_eq!(never.status, StatusCode::BAD_REQUEST);
}

/// Begins a stream and reads until it has said something; gives the body.
async fn begun(api: &axum::Router) -> axum::body::Body {
    let response = api
        .clone()
        .oneshot(post(CHAT, &long(json!({"stream": true}))))
        .await;
    let mut body = response.unwrap().into_body();
    let mut pin = std::pin::Pin::new(&mut body);
    for _ in 0..3 {
        let frame = std::future::poll_fn(|cx| pin.as_mut().poll_frame(cx)).await;
        assert!(frame.unwrap().unwrap().is_data());
    }
    body
}

#[tokio::test]
async fn a_client_that_leaves_cancels_and_the_receipt_says_so() {
    let kept = Kept::default();
    let service = talking(Box::new(kept.clone()), CAPS);
    let api = router(Arc::clone(&service), ROOMY);
    // The model is quick, so some answers may have ended before their client has left.
    for _ in 0..100 {
        drop(begun(&api).await);
        quiet(&service).await;
        let bundle = kept
            .0
            .lock()
            .unwrap()
            .pop()
            .expect("a token was drawn, so there is a receipt");
        let claim = check(&bundle, None).claim;
        let drawn = output(&bundle).tokens.len();
        if claim.fields().finish == FinishReason::Cancelled {
            assert!(drawn >= 2, "two tokens were read");
            return;
        }
    }
    panic!("no answer was cancelled");
}

#[tokio::test]
async fn those_who_wait_and_leave_cost_nothing() {
    let caps = Caps {
        running_max: 1,
        waiting_max: 30,
        ..CAPS
    };
    let kept = Kept::default();
    let service = talking(Box::new(kept.clone()), caps);
    let api = router(Arc::clone(&service), ROOMY);
    let running = begun(&api).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let asked = api
            .clone()
            .oneshot(post(CHAT, &long(json!({"stream": true}))))
            .await;
        waiting.push(asked.unwrap().into_body());
    }
    drop(waiting);
    drop(running);
    quiet(&service).await;
    assert!(kept.0.lock().unwrap().len() <= 21);
    let after = ask(&api, post(CHAT, &long(json!({"max_tokens": 3})))).await;
    assert_eq!(after.status, StatusCode::OK);
}

struct Server {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), std::io::Error>>,
}

async fn start(service: &Arc<Service>, limits: Limits, grace: Duration) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let until = async {
        stopped.await.unwrap();
    };
    let ended = tokio::spawn(serve(
        listener,
        Arc::clone(service),
        limits,
        Grace(grace),
        until,
    ));
    Server {
        address,
        stop,
        ended,
    }
}

fn request(body: &Value) -> String {
    let body = body.to_string();
    let len = body.len();
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// The body of a chunked response.
fn unchunked(mut text: &str) -> String {
    let mut body = String::new();
    while let Some((len, rest)) = text.split_once("\r\n") {
        let len = usize::from_str_radix(len, 16).unwrap();
        if len == 0 {
            break;
        }
        body.push_str(&rest[..len]);
        text = &rest[len + 2..];
    }
    body
}

async fn stop_with_streams_open(grace: Duration) -> (Vec<Vec<Value>>, Vec<bool>, Kept) {
    let kept = Kept::default();
    let service = talking(Box::new(kept.clone()), CAPS);
    let server = start(&service, ROOMY, grace).await;
    let mut sockets = Vec::new();
    for _ in 0..6 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let asked = request(&long(json!({"stream": true})));
        socket.write_all(asked.as_bytes()).await.unwrap();
        let mut first = [0; 1];
        socket.read_exact(&mut first).await.unwrap();
        sockets.push(socket);
    }
    server.stop.send(()).unwrap();
    let (mut all, mut done) = (Vec::new(), Vec::new());
    for mut socket in sockets {
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let (own, whole) = chunks(unchunked(body).as_bytes());
        all.push(own);
        done.push(whole);
    }
    server.ended.await.unwrap().unwrap();
    (all, done, kept)
}

#[tokio::test]
async fn a_stop_lets_streams_finish() {
    let (all, done, kept) = stop_with_streams_open(Duration::from_secs(60)).await;
    assert!(done.iter().all(|done| *done));
    assert_eq!(kept.0.lock().unwrap().len(), 6);
    for own in all {
        let finish = &own.last().unwrap()["choices"][0]["finish_reason"];
        assert_eq!(finish, "length");
    }
}

#[tokio::test]
async fn a_stop_without_grace_ends_streams_with_receipts() {
    let (all, done, kept) = stop_with_streams_open(Duration::ZERO).await;
    let kept = kept.0.lock().unwrap();
    for bundle in kept.iter() {
        check(bundle, None);
    }
    let mut receipts = 0;
    for (own, done) in all.iter().zip(done) {
        let last = own.last().unwrap();
        if done {
            assert!(last["credence"]["receipt"].is_string());
            receipts += 1;
        } else {
            assert_eq!(last["error"]["code"], "stopping", "{last}");
        }
    }
    assert_eq!(receipts, kept.len(), "who has a token has a receipt");
}

#[tokio::test]
async fn heads_that_come_slowly_are_given_up() {
    let service = talking(Box::new(Kept::default()), CAPS);
    let limits = Limits {
        head_time_max: Duration::from_millis(100),
        ..ROOMY
    };
    let server = start(&service, limits, Duration::ZERO).await;
    for sent in [&b"POST / HTTP/1.1\r\nx: "[..], b""] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        // The server hangs up, with a word or without one.
        let ended = socket.read_to_end(&mut rest);
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        ended.expect("the server hangs up").unwrap();
    }
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn bodies_that_come_slowly_keep_nobody_from_being_served() {
    let service = talking(Box::new(Kept::default()), CAPS);
    let limits = Limits {
        concurrent_max: 1,
        bodies_bytes_max: 1000,
        ..ROOMY
    };
    let server = start(&service, limits, Duration::ZERO).await;
    let mut stalled = Vec::new();
    for path in ["/v2/models/small/infer", CHAT] {
        for _ in 0..10 {
            let mut socket = TcpStream::connect(server.address).await.unwrap();
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n{{");
            socket.write_all(head.as_bytes()).await.unwrap();
            stalled.push(socket);
        }
    }
    let api = async |text: String| {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = api(request(&long(json!({"max_tokens": 2})))).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let large = long(json!({"max_tokens": 2, "user": "x".repeat(1000)}));
    let answer = api(request(&large)).await;
    assert!(
        answer.starts_with("HTTP/1.1 429 "),
        "all bodies together have a bound: {answer}"
    );
    drop(stalled);
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}

/// The most memory that this process has held, in KiB.
fn most_held_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_over_sockets_take_bounded_memory() {
    let kept = Kept::default();
    let service = talking(Box::new(kept.clone()), CAPS);
    let limits = Limits {
        connections_max: 2000,
        ..ROOMY
    };
    let server = start(&service, limits, Duration::from_secs(20)).await;
    let before = most_held_kib();
    let asked = request(&long(json!({"max_tokens": 20, "stream": true})));
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let (asked, address) = (asked.clone(), server.address);
            tokio::spawn(async move {
                let mut socket = TcpStream::connect(address).await.unwrap();
                socket.write_all(asked.as_bytes()).await.unwrap();
                let mut text = String::new();
                socket.read_to_string(&mut text).await.unwrap();
                text
            })
        })
        .collect();
    let (mut answered, mut refused) = (0, 0);
    for task in tasks {
        let text = task.await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        if head.starts_with("HTTP/1.1 200 ") {
            answered += 1;
            let (all, done) = chunks(unchunked(body).as_bytes());
            assert!(done, "{}", all.last().unwrap());
        } else {
            refused += 1;
            assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
            assert!(head.to_lowercase().contains("retry-after: 1"), "{head}");
        }
    }
    assert_eq!(answered + refused, 1000);
    assert!(answered >= CAPS.running_max);
    quiet(&service).await;
    assert_eq!(kept.0.lock().unwrap().len(), answered, "one receipt each");
    let grown = most_held_kib() - before;
    eprintln!("speech::a_thousand_at_once/grown_kib {grown}");
    assert!(grown < 256 << 10, "{grown} KiB");
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}

/// Four answers at once of all that is ever reported: more than a queue holds.
fn much() -> String {
    let much = json!({"stream": true, "n": 4, "logprobs": true, "top_logprobs": 20});
    request(&long(much)).replace("connection: close\r\n", "")
}

/// A client with little room, that has asked for more than buffers hold, and reads nothing.
async fn silent(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(server.address).await.unwrap();
    socket
        .write_all(much().repeat(12).as_bytes())
        .await
        .unwrap();
    socket
}

#[tokio::test]
async fn a_client_that_does_not_read_gives_its_place_back() {
    let service = talking(Box::new(Kept::default()), CAPS);
    let limits = Limits {
        connections_max: 1,
        write_time_max: Duration::from_millis(300),
        ..ROOMY
    };
    let server = start(&service, limits, Duration::ZERO).await;
    // One reads nothing, another a little now and then.
    for trickles in [false, true] {
        let mut socket = silent(&server).await;
        let reader = tokio::spawn(async move {
            let mut some = [0; 64];
            while trickles && socket.read(&mut some).await.is_ok_and(|len| len > 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            socket
        });
        let other = async {
            let mut socket = TcpStream::connect(server.address).await.unwrap();
            let asked = request(&long(json!({"max_tokens": 2})));
            socket.write_all(asked.as_bytes()).await.unwrap();
            let mut text = String::new();
            socket.read_to_string(&mut text).await.unwrap();
            text
        };
        let text = tokio::time::timeout(Duration::from_secs(20), other).await;
        let text = text.expect("the place is given back");
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        // What the system has taken of the answer would last a trickle for minutes.
        reader.abort();
        drop(reader.await);
        quiet(&service).await;
    }
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}

/// Asks over sockets and hangs up, until an answer was cut off; its receipt is read from where it is kept.
async fn hang_up(asked: &str, reads: usize) {
    let kept = Kept::default();
    let service = talking(Box::new(kept.clone()), CAPS);
    let server = start(&service, ROOMY, Duration::ZERO).await;
    // Sooner or later, since the model is quick on one machine and slow on another.
    for attempt in 0..200 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(asked.as_bytes()).await.unwrap();
        let mut some = vec![0; reads];
        socket.read_exact(&mut some).await.unwrap();
        tokio::time::sleep(Duration::from_millis(attempt % 10)).await;
        drop(socket);
        tokio::time::sleep(Duration::from_millis(2)).await;
        quiet(&service).await;
        let bundles = core::mem::take(&mut *kept.0.lock().unwrap());
        let cancelled = |bundle: &Vec<u8>| {
            let claim = check(bundle, None).claim;
            assert!(!output(bundle).tokens.is_empty());
            claim.fields().finish == FinishReason::Cancelled
        };
        if bundles.iter().any(cancelled) {
            server.stop.send(()).unwrap();
            server.ended.await.unwrap().unwrap();
            return;
        }
    }
    panic!("no answer was cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_in_a_stream_leaves_a_receipt() {
    hang_up(&much(), 2000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hangs_up_before_an_answer_is_whole_leaves_a_receipt() {
    let whole = json!({"n": 4, "logprobs": true, "top_logprobs": 20});
    hang_up(&request(&long(whole)), 0).await;
}
