//! The node's API, tested as a client sees it.
#![cfg(test)]

#[cfg(test)]
mod common;
#[cfg(test)]
mod cosigning;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod http;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod socket;
#[cfg(test)]
mod speech;
#[cfg(test)]
mod speech_formats;
#[cfg(test)]
mod speech_load;
#[cfg(test)]
mod speech_refusals;
#[cfg(test)]
mod speech_schemas;
#[cfg(test)]
mod speech_tools;
#[cfg(test)]
mod spots;
