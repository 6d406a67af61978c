//! A stream of server-sent events: what a speaker tells, as it tells it. Whoever drops the stream withdraws the answer.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;

use crate::http::openai_error::OpenAiError;
use crate::openai::Teller;
use crate::speech::Event;

/// How much of the stream is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Middle,
    End,
}

struct Sse {
    events: Receiver<Event>,
    teller: Teller,
    stage: Stage,
}

/// The response that tells.
pub(crate) fn respond(events: Receiver<Event>, teller: Teller) -> Response {
    let body = Body::from_stream(Sse {
        events,
        teller,
        stage: Stage::Begin,
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

fn write(out: &mut Vec<u8>, chunk: &Value) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(chunk.to_string().as_bytes());
    out.extend_from_slice(b"\n\n");
}

impl Stream for Sse {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let own = self.get_mut();
        let mut out = Vec::new();
        match own.stage {
            Stage::End => return Poll::Ready(None),
            Stage::Begin => {
                own.stage = Stage::Middle;
                for chunk in own.teller.begin() {
                    write(&mut out, &chunk);
                }
            }
            Stage::Middle => {
                let event = ready!(own.events.poll_recv(cx));
                let over = event.is_none();
                for chunk in event.into_iter().flat_map(|event| own.teller.tell(event)) {
                    write(&mut out, &chunk);
                }
                if over || own.teller.is_whole() {
                    own.stage = Stage::End;
                    match own.teller.finish() {
                        Ok(usage) => {
                            if let Some(chunk) = usage {
                                write(&mut out, &chunk);
                            }
                            out.extend_from_slice(b"data: [DONE]\n\n");
                        }
                        Err(trouble) => write(&mut out, &OpenAiError::from(trouble).body()),
                    }
                }
            }
        }
        Poll::Ready(Some(Ok(Bytes::from(out))))
    }
}
