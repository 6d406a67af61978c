//! A clock that stands still while the referee does not run, sleeps or cannot write, so that nobody loses by the referee's own absence.
//!
//! ```text
//! now = the wall's time − the time in which nobody was there, as far as it is known
//! every few seconds ─beat─▶ file: seconds stood still, the wall's time        a start later: what lies between the two is stood still as well
//! not looked at for half a minute: its machine slept     a write that failed: it stands until one succeeds
//! ```
//!
//! What it loses is at most the time from a beat to the end. It deliberately does not go back: a wall that does is waited for. A wall that is put forward by more than half
//! a minute looks like sleep, and gives the parties that time.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use credence_store::file::{self, Access};
use credence_witness::Clock;

use crate::error::CourtError;

/// The longest file, in bytes: two numbers.
const FILE_LEN_MAX: u64 = 64;

/// A referee that runs looks at its clock twice a second. Longer than this, in seconds, and it slept.
const ASLEEP_S: u64 = 30;

#[derive(Debug, Clone, Copy)]
struct State {
    stood_s: u64,
    newest_unix_s: u64,
    /// The wall's time at the last look.
    seen_unix_s: u64,
    /// The wall's time when a write failed, if none has succeeded since.
    stands_unix_s: Option<u64>,
}

impl State {
    fn look(&mut self, wall_unix_s: u64) -> u64 {
        let slept_s = wall_unix_s.saturating_sub(self.seen_unix_s);
        self.seen_unix_s = self.seen_unix_s.max(wall_unix_s);
        if self.stands_unix_s.is_none() {
            if slept_s > ASLEEP_S {
                self.stood_s = self.stood_s.saturating_add(slept_s);
            }
            let now = wall_unix_s.saturating_sub(self.stood_s);
            self.newest_unix_s = self.newest_unix_s.max(now);
        }
        self.newest_unix_s
    }
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
                seen_unix_s: now,
                stands_unix_s: None,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The referee's time, in seconds since 1970-01-01 UTC. It never goes back.
    #[must_use]
    pub fn now(&self) -> u64 {
        let wall = (self.wall)();
        self.state().look(wall)
    }

    /// Stands still until a beat succeeds: what parties say cannot be kept.
    pub(crate) fn stand(&self) {
        let wall = (self.wall)();
        let mut state = self.state();
        state.look(wall);
        if state.stands_unix_s.is_none() {
            state.stands_unix_s = Some(wall);
        }
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
        let wall = (self.wall)();
        let stood_s = {
            let mut state = self.state();
            state.look(wall);
            let stands_s = state
                .stands_unix_s
                .map_or(0, |since| wall.saturating_sub(since));
            state.stood_s.saturating_add(stands_s)
        };
        let text = format!("{stood_s} {wall}\n");
        if let Err(error) = file::write(&self.path, text.as_bytes(), Access::Owner) {
            self.stand();
            return Err(error.into());
        }
        let mut state = self.state();
        if state.stands_unix_s.take().is_some() {
            state.stood_s = stood_s;
        }
        Ok(())
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

    /// A clock whose file cannot be written stands, and so does one that nobody looked at; what was stood is remembered.
    #[test]
    fn neither_sleep_nor_a_full_disk_costs_a_party_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let wall = Arc::new(AtomicU64::new(1000));
        let told = Arc::clone(&wall);
        let told: Clock = Arc::new(move || told.load(Ordering::Relaxed));
        let clock = StillClock::open(&path, Arc::clone(&told), false).unwrap();
        clock.beat().unwrap();
        wall.store(1030, Ordering::Relaxed);
        assert_eq!(clock.now(), 1030);
        // Its machine sleeps for an hour.
        wall.store(4630, Ordering::Relaxed);
        assert_eq!(clock.now(), 1030);
        wall.store(4640, Ordering::Relaxed);
        assert_eq!(clock.now(), 1040);
        clock.beat().unwrap();

        // A folder in the file's place: no write succeeds.
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("x"), "x").unwrap();
        assert!(clock.beat().is_err());
        for wall_s in [4650, 4670, 9000, 9010] {
            wall.store(wall_s, Ordering::Relaxed);
            assert_eq!(clock.now(), 1040);
            assert!(clock.beat().is_err());
        }
        std::fs::remove_dir_all(&path).unwrap();
        clock.beat().unwrap();
        assert_eq!(clock.now(), 1040);
        wall.store(9015, Ordering::Relaxed);
        assert_eq!(clock.now(), 1045);
        clock.beat().unwrap();
        let again = StillClock::open(&path, told, false).unwrap();
        assert_eq!(again.now(), 1045);
    }
}
