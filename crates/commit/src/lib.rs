//! Binds values to digests.
//!
//! The tree is BLAKE3's own, in derive-key mode with the domain string as context: a leaf is a 1,024-byte chunk, and the root
//! of a content is the ordinary BLAKE3 derive-key output over its bytes. Hashing therefore runs at BLAKE3's speed, any
//! stock BLAKE3 library recomputes a root, and still a range of bytes can be shown without the rest:
//!
//! ```text
//! tree::root(domain, content) ──────────────▶ root, into a commitment
//! opening::open(domain, content, ranges) ───▶ Opening: the chunks that cover the ranges, and chaining values
//! opening::verify(domain, root, len, ranges, opening) ─▶ the bytes of each range
//! blocks::{open, verify} ───────────────────▶ the same, but of a chunk only what stands from the first wanted block on
//! ```
//!
//! It deliberately does not know what the bytes mean, and a root alone hides nothing: salting is the business of the
//! claim.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::indexing_slicing,
        clippy::unreachable,
        clippy::string_slice,
        clippy::panic_in_result_fn,
        clippy::wildcard_enum_match_arm
    )
)]

pub mod blocks;
pub mod node;
pub mod opening;
pub mod tree;

pub use opening::{OpenedRange, Opening, OpeningError};
pub use tree::TreeHasher;
