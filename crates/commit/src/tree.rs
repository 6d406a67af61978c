//! The root of a content: BLAKE3 in derive-key mode (`BLAKE3`, section 2.3), nothing added.
//!
//! A root of empty content is defined, like BLAKE3's.

use credence_base::{Digest, Domain};

/// Bytes of one leaf; only the last may be shorter.
pub const CHUNK_LEN: u64 = 1024;

/// The root of `content` for the purpose `domain`.
#[must_use]
pub fn root(domain: Domain, content: &[u8]) -> Digest {
    Digest::from_bytes(blake3::derive_key(domain.as_str(), content))
}

/// The root of the concatenation of `parts`. Where one part ends and the next begins is not committed to.
#[must_use]
pub fn root_parts<'a>(domain: Domain, parts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut hasher = TreeHasher::new(domain);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// Computes a root from content that comes in pieces. Pieces of 16 KiB and more hash fastest.
#[derive(Debug, Clone)]
pub struct TreeHasher(blake3::Hasher);

impl TreeHasher {
    /// Starts with empty content.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self(blake3::Hasher::new_derive_key(domain.as_str()))
    }

    /// Appends `bytes` to the content.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// Bytes of content so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.count()
    }

    /// Whether there is no content so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The root of the content.
    #[must_use]
    pub fn finish(&self) -> Digest {
        Digest::from_bytes(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_base::domain;

    #[test]
    fn golden_roots() {
        let content: Vec<u8> = (0..2050u32)
            .map(|i| u8::try_from(i % 251).unwrap())
            .collect();
        // Made with another BLAKE3: Python's `blake3(content, derive_key_context="credence/output/v1")`.
        let cases = [
            (
                0,
                "00b8c48fa23c58bb90c1a803a87b8d794e0b5cd02b7bee4f3e0bb4fcc90927dc",
            ),
            (
                1,
                "243cd86bf0ac8a21a6c1d38c277fa2fcd3461a9517219d88cb84da3873200360",
            ),
            (
                1024,
                "30e25b669a4915c4b9006e47f8b4f38fba90e4fdb4380644bf0be9fcb39e80fa",
            ),
            (
                1025,
                "ddb7b63de2e0615c9a39e2e5be890a8eac752970e8a667db54f523fc65d68ddd",
            ),
            (
                2050,
                "b652c4e9157254c3de2161068c414b9a4282f04822f7a0777e84a7f2fb1cd697",
            ),
        ];
        for (len, expected) in cases {
            assert_eq!(
                root(domain::OUTPUT, &content[..len]).to_string(),
                expected,
                "{len}"
            );
        }
    }

    #[test]
    fn pieces_and_whole_agree_and_domains_differ() {
        let content = vec![7u8; 5000];
        for split in [0, 1, 1023, 1024, 1025, 4999, 5000] {
            let (a, b) = content.split_at(split);
            assert_eq!(
                root_parts(domain::INPUT, [a, b]),
                root(domain::INPUT, &content)
            );
        }
        assert_ne!(
            root(domain::INPUT, &content),
            root(domain::OUTPUT, &content)
        );
        let mut hasher = TreeHasher::new(domain::INPUT);
        assert!(hasher.is_empty());
        assert_eq!(hasher.update(&content).len(), 5000);
    }
}
