//! Where a node's cells stand while a tile of positions is computed.

use core::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use credence_exact::Dtype;
use credence_model::score_row_bytes;

use super::ScorePlace;
use crate::cells::{Cells, CellsMut};

/// Which memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// The position's block of the trace: cut nodes.
    Trace,
    /// The position's scratch arena: all others.
    Scratch,
}

/// A node's cells within one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) region: Region,
    /// First byte, counted from the start of the position's part of the region.
    pub(crate) offset: usize,
    pub(crate) cells: usize,
    pub(crate) dtype: Dtype,
}

impl Place {
    pub(crate) const fn bytes(&self) -> usize {
        self.cells * self.dtype.width()
    }
}

/// A token of a language model, and where it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Row {
    /// Which of the caches.
    pub(crate) session: usize,
    /// Its number in its session.
    pub(crate) position: usize,
    /// The last position that it sees: itself, or the last of the run in an encoder.
    pub(crate) last: usize,
    pub(crate) token: u32,
}

/// Positions that one thread computes step by step.
pub(crate) struct Tile<'a> {
    /// Number of the first position in the request.
    pub(crate) first: usize,
    /// Language models: the tokens, one for each position.
    pub(crate) rows: &'a [Row],
    /// Language models: the scores of each position, as many bytes apart as the longest of them takes.
    pub(crate) scores: &'a mut [u8],
    pub(crate) trace: &'a mut [u8],
    pub(crate) block_bytes: usize,
    pub(crate) scratch: &'a mut [u8],
    pub(crate) arena_bytes: usize,
    /// Room for operands in a kernel's form.
    pub(crate) panel: &'a mut [u8],
    /// Room for sums before rounding, if somebody watches.
    pub(crate) sums: Option<&'a mut [i32]>,
}

impl Tile<'_> {
    pub(crate) fn positions(&self) -> usize {
        self.trace.len() / self.block_bytes
    }

    /// Room for sums of one position, 0 if nobody watches.
    pub(crate) fn sums_room(&self) -> usize {
        self.sums
            .as_ref()
            .map_or(0, |sums| sums.len() / self.positions())
    }

    /// One position of the tile, counted from its first.
    #[inline(always)]
    pub(crate) fn position(&mut self, number: usize) -> Position<'_> {
        let room = self.sums_room();
        let row = self.rows.get(number).copied().unwrap_or_default();
        let stride = self.scores.len() / self.positions();
        let sums = self.sums.as_deref_mut();
        let sums = sums.map(|sums| &mut sums[number * room..][..room]);
        Position {
            row,
            sums,
            scores: &mut self.scores[number * stride..][..stride],
            trace: &mut self.trace[number * self.block_bytes..][..self.block_bytes],
            scratch: &mut self.scratch[number * self.arena_bytes..][..self.arena_bytes],
        }
    }

    /// The first positions, and the others.
    pub(crate) fn split(&mut self, positions: usize) -> (Tile<'_>, Tile<'_>) {
        let (count, room) = (self.positions(), self.sums_room());
        let stride = self.scores.len() / count;
        let (trace, later_trace) = self.trace.split_at_mut(positions * self.block_bytes);
        let (scratch, later_scratch) = self.scratch.split_at_mut(positions * self.arena_bytes);
        let (scores, later_scores) = self.scores.split_at_mut(positions * stride);
        let (rows, later_rows) = self.rows.split_at(positions.min(self.rows.len()));
        let sums = self.sums.as_deref_mut();
        let (sums, later_sums) = sums.map(|sums| sums.split_at_mut(positions * room)).unzip();
        let first = Tile {
            first: self.first,
            rows,
            scores,
            trace,
            block_bytes: self.block_bytes,
            scratch,
            arena_bytes: self.arena_bytes,
            panel: &mut [],
            sums,
        };
        let later = Tile {
            first: self.first + positions,
            rows: later_rows,
            scores: later_scores,
            trace: later_trace,
            scratch: later_scratch,
            panel: &mut [],
            sums: later_sums,
            ..first
        };
        (first, later)
    }

    /// Copies a place of another tile's position.
    pub(crate) fn copy_from(
        &mut self,
        other: &Tile<'_>,
        (from, there): (usize, Place),
        (to, here): (usize, Place),
    ) {
        let region = match there.region {
            Region::Trace => &*other.trace,
            Region::Scratch => &*other.scratch,
        };
        let start = from * other.stride(there.region) + there.offset;
        let own = to * self.stride(here.region) + here.offset;
        let place = match here.region {
            Region::Trace => &mut *self.trace,
            Region::Scratch => &mut *self.scratch,
        };
        place[own..][..here.bytes()].copy_from_slice(&region[start..][..there.bytes()]);
    }

    /// Bytes from one position's part of a region to the next.
    pub(crate) const fn stride(&self, region: Region) -> usize {
        match region {
            Region::Trace => self.block_bytes,
            Region::Scratch => self.arena_bytes,
        }
    }

    /// The panel to be filled, and cells of a position to fill it from.
    pub(crate) fn panel_and_read(&mut self, position: usize, x: Place) -> (&mut [u8], Cells<'_>) {
        let start = position * self.stride(x.region) + x.offset;
        let region: &[u8] = match x.region {
            Region::Trace => self.trace,
            Region::Scratch => self.scratch,
        };
        let cells = Cells::new(x.dtype, &region[start..][..x.bytes()]);
        (self.panel, cells)
    }

    /// The panel to be read, a region's bytes from a position's place on, and the room for sums.
    pub(crate) fn panel_and_write(
        &mut self,
        position: usize,
        y: Place,
    ) -> (&[u8], &mut [u8], Option<&mut [i32]>) {
        let start = position * self.stride(y.region) + y.offset;
        let region: &mut [u8] = match y.region {
            Region::Trace => self.trace,
            Region::Scratch => self.scratch,
        };
        (self.panel, &mut region[start..], self.sums.as_deref_mut())
    }
}

/// One position's memory.
pub(crate) struct Position<'a> {
    /// The token, if there are tokens.
    pub(crate) row: Row,
    scores: &'a mut [u8],
    trace: &'a mut [u8],
    scratch: &'a mut [u8],
    /// Room for sums before rounding, if somebody watches.
    sums: Option<&'a mut [i32]>,
}

impl Position<'_> {
    /// Cells to be read.
    #[inline(always)]
    pub(crate) fn read(&self, place: Place) -> Cells<'_> {
        let bytes = match place.region {
            Region::Trace => &self.trace[place.offset..][..place.bytes()],
            Region::Scratch => &self.scratch[place.offset..][..place.bytes()],
        };
        Cells::new(place.dtype, bytes)
    }

    /// Sums before rounding, none if nobody watches.
    pub(crate) fn sums(&self) -> &[i32] {
        self.sums.as_deref().unwrap_or_default()
    }

    /// Bytes of a node's scores.
    fn score_bytes(&self, place: ScorePlace) -> Range<usize> {
        let row = score_row_bytes(self.row.last);
        let first = place.heads_before * row;
        first..first + place.heads * row
    }

    /// A node's scores.
    pub(crate) fn scores(&self, place: ScorePlace) -> &[i16] {
        cast_slice(&self.scores[self.score_bytes(place)])
    }

    /// Cells to be read, and scores to be written.
    #[inline(always)]
    pub(crate) fn read_and_scores(&mut self, x: Place, y: ScorePlace) -> (Cells<'_>, &mut [i16]) {
        let range = self.score_bytes(y);
        let region = match x.region {
            Region::Trace => &*self.trace,
            Region::Scratch => &*self.scratch,
        };
        let cells = Cells::new(x.dtype, &region[x.offset..][..x.bytes()]);
        (cells, cast_slice_mut(&mut self.scores[range]))
    }

    /// Scores to be read, and cells to be written.
    #[inline(always)]
    pub(crate) fn scores_and_write(&mut self, x: ScorePlace, y: Place) -> (&[i16], CellsMut<'_>) {
        let range = self.score_bytes(x);
        let region = match y.region {
            Region::Trace => &mut *self.trace,
            Region::Scratch => &mut *self.scratch,
        };
        let cells = CellsMut::new(y.dtype, &mut region[y.offset..][..y.bytes()]);
        (cast_slice(&self.scores[range]), cells)
    }

    /// Cells to be written, and everything else to be read.
    #[inline(always)]
    pub(crate) fn write(&mut self, place: Place) -> (CellsMut<'_>, Others<'_>) {
        let (cells, others, _) = self.write_watched(place);
        (cells, others)
    }

    /// As [`Self::write`], and the room for sums.
    #[inline(always)]
    pub(crate) fn write_watched(
        &mut self,
        place: Place,
    ) -> (CellsMut<'_>, Others<'_>, Option<&mut [i32]>) {
        let (written, other) = match place.region {
            Region::Trace => (&mut *self.trace, &*self.scratch),
            Region::Scratch => (&mut *self.scratch, &*self.trace),
        };
        let (before, rest) = written.split_at_mut(place.offset);
        let (own, after) = rest.split_at_mut(place.bytes());
        let others = Others {
            place,
            before,
            after,
            other,
        };
        (
            CellsMut::new(place.dtype, own),
            others,
            self.sums.as_deref_mut(),
        )
    }
}

/// A position's memory but for one place.
#[derive(Clone, Copy)]
pub(crate) struct Others<'a> {
    place: Place,
    before: &'a [u8],
    after: &'a [u8],
    other: &'a [u8],
}

impl<'a> Others<'a> {
    /// Cells to be read. The plan never lets a step read where it writes.
    #[inline(always)]
    pub(crate) fn read(&self, place: Place) -> Cells<'a> {
        let end = self.place.offset + self.place.bytes();
        let bytes = if place.region != self.place.region {
            &self.other[place.offset..][..place.bytes()]
        } else if place.offset < self.place.offset {
            &self.before[place.offset..][..place.bytes()]
        } else {
            &self.after[place.offset - end..][..place.bytes()]
        };
        Cells::new(place.dtype, bytes)
    }
}
