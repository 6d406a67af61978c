//! What a session remembers of earlier positions: keys and values, laid out for the steps that read them.
//!
//! Keys stand by tiles of 16 positions, so that a register holds one pair of cells of 16 keys; values by pairs of positions, so that a register holds
//! 16 cells of two values. The order in which a claim commits to them is the specification's (`docs/spec/trace.md`, section 3) and another one.

use credence_exact::{NodeId, Shape};
use credence_model::{Program, TILE_POSITIONS};

use crate::kernel::LANES;

/// Positions of a tile of keys.
const KEY_LANES: usize = LANES;
/// Cells of a block of values.
const VALUE_LANES: usize = LANES;

/// Keys of one node: `[tile][group][pair of d][position of the tile][2]`.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    groups: usize,
    width: usize,
    tiles: Vec<[i16; 2 * KEY_LANES]>,
}

/// Values of one node: `[group][block of d][pair of positions][d of the block][2]`, a vector for each of the first two.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    groups: usize,
    width: usize,
    blocks: Vec<Vec<[i16; 2 * VALUE_LANES]>>,
}

/// All that a session remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cache {
    pub(crate) keys: Vec<Keys>,
    pub(crate) values: Vec<Values>,
}

fn dims(shape: Option<&Shape>) -> [usize; 2] {
    let dims = shape.and_then(|shape| <[usize; 2]>::try_from(shape.dims()).ok());
    dims.unwrap_or([1, 1])
}

impl Cache {
    /// An empty one, for a language model's program.
    pub(crate) fn new(program: &Program) -> Self {
        let of = |nodes: &[NodeId]| -> Vec<[usize; 2]> {
            nodes
                .iter()
                .map(|&node| dims(program.shape(node)))
                .collect()
        };
        let layout = program.language();
        let keys = layout.map_or_else(Vec::new, |layout| of(layout.keys()));
        let values = layout.map_or_else(Vec::new, |layout| of(layout.values()));
        Self {
            keys: keys.into_iter().map(Keys::new).collect(),
            values: values.into_iter().map(Values::new).collect(),
        }
    }

    /// Makes room for so many positions.
    pub(crate) fn reserve(&mut self, positions: usize) {
        for keys in &mut self.keys {
            let len = positions.div_ceil(KEY_LANES) * keys.groups * keys.pairs();
            if keys.tiles.len() < len {
                keys.tiles.resize(len, [0; 2 * KEY_LANES]);
            }
        }
        for values in &mut self.values {
            let len = positions.div_ceil(2);
            for block in &mut values.blocks {
                if block.len() < len {
                    block.resize(len, [0; 2 * VALUE_LANES]);
                }
            }
        }
    }

    /// The bytes of the sections of keys and of values, as the specification lays them out.
    pub(crate) fn sections(&self, positions: usize, mut part: impl FnMut(Section, &[u8])) {
        let mut row = Vec::new();
        for keys in &self.keys {
            // A group at a time: whoever hashes is slow on short pieces.
            for group in 0..keys.groups {
                row.clear();
                for position in 0..positions {
                    for d in 0..keys.width {
                        row.extend(keys.get(position, group, d).to_le_bytes());
                    }
                }
                part(Section::Keys, &row);
            }
        }
        let filled = positions.next_multiple_of(TILE_POSITIONS);
        for values in &self.values {
            for group in 0..values.groups {
                row.clear();
                for d in 0..values.width {
                    for position in 0..positions {
                        row.extend(values.get(position, group, d).to_le_bytes());
                    }
                    row.resize((d + 1) * filled * 2, 0);
                }
                part(Section::Values, &row);
            }
        }
    }
}

/// Which section of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Keys,
    Values,
}

impl Keys {
    fn new([groups, width]: [usize; 2]) -> Self {
        Self {
            groups,
            width,
            tiles: Vec::new(),
        }
    }

    pub(crate) const fn groups(&self) -> usize {
        self.groups
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    fn pairs(&self) -> usize {
        self.width.div_ceil(2)
    }

    /// The tile that begins at a position.
    #[inline(always)]
    pub(crate) fn tile(&self, group: usize, position: usize) -> &[[i16; 2 * KEY_LANES]] {
        let first = (position / KEY_LANES * self.groups + group) * self.pairs();
        &self.tiles[first..][..self.pairs()]
    }

    fn at(&self, position: usize, group: usize, d: usize) -> (usize, usize) {
        let tile = (position / KEY_LANES * self.groups + group) * self.pairs();
        (tile + d / 2, position % KEY_LANES * 2 + d % 2)
    }

    pub(crate) fn set(&mut self, position: usize, cells: &[i16]) {
        for (group, cells) in cells.chunks_exact(self.width).enumerate() {
            for (d, cell) in cells.iter().enumerate() {
                let (row, lane) = self.at(position, group, d);
                self.tiles[row][lane] = *cell;
            }
        }
    }

    fn get(&self, position: usize, group: usize, d: usize) -> i16 {
        let (row, lane) = self.at(position, group, d);
        self.tiles[row][lane]
    }
}

impl Values {
    fn new([groups, width]: [usize; 2]) -> Self {
        Self {
            groups,
            width,
            blocks: vec![Vec::new(); groups * width.div_ceil(VALUE_LANES)],
        }
    }

    pub(crate) const fn groups(&self) -> usize {
        self.groups
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// One block of cells of all positions.
    #[inline(always)]
    pub(crate) fn lanes(&self, group: usize, block: usize) -> &[[i16; 2 * VALUE_LANES]] {
        &self.blocks[group * self.width.div_ceil(VALUE_LANES) + block]
    }

    fn at(&self, position: usize, group: usize, d: usize) -> [usize; 3] {
        let block = group * self.width.div_ceil(VALUE_LANES) + d / VALUE_LANES;
        [block, position / 2, d % VALUE_LANES * 2 + position % 2]
    }

    pub(crate) fn set(&mut self, position: usize, cells: &[i16]) {
        for (group, cells) in cells.chunks_exact(self.width).enumerate() {
            for (d, cell) in cells.iter().enumerate() {
                let [block, pair, lane] = self.at(position, group, d);
                self.blocks[block][pair][lane] = *cell;
            }
        }
    }

    fn get(&self, position: usize, group: usize, d: usize) -> i16 {
        let [block, pair, lane] = self.at(position, group, d);
        self.blocks[block][pair][lane]
    }
}
