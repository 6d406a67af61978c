//! `credence audit`: a spot check of one answer, by draws of this machine's.
//!
//! ```text
//! bundle ─signature, openings─▶ 32 random bytes ─▶ operator runs again ─▶ opened cells ─▶ each by its relation, under trace root and model id
//! ```
//!
//! The random bytes are drawn here, after the operator signed: nothing it signed could be chosen to suit them.

use std::path::Path;
use std::time::Duration;

use credence_base::{Digest, ModelId};
use credence_claim::{Evidence, MethodId};
use credence_method_spot::{Card, Challenge, EVIDENCE_VERSION, Spot};
use credence_node::Kept;
use credence_receipt::{BUNDLE_LEN_MAX, Bundle, BundleError};
use credence_store::file::{self, Access};
use credence_verify::{Facts, Policy, Refusal, check};
use credence_witness::fetch::{Bounds, Fetcher, Prefix};
use serde_json::json;

use crate::args::AuditArgs;
use crate::commands::verify::refused;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::time::now_unix_s;
use crate::view::assurance::{AcceptedView, RefusedView};

/// The longest evidence that is taken, in bytes, and the longest time that the operator may take.
const BOUNDS: Bounds = Bounds {
    len_max: 64 * 1024 * 1024,
    time_max: Duration::from_secs(300),
};
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
    let policy = Policy::signature_only();
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
    let mut random = [0; 32];
    getrandom::fill(&mut random)
        .map_err(|e| CliError::ours("the system gives no random bytes", e))?;
    // Evidence that is kept brings all that it takes to check it again.
    let carry = if card.is_some() && args.out.is_none() {
        "nothing"
    } else {
        "text"
    };
    let opened = ask(args, &kept, &random, carry)?;
    let came = card_in(model, &opened);
    check_text(came.as_ref().or(card.as_ref()))?;

    let cards = card.into_iter().collect();
    let asked = (args.cells, args.rows);
    let spot = Spot::drawing(cards, asked, HALF_PPM, Challenge::Auditor(random))
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
        write(context, args, (out, &audited), random)?;
    }
    Ok(AcceptedView::new(&verified))
}

/// The bundle with what was opened in place of other evidence, and its log proof.
fn with_evidence(bundle: &Bundle, bytes: Vec<u8>) -> Result<Bundle, BundleError> {
    let evidence = Evidence {
        method: MethodId::SPOT,
        version: u32::from(EVIDENCE_VERSION),
        bytes,
    };
    let openings = bundle.openings().clone();
    let audited = Bundle::new(bundle.receipt().clone(), openings, vec![evidence])?;
    match bundle.log() {
        Some(proof) => audited.with_log(proof.to_owned()),
        None => Ok(audited),
    }
}

/// Writes what an audit found where someone else can check it again, and says how.
fn write(
    context: &mut Context,
    args: &AuditArgs,
    (out, audited): (&Path, &Bundle),
    random: [u8; 32],
) -> Result<(), CliError> {
    let bytes = audited
        .encode()
        .map_err(|e| CliError::ours("the bundle cannot be written", e))?;
    file::write(out, &bytes, Access::Owner)?;
    let challenge = Digest::from_bytes(random);
    context.console.say(&format!(
        "checked again with `credence verify {} --require spot --challenge {challenge} --cells {} --rows {}`",
        out.display(),
        args.cells,
        args.rows
    ));
    Ok(())
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

fn ask(args: &AuditArgs, kept: &Kept, random: &[u8; 32], carry: &str) -> Result<Vec<u8>, CliError> {
    let operator = Prefix::new(&args.operator).map_err(|e| {
        CliError::because(Exit::Usage, format!("`{}` is no address", args.operator), e)
    })?;
    let path = kept.path();
    let path = path.replacen('?', "/audit?", 1);
    let url = operator.join(path.trim_start_matches('/'));
    let body = json!({
        "challenge": Digest::from_bytes(*random).to_string(),
        "cells": args.cells,
        "rows": args.rows,
        "card": carry,
    });
    let reply = Fetcher::new()
        .post(&url, &body.to_string(), BOUNDS)
        .map_err(|e| CliError::because(Exit::Io, "the operator opens nothing", e).hint(UNSHOWN))?;
    if reply.status == 200 {
        return Ok(reply.body);
    }
    let said = String::from_utf8_lossy(&reply.body);
    let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
    Err(CliError::new(
        Exit::Missing,
        format!(
            "the operator opens nothing: status {}: {said}",
            reply.status
        ),
    )
    .hint(UNSHOWN))
}
