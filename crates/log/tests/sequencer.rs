//! The sequencer alone: its steps in order, what it refuses, and records that are damaged.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure is the test's"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use credence_base::{ReceiptDigest, SigningKey};
use credence_log::proof::verify_inclusion;
use credence_log::sequencer::{
    Event, Found, Kind, Limits, Path, PathError, Record, RecordError, Recovery, RecoveryError,
    Resumed, Sequencer, SequencerError, Step, numbered,
};
use credence_log::tile::Tile;
use credence_log::{Algorithm, Hash, KeyName, Signer};

const LIMITS: Limits = Limits {
    pool_max: 1000,
    batch_max: 600,
};

fn signer() -> Arc<Signer> {
    let name = KeyName::new("example.org/log").unwrap();
    Arc::new(Signer::new(
        name,
        Algorithm::Ed25519,
        SigningKey::from_seed(&[7; 32]),
    ))
}

fn digest(number: u16) -> ReceiptDigest {
    let mut bytes = [9; 32];
    bytes[..2].copy_from_slice(&number.to_be_bytes());
    ReceiptDigest::from_bytes(bytes)
}

fn empty() -> Sequencer {
    let Resumed {
        sequencer, step, ..
    } = Recovery::new(signer(), LIMITS, &Found::default())
        .unwrap()
        .finish(&[])
        .unwrap();
    assert_eq!(step, Step::Wait);
    sequencer
}

type Objects = BTreeMap<String, Vec<u8>>;

/// A store that never fails, and the names of the steps it was asked for.
#[derive(Default)]
struct Store {
    objects: BTreeMap<String, Vec<u8>>,
    index: Vec<ReceiptDigest>,
}

impl Store {
    /// Carries one step out; `None` when there is nothing to do.
    fn event(&mut self, step: &Step) -> Option<Event> {
        Some(match step {
            Step::Wait | Step::Acknowledge(_) => return None,
            Step::Look(digests) => {
                let find = |d| self.index.iter().position(|i| i == d);
                let positions = digests
                    .iter()
                    .map(|d| find(d).map(|p| u64::try_from(p).unwrap()));
                Event::Looked(positions.collect())
            }
            Step::Commit(blob) => {
                Event::Committed(self.objects.insert(blob.name.clone(), blob.bytes.clone()))
            }
            Step::Write(blobs) => {
                for blob in blobs {
                    let stood = self.objects.insert(blob.name.clone(), blob.bytes.clone());
                    assert!(
                        stood.is_none_or(|stood| stood == blob.bytes),
                        "`{}` was overwritten",
                        blob.name
                    );
                }
                Event::Written
            }
            Step::Extend { start, digests } => {
                assert_eq!(*start, u64::try_from(self.index.len()).unwrap());
                self.index.extend(digests);
                Event::Extended
            }
            Step::Publish(blob) => {
                Event::Published(self.objects.insert(blob.name.clone(), blob.bytes.clone()))
            }
        })
    }

    fn batch(&mut self, sequencer: &mut Sequencer, now_ms: u64) -> Vec<Step> {
        let mut steps = vec![sequencer.handle(Event::Tick { now_ms }).unwrap()];
        while let Some(event) = self.event(steps.last().unwrap()) {
            steps.push(sequencer.handle(event).unwrap());
        }
        steps
    }

    fn found(&self) -> Found {
        let last = |kind: Kind| {
            let numbers = (1..).take_while(|n| self.objects.contains_key(&numbered(kind, *n)));
            let number = numbers.last()?;
            Some((number, self.objects[&numbered(kind, number)].clone()))
        };
        Found {
            checkpoint: last(Kind::Checkpoint),
            record: last(Kind::Record),
        }
    }

    fn recover(&self) -> Result<Resumed, RecoveryError> {
        let recovery = Recovery::new(signer(), LIMITS, &self.found())?;
        let files: Vec<_> = recovery
            .reads()
            .iter()
            .map(|name| self.objects[name].clone())
            .collect();
        recovery.finish(&files)
    }
}

fn verb(step: &Step) -> &'static str {
    match step {
        Step::Wait => "wait",
        Step::Look(_) => "look",
        Step::Commit(_) => "commit",
        Step::Write(_) => "write",
        Step::Extend { .. } => "extend",
        Step::Publish(_) => "publish",
        Step::Acknowledge(_) => "acknowledge",
    }
}

#[test]
fn one_batch_goes_through_its_steps_in_order() {
    let (mut sequencer, mut store) = (empty(), Store::default());
    for number in [1, 2, 1, 3] {
        sequencer.append(digest(number)).unwrap();
    }
    let steps = store.batch(&mut sequencer, 5);
    let verbs: Vec<_> = steps.iter().map(verb).collect();
    assert_eq!(
        verbs,
        [
            "look",
            "commit",
            "write",
            "extend",
            "publish",
            "acknowledge"
        ]
    );
    let Step::Write(blobs) = &steps[2] else {
        panic!()
    };
    let names: Vec<_> = blobs.iter().map(|blob| blob.name.as_str()).collect();
    assert_eq!(names, ["tile/entries/000.p/3", "tile/0/000.p/3"]);
    let Some(Step::Acknowledge(verdicts)) = steps.last() else {
        panic!()
    };
    let said: Vec<_> = verdicts.iter().map(|v| (v.digest, v.position)).collect();
    assert_eq!(said, [(digest(1), 0), (digest(2), 1), (digest(3), 2)]);
    assert_eq!(
        (sequencer.size(), sequencer.number(), sequencer.time_ms()),
        (3, 1, 5)
    );

    // Known ones are answered without a batch; mixed ones with theirs.
    sequencer.append(digest(2)).unwrap();
    let steps = store.batch(&mut sequencer, 6);
    assert_eq!(
        steps.iter().map(verb).collect::<Vec<_>>(),
        ["look", "acknowledge"]
    );
    assert_eq!(sequencer.number(), 1);
    sequencer.append(digest(4)).unwrap();
    sequencer.append(digest(3)).unwrap();
    let steps = store.batch(&mut sequencer, 6);
    let Some(Step::Acknowledge(verdicts)) = steps.last() else {
        panic!()
    };
    assert_eq!(
        verdicts.iter().map(|v| v.position).collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(store.batch(&mut sequencer, 7), [Step::Wait]);
}

#[test]
fn time_stands_still_while_the_clock_goes_back() {
    let (mut sequencer, mut store) = (empty(), Store::default());
    let clock = [
        (100, 100),
        (90, 100),
        (0, 100),
        (101, 101),
        (u64::MAX, u64::MAX),
        (5, u64::MAX),
    ];
    for (number, (now, expected)) in (0..).zip(clock) {
        sequencer.append(digest(number)).unwrap();
        store.batch(&mut sequencer, now);
        assert_eq!(sequencer.time_ms(), expected);
        // And after recovery.
        sequencer = store.recover().unwrap().sequencer;
        assert_eq!(sequencer.time_ms(), expected);
    }
}

#[test]
fn it_refuses_what_does_not_follow_and_then_stops() {
    let wrong = [
        Event::Written,
        Event::Extended,
        Event::Committed(None),
        Event::Published(None),
        Event::Looked(vec![None; 2]),
        Event::Looked(Vec::new()),
    ];
    for event in wrong {
        let mut sequencer = empty();
        sequencer.append(digest(1)).unwrap();
        assert_eq!(
            verb(&sequencer.handle(Event::Tick { now_ms: 1 }).unwrap()),
            "look"
        );
        assert_eq!(
            sequencer.handle(event.clone()),
            Err(SequencerError::Unexpected),
            "{event:?}"
        );
        assert_eq!(sequencer.append(digest(2)), Err(SequencerError::Stopped));
        assert_eq!(
            sequencer.handle(Event::Tick { now_ms: 2 }),
            Err(SequencerError::Stopped)
        );
    }
    let mut idle = empty();
    assert_eq!(idle.handle(Event::Written), Err(SequencerError::Unexpected));
    // An index that is ahead belongs to somebody else.
    let mut sequencer = empty();
    sequencer.append(digest(1)).unwrap();
    sequencer.handle(Event::Tick { now_ms: 1 }).unwrap();
    let ahead = sequencer.handle(Event::Looked(vec![Some(0)]));
    assert_eq!(ahead, Err(SequencerError::Index { size: 0, got: 0 }));
}

#[test]
fn the_pool_is_bounded_and_batches_are() {
    let (mut sequencer, mut store) = (empty(), Store::default());
    for number in 0..1000 {
        sequencer.append(digest(number)).unwrap();
    }
    assert_eq!(
        sequencer.append(digest(1000)),
        Err(SequencerError::Full { max: 1000 })
    );
    assert_eq!(sequencer.append(digest(999)), Ok(()));
    store.batch(&mut sequencer, 1);
    assert_eq!((sequencer.size(), sequencer.waiting()), (600, 400));
    // While a batch is under way digests come in, ticks do nothing, and one that is under way is not taken twice.
    let look = sequencer.handle(Event::Tick { now_ms: 2 }).unwrap();
    assert_eq!(sequencer.handle(Event::Tick { now_ms: 2 }), Ok(Step::Wait));
    sequencer.append(digest(700)).unwrap();
    sequencer.append(digest(2000)).unwrap();
    assert!(sequencer.is_busy());
    assert_eq!(sequencer.waiting(), 1);
    let mut step = look;
    while let Some(event) = store.event(&step) {
        step = sequencer.handle(event).unwrap();
    }
    assert_eq!(sequencer.size(), 1000);
}

#[test]
fn another_sequencers_record_stops_it_and_ones_own_does_not() {
    let commit = |sequencer: &mut Sequencer, number| {
        sequencer.append(digest(number)).unwrap();
        sequencer.handle(Event::Tick { now_ms: 1 }).unwrap();
        let step = sequencer.handle(Event::Looked(vec![None])).unwrap();
        let Step::Commit(blob) = step else { panic!() };
        blob
    };
    let (mut one, mut two) = (empty(), empty());
    let (ours, theirs) = (commit(&mut one, 1), commit(&mut two, 2));
    assert_eq!(ours.name, theirs.name);
    let overtaken = one.handle(Event::Committed(Some(theirs.bytes.clone())));
    assert_eq!(overtaken, Err(SequencerError::Overtaken { number: 1 }));
    // The answer to its own write was lost, and it was tried again.
    let again = two.handle(Event::Committed(Some(theirs.bytes)));
    assert_eq!(again.as_ref().map(verb), Ok("write"));
}

#[test]
fn a_committed_record_is_carried_through_to_the_same_bytes() {
    for sizes in [[1u16, 2], [255, 1], [256, 256], [300, 600], [600, 1]] {
        let (mut sequencer, mut store) = (empty(), Store::default());
        let mut next = 0;
        for size in sizes {
            for number in next..next + size {
                sequencer.append(digest(number)).unwrap();
            }
            next += size;
            store.batch(&mut sequencer, 1);
        }
        let whole = store.objects.clone();
        // As if it had died right after the second record.
        let mut cut = Store::default();
        let last = numbered(Kind::Checkpoint, 2);
        cut.objects = whole
            .iter()
            .filter(|(name, _)| **name != last)
            .map(|(n, b)| (n.clone(), b.clone()))
            .collect();
        cut.index = store.index[..usize::from(sizes[0])].to_vec();
        let Resumed {
            mut sequencer,
            mut step,
            ..
        } = cut.recover().unwrap();
        // First the record once more: that it can be read does not say that it is durable.
        assert_eq!(verb(&step), "commit");
        while let Some(event) = cut.event(&step) {
            step = sequencer.handle(event).unwrap();
        }
        assert_eq!(cut.objects, whole);
        assert_eq!(sequencer.size(), u64::from(next));
    }
}

#[test]
fn what_is_missing_or_swapped_is_not_recovered_from() {
    let (mut sequencer, mut store) = (empty(), Store::default());
    for number in 0..3 {
        sequencer.append(digest(number)).unwrap();
        store.batch(&mut sequencer, 1);
    }
    let whole = store.objects.clone();
    let mut check = |change: &dyn Fn(&mut Objects)| {
        store.objects = whole.clone();
        change(&mut store.objects);
        store.recover().map(|resumed| resumed.sequencer.size())
    };
    let (record, checkpoint) = (
        |n| numbered(Kind::Record, n),
        |n| numbered(Kind::Checkpoint, n),
    );
    assert_eq!(check(&|_| {}), Ok(3));
    let gone = check(&|objects| drop(objects.remove(&record(3))));
    assert_eq!(
        gone,
        Err(RecoveryError::Numbers {
            checkpoint: 3,
            record: 2
        })
    );
    let gone = check(&|objects| {
        objects.remove(&checkpoint(2));
        objects.remove(&checkpoint(3));
    });
    assert_eq!(
        gone,
        Err(RecoveryError::Numbers {
            checkpoint: 1,
            record: 3
        })
    );
    let swapped = check(&|objects| drop(objects.insert(record(3), whole[&record(2)].clone())));
    assert_eq!(swapped, Err(RecoveryError::Foreign { number: 3 }));
    // Another checkpoint of the same key than the record has.
    let swapped =
        check(&|objects| drop(objects.insert(checkpoint(3), whole[&checkpoint(2)].clone())));
    assert_eq!(swapped, Err(RecoveryError::Foreign { number: 3 }));
    let other = Signer::new(
        KeyName::new("example.org/log").unwrap(),
        Algorithm::Ed25519,
        SigningKey::from_seed(&[8; 32]),
    );
    let found = Found {
        checkpoint: Some((3, whole[&checkpoint(3)].clone())),
        record: Some((3, whole[&record(3)].clone())),
    };
    let refused = Recovery::new(Arc::new(other), LIMITS, &found).unwrap_err();
    assert!(matches!(
        refused,
        RecoveryError::Checkpoint { number: 3, .. }
    ));
}

#[test]
fn nothing_is_signed_before_all_under_it_is_durable() {
    let (mut sequencer, mut store) = (empty(), Store::default());
    sequencer.append(digest(1)).unwrap();
    let steps = store.batch(&mut sequencer, 1);
    let signed = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("\u{2014} example.org/log");
    for step in &steps {
        match step {
            Step::Commit(blob) => assert!(!signed(&blob.bytes)),
            Step::Write(blobs) => assert!(!blobs.iter().any(|blob| signed(&blob.bytes))),
            Step::Publish(blob) => assert!(signed(&blob.bytes)),
            Step::Wait | Step::Look(_) | Step::Extend { .. } | Step::Acknowledge(_) => {}
        }
    }
}

/// A record of version 1, which held the signed checkpoint.
fn record_v1(store: &Store) -> Vec<u8> {
    let new = &store.objects[&numbered(Kind::Record, 1)];
    let note = &store.objects[&numbered(Kind::Checkpoint, 1)];
    let count = usize::try_from(u32::from_le_bytes(new[32..36].try_into().unwrap())).unwrap();
    let mut old = new[..36 + 32 * count].to_vec();
    old[7] = 1;
    old.extend_from_slice(&u32::try_from(note.len()).unwrap().to_le_bytes());
    old.extend_from_slice(note);
    old
}

#[test]
fn a_record_of_version_1_is_read_and_carried_through() {
    let (mut sequencer, mut store) = (empty(), Store::default());
    for number in 0..3 {
        sequencer.append(digest(number)).unwrap();
    }
    store.batch(&mut sequencer, 1);
    let (old, name) = (record_v1(&store), numbered(Kind::Record, 1));
    let read = Record::decode(&old).unwrap();
    assert_eq!(read, Record::decode(&store.objects[&name]).unwrap());
    let published = store.objects.clone();
    // Published, and committed alone.
    for objects in [published.clone(), Objects::new()] {
        let mut store = Store {
            objects,
            ..Store::default()
        };
        store.objects.insert(name.clone(), old.clone());
        let Resumed {
            mut sequencer,
            mut step,
            ..
        } = store.recover().unwrap();
        while let Some(event) = store.event(&step) {
            step = sequencer.handle(event).unwrap();
        }
        assert_eq!(sequencer.size(), 3);
        assert_eq!(store.objects[&name], old);
        let last = numbered(Kind::Checkpoint, 1);
        assert_eq!(store.objects[&last], published[&last]);
    }
}

/// The bytes of a record, which later versions must still read.
#[test]
fn a_record_has_these_bytes() {
    let (mut sequencer, mut store) = (empty(), Store::default());
    sequencer.append(digest(1)).unwrap();
    store.batch(&mut sequencer, 0x0102_0304);
    let bytes = &store.objects[&numbered(Kind::Record, 1)];
    let head = [
        "6372647265630002",
        "0100000000000000",
        "0403020100000000",
        "0000000000000000",
        "01000000",
        "0001090909090909090909090909090909090909090909090909090909090909",
    ];
    let note = &store.objects[&numbered(Kind::Checkpoint, 1)];
    let root = Hash::of_receipt(&digest(1));
    assert_eq!(
        hex::encode(bytes),
        head.concat()
            + "0f000000"
            + &hex::encode("example.org/log")
            + &hex::encode(root.as_bytes())
    );
    let text = String::from_utf8(note.clone()).unwrap();
    assert!(text.starts_with("example.org/log\n1\n"), "{text}");
    assert_eq!(Record::decode(bytes).unwrap().encode().unwrap(), *bytes);
}

#[test]
fn no_damaged_record_is_taken() {
    let (mut sequencer, mut store) = (empty(), Store::default());
    for number in 0..5 {
        sequencer.append(digest(number)).unwrap();
    }
    store.batch(&mut sequencer, 1);
    let bytes = store.objects[&numbered(Kind::Record, 1)].clone();
    store.objects.retain(|name, _| name.starts_with("record/"));
    for at in 0..bytes.len() {
        assert!(Record::decode(&bytes[..at]).is_err(), "cut at {at}");
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        // There is one way to write what is read.
        if let Ok(read) = Record::decode(&flipped) {
            assert_eq!(read.encode().unwrap(), flipped);
        }
        store.objects.insert(numbered(Kind::Record, 1), flipped);
        // The time alone is nobody's word but the record's.
        assert_eq!(
            store.recover().is_ok(),
            (16..24).contains(&at),
            "flipped at {at}"
        );
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(Record::decode(&longer), Err(RecordError::Wire(_))));
    // A count that promises more than there is takes no memory.
    let mut greedy = bytes;
    greedy[32..36].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(Record::decode(&greedy), Err(RecordError::Wire(_))));
}

#[test]
fn a_path_proves_every_entry_and_names_the_tile_that_is_wrong() {
    let (mut sequencer, mut store) = (empty(), Store::default());
    // Not a whole number of tiles; one of them on a second level by itself.
    for number in 0..1000 {
        sequencer.append(digest(number)).unwrap();
    }
    while sequencer.waiting() > 0 {
        store.batch(&mut sequencer, 1);
    }
    let checkpoint = sequencer.checkpoint().unwrap().unverified().clone();
    for position in [0, 1, 255, 256, 511, 767, 768, 999] {
        let path = Path::new(position, 1000).unwrap();
        let tiles = |objects: &BTreeMap<String, Vec<u8>>| -> Vec<Tile> {
            let read = path
                .tiles()
                .into_iter()
                .map(|id| Tile::decode(id, &objects[&id.path()]).unwrap());
            read.collect()
        };
        let entry = digest(u16::try_from(position).unwrap());
        let proof = path
            .prove(&entry, &checkpoint, &tiles(&store.objects))
            .unwrap();
        verify_inclusion(
            &Hash::of_receipt(&entry),
            position,
            checkpoint.tree(),
            &proof,
        )
        .unwrap();
        let other = path.prove(&digest(5000), &checkpoint, &tiles(&store.objects));
        assert_eq!(other, Err(PathError::Entry { position }));
        for id in path.tiles() {
            let mut damaged = store.objects.clone();
            damaged.get_mut(&id.path()).unwrap()[0] ^= 1;
            match path
                .prove(&entry, &checkpoint, &tiles(&damaged))
                .unwrap_err()
            {
                PathError::Tile { name } => assert_eq!(name, id.path()),
                PathError::Root { names, .. } => assert!(names.contains(&id.path())),
                other => panic!("{other:?}"),
            }
        }
        let few = tiles(&store.objects);
        assert!(
            path.prove(&entry, &checkpoint, &few[..few.len() - 1])
                .is_err()
        );
        assert!(path.prove(&entry, &checkpoint, &[]).is_err());
    }
    assert!(Path::new(1000, 1000).is_err());
    assert!(Path::new(0, 0).is_err());
}
