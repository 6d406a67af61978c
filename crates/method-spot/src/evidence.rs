//! The bytes of a spot check's evidence (`docs/spec/spot.md`, section 5).
//!
//! ```text
//! u8 version (1) ‖ u8 form ‖ u32 cells ‖ u32 rows ‖ u8 0, or u8 1 ‖ u32 n ‖ n bytes of card ‖ u8 number of trees ‖ trees
//! tree = u8 number ‖ root, of a section ‖ u32 runs ‖ (u32 first block ‖ u32 chunks) each ‖ u32 n ‖ n packed bytes ‖ u32 m ‖ m chaining values
//! ```
//!
//! Lengths of trees are not in it: they follow from the program and the claim. It deliberately checks no hash: that is for [`Trees`](crate::trees).

use credence_base::Digest;
use credence_base::wire::{Reader, WireError, Writer};
use credence_commit::blocks::Run;

use crate::challenge::{CELLS_MAX, Form};
use crate::layout::Tree;

/// The version of the evidence, as its first byte and beside it in a bundle.
pub const EVIDENCE_VERSION: u8 = 1;

/// Longest evidence that is read, in bytes.
pub const EVIDENCE_BYTES_MAX: usize = 64 << 20;

/// Most tokens that are drawn again.
pub const ROWS_MAX: u32 = 4096;

/// Why bytes are no evidence of a spot check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Longer than is read.
    #[error("evidence has at most {EVIDENCE_BYTES_MAX} bytes, got {got}")]
    TooLong {
        /// Its bytes.
        got: usize,
    },
    /// Not evidence.
    #[error("the bytes are not the evidence of a spot check")]
    Wire(#[from] WireError),
    /// Another version.
    #[error("expected version {EVIDENCE_VERSION} of the evidence, got {got}")]
    Version {
        /// The version found.
        got: u8,
    },
    /// An unknown form of challenge.
    #[error("{got} is no form of challenge")]
    Form {
        /// The form found.
        got: u8,
    },
    /// Too few or too many cells or rows.
    #[error(
        "evidence has 1 to {CELLS_MAX} cells and at most {ROWS_MAX} tokens drawn again; got {cells} and {rows}"
    )]
    Counts {
        /// Cells found.
        cells: u32,
        /// Rows found.
        rows: u32,
    },
    /// A tree that is not known, or out of order.
    #[error("trees are numbered 0 to 4 and ascend; got {got}")]
    Tree {
        /// The number found.
        got: u8,
    },
}

/// What is opened of one tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEvidence {
    /// Which.
    pub tree: Tree,
    /// Its root, for a section of the trace; the weights' is the card's.
    pub root: Option<Digest>,
    /// What is opened.
    pub runs: Vec<Run>,
    /// Their bytes, packed.
    pub packed: Vec<u8>,
    /// The chaining values beside the paths and inside chunks.
    pub values: Vec<[u8; 32]>,
}

/// Decoded evidence. Nothing of it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Where the draws come from.
    pub form: Form,
    /// How many cells are drawn by weight.
    pub cells: u32,
    /// How many tokens are drawn again.
    pub rows: u32,
    /// The model's card, if it travels with the evidence.
    pub card: Option<Vec<u8>>,
    /// What is opened, ascending.
    pub trees: Vec<TreeEvidence>,
}

impl Evidence {
    /// Its canonical bytes.
    ///
    /// # Errors
    /// [`WireError::TooLong`] if something has 2^32 bytes or more.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new();
        writer.u8(EVIDENCE_VERSION).u8(self.form.code());
        writer.u32(self.cells).u32(self.rows);
        match &self.card {
            None => writer.u8(0),
            Some(card) => writer.u8(1).bytes(card)?,
        };
        writer.u8(u8::try_from(self.trees.len()).unwrap_or(u8::MAX));
        for tree in &self.trees {
            writer.u8(u8::try_from(tree.tree.index()).unwrap_or(u8::MAX));
            if let Some(root) = &tree.root {
                writer.digest(root);
            }
            writer.count(tree.runs.len())?;
            for run in &tree.runs {
                for number in [run.first, run.chunks] {
                    writer.count(usize::try_from(number).unwrap_or(usize::MAX))?;
                }
            }
            writer.bytes(&tree.packed)?.count(tree.values.len())?;
            for value in &tree.values {
                writer.raw(value);
            }
        }
        Ok(writer.finish())
    }

    /// Reads canonical bytes, and nothing but them.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceError::TooLong { got: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            EVIDENCE_VERSION => {}
            got => return Err(EvidenceError::Version { got }),
        }
        let got = reader.u8()?;
        let form = Form::from_code(got).ok_or(EvidenceError::Form { got })?;
        let (cells, rows) = (reader.u32()?, reader.u32()?);
        if !(1..=CELLS_MAX).contains(&cells) || rows > ROWS_MAX {
            return Err(EvidenceError::Counts { cells, rows });
        }
        let card = match reader.u8()? {
            0 => None,
            1 => Some(reader.bytes(EVIDENCE_BYTES_MAX)?.to_vec()),
            got => return Err(WireError::Tag { got }.into()),
        };
        let mut trees: Vec<TreeEvidence> = Vec::new();
        for _ in 0..reader.u8()? {
            let tree = read_tree(&mut reader)?;
            if let Some(last) = trees.last().filter(|last| last.tree >= tree.tree) {
                let got = u8::try_from(last.tree.index()).unwrap_or(u8::MAX);
                return Err(EvidenceError::Tree { got });
            }
            trees.push(tree);
        }
        reader.finish()?;
        Ok(Self {
            form,
            cells,
            rows,
            card,
            trees,
        })
    }
}

fn read_tree(reader: &mut Reader<'_>) -> Result<TreeEvidence, EvidenceError> {
    let got = reader.u8()?;
    let tree = Tree::ALL.get(usize::from(got)).copied();
    let tree = tree.ok_or(EvidenceError::Tree { got })?;
    let root = match tree.kind() {
        Some(_) => Some(reader.digest()?),
        None => None,
    };
    let count = reader.count(reader.remaining(), 8)?;
    let mut runs = Vec::with_capacity(count);
    for _ in 0..count {
        runs.push(Run {
            first: reader.u32()?.into(),
            chunks: reader.u32()?.into(),
        });
    }
    let packed = reader.bytes(EVIDENCE_BYTES_MAX)?.to_vec();
    let count = reader.count(reader.remaining(), 32)?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        values.push(reader.array()?);
    }
    Ok(TreeEvidence {
        tree,
        root,
        runs,
        packed,
        values,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Evidence {
        let tree = |tree: Tree| TreeEvidence {
            tree,
            root: tree.kind().map(|kind| Digest::from_bytes([kind; 32])),
            runs: vec![
                Run {
                    first: 1,
                    chunks: 2,
                },
                Run {
                    first: 7,
                    chunks: 1,
                },
            ],
            packed: vec![0, 1, 2],
            values: vec![[9; 32]],
        };
        Evidence {
            form: Form::Auditor,
            cells: 80,
            rows: 1,
            card: Some(vec![1, 2]),
            trees: vec![tree(Tree::Weights), tree(Tree::Positions)],
        }
    }

    #[test]
    fn golden_bytes() {
        let one = "0200000001000000020000000700000001000000";
        let tail = format!(
            "03000000000102010000000{}",
            "9".to_owned() + &"09".repeat(31)
        );
        let expected = format!(
            "010250000000010000000102000000010202{}{one}{tail}01{}{one}{tail}",
            "00",
            "00".repeat(32)
        );
        let hex: String = sample()
            .encode()
            .unwrap()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn every_truncation_and_extension_is_refused_and_what_is_read_is_written_again() {
        let bytes = sample().encode().unwrap();
        assert_eq!(Evidence::decode(&bytes).unwrap(), sample());
        for len in 0..bytes.len() {
            assert!(Evidence::decode(&bytes[..len]).is_err(), "{len}");
        }
        assert!(Evidence::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                if let Ok(read) = Evidence::decode(&other) {
                    assert_eq!(read.encode().unwrap(), other, "{at}");
                }
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let with = |change: fn(&mut Evidence)| {
            let mut evidence = sample();
            change(&mut evidence);
            Evidence::decode(&evidence.encode().unwrap())
        };
        assert!(matches!(
            with(|e| e.cells = 0),
            Err(EvidenceError::Counts { .. })
        ));
        assert!(matches!(
            with(|e| e.rows = ROWS_MAX + 1),
            Err(EvidenceError::Counts { .. })
        ));
        assert!(matches!(
            with(|e| e.trees.reverse()),
            Err(EvidenceError::Tree { .. })
        ));
    }
}
