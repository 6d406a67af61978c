//! Graphs of ops on values.

#[cfg(test)]
mod cases;
