//! A simulated world: seeded clock, disk and processes; thousands of short histories of one log.
//!
//! ```text
//! seed ─▶ history: appends, turns, crashes, faults, clock jumps, two processes ─▶ after each: check()
//! ```
//!
//! `kill` does the same to a real process on a real folder. `check` reads the disk alone and knows what was acknowledged. Disks that lie show that it would notice.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure is the test's"
)]

mod check;
mod disk;
mod history;
mod kill;

use disk::Lie;
use history::{Plan, run};

/// Histories of each kind. The variable `CREDENCE_HISTORIES` makes it more.
fn histories() -> u64 {
    let more = std::env::var("CREDENCE_HISTORIES").ok();
    more.map_or(250, |text| text.parse().unwrap())
}

/// Runs histories of one kind; gives the seeds and complaints of those that went wrong.
fn complaints(plan: Plan, count: u64) -> Vec<String> {
    let all = (0..count).filter_map(|seed| {
        let complaint = run(plan, seed).err()?;
        Some(format!("seed {seed} of {plan:?}: {complaint}"))
    });
    all.collect()
}

#[track_caller]
fn holds(plan: Plan) {
    let complaints = complaints(plan, histories());
    let first = complaints
        .iter()
        .take(3)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        complaints.is_empty(),
        "{} histories went wrong:\n{first}",
        complaints.len()
    );
}

const QUIET: Plan = Plan {
    crashes: false,
    faults: false,
    second: false,
    shared_index: false,
    clock_jumps: false,
    lie: Lie::None,
};

#[test]
fn a_quiet_world() {
    holds(QUIET);
}

#[test]
fn a_crash_at_any_write() {
    holds(Plan {
        crashes: true,
        ..QUIET
    });
}

#[test]
fn writes_that_fail_in_every_way() {
    holds(Plan {
        faults: true,
        ..QUIET
    });
}

#[test]
fn a_clock_that_goes_back() {
    holds(Plan {
        clock_jumps: true,
        ..QUIET
    });
}

#[test]
fn a_second_sequencer_by_mistake() {
    for shared_index in [false, true] {
        holds(Plan {
            second: true,
            shared_index,
            ..QUIET
        });
    }
}

#[test]
fn everything_at_once() {
    for shared_index in [false, true] {
        holds(Plan {
            crashes: true,
            faults: true,
            second: true,
            shared_index,
            clock_jumps: true,
            lie: Lie::None,
        });
    }
}

/// The twins that must fail: if the disk lies, some history shows it. Else `check` would be worth nothing.
#[test]
fn lying_disks_are_noticed() {
    let crashes = Plan {
        crashes: true,
        ..QUIET
    };
    let second = Plan {
        second: true,
        ..QUIET
    };
    let cases = [
        (Lie::Forgets, crashes),
        (Lie::FlushesNewAlone, crashes),
        (Lie::Overwrites, second),
        (Lie::SaysNew, second),
        (Lie::Corrupts, crashes),
    ];
    for (lie, plan) in cases {
        let found = complaints(Plan { lie, ..plan }, 300);
        assert!(!found.is_empty(), "no history shows that the disk {lie:?}");
    }
}

#[test]
fn every_single_write_may_be_the_last() {
    history::crash_at_each_write();
}

#[test]
fn what_waited_when_a_store_failed_is_logged_later() {
    history::what_waited_is_logged();
}

#[test]
fn an_older_copy_an_empty_place_and_another_place_are_refused() {
    history::no_older_place_is_taken_for_the_log();
}

#[test]
fn partial_files_that_cannot_be_removed_fail_no_batch() {
    history::what_cannot_be_pruned_stays();
}

#[test]
fn a_witness_that_saw_another_history_ends_the_log() {
    history::a_contradicted_log_ends();
}

#[test]
fn a_damaged_tile_is_named_and_not_served() {
    history::damage_each_object();
}

#[test]
fn a_slow_log_does_not_keep_a_file_for_each_entry() {
    history::slowly();
}
