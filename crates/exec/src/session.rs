//! Sessions: a language model's runs, which grow by tokens.
//!
//! ```text
//! tokens of one or several sessions ─▶ rows ─▶ tiles of rows: every step of the plan ─▶ blocks hashed, keys and values remembered
//!                                                      └─▶ rows where a token is drawn: the sampled phase ─▶ logits
//! ```
//!
//! However tokens are cut into calls, tiles and batches with other sessions, a session's logits and trace root are the same: a row reads nothing but its
//! own memory and what its session remembers of earlier positions. What is not here: which token comes next (`sampling`), text.

use std::sync::{Mutex, PoisonError, RwLock};

use credence_base::TraceRoot;
use credence_exact::NodeId;
use credence_model::{Model, score_row_bytes};

use crate::buffer::Buffer;
use crate::cache::{Cache, Section};
use crate::cells::{Cells, index};
use crate::engine::{Engine, watch};
use crate::plan::Phase;
use crate::step::{Row, Surroundings, Tile};
use crate::trace::{
    Growing, SECTION_KEYS, SECTION_POSITIONS, SECTION_SAMPLED, SECTION_VALUES, root_of_sections,
};

/// Why tokens are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The model takes tensors, not tokens.
    #[error("this model takes tensors, not tokens: run it on a request")]
    NotLanguage,
    /// More positions than the model's context has.
    #[error(
        "{got} tokens are more than the model's context of {max}: shorten the prompt or the answer"
    )]
    Context {
        /// Positions there would be.
        got: usize,
        /// Positions there may be.
        max: usize,
    },
    /// A token id that the vocabulary does not have.
    #[error("token {got} is not in the model's vocabulary of {vocabulary}")]
    Token {
        /// The id.
        got: u32,
        /// Number of ids.
        vocabulary: u32,
    },
    /// More logits are asked for than tokens are given.
    #[error("logits of {got} positions are asked for, but {tokens} tokens are given")]
    Sampled {
        /// Positions asked for.
        got: usize,
        /// Tokens given.
        tokens: usize,
    },
    /// Tokens for a run of an encoder that already has some.
    #[error(
        "an encoder takes a text's tokens at once, since each sees all; {got} were there already: begin another session"
    )]
    Whole {
        /// Positions of the session.
        got: usize,
    },
}

/// A run of a language model so far.
#[derive(Clone, Debug)]
pub struct Session {
    cache: Cache,
    len: usize,
    positions: Growing,
    sampled: Growing,
}

/// Tokens for a session.
#[derive(Debug)]
pub struct Append<'a> {
    /// Whose.
    pub session: &'a mut Session,
    /// Appended to the session.
    pub tokens: &'a [u32],
    /// Of how many of these tokens, the last ones, the logits are asked for.
    pub sampled: usize,
}

/// Who is told the logits: number of the append, position, logits in units of 2⁻¹⁶ nat.
pub type LogitSink<'a> = dyn FnMut(usize, usize, &[i32]) + Send + 'a;

/// Who is told values: node, number of the append, position, cells.
pub type ValueSink<'a> = dyn FnMut(NodeId, usize, usize, &[i64]) + Send + 'a;

/// Which nodes' values somebody wants.
pub type Wanted<'a> = dyn Fn(NodeId) -> bool + Sync + 'a;

/// A value that somebody watches: node, append, position, cells.
type Watched = (NodeId, usize, usize, Vec<i64>);

impl Session {
    /// Number of positions.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What a claim commits to of the inside of the run so far. Hashes what is remembered: some milliseconds for a thousand positions.
    #[must_use]
    pub fn trace_root(&self) -> TraceRoot {
        let [keys, values] = self.remembered(false);
        let all = [
            (SECTION_POSITIONS, &self.positions),
            (SECTION_KEYS, &keys),
            (SECTION_VALUES, &values),
            (SECTION_SAMPLED, &self.sampled),
        ];
        root_of_sections(&all.map(|(kind, section)| (kind, section.len(), section.root())))
    }

    /// The bytes of the trace's four sections, by kind; none unless the session keeps them ([`Engine::recording_session`]).
    #[must_use]
    pub fn sections(&self) -> Option<[Vec<u8>; 4]> {
        let [keys, values] = self.remembered(true);
        let bytes = |section: &Growing| section.kept().map(<[u8]>::to_vec);
        Some([
            bytes(&self.positions)?,
            bytes(&keys)?,
            bytes(&values)?,
            bytes(&self.sampled)?,
        ])
    }

    /// The sections of keys and of values, laid out for the run's length so far.
    fn remembered(&self, keep: bool) -> [Growing; 2] {
        let (mut keys, mut values) = (Growing::new(keep), Growing::new(keep));
        self.cache
            .sections(self.len, |section, bytes| match section {
                Section::Keys => keys.update(bytes),
                Section::Values => values.update(bytes),
            });
        [keys, values]
    }
}

/// Memory for a tile of one phase; the bytes of a block that belong to no cell are 0 and are never written.
#[derive(Default)]
struct Room {
    blocks: Buffer,
    scores: Buffer,
    arena: Buffer,
    panel: Buffer,
}

/// Memory of one call.
#[derive(Default)]
pub(crate) struct Workspace {
    main: Room,
    sampled: Room,
}

/// Workspaces that no call uses at the moment.
#[derive(Default)]
pub(crate) struct Workspaces(Mutex<Vec<Workspace>>);

/// A row, the append it came with, and whether its logits are asked for.
#[derive(Clone, Copy)]
struct Asked {
    row: Row,
    sampled: bool,
}

impl Room {
    /// A tile of rows.
    fn tile<'a>(
        &'a mut self,
        phase: &Phase,
        rows: &'a [Row],
        sums: Option<&'a mut [i32]>,
    ) -> Tile<'a> {
        let count = rows.len();
        let last = rows.iter().map(|row| row.last).max().unwrap_or(0);
        Tile {
            first: 0,
            rows,
            scores: self
                .scores
                .reserve(count * phase.heads * score_row_bytes(last)),
            trace: self.blocks.reserve(count * phase.block_bytes),
            block_bytes: phase.block_bytes,
            scratch: self.arena.reserve(count * phase.arena_bytes),
            arena_bytes: phase.arena_bytes,
            panel: self.panel.reserve(phase.panel_bytes),
            sums,
        }
    }
}

/// The bytes of each row's block, scores included.
fn blocks<'t>(tile: &'t Tile<'_>, heads: usize) -> impl Iterator<Item = (Row, [&'t [u8]; 2])> {
    let stride = tile.scores.len() / tile.positions();
    let fixed = tile.trace.chunks_exact(tile.block_bytes);
    tile.rows
        .iter()
        .zip(fixed)
        .enumerate()
        .map(move |(at, (row, fixed))| {
            let scores = &tile.scores[at * stride..][..heads * score_row_bytes(row.last)];
            (*row, [fixed, scores])
        })
}

impl Engine {
    /// A session without tokens.
    ///
    /// # Errors
    /// [`SessionError::NotLanguage`] if the model takes tensors.
    pub fn session(&self) -> Result<Session, SessionError> {
        self.new_session(false)
    }

    /// A session without tokens that keeps its whole trace in memory, for whoever opens parts of it: some 0.7 MB for each position of a model of 135
    /// million parameters, logits among them.
    ///
    /// # Errors
    /// [`SessionError::NotLanguage`] if the model takes tensors.
    pub fn recording_session(&self) -> Result<Session, SessionError> {
        self.new_session(true)
    }

    fn new_session(&self, keep: bool) -> Result<Session, SessionError> {
        let program = self.model().program();
        if program.language().is_none() {
            return Err(SessionError::NotLanguage);
        }
        Ok(Session {
            cache: Cache::new(program),
            len: 0,
            positions: Growing::new(keep),
            sampled: Growing::new(keep),
        })
    }

    /// Appends tokens to sessions, side by side.
    ///
    /// # Errors
    /// [`SessionError`]; no session is changed then.
    pub fn advance(
        &self,
        appends: &mut [Append<'_>],
        logits: &mut LogitSink<'_>,
    ) -> Result<(), SessionError> {
        let nobody = &mut |_: NodeId, _: usize, _: usize, _: &[i64]| {};
        self.advance_watched::<false>(appends, logits, (&|_| false, nobody))
    }

    /// As [`Self::advance`], and shows every value of every node: node, append, position, cells.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn advance_observed(
        &self,
        appends: &mut [Append<'_>],
        logits: &mut LogitSink<'_>,
        observer: &mut ValueSink<'_>,
    ) -> Result<(), SessionError> {
        self.advance_watched::<true>(appends, logits, (&|_| true, observer))
    }

    /// As [`Self::advance_observed`], for the nodes that are wanted alone: values are shown tile by tile, and no other is copied.
    ///
    /// # Errors
    /// As [`Self::advance`].
    pub fn advance_watching(
        &self,
        appends: &mut [Append<'_>],
        logits: &mut LogitSink<'_>,
        wanted: &Wanted<'_>,
        observer: &mut ValueSink<'_>,
    ) -> Result<(), SessionError> {
        self.advance_watched::<true>(appends, logits, (wanted, observer))
    }

    fn advance_watched<const WATCHED: bool>(
        &self,
        appends: &mut [Append<'_>],
        logits: &mut LogitSink<'_>,
        (wanted, observer): (&Wanted<'_>, &mut ValueSink<'_>),
    ) -> Result<(), SessionError> {
        let asked = self.check(appends)?;
        let caches = appends.iter_mut().map(|append| {
            let mut cache = core::mem::take(&mut append.session.cache);
            cache.reserve(append.session.len + append.tokens.len());
            RwLock::new(cache)
        });
        let caches: Vec<RwLock<Cache>> = caches.collect();
        let Workspaces(idle) = self.workspaces();
        let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut workspace = taken.unwrap_or_default();
        let run = || {
            for asked in self.tiles(&asked) {
                let mut tile = Tokens {
                    engine: self,
                    caches: &caches,
                    asked,
                    wanted,
                };
                let watched = tile.run::<WATCHED>(&mut workspace, appends, logits);
                for (node, append, position, cells) in watched {
                    observer(node, append, position, &cells);
                }
            }
        };
        self.on_pool(run);
        idle.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(workspace);
        for (append, cache) in appends.iter_mut().zip(caches) {
            append.session.cache = cache.into_inner().unwrap_or_else(PoisonError::into_inner);
            append.session.len += append.tokens.len();
        }
        Ok(())
    }

    /// Rows that are computed together: as many as a tile has, but of an encoder always the whole of a session's, since each reads all of them.
    fn tiles<'r>(&self, asked: &'r [Asked]) -> Vec<&'r [Asked]> {
        let most = self.plan().main.tile_positions;
        let language = self.model().program().spec().language.as_ref();
        if language.is_none_or(|language| language.encoder.is_none()) {
            return asked.chunks(most).collect();
        }
        let (mut tiles, mut rest) = (Vec::new(), asked);
        while !rest.is_empty() {
            let mut end = 0;
            for whole in rest.chunk_by(|a, b| a.row.session == b.row.session) {
                if end > 0 && end + whole.len() > most {
                    break;
                }
                end += whole.len();
            }
            let (tile, later) = rest.split_at(end);
            tiles.push(tile);
            rest = later;
        }
        tiles
    }

    fn check(&self, appends: &[Append<'_>]) -> Result<Vec<Asked>, SessionError> {
        let language = self.model().program().spec().language.as_ref();
        let language = language.ok_or(SessionError::NotLanguage)?;
        let whole = language.encoder.is_some();
        let mut asked = Vec::new();
        for (session, append) in appends.iter().enumerate() {
            let (len, max) = (append.session.len, index(language.context));
            let got = len.saturating_add(append.tokens.len());
            if got > max {
                return Err(SessionError::Context { got, max });
            }
            if whole && len > 0 && !append.tokens.is_empty() {
                return Err(SessionError::Whole { got: len });
            }
            let got_last = got.saturating_sub(1);
            let (got, tokens) = (append.sampled, append.tokens.len());
            let first = tokens
                .checked_sub(got)
                .ok_or(SessionError::Sampled { got, tokens })?;
            for (at, &token) in append.tokens.iter().enumerate() {
                if token >= language.vocabulary {
                    return Err(SessionError::Token {
                        got: token,
                        vocabulary: language.vocabulary,
                    });
                }
                let position = len + at;
                let row = Row {
                    session,
                    position,
                    last: if whole { got_last } else { position },
                    token,
                };
                asked.push(Asked {
                    row,
                    sampled: at >= first,
                });
            }
        }
        Ok(asked)
    }
}

/// Rows that are computed together.
struct Tokens<'a> {
    engine: &'a Engine,
    caches: &'a [RwLock<Cache>],
    asked: &'a [Asked],
    wanted: &'a Wanted<'a>,
}

impl Tokens<'_> {
    fn run<const WATCHED: bool>(
        &mut self,
        workspace: &mut Workspace,
        appends: &mut [Append<'_>],
        logits: &mut LogitSink<'_>,
    ) -> Vec<Watched> {
        let plan = self.engine.plan();
        let rows: Vec<Row> = self.asked.iter().map(|asked| asked.row).collect();
        let mut sums = self.sums::<WATCHED>(&plan.main, rows.len());
        let Workspace { main, sampled } = workspace;
        let mut tile = main.tile(&plan.main, &rows, WATCHED.then_some(&mut sums));
        let mut watched = self.phase::<WATCHED>(&plan.main, &mut tile);
        let (mut hashers, mut later) = (Vec::new(), Vec::new());
        for append in appends {
            hashers.push(&mut append.session.positions);
            later.push(&mut append.session.sampled);
        }
        let tile = &tile;
        let draw = || {
            let Some(phase) = &plan.sampled else {
                return Vec::new();
            };
            self.draw::<WATCHED>(phase, tile, sampled, &mut later, logits)
        };
        let hash = || {
            for (row, parts) in blocks(tile, plan.main.heads) {
                for part in parts {
                    hashers[row.session].update(part);
                }
            }
        };
        // The head is one large product, so hashing what came before costs a second thread nothing.
        let ((), drawn) = self.engine.both(hash, draw);
        watched.extend(drawn);
        watched
    }

    /// Runs the sampled phase for the rows whose logits are asked for.
    fn draw<const WATCHED: bool>(
        &self,
        phase: &Phase,
        main: &Tile<'_>,
        room: &mut Room,
        hashers: &mut [&mut Growing],
        logits: &mut LogitSink<'_>,
    ) -> Vec<Watched> {
        let asked = self
            .asked
            .iter()
            .enumerate()
            .filter(|(_, asked)| asked.sampled);
        let chosen: Vec<usize> = asked.map(|(at, _)| at).collect();
        if chosen.is_empty() {
            return Vec::new();
        }
        let rows: Vec<Row> = chosen.iter().map(|&at| self.asked[at].row).collect();
        let mut sums = self.sums::<WATCHED>(phase, rows.len());
        let mut tile = room.tile(phase, &rows, WATCHED.then_some(&mut sums));
        for (to, &from) in chosen.iter().enumerate() {
            for &(there, here) in &phase.copies {
                tile.copy_from(main, (from, there), (to, here));
            }
        }
        let watched = self.phase::<WATCHED>(phase, &mut tile);
        for (row, parts) in blocks(&tile, phase.heads) {
            for part in parts {
                hashers[row.session].update(part);
            }
            let [fixed, _] = parts;
            if let Some(place) = self.engine.plan().logits
                && let Cells::I32(cells) =
                    Cells::new(place.dtype, &fixed[place.offset..][..place.bytes()])
            {
                logits(row.session, row.position, cells);
            }
        }
        watched
    }

    fn sums<const WATCHED: bool>(&self, phase: &Phase, rows: usize) -> Vec<i32> {
        vec![0; if WATCHED { rows * phase.sums } else { 0 }]
    }

    fn phase<const WATCHED: bool>(&self, phase: &Phase, tile: &mut Tile<'_>) -> Vec<Watched> {
        let mut watched = Vec::new();
        for (at, planned) in phase.steps.iter().enumerate() {
            let around = Surroundings {
                work: planned.work,
                ..self.engine.around(self.caches)
            };
            // Inputs alone are refused, and there are none.
            let done = self
                .engine
                .step(phase, at, || planned.step.run(tile, around));
            if WATCHED && done.is_ok() {
                let context = context(self.engine.model());
                let wanted = planned
                    .nodes
                    .iter()
                    .filter(|(node, _)| (self.wanted)(*node));
                for &(node, seen) in wanted {
                    let mut seen_at = Vec::new();
                    watch(tile, node, seen, context, &mut seen_at);
                    for (node, number, cells) in seen_at {
                        let row = tile.rows[number];
                        watched.push((node, row.session, row.position, cells));
                    }
                }
            }
        }
        watched
    }
}

fn context(model: &Model) -> usize {
    let language = model.program().spec().language.as_ref();
    language.map_or(1, |language| index(language.context))
}

#[cfg(test)]
mod tests;
