//! Processes that are killed at random moments, by dice whose seed is told.
//!
//! ```text
//! seed() ─▶ Dice ─▶ how much a child may say, and how long it may go on then ─▶ until_killed: SIGKILL ─▶ what it said
//! ```
//!
//! The choices repeat with the seed; at which instruction the signal comes is up to the system.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Child;
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The variable that repeats a run.
const SEED: &str = "CREDENCE_SEED";

/// How long a child may take to say a line.
const LINE_MAX: Duration = Duration::from_secs(60);

/// The seed of this run: that of the variable `CREDENCE_SEED`, or one by the clock. It is printed, also when the test passes, so that a
/// run that failed can be repeated.
#[must_use]
pub fn seed(test: &str) -> u64 {
    let by_clock = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        u64::try_from(since.as_micros()).unwrap()
    };
    let asked = std::env::var(SEED).ok();
    let seed = asked.map_or_else(by_clock, |text| text.parse().unwrap());
    // Past the harness, which keeps what a test prints to itself.
    let mut told = std::io::stderr().lock();
    writeln!(told, "{test}: {SEED}={seed}").unwrap();
    seed
}

/// SplitMix64: small, seeded, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as the seed says.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// Once in `times`.
    pub const fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Lets a child run until it has said `count` lines that begin with `prefix` and a moment longer, and kills it (`SIGKILL`). Gives the rest of
/// each such line, also of those that came after the count; the last may be cut short, and is left out then. Its standard output must be a pipe.
#[must_use]
pub fn until_killed(mut child: Child, prefix: &str, count: u64, then: Duration) -> Vec<String> {
    let out = BufReader::new(child.stdout.take().unwrap());
    let (tell, hear) = channel();
    let prefix = prefix.to_owned();
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        let mut out = out;
        let mut line = String::new();
        while out.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.strip_suffix('\n')
                && let Some(rest) = rest.strip_prefix(&prefix)
            {
                said.push(rest.to_owned());
                // Whoever listens may have heard enough.
                let _heard = tell.send(());
            }
            line.clear();
        }
        said
    });
    for _ in 0..count {
        hear.recv_timeout(LINE_MAX).unwrap();
    }
    std::thread::sleep(then);
    let ended = child.try_wait().unwrap();
    assert!(ended.is_none(), "the child ended by itself: {ended:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}
