//! The node's API, tested as a client sees it.
#![cfg(test)]

#[cfg(test)]
mod common;
#[cfg(test)]
mod http;
#[cfg(test)]
mod socket;
