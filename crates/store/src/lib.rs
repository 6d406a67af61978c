//! Keeps bytes on disk, behind small functions and traits that say what is durable when they return.
//!
//! ```text
//! Home ──▶ keys/operator.pem      KeyFile      0600, made on first need
//!     ├──▶ receipts/<digest>.json Receipts     one file each, never written twice
//!     └──▶ models/                credence-hub
//! file::{read, write, create}                  bounded, atomic: a reader sees the old file or the new one, whole
//! map                                          bounded, and nothing is copied
//! objects::Objects                             created once, or replaced whole: a folder, or a bucket of S3
//! index::Index                                 digest to position, a cache: SQLite, or PostgreSQL
//! Vault ──▶ Objects                            receipts again, encrypted if there is a key, kept for so many days
//! ```
//!
//! It deliberately knows nothing about what the bytes mean: whoever reads them checks them. An environment variable
//! may say where the home folder is, and nothing else.
//!
//! The one `unsafe` expression stands in `map`, with its reason.
#![deny(unsafe_code)]

mod error;
pub mod file;
mod home;
pub mod index;
mod key;
mod map;
pub mod objects;
mod receipts;
mod vault;

pub use error::{Action, StoreError};
pub use home::{Home, HomeError};
pub use key::{KeyFile, KeyFileError, Made, read_secret};
pub use map::{Map, map};
pub use receipts::{FolderReceipts, MemoryReceipts, Receipts};
pub use vault::{Clock, Swept, Vault, VaultError, VaultKey, VaultKeyError};
