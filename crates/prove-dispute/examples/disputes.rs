//! Figures of disputes about a language model's answer: rounds, bytes and times.
//!
//! `cargo run --release -p credence-prove-dispute --example disputes -- model.safetensors [answer tokens]`
//!
//! It answers one prompt, lies about the run in several places, and plays each dispute to its verdict. It deliberately writes no file.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints what it measured, and stops where something fails"
)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use credence_base::{Nonce, Profile, SigningKey, TraceRoot, domain};
use credence_claim::{
    Claim, ClaimFields, Commitments, Counts, FinishReason, Opened, Openings, Roots, Salts,
    SeedSource, commitment,
};
use credence_commit::tree;
use credence_dispute::{
    Body, Entry, Party, Question, Referee, Status, Terms, Transcript, Verdict, sign, steps_max,
};
use credence_exec::sampling::{Parameters, Settings};
use credence_exec::{Append, Engine, Isa, Options};
use credence_generate::{Content, Finish, Generation, Language, Limits, Output, Prompt};
use credence_method_spot::{Card, CardParts, Tree, root_of};
use credence_model::{Model, program_bytes};
use credence_prove_dispute::{Challenger, Operator, Player, Sections};

struct Answer {
    prompt: Prompt,
    parameters: Parameters,
    output: Output,
    finish: FinishReason,
    sections: Sections,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap();
    let length = arguments.next().map_or(256, |text| text.parse().unwrap());
    let (model, _) = Model::from_safetensors(&std::fs::read(path).unwrap()).unwrap();
    let model = Arc::new(model);
    let options = Options {
        threads: NonZeroUsize::new(2).unwrap(),
        isa: Isa::detect(),
    };
    let player = Player::new(&model, options).unwrap();
    let program = program_bytes(model.program().spec()).unwrap();
    let weights_root = root_of(Tree::Weights, player.weights());
    let card = CardParts {
        program: &program,
        weights_len: u64::try_from(player.weights().len()).unwrap(),
        weights_root: &weights_root,
        text: None,
    };
    let card = card.encode().unwrap();
    let start = Instant::now();
    Card::decode(model.id(), &card).unwrap();
    println!(
        "program {} bytes, read and checked in {:.1?}",
        program.len(),
        start.elapsed()
    );

    let temperature = Settings {
        top_p: 950_000,
        ..Settings::neutral(length)
    };
    let greedy = Settings {
        temperature: 0,
        ..Settings::neutral(length)
    };
    for settings in [greedy, temperature] {
        let honest = answer(&model, options, settings);
        let count = honest.sections.iter().map(Vec::len).sum::<usize>();
        println!(
            "{} tokens, trace of {count} bytes",
            honest.output.tokens.len()
        );
        lies(&player, &honest);
    }
}

fn lies(player: &Player, honest: &Answer) {
    for kind in 0..4_usize {
        for part in [1, 2, 3] {
            let mut sections = honest.sections.clone();
            let at = sections[kind].len() / 4 * part + 6;
            sections[kind][at] ^= 1;
            report(
                &format!("one byte of section {kind}"),
                player,
                honest,
                (&sections, &honest.output),
            );
        }
    }
    let mut noise = honest.sections.clone();
    for section in &mut noise {
        for byte in section.iter_mut().step_by(5) {
            *byte ^= 1;
        }
    }
    report("every fifth byte", player, honest, (&noise, &honest.output));
    let mut tokens = honest.output.tokens.clone();
    *tokens.last_mut().unwrap() ^= 1;
    let output = Output::new(honest.output.text.clone(), tokens);
    report(
        "the last token",
        player,
        honest,
        (&honest.sections, &output),
    );
}

fn report(name: &str, player: &Player, honest: &Answer, lie: (&Sections, &Output)) {
    let (transcript, verdict, claim, slowest) = play(player, honest, lie);
    let messages: Vec<&Vec<u8>> = transcript
        .entries
        .iter()
        .filter_map(|e| e.message.as_ref())
        .collect();
    let bytes: usize = messages.iter().map(|message| message.len()).sum();
    let largest = messages.iter().map(|message| message.len()).max().unwrap();
    let start = Instant::now();
    let again = transcript.check(player.card(), &claim).unwrap();
    let time = start.elapsed();
    assert_eq!(again, verdict);
    println!(
        "{name:24} {:12} by {:?}: {:2} messages, {bytes:6} bytes, largest {largest:5}, referee {time:.2?}, slowest answer {slowest:.0?}",
        verdict.reason.as_str(),
        verdict.loser,
        messages.len(),
    );
}

fn play(
    player: &Player,
    honest: &Answer,
    (sections, output): (&Sections, &Output),
) -> (Transcript, Verdict, Claim, Duration) {
    let (claim, openings) = claim(player, honest, (sections, output));
    let keys = [
        SigningKey::from_seed(&[1; 32]),
        SigningKey::from_seed(&[2; 32]),
    ];
    let terms = Terms {
        claim: claim.digest(),
        operator: keys[0].public_key(),
        challenger: keys[1].public_key(),
        started_unix_s: 1_800_000_000,
        turn_s: 600,
    };
    let mut referee = Referee::new(player.card(), &claim, terms).unwrap();
    let operator = Operator::new(&openings, true, (player.weights(), sections)).unwrap();
    let challenger = Challenger::new(player.weights(), &honest.sections);
    let (mut entries, mut slowest): (Vec<Entry>, _) = (Vec::new(), Duration::ZERO);
    loop {
        let party = match referee.status() {
            Status::Over(verdict) => {
                return (Transcript { terms, entries }, verdict, claim, slowest);
            }
            Status::Awaiting { question, .. } => Question::party(question),
        };
        let start = Instant::now();
        let (key, body): (_, Body) = match party {
            Party::Operator => (&keys[0], operator.answer(&referee).unwrap().unwrap()),
            Party::Challenger => (&keys[1], challenger.answer(&referee).unwrap()),
        };
        slowest = slowest.max(start.elapsed());
        if let Some(run) = referee.run().filter(|_| entries.len() == 1) {
            print!("(at most {} cells) ", steps_max(run.layout()));
        }
        let message = sign(key, referee.head(), party, &body.encode().unwrap());
        entries.extend(referee.step(Some(&message), 1_800_000_000).unwrap());
    }
}

fn claim(
    player: &Player,
    honest: &Answer,
    (sections, output): (&Sections, &Output),
) -> (Claim, Openings) {
    let mut list = 4_u32.to_le_bytes().to_vec();
    for (kind, bytes) in (0_u8..).zip(sections) {
        list.push(kind);
        list.extend(u64::try_from(bytes.len()).unwrap().to_le_bytes());
        list.extend(root_of(Tree::Positions, bytes).as_bytes());
    }
    let contents = [
        honest.prompt.encode().unwrap(),
        honest.parameters.encode(),
        output.encode().unwrap(),
    ];
    let [input, params, output_bytes] = &contents;
    let roots = Roots {
        input: commitment::input_root(input),
        params: commitment::params_root(params),
        output: commitment::output_root(output_bytes),
        trace: TraceRoot::from_digest(tree::root(domain::TRACE_ROOT, &list)),
    };
    let salts = Salts::derive(&[3; 32]);
    let commitments = Commitments::new(
        &SigningKey::from_seed(&[1; 32]).public_key(),
        &salts,
        &roots,
    );
    let draws = honest.parameters.settings().temperature > 0;
    let claim = Claim::new(ClaimFields {
        profile: Profile::Exact1,
        model: player.card().id(),
        input: commitments.input,
        params: commitments.params,
        output: commitments.output,
        trace: commitments.trace,
        counts: Counts {
            input: u64::try_from(honest.prompt.ids().len()).unwrap(),
            output: u64::try_from(output.tokens.len()).unwrap(),
        },
        finish: honest.finish,
        nonce: None::<Nonce>,
        seed: if draws {
            SeedSource::Client
        } else {
            SeedSource::Nothing
        },
        constrained: None,
    });
    let opened = |salt, content: &[u8]| {
        Some(Opened {
            salt,
            content: content.to_vec(),
        })
    };
    let openings = Openings {
        input: opened(salts.input, input),
        params: opened(salts.params, params),
        output: opened(salts.output, output_bytes),
        trace: Some(salts.trace),
    };
    (claim.unwrap(), openings)
}

fn answer(model: &Arc<Model>, options: Options, settings: Settings) -> Answer {
    let language = Language::new(Engine::new(Arc::clone(model), options).unwrap()).unwrap();
    let seed = (settings.temperature > 0).then_some([9; 32]);
    // So that the answer is as long as asked for: ends of texts stand first in this vocabulary.
    let settings = Settings {
        logit_bias: (0..3).map(|id| (id, -100_000_000)).collect(),
        ..settings
    };
    let parameters = Parameters::new(Settings { seed, ..settings }).unwrap();
    let text = "Write a long story about a lighthouse keeper who keeps exact accounts of every ship that passes, and explain what each entry means.";
    let prompt = Prompt::new(Content::Text(text.to_owned()), 0, language.text()).unwrap();
    let limits = Limits {
        prompt: prompt.ids().len(),
        context: language.context(),
    };
    let mut generation = Generation::new(
        language.text(),
        &parameters,
        (seed.unwrap_or_default(), 0),
        limits,
    );
    let mut session = language.engine().recording_session().unwrap();
    let mut next = prompt.ids().to_vec();
    while generation.finish().is_none() {
        let mut drawn = None;
        let mut appends = [Append {
            session: &mut session,
            tokens: &next,
            sampled: 1,
        }];
        let mut sink =
            |_: usize, _: usize, logits: &[i32]| drawn = Some(generation.step(logits).unwrap());
        language.engine().advance(&mut appends, &mut sink).unwrap();
        next = vec![drawn.unwrap().token];
    }
    let finish = match generation.finish() {
        Some(Finish::Stop) => FinishReason::Stop,
        Some(Finish::Length) => FinishReason::Length,
        None => FinishReason::Cancelled,
    };
    let output = generation.output();
    Answer {
        prompt,
        output: Output::new(output.text.clone(), output.tokens.clone()),
        parameters,
        finish,
        sections: session.sections().unwrap(),
    }
}
