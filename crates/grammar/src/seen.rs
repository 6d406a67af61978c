//! Which threads a byte has led to already: a table that is emptied by counting on, since it is emptied for every byte of every token.
//!
//! Few threads are compared one by one; it is for many, where comparing each with all others would be most of the work, and no part of what is counted as moves.

use core::hash::{Hash as _, Hasher};

use crate::machine::{THREADS_MAX, Thread};

/// Threads that are compared one by one.
pub(crate) const FEW: usize = 8;
/// Four places for each thread that can be.
const PLACES: usize = (4 * (THREADS_MAX + 1)).next_power_of_two();

/// Threads of one byte.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Each with the round that it is of.
    places: Vec<Option<(u64, Thread)>>,
    round: u64,
}

/// FNV-1a by words.
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(u64::try_from(value).unwrap_or(u64::MAX));
    }
}

impl Seen {
    /// Forgets all.
    pub(crate) const fn begin(&mut self) {
        self.round += 1;
    }

    /// Whether a thread is new. No more than [`THREADS_MAX`] and one are ever put in.
    pub(crate) fn insert(&mut self, thread: Thread) -> bool {
        if self.places.is_empty() {
            self.places.resize(PLACES, None);
        }
        let mut mix = Mix(0xcbf2_9ce4_8422_2325);
        thread.hash(&mut mix);
        let first = usize::try_from(mix.finish() & 0xffff_ffff).unwrap_or(0);
        for step in 0..PLACES {
            let at = first.wrapping_add(step) % PLACES;
            let Some(place) = self.places.get_mut(at) else {
                break;
            };
            match place {
                Some((round, own)) if *round == self.round => {
                    if *own == thread {
                        return false;
                    }
                }
                _ => {
                    *place = Some((self.round, thread));
                    return true;
                }
            }
        }
        false
    }
}
