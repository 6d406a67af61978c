//! How long disputes are: over a run of 256 tokens, at most 40 messages and 200 KB; and by the form of SmolLM2-135M's program, at any place of a run of that length.

use std::io::Read as _;
use std::sync::Arc;

use credence_dispute::{Question, Reason, SPLIT_LEVELS, steps_max};
use credence_method_spot::{Extent, Layout, Tree};
use credence_model::{Program, program_from_bytes};
use credence_prove_dispute::Player;
use credence_testkit::speaking::speaking;

use crate::common::{Numbers, Sent, answer, dispute, greedy, options, prompt_ids, rerun};

const ENTRIES_MAX: usize = 40;
const BYTES_MAX: usize = 200_000;
const TOKENS: u32 = 256;

#[test]
fn over_256_tokens_no_dispute_takes_more_than_40_messages_and_200_kb() {
    // One whose greedy answer goes on for as long as it may.
    let told = (0..20).find_map(|seed| {
        let model = Arc::new(speaking(seed));
        let told = answer(&model, &prompt_ids(30), greedy(TOKENS));
        (told.counts.output == u64::from(TOKENS)).then_some(told)
    });
    let honest = told.unwrap();
    let player = Player::new(&honest.model, options()).unwrap();
    let truth = rerun(&player, &honest);
    let mut numbers = Numbers::new(7);
    let (mut entries, mut bytes) = (0, 0);
    for trial in 0..40 {
        let mut lie = honest.clone();
        let section = &mut lie.sections[trial % 4];
        if section.is_empty() {
            continue;
        }
        let at = numbers.index(section.len());
        section[at] ^= 1;
        let played = dispute(&player, &lie, &truth, |_, _, body| Sent::Body(body));
        entries = entries.max(played.transcript.entries.len());
        bytes = bytes.max(played.bytes());
    }
    // The most that a challenger can draw it out: it names what is right until there is nothing to name.
    let longest = dispute(&player, &honest, &truth, |_, question, body| {
        use credence_dispute::Body;
        Sent::Body(match question {
            Question::Accuse => Body::Section(0),
            Question::Child(_) => Body::Child(0),
            Question::Byte { .. } => Body::Byte(0),
            _ => body,
        })
    });
    assert_ne!(longest.verdict.reason, Reason::Timeout);
    entries = entries.max(longest.transcript.entries.len());
    bytes = bytes.max(longest.bytes());
    assert!(entries <= ENTRIES_MAX, "{entries}");
    assert!(bytes <= BYTES_MAX, "{bytes}");
}

fn smollm2() -> Program {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../prove-spot/tests/fixtures/smollm2-135m.program.zip"
    );
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut file = archive.by_name("program.json").unwrap();
    file.read_to_end(&mut bytes).unwrap();
    Program::check(program_from_bytes(&bytes).unwrap()).unwrap()
}

/// Open, accuse, down the tree by pairs of messages, a chunk and a byte, then a pair for each cell that can be named.
#[test]
fn by_the_form_of_a_real_program_no_dispute_takes_more_than_40_messages() {
    let program = smollm2();
    let extent = Extent {
        positions: 30 + u64::from(TOKENS) - 1,
        sampled_from: 29,
    };
    let layout = Layout::new(&program, extent).unwrap();
    let longest = Tree::SECTIONS.iter().map(|tree| layout.len(*tree)).max();
    let chunks = longest.unwrap().div_ceil(1024);
    let levels = chunks.next_power_of_two().trailing_zeros();
    let down = levels.div_ceil(u32::from(SPLIT_LEVELS));
    let messages = 2 + 2 * down + 2 + 2 * steps_max(&layout);
    assert!(levels >= 17, "{levels} levels: a run of some 200 MB");
    assert!(messages <= 40, "{messages}");
}
