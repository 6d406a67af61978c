//! Single logits and blocks against the sampler's own reference, over parameters that cut in every way.

use credence_exec::sampling::{Parameters, Step, reference};

use super::*;

/// A small generator: the same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick(&mut self, of: &[u32]) -> u32 {
        of[usize::try_from(self.below(u64::try_from(of.len()).unwrap())).unwrap()]
    }
}

struct Row {
    logits: Vec<i32>,
    parameters: Parameters,
    drawing: Drawing,
    place: Place,
}

fn row(seed: u64) -> Row {
    let mut numbers = Numbers(seed * 2 + 1);
    for _ in 0..8 {
        numbers.next();
    }
    let vocabulary = u32::try_from(1 + numbers.below(900)).unwrap();
    let spread = [1, 5, 70_000, 2_000_000][usize::try_from(numbers.below(4)).unwrap()];
    let logits: Vec<i32> = (0..vocabulary)
        .map(|_| i32::try_from(numbers.below(spread)).unwrap() - 50_000)
        .collect();
    let generated: Vec<u32> = (0..numbers.below(12))
        .map(|_| u32::try_from(numbers.below(vocabulary.into())).unwrap())
        .collect();
    let settings = Settings {
        temperature: numbers.pick(&[1, 3, 300_000, 999_999, 1_000_000, 2_000_000]),
        top_p: numbers.pick(&[1, 500_000, 900_000, 999_999, 1_000_000]),
        top_k: numbers.pick(&[0, 1, 2, 40, 256, 1000]),
        min_p: numbers.pick(&[0, 1, 50_000, 1_000_000]),
        frequency_penalty: i32::try_from(numbers.below(3)).unwrap() * 700_000 - 700_000,
        presence_penalty: i32::try_from(numbers.below(3)).unwrap() * 900_001 - 900_001,
        logit_bias: vec![(0, 1_234_567)],
        ..Settings::neutral(20)
    };
    let place = Place {
        seed: [u8::try_from(seed % 256).unwrap(); 32],
        choice: 1,
        step: 7,
    };
    let parameters = Parameters::new(settings.clone()).unwrap();
    let drawing = Drawing {
        settings,
        counts: generated.into_iter().collect(),
        number: place.number(),
        claimed: 0,
        position: 3,
        vocabulary,
        node: NodeId(4),
    };
    Row {
        logits,
        parameters,
        drawing,
        place,
    }
}

#[test]
fn a_draw_by_blocks_is_the_samplers() {
    for seed in 0..300 {
        let Row {
            logits,
            parameters,
            drawing,
            place,
        } = row(seed);
        let step = Step {
            logits: &logits,
            counts: &drawing.counts,
            allowed: None,
            place,
        };
        let expected = reference::sample(&parameters, &step).unwrap();
        let wide: Vec<i64> = logits.iter().map(|&logit| logit.into()).collect();
        let (likeliest, cuts, sums) = drawing.sums_of(&wide).unwrap();
        assert!(drawing.fits(&cuts, &sums), "{seed}");
        let at = usize::try_from(likeliest).unwrap();
        let max = drawing.adjusted(likeliest, wide[at]);
        assert_eq!(Some(max), expected.adjusted.iter().copied().flatten().max());
        for (id, &logit) in (0_u32..).zip(&wide) {
            let at = usize::try_from(id).unwrap();
            let x = drawing.adjusted(id, logit);
            assert_eq!(Some(x), expected.adjusted[at]);
            assert_eq!(drawing.weight(max, x), expected.weights[at]);
        }
        let mut kept = expected.kept.clone();
        kept.sort_unstable();
        let tallies = (0..drawing.blocks()).map(|block| {
            let ids = drawing.ids(block);
            let range = usize::try_from(ids.start).unwrap()..usize::try_from(ids.end).unwrap();
            drawing.tally(&cuts, max, (ids.start, &wide[range]))
        });
        let tallies: Vec<Tally> = tallies.collect();
        let ours = tallies.iter().flat_map(|tally| &tally.kept);
        let ours: Vec<usize> = ours.map(|&(id, _)| usize::try_from(id).unwrap()).collect();
        assert_eq!(ours, kept, "{seed}");
        let (block, rest) = drawing.falls(&sums).unwrap();
        let token = Drawing::token(&tallies[usize::try_from(block).unwrap()], rest);
        assert_eq!(token, Some(expected.token), "{seed}");
    }
}

/// Other cuts than the right ones do not fit their own, rightly added sums.
#[test]
fn no_other_cut_fits() {
    let mut tried = 0;
    for seed in 0..70 {
        let Row {
            logits, drawing, ..
        } = row(seed);
        let wide: Vec<i64> = logits.iter().map(|&logit| logit.into()).collect();
        let (likeliest, right, _) = drawing.sums_of(&wide).unwrap();
        let max = drawing.adjusted(likeliest, wide[usize::try_from(likeliest).unwrap()]);
        let last = |id: u32| {
            let logit = wide[usize::try_from(id).unwrap()];
            (drawing.weight(max, drawing.adjusted(id, logit)), id)
        };
        let all = |cuts: &Cuts| -> Vec<Sums> {
            let one = |block| {
                let ids = drawing.ids(block);
                let range = usize::try_from(ids.start).unwrap()..usize::try_from(ids.end).unwrap();
                drawing.tally(cuts, max, (ids.start, &wide[range])).sums
            };
            (0..drawing.blocks()).map(one).collect()
        };
        let kept = |cuts: &Cuts| all(cuts).iter().map(|sums| sums.by_top_p).sum::<u64>();
        for id in (0..drawing.vocabulary()).step_by(7) {
            let others = [
                Cuts {
                    top_p: last(id),
                    ..right
                },
                Cuts {
                    top_k: Some(last(id)),
                    ..right
                },
                Cuts {
                    top_k: None,
                    ..right
                },
            ];
            for cuts in others {
                // What keeps the same tokens is the same.
                let same = kept(&cuts) == kept(&right) && all(&cuts) == all(&right);
                tried += u32::from(!same);
                assert!(same || !drawing.fits(&cuts, &all(&cuts)), "{seed} {cuts:?}");
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}
