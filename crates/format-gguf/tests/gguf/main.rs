//! GGUF files: golden numbers of other people's programs, what is refused and how it is said, and hostile bytes.

#[cfg(test)]
mod build;
#[cfg(test)]
mod exact;
#[cfg(test)]
mod graph;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod models;
#[cfg(test)]
mod quants;
