//! Disputes from the first message to the verdict: honest parties and named liars, on random models.

mod challengers;
mod common;
mod draws;
mod liars;
mod protocol;
mod sites;
