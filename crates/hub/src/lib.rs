//! Keeps models by `ModelId`, and finds them by name.
//!
//! ```text
//! models/<ModelId>.safetensors     the model; its id is recomputed on every load
//! models/names.json                name ──▶ ModelId, changed under a lock, replaced whole
//! ```
//!
//! A name is local and proves nothing: what a receipt claims, and what a check compares, is the id.
//!
//! It deliberately does not run or import models, and fetches nothing over a network.
#![forbid(unsafe_code)]

mod error;
mod hub;
mod names;
mod query;

pub use error::HubError;
pub use hub::{Entry, Hub, Loaded, Removed};
pub use query::{PREFIX_LEN_MIN, Query};
