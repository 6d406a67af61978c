//! A clock that stands still while the referee does not run, so that nobody loses by the referee's own absence.
//!
//! ```text
//! now = the wall's time − the time in which nobody was there, as far as it is known
//! every few seconds ─beat─▶ file: seconds stood still, the wall's time        a start later: what lies between the two is stood still as well
//! ```
//!
//! What it loses is at most the time from a beat to the end. It deliberately does not go back: a wall that does is waited for.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use credence_store::file::{self, Access};
use credence_witness::Clock;

use crate::error::CourtError;

/// The longest file, in bytes: two numbers.
const FILE_LEN_MAX: u64 = 64;

#[derive(Debug, Clone, Copy)]
struct State {
    stood_s: u64,
    newest_unix_s: u64,
}

/// The referee's clock.
pub struct StillClock {
    wall: Clock,
    path: PathBuf,
    state: Mutex<State>,
}

impl StillClock {
    /// Goes on from the file at `path`; from the wall's time if there is none, or `anew` says that no dispute hangs on it.
    ///
    /// # Errors
    /// [`CourtError::Clock`] if the file is damaged, [`CourtError::Store`] if it cannot be read.
    pub(crate) fn open(path: &Path, wall: Clock, anew: bool) -> Result<Self, CourtError> {
        let now = wall();
        let stood_s = match file::read(path, FILE_LEN_MAX) {
            _ if anew => 0,
            Ok(bytes) => {
                let (stood, beat) = read(&bytes).ok_or(CourtError::Clock)?;
                stood.saturating_add(now.saturating_sub(beat))
            }
            Err(error) if error.is_absent() => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            wall,
            path: path.to_owned(),
            state: Mutex::new(State {
                stood_s,
                newest_unix_s: 0,
            }),
        })
    }

    /// The referee's time, in seconds since 1970-01-01 UTC. It never goes back.
    #[must_use]
    pub fn now(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = (self.wall)().saturating_sub(state.stood_s);
        state.newest_unix_s = state.newest_unix_s.max(now);
        state.newest_unix_s
    }

    /// The time of the wall.
    #[must_use]
    pub fn wall_unix_s(&self) -> u64 {
        (self.wall)()
    }

    /// Writes down that the referee is there.
    ///
    /// # Errors
    /// [`CourtError::Store`].
    pub(crate) fn beat(&self) -> Result<(), CourtError> {
        let stood_s = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stood_s;
        let text = format!("{stood_s} {}\n", (self.wall)());
        Ok(file::write(&self.path, text.as_bytes(), Access::Owner)?)
    }
}

fn read(bytes: &[u8]) -> Option<(u64, u64)> {
    let text = core::str::from_utf8(bytes).ok()?;
    let (stood, beat) = text.strip_suffix('\n')?.split_once(' ')?;
    Some((stood.parse().ok()?, beat.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn it_stands_still_while_nobody_is_there_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let wall = Arc::new(AtomicU64::new(1000));
        let told = Arc::clone(&wall);
        let told: Clock = Arc::new(move || told.load(Ordering::Relaxed));
        let clock = StillClock::open(&path, Arc::clone(&told), false).unwrap();
        assert_eq!(clock.now(), 1000);
        wall.store(1010, Ordering::Relaxed);
        clock.beat().unwrap();
        assert_eq!(clock.now(), 1010);
        wall.store(990, Ordering::Relaxed);
        assert_eq!(clock.now(), 1010);
        drop(clock);

        wall.store(5000, Ordering::Relaxed);
        let clock = StillClock::open(&path, Arc::clone(&told), false).unwrap();
        assert_eq!(clock.now(), 1010);
        wall.store(5007, Ordering::Relaxed);
        assert_eq!(clock.now(), 1017);
        clock.beat().unwrap();
        let again = StillClock::open(&path, Arc::clone(&told), false).unwrap();
        assert_eq!(again.now(), 1017);
        let anew = StillClock::open(&path, Arc::clone(&told), true).unwrap();
        assert_eq!(anew.now(), 5007);
        for damaged in ["", "1", "1 2", "1 x\n", "-1 2\n"] {
            std::fs::write(&path, damaged).unwrap();
            let opened = StillClock::open(&path, Arc::clone(&told), false);
            assert!(matches!(opened, Err(CourtError::Clock)), "{damaged:?}");
        }
    }
}
