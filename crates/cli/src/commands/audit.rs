//! `credence audit`: a spot check of one answer, by draws of this machine's.
//!
//! ```text
//! bundle ─signature, openings─▶ 32 random bytes ─▶ operator runs again ─▶ opened cells ─▶ each by its relation, under trace root and model id
//! ```
//!
//! The random bytes are drawn here, after the operator signed: nothing it signed could be chosen to suit them. Or the draws follow from what witnesses signed of the log
//! after the receipt was in it, which no operator has in its hands.

use std::path::Path;

use credence_base::Digest;
use credence_claim::MethodId;
use credence_log::policy::Clock;
use credence_method_spot::{Challenge, Spot};
use credence_node::Kept;
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::file::{self, Access};
use credence_verify::{Facts, Policy, Refusal, check};
use credence_watch::cards::{Cards, card_in, check_text};
use credence_watch::odds::{Chance, ONE_PPM, Side};
use credence_watch::opening::{
    Asked, CheckpointError, OPENING_TIME_MAX, OpeningError, ask, from_checkpoint, with_evidence,
};
use credence_witness::fetch::{Fetcher, Prefix};

use crate::args::{AuditArgs, Draws};
use crate::commands::confidence::percent;
use crate::commands::verify::{read_policy, refused};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::time::now_unix_s;
use crate::view::assurance::{AcceptedView, RefusedView};

/// What an operator's silence means.
const UNSHOWN: &str = "an operator that does not open what it signed has not shown it";
/// What share of the run's work some lies are, in millionths: measured on SmolLM2-135M by 2,000 draws each (`crates/prove-spot/examples/shares.rs`; `docs/spec/spot.md`,
/// section 4).
const MEASURED_PPM: [(&str, u32); 4] = [
    ("all weights in 7 bits instead of 8", 950_000),
    ("one block's weights in 7 bits", 24_000),
    ("one block of 30 left out", 11_000),
    ("one weight changed, at most", 10),
];
/// The share whose bound is printed: half of the run. Other shares' bounds follow from the number of cells.
pub(crate) const HALF_PPM: u32 = 500_000;

/// Audits and prints what that earned.
pub(crate) fn run(context: &mut Context, args: &AuditArgs) -> Result<(), CliError> {
    match audit(context, args) {
        Ok(view) if context.console.json() => context.console.data_json(&view),
        Ok(view) => {
            let text = format!("{}\n\n{}", view.text(), measured(args.cells));
            context.console.data(&text)
        }
        Err(error) => {
            if context.console.json() {
                context.console.data_json(&RefusedView::new(&error))?;
            }
            Err(error)
        }
    }
}

/// How likely lies of known shares pass so many cells.
fn measured(cells: u32) -> String {
    let line = |(lie, share): &(&str, u32)| {
        let right = Chance::ppm(ONE_PPM.saturating_sub(*share), Side::Up);
        let missed = percent(right.power(cells.into()).to_ppm());
        let share = percent((*share).into());
        format!("  {lie:<36} f = {share:>9}, missed {missed}")
    };
    let lines: Vec<String> = MEASURED_PPM.iter().map(line).collect();
    format!(
        "some lies, missed by {cells} cells with a chance of (1 − f)^{cells}; f measured on SmolLM2-135M (docs/spec/spot.md, section 4)\n{}",
        lines.join("\n")
    )
}

fn audit(context: &mut Context, args: &AuditArgs) -> Result<AcceptedView, CliError> {
    let refuse = |refusal: &Refusal| refused(&args.bundle, refusal);
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let bytes = file::read(&args.bundle, len_max)?;
    let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX).map_err(|e| refuse(&Refusal::Bundle(e)))?;
    let facts = Facts::at(now_unix_s()?);
    // A signature that is wrong is told before anyone is asked for anything.
    let policy = policy_of(args)?;
    let signed = check(&bundle, &policy, &[], &facts).map_err(|e| refuse(&e))?;
    let model = signed.value().inference().claim.fields().model;
    let kept = Kept::of(&bundle);
    if kept.key.is_none() {
        let error = CliError::new(
            Exit::Missing,
            "the bundle has no openings, which entitle to an audit",
        );
        return Err(error.hint("take the whole bundle, from the path that the answer came with"));
    }

    let cards = Cards::at(&context.home()?.path().join("cards"));
    let card = cards.known(model)?;
    let challenge = challenge(args, &bundle, &policy, facts.now_unix_s)?;
    // Evidence that is kept brings all that it takes to check it again.
    let carry = if card.is_some() && args.out.is_none() {
        "nothing"
    } else {
        "text"
    };
    let operator = Prefix::new(&args.operator).map_err(|e| {
        CliError::because(Exit::Usage, format!("`{}` is no address", args.operator), e)
    })?;
    let asked = Asked {
        challenge: &challenge,
        cells: args.cells,
        rows: args.rows,
        card: carry,
        time_max: OPENING_TIME_MAX,
    };
    let opened = ask(&Fetcher::new(), &operator, &kept, asked).map_err(unopened)?;
    let came = card_in(model, &opened);
    if let Some(card) = &came {
        check_text(card).map_err(|e| CliError::of(Exit::Missing, e).hint(UNSHOWN))?;
    }

    let known = card.into_iter().collect();
    let asked = (args.cells, args.rows);
    let spot = Spot::drawing(known, asked, HALF_PPM, challenge.clone())
        .map_err(|e| CliError::of(Exit::Usage, e))?;
    let audited =
        with_evidence(&bundle, opened.clone()).map_err(|e| refuse(&Refusal::Bundle(e)))?;
    let policy = Policy {
        required: vec![MethodId::SPOT],
        ..policy
    };
    let verified = check(&audited, &policy, &[&spot], &facts).map_err(|e| refuse(&e))?;
    if came.is_some() {
        cards.keep(model, &opened)?;
    }
    if let Some(out) = &args.out {
        write(context, args, (out, &audited), &challenge)?;
    }
    Ok(AcceptedView::new(&verified))
}

/// Writes what an audit found where someone else can check it again, and says how.
fn write(
    context: &mut Context,
    args: &AuditArgs,
    (out, audited): (&Path, &Bundle),
    challenge: &Challenge,
) -> Result<(), CliError> {
    let bytes = audited
        .encode()
        .map_err(|e| CliError::ours("the bundle cannot be written", e))?;
    file::write(out, &bytes, Access::Owner)?;
    let demand = match (challenge, &args.policy) {
        (Challenge::Auditor(random), _) => {
            format!("--require spot --challenge {}", Digest::from_bytes(*random))
        }
        (_, Some(policy)) => format!("--policy {} --challenge checkpoint", policy.display()),
        (_, None) => "--challenge checkpoint".to_owned(),
    };
    context.console.say(&format!(
        "checked again with `credence verify {} {demand} --cells {} --rows {}`",
        out.display(),
        args.cells,
        args.rows
    ));
    Ok(())
}

/// What the receipt must meet before its operator is asked: no more than a signature, or what the policy says of logs.
fn policy_of(args: &AuditArgs) -> Result<Policy, CliError> {
    match (&args.policy, args.challenge) {
        (Some(path), _) => Ok(Policy {
            required: Vec::new(),
            bits_min: None,
            ..read_policy(path)?
        }),
        (None, Draws::Checkpoint) => {
            let error = CliError::new(
                Exit::Usage,
                "a checkpoint's challenge takes a policy that names the log and its witnesses",
            );
            Err(error.hint("`--policy FILE`; `docs/spec/policy.md` lists its fields"))
        }
        (None, Draws::Random | Draws::Drawn(_)) => Ok(Policy::signature_only()),
    }
}

/// Whence the draws come.
fn challenge(
    args: &AuditArgs,
    bundle: &Bundle,
    policy: &Policy,
    now_unix_s: u64,
) -> Result<Challenge, CliError> {
    match args.challenge {
        Draws::Random => {
            let mut random = [0; 32];
            getrandom::fill(&mut random)
                .map_err(|e| CliError::ours("the system gives no random bytes", e))?;
            Ok(Challenge::Auditor(random))
        }
        Draws::Drawn(digest) => Ok(Challenge::Auditor(*digest.as_bytes())),
        Draws::Checkpoint => checkpoint_challenge(bundle, policy, now_unix_s),
    }
}

/// The challenge of the checkpoint in a bundle's log proof.
pub(crate) fn checkpoint_challenge(
    bundle: &Bundle,
    policy: &Policy,
    now_unix_s: u64,
) -> Result<Challenge, CliError> {
    let Some(demand) = &policy.log else {
        return Err(CliError::new(
            Exit::Usage,
            "the policy names no log, so no checkpoint gives a challenge",
        ));
    };
    let clock = Clock {
        now_unix_s,
        skew_max_s: policy.skew_max_s,
    };
    let found = from_checkpoint(bundle, &demand.policy, clock);
    found.map(|found| found.challenge).map_err(|error| {
        let exit = match &error {
            CheckpointError::NoProof => Exit::Missing,
            CheckpointError::NoWitness => Exit::Usage,
            CheckpointError::Proof(_) => Exit::PolicyUnmet,
        };
        CliError::because(exit, "there is no challenge by a checkpoint", error)
    })
}

/// An operator that opens nothing.
fn unopened(error: OpeningError) -> CliError {
    let exit = match &error {
        OpeningError::Fetch(_) => Exit::Io,
        OpeningError::Refused { .. } => Exit::Missing,
    };
    CliError::because(exit, "the operator opens nothing", error).hint(UNSHOWN)
}
