//! The API over a real socket: requests that stall, and a stop that lets requests finish.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{ASKED, LIMITS, service};
use credence_node::http::Limits;
use credence_node::{Grace, serve};
use credence_store::MemoryReceipts;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Server {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), std::io::Error>>,
}

async fn start(limits: Limits, grace: Grace) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let service = service(Box::new(MemoryReceipts::new(1 << 20)));
    let until = async {
        stopped.await.unwrap();
    };
    let ended = tokio::spawn(serve(listener, Arc::clone(&service), limits, grace, until));
    Server {
        address,
        stop,
        ended,
    }
}

fn head(len: usize) -> String {
    format!(
        "POST /v2/models/small/infer HTTP/1.1\r\nhost: x\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n"
    )
}

async fn rest(mut socket: TcpStream) -> String {
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn answers_over_a_socket_and_stops_when_told() {
    let server = start(LIMITS, Grace(Duration::from_secs(20))).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = format!("{}{ASKED}", head(ASKED.len()));
    socket.write_all(request.as_bytes()).await.unwrap();
    let answer = rest(socket).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("credence-receipt: "), "{answer}");
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up() {
    let limits = Limits {
        request_time_max: Duration::from_millis(50),
        concurrent_max: 1,
        ..LIMITS
    };
    let server = start(limits, Grace(Duration::from_secs(20))).await;
    let mut stalled = TcpStream::connect(server.address).await.unwrap();
    stalled
        .write_all(head(ASKED.len()).as_bytes())
        .await
        .unwrap();
    stalled.write_all(b"{").await.unwrap();
    let answer = rest(stalled).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    // It held the one permit and must have given it back.
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = format!("{}{ASKED}", head(ASKED.len()));
    socket.write_all(request.as_bytes()).await.unwrap();
    let answer = rest(socket).await;
    assert!(!answer.starts_with("HTTP/1.1 429 "), "{answer}");
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_the_signal_to_stop() {
    let server = start(LIMITS, Grace(Duration::from_secs(20))).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let (begin, end) = ASKED.split_at(ASKED.len() / 2);
    let request = format!("{}{begin}", head(ASKED.len()));
    socket.write_all(request.as_bytes()).await.unwrap();
    // Another request that is answered shows that the server has come to the first one's bytes.
    let mut other = TcpStream::connect(server.address).await.unwrap();
    let whole = format!("{}{ASKED}", head(ASKED.len()));
    other.write_all(whole.as_bytes()).await.unwrap();
    assert!(rest(other).await.starts_with("HTTP/1.1 200 "));
    server.stop.send(()).unwrap();
    socket.write_all(end.as_bytes()).await.unwrap();
    let answer = rest(socket).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_the_server() {
    let server = start(LIMITS, Grace(Duration::from_millis(50))).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket
        .write_all(head(ASKED.len()).as_bytes())
        .await
        .unwrap();
    socket.write_all(b"{").await.unwrap();
    server.stop.send(()).unwrap();
    server.ended.await.unwrap().unwrap();
}
