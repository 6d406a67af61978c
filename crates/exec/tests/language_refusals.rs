//! Language programs that must be refused: for each check one that is right but for it, and the words of the refusal.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use credence_exact::{Dtype, NodeId, Op, ParamId};
use credence_model::{Decode, EncoderSpec, Model, ProgramSpec};
use credence_testkit::program_gen::language_model;

/// A model's parts, to be spoiled.
struct Parts {
    spec: ProgramSpec,
    params: Vec<Vec<u8>>,
}

impl Parts {
    fn new(seed: u64) -> Self {
        let model = language_model(seed);
        let spec = model.program().spec().clone();
        let ids = (0_u32..).map(ParamId).take(spec.params.len());
        let params = ids.map(|id| model.param(id).unwrap().bytes().to_vec());
        let params = params.collect();
        Self { spec, params }
    }

    /// The first node whose op `pick` takes.
    fn node(&mut self, pick: impl Fn(&Op) -> bool) -> &mut credence_model::NodeSpec {
        self.spec
            .nodes
            .iter_mut()
            .find(|node| pick(&node.op))
            .unwrap()
    }

    fn id(&self, pick: impl Fn(&Op) -> bool) -> NodeId {
        let at = self
            .spec
            .nodes
            .iter()
            .position(|node| pick(&node.op))
            .unwrap();
        NodeId(u32::try_from(at).unwrap())
    }
}

fn is_scores(op: &Op) -> bool {
    matches!(op, Op::Scores(_))
}

fn is_attend(op: &Op) -> bool {
    matches!(op, Op::Attend(_))
}

/// Every error and cause of it.
fn words(parts: Parts) -> String {
    match Model::new(parts.spec, parts.params) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

fn refuses(expected: &str, spoil: impl Fn(&mut Parts)) {
    let mut met = 0;
    for seed in 0..6 {
        assert_eq!(words(Parts::new(seed)), "accepted");
        let mut parts = Parts::new(seed);
        spoil(&mut parts);
        let got = words(parts);
        assert!(
            got != "accepted",
            "seed {seed}: accepted, expected {expected}"
        );
        met += usize::from(got.contains(expected));
    }
    assert!(met > 0, "no seed was refused for `{expected}`");
}

#[test]
fn what_a_language_model_is() {
    refuses("1..=2^20", |p| {
        p.spec.language.as_mut().unwrap().vocabulary = 0
    });
    refuses("1..=2^20", |p| {
        p.spec.language.as_mut().unwrap().context = (1 << 20) + 1
    });
    refuses("parameter of i8", |p| p.spec.params[0].dtype = Dtype::I16);
    refuses("logits", |p| {
        let logits = p.spec.language.as_ref().unwrap().logits;
        p.spec.nodes[usize::try_from(logits.0).unwrap()].dtype = Dtype::I16;
    });
    refuses("logits", |p| {
        let logits = p.spec.language.as_ref().unwrap().logits;
        p.spec.nodes[usize::try_from(logits.0).unwrap()].cut = false;
    });
    refuses("Count", |p| p.spec.language = None);
}

#[test]
fn what_an_encoder_is() {
    let decode = |multiplier, shift| EncoderSpec {
        decode: Decode::Scale { multiplier, shift },
    };
    let encoder = |spec: EncoderSpec| {
        move |p: &mut Parts| {
            for node in &mut p.spec.nodes {
                if let Op::Scores(op) = &mut node.op {
                    (op.ahead, op.window) = (true, None);
                }
            }
            p.spec.language.as_mut().unwrap().encoder = Some(spec.clone());
        }
    };
    let mut parts = Parts::new(1);
    encoder(decode(1, 30))(&mut parts);
    assert_eq!(words(parts), "accepted");
    refuses(
        "decoded by a scale",
        encoder(EncoderSpec {
            decode: Decode::Integer {},
        }),
    );
    refuses("multiplier above 0", encoder(decode(0, 30)));
    refuses("multiplier above 0", encoder(decode(1, 127)));
    refuses("see all others", |p| {
        p.spec.language.as_mut().unwrap().encoder = Some(decode(1, 30));
    });
    refuses("see all others", |p| {
        if let Op::Scores(op) = &mut p.node(is_scores).op {
            (op.ahead, op.window) = (true, None);
        }
    });
    refuses("none where later positions are seen", |p| {
        encoder(decode(1, 30))(p);
        if let Op::Scores(op) = &mut p.node(is_scores).op {
            op.window = Some(3);
        }
    });
}

#[test]
fn what_remembers_and_is_remembered() {
    refuses("keys and values", |p| {
        let Op::Scores(scores) = p.node(is_scores).op.clone() else {
            return;
        };
        p.spec.nodes[usize::try_from(scores.k.0).unwrap()].cut = false;
    });
    refuses("scores are cut", |p| p.node(is_scores).cut = false);
    refuses("two nodes", |p| {
        if let Op::Scores(scores) = &mut p.node(is_scores).op {
            scores.q = scores.k;
        }
    });
    refuses("values of i16", |p| p.node(is_attend).dtype = Dtype::I32);
    refuses("values, not scores", |p| {
        let scores = p.id(is_scores);
        if let Op::Attend(attend) = &mut p.node(is_attend).op {
            attend.v = scores;
        }
    });
    refuses("by one `attend`", |p| {
        let again = p.node(is_attend).clone();
        let mut again = again;
        again.name = "again".to_owned();
        p.spec.nodes.push(again);
    });
    refuses("`attend` alone", |p| {
        let scores = p.id(is_scores);
        let mut reader = p.node(|op| matches!(op, Op::MaxAbs(_))).clone();
        reader.name = "reader".to_owned();
        if let Op::MaxAbs(op) = &mut reader.op {
            op.x = scores;
        }
        p.spec.nodes.push(reader);
    });
}

#[test]
fn shapes_that_do_not_fit() {
    let quantise = |op: &Op| matches!(op, Op::Quantise(_));
    refuses("limit", |p| {
        if let Op::Quantise(op) = &mut p.node(quantise).op {
            op.limit = 0;
        }
    });
    refuses("scale", |p| {
        if let Op::Quantise(op) = &mut p.node(quantise).op {
            op.scale = op.x;
        }
    });
    refuses("window", |p| {
        if let Op::Scores(op) = &mut p.node(is_scores).op {
            op.window = Some(0);
        }
    });
    refuses("bits", |p| {
        if let Op::Attend(op) = &mut p.node(is_attend).op {
            op.bits = 16;
        }
    });
    refuses("size", |p| {
        if let Op::Hadamard(op) = &mut p.node(|op| matches!(op, Op::Hadamard(_))).op {
            op.size = 3;
        }
    });
    refuses("epsilon", |p| {
        if let Op::RmsRatio(op) = &mut p.node(|op| matches!(op, Op::RmsRatio(_))).op {
            op.epsilon = 1 << 53;
        }
    });
}

#[test]
fn bounds_that_do_not_fit() {
    refuses("a multiplier", |p| {
        let Op::Embed(embed) = p.node(|op| matches!(op, Op::Embed(_))).op.clone() else {
            return;
        };
        let at = usize::try_from(embed.multiplier.0).unwrap();
        p.params[at][..4].copy_from_slice(&(-1_i32).to_le_bytes());
    });
    refuses("Selection", |p| {
        if let Op::Table(op) = &mut p.node(|op| matches!(op, Op::Table(_))).op {
            op.base += 1;
        }
    });
    refuses("a scale", |p| {
        // A ratio may be 0.
        let ratio = p.id(|op| matches!(op, Op::RmsRatio(_)));
        if let Op::Quantise(op) = &mut p.node(|op| matches!(op, Op::Quantise(_))).op {
            op.scale = ratio;
        }
    });
}
