//! `credence audit`: a spot check of one answer, by draws of this machine's.
//!
//! ```text
//! bundle ─signature, openings─▶ 32 random bytes ─▶ operator runs again ─▶ opened cells ─▶ each by its relation, under trace root and model id
//! ```
//!
//! The random bytes are drawn here, after the operator signed: nothing it signed could be chosen to suit them. Or the draws follow from what witnesses signed of the log
//! after the receipt was in it, which no operator has in its hands.

use std::path::Path;

use credence_base::{Digest, ModelId};
use credence_claim::MethodId;
use credence_log::policy::Clock;
use credence_method_spot::{Card, Challenge, Spot};
use credence_node::Kept;
use credence_receipt::{BUNDLE_LEN_MAX, Bundle};
use credence_store::file::{self, Access};
use credence_verify::{Facts, Policy, Refusal, check};
use credence_watch::opening::{
    Asked, CheckpointError, OpeningError, ask, from_checkpoint, with_evidence,
};
use credence_witness::fetch::{Fetcher, Prefix};

use crate::args::{AuditArgs, Draws};
use crate::commands::verify::{read_policy, refused};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::time::now_unix_s;
use crate::view::assurance::{AcceptedView, RefusedView};

/// What an operator's silence means.
const UNSHOWN: &str = "an operator that does not open what it signed has not shown it";
/// The longest card that is read from the home folder, in bytes.
const CARD_LEN_MAX: u64 = 256 * 1024 * 1024;
/// The share whose bound is printed: half of the run. Other shares' bounds follow from the number of cells.
pub(crate) const HALF_PPM: u32 = 500_000;

/// Audits and prints what that earned.
pub(crate) fn run(context: &mut Context, args: &AuditArgs) -> Result<(), CliError> {
    match audit(context, args) {
        Ok(view) if context.console.json() => context.console.data_json(&view),
        Ok(view) => context.console.data(&view.text()),
        Err(error) => {
            if context.console.json() {
                context.console.data_json(&RefusedView::new(&error))?;
            }
            Err(error)
        }
    }
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

    let path = context.home()?.path().join("cards").join(model.to_string());
    let card = known_card(&path, model)?;
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
    };
    let opened = ask(&Fetcher::new(), &operator, &kept, asked).map_err(unopened)?;
    let came = card_in(model, &opened);
    check_text(came.as_ref().or(card.as_ref()))?;

    let cards = card.into_iter().collect();
    let asked = (args.cells, args.rows);
    let spot = Spot::drawing(cards, asked, HALF_PPM, challenge.clone())
        .map_err(|e| CliError::of(Exit::Usage, e))?;
    let audited =
        with_evidence(&bundle, opened.clone()).map_err(|e| refuse(&Refusal::Bundle(e)))?;
    let policy = Policy {
        required: vec![MethodId::SPOT],
        ..policy
    };
    let verified = check(&audited, &policy, &[&spot], &facts).map_err(|e| refuse(&e))?;
    if came.is_some() {
        keep_card(&path, &opened)?;
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

/// Refuses a language model's program without its tokeniser: words and tokens could not be compared.
fn check_text(card: Option<&Card>) -> Result<(), CliError> {
    if card.is_some_and(|card| speaks(card) && card.text().is_none()) {
        let error = CliError::new(
            Exit::Missing,
            "the operator sends the model's program without its tokeniser, so words and tokens could not be compared",
        );
        return Err(error.hint(UNSHOWN));
    }
    Ok(())
}

/// The card that came with evidence, if one did and it is the model's.
fn card_in(model: ModelId, evidence: &[u8]) -> Option<Card> {
    let decoded = credence_method_spot::Evidence::decode(evidence).ok()?;
    Card::decode(model, &decoded.card?).ok()
}

/// Whether it is a language model's.
fn speaks(card: &Card) -> bool {
    card.program().language().is_some()
}

/// The model's card, if an audit before this one brought it.
fn known_card(path: &Path, model: ModelId) -> Result<Option<Card>, CliError> {
    match file::read(path, CARD_LEN_MAX) {
        // One that is damaged, or lacks the tokeniser, is as good as none: the operator sends another.
        Ok(bytes) => {
            let card = Card::decode(model, &bytes).ok();
            Ok(card.filter(|card| !speaks(card) || card.text().is_some()))
        }
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Keeps a card that came with evidence. Whether it is right is checked whenever it is read.
fn keep_card(path: &Path, evidence: &[u8]) -> Result<(), CliError> {
    let decoded = credence_method_spot::Evidence::decode(evidence).ok();
    let Some(card) = decoded.and_then(|evidence| evidence.card) else {
        return Ok(());
    };
    if let Some(folder) = path.parent() {
        file::make_folder(folder, Access::Owner)?;
    }
    Ok(file::write(path, &card, Access::Owner)?)
}
