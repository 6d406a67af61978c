//! The node's API, tested as a client sees it.

mod common;
mod http;
mod socket;
