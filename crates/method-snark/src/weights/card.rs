//! A card: what a verifier without weights knows of a model, and the id that names it.
//!
//! ```text
//! u8 version (1) ‖ u64 bytes of the weights ‖ weights root ‖ u32 n ‖ n bytes: the program ‖ u32 m ‖ m bytes: the opening of the public parameters ‖
//! for each node: i64 least, i64 largest value ‖ 32 bytes of root ‖ sample, 24 bytes, unless the weights are so few that they are sent in clear
//! ```
//!
//! Program and public parameters lead to the model's id by its own trees. That bounds and commitment are those of its weights, the card does not show: whoever signs a weights binding says so, and whoever has the
//! model derives the card again. It deliberately holds no committed weight.

use credence_base::wire::{Reader as WireReader, WireError, Writer};
use credence_base::{Digest, ModelId, domain};
use credence_commit::{Opening, OpeningError, opening, tree};
use credence_exact::{NodeId, ParamId};
use credence_model::{
    Interval, PROGRAM_BYTES_MAX, ParamView, Program, ProgramError, program_from_bytes,
};

use crate::known::Known;
use crate::pcs::{Commitment, Params, ParamsError};
use crate::reader::{ReadError, Reader};
use crate::weights::layout::{Layout, public_params, public_ranges};
use crate::weights::{SCHEME, WEIGHTS_SECURITY};

/// The version of a card's bytes.
pub const CARD_VERSION: u8 = 1;

/// Most bytes of public parameters with what shows them.
const OPENING_BYTES_MAX: usize = 1 << 28;

/// A proof system's commitment to the weights of a model: its scheme, and the digest of the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightsId {
    /// The digest of the card's bytes.
    pub root: Digest,
}

impl WeightsId {
    /// The scheme's name.
    pub const SCHEME: &'static str = SCHEME;

    /// The digest of a card that was read.
    #[must_use]
    pub const fn root_of(card: &Card) -> Digest {
        card.weights.root
    }

    /// Of a card's bytes.
    #[must_use]
    pub fn of(card: &[u8]) -> Self {
        Self {
            root: tree::root(domain::SNARK_CARD, card),
        }
    }
}

/// Why bytes are no card of a model.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// Not a card.
    #[error("the bytes are not a card of a model's weights")]
    Wire(#[from] WireError),
    /// Another version.
    #[error("expected version {CARD_VERSION} of a card, got {got}")]
    Version {
        /// The version found.
        got: u8,
    },
    /// A card of another model.
    #[error("the card is of model `{got}`, expected `{expected}`")]
    Model {
        /// The model asked for.
        expected: ModelId,
        /// The model that the card leads to.
        got: ModelId,
    },
    /// Another card than the one that is named.
    #[error(
        "the card's digest is {got}, expected {expected}: it is not the one that was vouched for"
    )]
    Id {
        /// The digest that is named.
        expected: Digest,
        /// The card's.
        got: Digest,
    },
    /// The program cannot be read.
    #[error("the card's program cannot be read")]
    Json(#[from] credence_base::json::JsonError),
    /// The program is refused.
    #[error("the card's program is refused")]
    Program(#[from] ProgramError),
    /// The program has no matrix of weights.
    #[error("the model has no matrix of weights to commit to: prove it with public weights")]
    NoWeights,
    /// The model's id is of weights that do not belong to its program.
    #[error("the model's weights have {got} bytes, its program takes {expected:?}")]
    Weights {
        /// What the program takes, if it can be counted.
        expected: Option<u64>,
        /// What the id is of.
        got: u64,
    },
    /// The public parameters are not the model's.
    #[error("the card's public parameters are not the model's")]
    Opening(#[from] OpeningError),
    /// Bounds that no checked model has.
    #[error("the card's bounds of node `{node}` are {min}..={max}, which its type does not hold")]
    Bounds {
        /// The node.
        node: String,
        /// The least value.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// More weights than can be committed to.
    #[error("the model's weights are more than can be committed to")]
    Params(#[from] ParamsError),
    /// The commitment cannot be read.
    #[error("the card's commitment cannot be read")]
    Commitment(#[from] ReadError),
}

/// What a verifier knows of a model without its weights. Made by [`Card::decode`] alone.
#[derive(Debug)]
pub struct Card {
    id: ModelId,
    weights: WeightsId,
    program: Program,
    bounds: Vec<Interval>,
    params: Vec<Option<Vec<u8>>>,
    layout: Layout,
    commitment: Commitment,
}

/// What a card is written from.
#[derive(Debug)]
pub struct CardParts<'a> {
    /// The program's canonical JSON.
    pub program: &'a [u8],
    /// Bytes of the tree of weights.
    pub weights_len: u64,
    /// Its root.
    pub weights_root: &'a Digest,
    /// The opening of the public parameters, if there are any.
    pub public: Option<&'a Opening>,
    /// What each node's cells can be.
    pub bounds: &'a [Interval],
    /// The commitment to all matrices, and its parameters.
    pub commitment: (&'a Params, Commitment),
}

impl CardParts<'_> {
    /// The card's bytes.
    ///
    /// # Errors
    /// [`WireError::TooLong`] for a program or opening of 2^32 bytes or more.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut writer = Writer::new();
        writer.u8(CARD_VERSION).u64(self.weights_len);
        writer.digest(self.weights_root).bytes(self.program)?;
        let public = self.public.map(Opening::encode).transpose()?;
        writer.bytes(&public.unwrap_or_default())?;
        for interval in self.bounds {
            writer.i64(interval.min).i64(interval.max);
        }
        let (params, commitment) = self.commitment;
        let mut bytes = Vec::new();
        commitment.write(params, &mut bytes);
        writer.raw(&bytes);
        Ok(writer.finish())
    }
}

impl Card {
    /// Reads the card of the model `id` that `weights` names, and checks what of it leads to the id.
    ///
    /// # Errors
    /// [`CardError`].
    pub fn decode(id: ModelId, weights: WeightsId, bytes: &[u8]) -> Result<Self, CardError> {
        let own = WeightsId::of(bytes);
        if own != weights {
            return Err(CardError::Id {
                expected: weights.root,
                got: own.root,
            });
        }
        let mut reader = WireReader::new(bytes);
        match reader.u8()? {
            CARD_VERSION => {}
            got => return Err(CardError::Version { got }),
        }
        let (len, root) = (reader.u64()?, reader.digest()?);
        let json = reader.bytes(PROGRAM_BYTES_MAX)?;
        let got = model_id(json, len, &root);
        if got != id {
            return Err(CardError::Model { expected: id, got });
        }
        let program = Program::check(program_from_bytes(json)?)?;
        let layout = Layout::new(&program).ok_or(CardError::NoWeights)?;
        let opened = reader.bytes(OPENING_BYTES_MAX)?;
        let params = public(&program, (&root, len), opened)?;
        let bounds = bounds(&program, &mut reader)?;
        let own = Params::new(layout.log_len(), WEIGHTS_SECURITY)?;
        let mut rest = Reader::new(reader.raw(reader.remaining())?);
        let commitment = Commitment::read(&own, &mut rest)?;
        rest.finish()?;
        Ok(Self {
            id,
            weights,
            program,
            bounds,
            params,
            layout,
            commitment,
        })
    }

    /// Where matrices stand.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The commitment to them.
    #[must_use]
    pub const fn commitment(&self) -> &Commitment {
        &self.commitment
    }
}

impl Known for Card {
    fn id(&self) -> ModelId {
        self.id
    }

    fn program(&self) -> &Program {
        &self.program
    }

    fn bounds(&self, node: NodeId) -> Option<Interval> {
        self.bounds.get(usize::try_from(node.0).ok()?).copied()
    }

    fn weights(&self) -> Option<WeightsId> {
        Some(self.weights)
    }

    fn param(&self, param: ParamId) -> Option<ParamView<'_>> {
        let at = usize::try_from(param.0).ok()?;
        let spec = self.program.spec().params.get(at)?;
        let bytes = self.params.get(at)?.as_deref()?;
        let shape = self.program.param_shape(param)?;
        Some(ParamView::new(spec.dtype, shape, bytes))
    }
}

/// The id of a model by its two trees.
fn model_id(program: &[u8], weights_len: u64, weights_root: &Digest) -> ModelId {
    let mut list = Writer::new();
    list.u64(u64::try_from(program.len()).unwrap_or(u64::MAX));
    list.digest(&tree::root(domain::PROGRAM, program));
    list.u64(weights_len).digest(weights_root);
    ModelId::from_digest(tree::root(domain::MODEL, &list.finish()))
}

/// The parameters that are not committed to, shown under the root of the weights.
fn public(
    program: &Program,
    (root, len): (&Digest, u64),
    opened: &[u8],
) -> Result<Vec<Option<Vec<u8>>>, CardError> {
    let ranges = public_ranges(program);
    let expected = ranges.as_ref().map(|(_, len)| *len);
    let Some((ranges, _)) = ranges.filter(|(_, own)| *own == len) else {
        return Err(CardError::Weights { expected, got: len });
    };
    let mut params = vec![None; program.spec().params.len()];
    if ranges.is_empty() {
        // Nothing is public, and nothing may stand here.
        WireReader::new(opened).finish()?;
        return Ok(params);
    }
    let opened = Opening::decode(opened, OPENING_BYTES_MAX)?;
    let shown = opening::verify(domain::WEIGHTS, root, len, &ranges, &opened)?;
    let mut shown = shown.iter();
    for param in public_params(program) {
        let empty = program.param_shape(param).is_none_or(|s| s.cells() == 0);
        let bytes = if empty {
            &[]
        } else {
            shown.next().map(|range| range.bytes()).unwrap_or_default()
        };
        let at = usize::try_from(param.0).unwrap_or(usize::MAX);
        if let Some(place) = params.get_mut(at) {
            *place = Some(bytes.to_vec());
        }
    }
    Ok(params)
}

fn bounds(program: &Program, reader: &mut WireReader<'_>) -> Result<Vec<Interval>, CardError> {
    let mut bounds = Vec::new();
    for (_, node, _) in program.nodes() {
        let (min, max) = (reader.i64()?, reader.i64()?);
        let (least, largest) = node.dtype.range();
        if min > max || min < least || max > largest {
            let node = node.name.clone();
            return Err(CardError::Bounds { node, min, max });
        }
        bounds.push(Interval { min, max });
    }
    Ok(bounds)
}
