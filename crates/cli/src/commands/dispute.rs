//! `credence dispute`: begin one, be the referee, look at one, reach its verdict again.
//!
//! ```text
//! open: bundle ─run again─▶ nothing differs? ─▶ filing ─▶ (entries ─own referee─▶ answer)* ─▶ verdict, reached again ─▶ file
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use credence_base::SigningKey;
use credence_claim::commitment::input_root;
use credence_claim::{Case, MethodId};
use credence_court::{
    ClientError, CourtClient, CourtEvent, Draft, Filing, Notice, Pass, Rules, Seat, ServeError,
    Standing, Step, confirm, lines, serve, step,
};
use credence_dispute::{Body, Party, Terms};
use credence_method_replay::Replay;
use credence_node::shutdown_signal;
use credence_prove_dispute::{Challenger, PlayError, Player, Sections};
use credence_receipt::{Bundle, Inference};
use credence_store::KeyFile;
use credence_store::file::{self, Access};
use credence_verify::{Facts, Policy, Refusal, RefusalKind, check};
use credence_witness::fetch::Prefix;
use credence_witness::system_clock;

use crate::args::{DisputeCommand, OpenArgs, RefereeArgs};
use crate::commands::dispute_view::{LineView, VerdictView, confirmed, read, refused};
use crate::commands::events;
use crate::commands::serve::log_to_stderr;
use crate::commands::verify;
use crate::context::{Context, engine_options};
use crate::error::CliError;
use crate::exit::Exit;
use crate::time::now_unix_s;

/// From one look at the dispute to the next.
const LOOK: Duration = Duration::from_millis(500);
/// How often in a row a look may fail before it is given up: some two minutes. The dispute goes on where it was when the command is given again.
const FAILURES_MAX: u32 = 240;

/// Does what the command line says.
pub(crate) fn run(context: &mut Context, command: DisputeCommand) -> Result<(), CliError> {
    match command {
        DisputeCommand::Open(args) => open(context, &args),
        DisputeCommand::Referee(args) => referee(context, &args),
        DisputeCommand::Show { file } => show(context, &file),
        DisputeCommand::Verify { file, referee } => {
            let bundle = read(&file)?;
            if let Some(referee) = referee
                && *bundle.receipt().signer() != referee
            {
                let got = bundle.receipt().signer();
                let what = format!("the verdict is signed by {got}, not by {referee}");
                return Err(CliError::new(Exit::PolicyUnmet, what));
            }
            print(context, &confirmed(&file, &bundle)?)
        }
    }
}

fn print(context: &mut Context, view: &VerdictView) -> Result<(), CliError> {
    if context.console.json() {
        context.console.data_json(view)
    } else {
        context.console.data(&view.text())
    }
}

fn show(context: &mut Context, path: &Path) -> Result<(), CliError> {
    let bundle = read(path)?;
    let all = lines(&bundle).map_err(|refusal| refused(path, &refusal))?;
    for view in all.iter().map(LineView::new) {
        if context.console.json() {
            context.console.data_json(&view)?;
        } else {
            context.console.data(&view.text())?;
        }
    }
    let view = confirmed(path, &bundle)?;
    if !context.console.json() {
        context.console.data("")?;
    }
    print(context, &view)
}

fn referee(context: &mut Context, args: &RefereeArgs) -> Result<(), CliError> {
    log_to_stderr();
    context.operator()?;
    let key = KeyFile::at(context.home()?.operator_key()).read()?;
    let own = context.home()?.path().join("referee");
    let folder = args.state.clone().unwrap_or(own);
    let rules = Rules {
        turn_s: args.turn,
        live_max: usize::from(args.live_max),
        ..Rules::usual()
    };
    let address = args.listen;
    events::run(&mut context.console, words, |send| {
        let stop = shutdown_signal()
            .map_err(|e| CliError::ours("the system takes no handler for signals", e))?;
        // Whoever listens to events lives as long as the referee.
        let sink = Arc::new(move |event: CourtEvent| drop(send.send(event)));
        let running = serve(
            (folder, address),
            (key, rules),
            (system_clock(), sink),
            stop,
        );
        Ok(async move {
            running.await.map_err(|error| {
                let exit = match &error {
                    ServeError::Listen { .. } => Exit::Io,
                    ServeError::Docket(_) => Exit::Malformed,
                };
                CliError::because(exit, "the referee cannot run", error)
            })
        })
    })
}

fn words(event: &CourtEvent) -> String {
    match event {
        CourtEvent::Listening { url, referee } => {
            format!("listening on {url}; verdicts are signed with key {referee}")
        }
        CourtEvent::Filed {
            dispute,
            operator,
            challenger,
        } => format!("dispute {dispute}: {challenger} disputes an answer of {operator}"),
        CourtEvent::Said { dispute, entries } => format!("dispute {dispute}: message {entries}"),
        CourtEvent::Ended {
            dispute,
            loser,
            reason,
        } => format!("dispute {dispute}: {loser} lost for `{reason}`"),
        CourtEvent::Failed { what } => format!("FAILED, and is tried again: {what}"),
    }
}

/// What a challenger has at hand.
struct Ready {
    bundle: Bundle,
    inference: Inference,
    player: Player,
    truth: Sections,
    key: SigningKey,
}

fn open(context: &mut Context, args: &OpenArgs) -> Result<(), CliError> {
    let prefix = Prefix::new(&args.referee).map_err(|e| {
        let what = format!("`{}` is no referee's address", args.referee);
        CliError::because(Exit::Usage, what, e)
    })?;
    let mut court = CourtClient::new(prefix);
    if let Some(key) = args.referee_key {
        court = court.of(key);
    }
    let ready = make_ready(context, args)?;
    let notice = begin(context, &court, &ready)?;
    let id = notice.dispute;
    context.console.say(&format!("dispute {id} is under way"));
    play(context, &court, &ready, &notice)?;
    let about = court.about().map_err(asked_in_vain)?;
    let gate = (&about.referee, Some(&id));
    let pass = Pass::sign(&ready.key, gate, about.time_unix_s);
    let bundle = court.verdict(&id, Some(&pass)).map_err(asked_in_vain)?;
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| format!("{id}.verdict.json").into());
    let bytes = bundle
        .encode()
        .map_err(|e| CliError::ours("the verdict cannot be written", e))?;
    // Kept before it is confirmed: a referee's false word is worth keeping.
    file::write(&out, &bytes, Access::Owner)?;
    let shown = confirm(&bundle).map_err(|refusal| refused(&out, &refusal))?;
    if shown.verdict.terms != notice.terms {
        let what = "the referee gives the verdict of another dispute";
        return Err(CliError::new(Exit::Inconsistent, what));
    }
    let text = format!("the verdict is in `{}`", out.display());
    context.console.say(&text);
    print(context, &VerdictView::new(&shown))
}

fn make_ready(context: &mut Context, args: &OpenArgs) -> Result<Ready, CliError> {
    let bundle = read(&args.bundle)?;
    let refuse = |refusal: &Refusal| verify::refused(&args.bundle, refusal);
    let facts = Facts::at(now_unix_s()?);
    let policy = Policy::signature_only();
    let signed = check(&bundle, &policy, &[], &facts).map_err(|e| refuse(&e))?;
    let inference = signed.value().inference().clone();
    let id = inference.claim.fields().model;
    let named = args.model.clone().unwrap_or_else(|| id.to_string());
    let found = context.model(&named)?;
    if found.model.id() != id {
        let what = format!("the claim is of model `{id}`, not of `{named}`");
        return Err(CliError::new(Exit::Usage, what));
    }
    let options = engine_options(args.engine.threads);
    if !args.anyway {
        let replay = Replay::new(Arc::clone(&found.model), options)
            .map_err(|e| CliError::ours("the model cannot be run on this machine", e))?;
        let policy = Policy {
            required: vec![MethodId::REPLAY],
            ..policy
        };
        match check(&bundle, &policy, &[&replay], &facts) {
            Ok(_) => {
                let what = "there is nothing to dispute: run again, the answer is right";
                return Err(CliError::new(Exit::Usage, what)
                    .hint("`--anyway` disputes it all the same, and loses"));
            }
            // What is missing here would be missing in the dispute.
            Err(refusal) if refusal.kind() == RefusalKind::MissingFacts => {
                return Err(refuse(&refusal));
            }
            Err(_) => {}
        }
    }
    context.operator()?;
    let key = KeyFile::at(context.home()?.operator_key()).read()?;
    if key.public_key() == inference.operator {
        let what = "this home's key is the operator's: a dispute needs two parties";
        return Err(
            CliError::new(Exit::Usage, what).hint("another home has another key: `--home DIR`")
        );
    }
    let player = Player::new(&found.model, options)
        .map_err(|e| CliError::ours("the model cannot be run on this machine", e))?;
    let truth = truth(&bundle, &inference, &player)?;
    Ok(Ready {
        bundle,
        inference,
        player,
        truth,
        key,
    })
}

/// The claim's request, run again. A claim that cannot be run loses when it is opened, so then there is nothing to know.
fn truth(bundle: &Bundle, inference: &Inference, player: &Player) -> Result<Sections, CliError> {
    let case = Case::check(&inference.claim, &inference.operator, bundle.openings());
    let case = case.map_err(|e| CliError::of(Exit::Inconsistent, e))?;
    match player.rerun(&case) {
        Ok(sections) => Ok(sections),
        Err(PlayError::Claim(_) | PlayError::Run(_) | PlayError::Session(_)) => {
            Ok(Sections::default())
        }
        Err(error) => Err(CliError::ours("the request cannot be run again", error)),
    }
}

fn asked_in_vain(error: ClientError) -> CliError {
    let exit = match &error {
        ClientError::Fetch(_) => Exit::Io,
        ClientError::Refused { .. } | ClientError::Referee { .. } => Exit::PolicyUnmet,
        ClientError::Length { .. } | ClientError::Wire(_) => Exit::Usage,
        ClientError::Form { .. }
        | ClientError::Entries(_)
        | ClientError::Filing(_)
        | ClientError::Bundle(_) => Exit::Malformed,
    };
    CliError::because(exit, "the referee was asked in vain", error)
}

/// Files a dispute, or finds one about this claim that is under way.
fn begin(context: &mut Context, court: &CourtClient, ready: &Ready) -> Result<Notice, CliError> {
    let about = court.about().map_err(asked_in_vain)?;
    let pass = Pass::sign(&ready.key, (&about.referee, None), about.time_unix_s);
    let claim = ready.inference.claim.digest();
    let own = ready.key.public_key();
    let mine = court.under_way(&pass).map_err(asked_in_vain)?;
    let is_ours = |notice: &Notice| notice.terms.claim == claim && notice.terms.challenger == own;
    if let Some(notice) = mine.into_iter().find(is_ours) {
        context
            .console
            .say("going on with a dispute that is under way");
        return Ok(notice);
    }
    let terms = Terms {
        claim,
        operator: ready.inference.operator,
        challenger: own,
        started_unix_s: about.time_unix_s,
        turn_s: about.turn_s,
    };
    let Some(input) = &ready.bundle.openings().input else {
        let what = "the bundle does not open the input, which entitles to a dispute";
        return Err(CliError::new(Exit::Missing, what));
    };
    let draft = Draft {
        terms,
        receipt: ready.bundle.receipt().clone(),
        input: (input.salt, input_root(&input.content)),
        card: ready.player.card_bytes().to_vec(),
    };
    let filing = Filing::sign(draft, &ready.key, &about.referee);
    court.file(&filing).map_err(asked_in_vain)
}

fn play(
    context: &mut Context,
    court: &CourtClient,
    ready: &Ready,
    notice: &Notice,
) -> Result<(), CliError> {
    let seat = Seat {
        key: &ready.key,
        party: Party::Challenger,
        card: ready.player.card(),
        claim: &ready.inference.claim,
        terms: notice.terms,
    };
    let challenger = Challenger::new(ready.player.weights(), &ready.truth);
    let mut failures = 0_u32;
    loop {
        // Cheap while the operator thinks: entries are fetched when it is our turn.
        let standing = court.notice(&notice.dispute).map(|now| now.standing);
        let stepped = match standing {
            Ok(Standing::Awaiting(Party::Operator, _)) => {
                std::thread::sleep(LOOK);
                continue;
            }
            Ok(_) => step(court, &seat, |referee| {
                Ok::<Option<Body>, PlayError>(challenger.answer(referee))
            }),
            Err(error) => Err(error.into()),
        };
        match stepped {
            Ok(Step::Over(_)) => return Ok(()),
            Ok(Step::Said) => failures = 0,
            Ok(Step::Waiting(_)) => std::thread::sleep(LOOK),
            Err(error) if failures < FAILURES_MAX => {
                if failures == 0 {
                    let what = crate::error::chain(&error);
                    context.console.say(&format!("{what}; trying again"));
                }
                failures += 1;
                std::thread::sleep(LOOK);
            }
            Err(error) => {
                let what = "the dispute cannot be gone on with";
                return Err(CliError::because(Exit::Io, what, error)
                    .hint("the same command goes on with it, as long as our turn lasts"));
            }
        }
    }
}
