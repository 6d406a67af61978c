//! What parties say, as bytes: a signature over all that went before and a body (`docs/spec/dispute.md`, section 2).
//!
//! ```text
//! message = 64 bytes of signature ‖ body        signed: the domain string `DISPUTE_MESSAGE` ‖ head ‖ u8 party ‖ body        body = u8 kind ‖ its fields
//! ```
//!
//! It deliberately does not know whose turn it is, nor what is true.

use credence_base::wire::{Reader, WireError, Writer};
use credence_base::{Digest, PublicKey, Salt, Signature, SigningKey, domain};
use credence_claim::{Opened as Content, Openings};
use credence_exact::NodeId;
use credence_method_spot::Cell;

use crate::opened::TreeOpening;
use crate::referee::Question;
use crate::terms::Party;

/// Levels of a tree that one message steps down: 16 values.
pub const SPLIT_LEVELS: u8 = 4;

/// Most bytes of a message. Relations of usual programs open some thousands; one that reads 16,640 values from as many chunks would take 28 MB.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;
/// Most bytes of a chunk.
const CHUNK_BYTES_MAX: usize = 1024;
/// Most blocks of 256 tokens in a vocabulary.
const BLOCKS_MAX: usize = 4096;

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Other bytes.
    #[error("the bytes are not a message of a dispute")]
    Wire(#[from] WireError),
    /// Trees twice or in another order.
    #[error("opened trees stand in their order, each once")]
    Order,
}

/// The operator's first message: all that the claim commits to but the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The input.
    pub input: Content,
    /// The parameters.
    pub params: Content,
    /// The output.
    pub output: Content,
    /// The salt of the trace.
    pub trace: Salt,
    /// The roots of the trace's sections, in the order of their kinds: one for a tensor model, four for a language model.
    pub sections: Vec<Digest>,
}

impl Opening {
    /// The openings of a claim.
    #[must_use]
    pub fn openings(&self) -> Openings {
        Openings {
            input: Some(self.input.clone()),
            params: Some(self.params.clone()),
            output: Some(self.output.clone()),
            trace: Some(self.trace),
        }
    }
}

/// What the operator says of one block of 256 tokens when a token was drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Tokens that top_k keeps.
    pub count: u16,
    /// Their weights together.
    pub by_top_k: u64,
    /// Weights of what top_p keeps of them.
    pub by_top_p: u64,
    /// Weights of what min_p keeps of that.
    pub kept: u64,
}

impl Question {
    /// Most bytes of a message that answers it, at most `max`: so much and no more need be read of what arrives. A longer one counts as none, whoever signs it.
    #[must_use]
    pub const fn answer_bytes_max(&self, max: usize) -> usize {
        match self {
            // A signature, and some numbers.
            Self::Accuse
            | Self::Child(_)
            | Self::Byte { .. }
            | Self::Read { .. }
            | Self::Object { .. } => 256,
            // 16 values, or a chunk.
            Self::Split(_) | Self::Chunk(_) => 2048,
            Self::Open | Self::Show(_) | Self::Weights(_) => max,
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The operator opens the claim.
    Open(Box<Opening>),
    /// The challenger has another root for the section of this kind.
    Section(u8),
    /// The operator gives the values [`SPLIT_LEVELS`] below the node.
    Split(Vec<[u8; 32]>),
    /// The challenger has another value for the node of this number.
    Child(u8),
    /// The operator shows a chunk.
    Chunk(Vec<u8>),
    /// The challenger has another byte there.
    Byte(u16),
    /// The operator shows what is asked for.
    Reads(Vec<TreeOpening>),
    /// The challenger has another value for this cell, which was read.
    Cell(Cell),
    /// The challenger says that, where answer token `index` was drawn greedily, `better` was to be taken.
    Greedier {
        /// Number of the answer's token.
        index: u32,
        /// The token that is better.
        better: u32,
    },
    /// The challenger says that answer token `index` is not the one that is drawn.
    Draw(u32),
    /// The operator sums the weights of that draw, and shows the logits beside them.
    Weights {
        /// The likeliest token.
        likeliest: u32,
        /// The last token that top_k keeps; none if it keeps all.
        last_top_k: Option<u32>,
        /// The last token that top_p keeps.
        last_top_p: u32,
        /// For each block of 256 tokens.
        sums: Vec<Sums>,
        /// The logits of these tokens, and of the block on which the draw falls.
        reads: Vec<TreeOpening>,
    },
    /// The challenger says that this token is likelier than the likeliest.
    Heavier(u32),
    /// The challenger says that the sums of this block are wrong.
    Block(u32),
    /// The challenger says that an element of an output of a tensor model is wrong.
    Output {
        /// Number of the output.
        output: u32,
        /// Flat index of the element.
        at: u64,
    },
    /// The party gives up.
    Concede,
}

fn write_content(writer: &mut Writer, content: &Content) -> Result<(), WireError> {
    writer
        .raw(content.salt.as_bytes())
        .bytes(&content.content)?;
    Ok(())
}

fn read_content(reader: &mut Reader<'_>) -> Result<Content, WireError> {
    let salt = Salt::from_bytes(reader.array()?);
    let content = reader.bytes(reader.remaining())?.to_vec();
    Ok(Content { salt, content })
}

fn write_trees(writer: &mut Writer, trees: &[TreeOpening]) -> Result<(), WireError> {
    writer.u8(u8::try_from(trees.len()).unwrap_or(u8::MAX));
    trees.iter().try_for_each(|tree| tree.write(writer))
}

fn read_trees(reader: &mut Reader<'_>) -> Result<Vec<TreeOpening>, MessageError> {
    let count = reader.u8()?;
    let mut trees: Vec<TreeOpening> = Vec::new();
    for _ in 0..count {
        let next = TreeOpening::read(reader)?;
        if trees.last().is_some_and(|last| last.tree >= next.tree) {
            return Err(MessageError::Order);
        }
        trees.push(next);
    }
    Ok(trees)
}

impl Body {
    const fn kind(&self) -> u8 {
        match self {
            Self::Open(_) => 1,
            Self::Section(_) => 2,
            Self::Split(_) => 3,
            Self::Child(_) => 4,
            Self::Chunk(_) => 5,
            Self::Byte(_) => 6,
            Self::Reads(_) => 7,
            Self::Cell(_) => 8,
            Self::Greedier { .. } => 9,
            Self::Draw(_) => 10,
            Self::Weights { .. } => 11,
            Self::Heavier(_) => 12,
            Self::Block(_) => 13,
            Self::Output { .. } => 14,
            Self::Concede => 15,
        }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`WireError::TooLong`] for contents of 2^32 bytes or more.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut w = Writer::new();
        w.u8(self.kind());
        match self {
            Self::Open(opening) => {
                for content in [&opening.input, &opening.params, &opening.output] {
                    write_content(&mut w, content)?;
                }
                w.raw(opening.trace.as_bytes());
                w.u8(u8::try_from(opening.sections.len()).unwrap_or(u8::MAX));
                for root in &opening.sections {
                    w.digest(root);
                }
            }
            Self::Section(number) | Self::Child(number) => {
                w.u8(*number);
            }
            Self::Split(values) => {
                w.u8(u8::try_from(values.len()).unwrap_or(u8::MAX));
                for value in values {
                    w.raw(value);
                }
            }
            Self::Chunk(bytes) => {
                w.bytes(bytes)?;
            }
            Self::Byte(at) => {
                w.u16(*at);
            }
            Self::Reads(trees) => write_trees(&mut w, trees)?,
            Self::Cell(cell) => {
                w.u64(cell.position).u32(cell.node.0);
                w.u64(u64::try_from(cell.index).unwrap_or(u64::MAX));
            }
            Self::Greedier { index, better } => {
                w.u32(*index).u32(*better);
            }
            Self::Draw(number) | Self::Heavier(number) | Self::Block(number) => {
                w.u32(*number);
            }
            Self::Weights { .. } => self.write_weights(&mut w)?,
            Self::Output { output, at } => {
                w.u32(*output).u64(*at);
            }
            Self::Concede => {}
        }
        Ok(w.finish())
    }

    fn write_weights(&self, w: &mut Writer) -> Result<(), WireError> {
        let Self::Weights {
            likeliest,
            last_top_k,
            last_top_p,
            sums,
            reads,
        } = self
        else {
            return Ok(());
        };
        w.u32(*likeliest);
        match last_top_k {
            None => w.u8(0),
            Some(last) => w.u8(1).u32(*last),
        };
        w.u32(*last_top_p).count(sums.len())?;
        for sums in sums {
            w.u16(sums.count).u64(sums.by_top_k);
            w.u64(sums.by_top_p).u64(sums.kept);
        }
        write_trees(w, reads)
    }

    /// Reads the canonical bytes of one body of at most [`MESSAGE_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            let (max, got) = (MESSAGE_BYTES_MAX, bytes.len());
            return Err(WireError::TooLong { max, got }.into());
        }
        let mut r = Reader::new(bytes);
        let body = match r.u8()? {
            1 => Self::Open(Box::new(read_opening(&mut r)?)),
            2 => Self::Section(r.u8()?),
            3 => {
                let count = r.u8()?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(r.array()?);
                }
                Self::Split(values)
            }
            4 => Self::Child(r.u8()?),
            5 => Self::Chunk(r.bytes(CHUNK_BYTES_MAX)?.to_vec()),
            6 => Self::Byte(r.u16()?),
            7 => Self::Reads(read_trees(&mut r)?),
            8 => Self::Cell(Cell {
                position: r.u64()?,
                node: NodeId(r.u32()?),
                index: read_index(&mut r)?,
            }),
            9 => Self::Greedier {
                index: r.u32()?,
                better: r.u32()?,
            },
            10 => Self::Draw(r.u32()?),
            11 => read_weights(&mut r)?,
            12 => Self::Heavier(r.u32()?),
            13 => Self::Block(r.u32()?),
            14 => Self::Output {
                output: r.u32()?,
                at: r.u64()?,
            },
            15 => Self::Concede,
            got => return Err(WireError::Tag { got }.into()),
        };
        r.finish()?;
        Ok(body)
    }
}

/// An index, the same on machines of every width.
fn read_index(r: &mut Reader<'_>) -> Result<usize, WireError> {
    let index = r.u64()?;
    let max = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
    let got = usize::try_from(index).unwrap_or(usize::MAX);
    if got > max {
        return Err(WireError::TooLong { max, got });
    }
    Ok(got)
}

fn read_opening(r: &mut Reader<'_>) -> Result<Opening, MessageError> {
    let (input, params, output) = (read_content(r)?, read_content(r)?, read_content(r)?);
    let trace = Salt::from_bytes(r.array()?);
    let mut sections = Vec::new();
    for _ in 0..r.u8()? {
        sections.push(r.digest()?);
    }
    Ok(Opening {
        input,
        params,
        output,
        trace,
        sections,
    })
}

fn read_weights(r: &mut Reader<'_>) -> Result<Body, MessageError> {
    let likeliest = r.u32()?;
    let last_top_k = match r.u8()? {
        0 => None,
        1 => Some(r.u32()?),
        got => return Err(WireError::Tag { got }.into()),
    };
    let last_top_p = r.u32()?;
    let count = r.count(BLOCKS_MAX, 26)?;
    let mut sums = Vec::with_capacity(count);
    for _ in 0..count {
        sums.push(Sums {
            count: r.u16()?,
            by_top_k: r.u64()?,
            by_top_p: r.u64()?,
            kept: r.u64()?,
        });
    }
    Ok(Body::Weights {
        likeliest,
        last_top_k,
        last_top_p,
        sums,
        reads: read_trees(r)?,
    })
}

/// The bytes that a party signs: all that went before, by the chain's head, who speaks, and what is said.
#[must_use]
pub fn signed_bytes(head: &Digest, party: Party, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer
        .raw(domain::DISPUTE_MESSAGE.as_str().as_bytes())
        .digest(head);
    writer.u8(party.code()).raw(body);
    writer.finish()
}

/// A message: the signature of `key` at this point of the dispute, and the body.
#[must_use]
pub fn sign(key: &SigningKey, head: &Digest, party: Party, body: &[u8]) -> Vec<u8> {
    let signature = key.sign(&signed_bytes(head, party, body));
    [signature.as_bytes().as_slice(), body].concat()
}

/// The body of a message, if its signature is the party's at this point of the dispute. One hash and one check of a signature, whatever the message says.
#[must_use]
pub fn signed_body<'m>(
    key: &PublicKey,
    head: &Digest,
    party: Party,
    message: &'m [u8],
) -> Option<&'m [u8]> {
    let (signature, body) = message.split_first_chunk::<SIGNATURE_BYTES>()?;
    let signature = Signature::from_bytes(*signature);
    let signed = signed_bytes(head, party, body);
    key.verify(&signed, &signature).ok().map(|()| body)
}

#[cfg(test)]
mod tests;
