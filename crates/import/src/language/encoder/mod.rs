//! Encoders as floats: what every format of them is parsed into, the run that fidelity is measured against, and how faithful a program is.
//!
//! One shape covers the BERT family: word, position and kind embeddings under a LayerNorm; blocks of attention in which every position sees all,
//! each half added to what it read and normalised behind; then one vector for the whole text. [`EncoderParts`] is what a format fills in,
//! [`EncoderGraph`] the same once it has been found to fit together. Deliberately absent: relative positions, pairs of texts, heads for tasks.

mod fidelity;
mod float;
mod graph;

pub use fidelity::{EncoderFidelity, EncoderFidelityError, encoder_fidelity};
pub use float::EncoderRun;
pub use graph::{EncoderBlock, EncoderGraph, EncoderParts, Pooling};
