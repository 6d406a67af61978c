//! A witness over real sockets, its client, and the liars on either side.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod client;
mod evidence;
mod interop;
mod server;
mod shared;
