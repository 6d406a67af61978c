//! Every kind of message: golden bytes, round trips, and bytes that are none.

use credence_commit::blocks::{Parts, Run};
use credence_method_spot::Tree;
use proptest::prelude::*;

use super::*;

fn content(byte: u8) -> Content {
    Content {
        salt: Salt::from_bytes([byte; 32]),
        content: vec![byte; 3],
    }
}

fn trees() -> Vec<TreeOpening> {
    let one = |tree, first| TreeOpening {
        tree,
        runs: vec![Run { first, chunks: 2 }],
        parts: Parts {
            content: vec![1, 2, 3],
            values: vec![[5; 32]],
        },
    };
    vec![one(Tree::Weights, 7), one(Tree::Values, 9)]
}

fn all() -> Vec<(Body, Option<&'static str>)> {
    let sums = Sums {
        count: 0x0102,
        by_top_k: 3,
        by_top_p: 4,
        kept: 5,
    };
    let cell = Cell {
        position: 1,
        node: NodeId(2),
        index: 3,
    };
    let opening = Opening {
        input: content(1),
        params: content(2),
        output: content(3),
        trace: Salt::from_bytes([4; 32]),
        sections: vec![Digest::from_bytes([5; 32])],
    };
    let weights = |last_top_k| Body::Weights {
        likeliest: 1,
        last_top_k,
        last_top_p: 2,
        sums: vec![sums; 2],
        reads: trees(),
    };
    vec![
        (Body::Open(Box::new(opening)), None),
        (Body::Section(2), Some("0202")),
        (Body::Split(vec![[7; 32]; 3]), None),
        (Body::Split(Vec::new()), Some("0300")),
        (Body::Child(9), Some("0409")),
        (Body::Chunk(vec![1, 2]), Some("05020000000102")),
        (Body::Byte(515), Some("060302")),
        (Body::Reads(Vec::new()), Some("0700")),
        (Body::Reads(trees()), None),
        (
            Body::Cell(cell),
            Some("080100000000000000020000000300000000000000"),
        ),
        (
            Body::Greedier {
                index: 1,
                better: 2,
            },
            Some("090100000002000000"),
        ),
        (Body::Draw(3), Some("0a03000000")),
        (weights(None), None),
        (weights(Some(8)), None),
        (Body::Heavier(4), Some("0c04000000")),
        (Body::Block(5), Some("0d05000000")),
        (
            Body::Output { output: 1, at: 2 },
            Some("0e010000000200000000000000"),
        ),
        (Body::Concede, Some("0f")),
    ]
}

#[test]
fn bodies_have_one_form() {
    for (body, golden) in all() {
        let bytes = body.encode().unwrap();
        if let Some(golden) = golden {
            assert_eq!(hex::encode(&bytes), golden);
        }
        assert_eq!(Body::decode(&bytes).unwrap(), body);
        for len in 0..bytes.len() {
            assert!(Body::decode(&bytes[..len]).is_err(), "{body:?} {len}");
        }
        assert!(Body::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                if let Ok(read) = Body::decode(&other) {
                    assert_eq!(read.encode().unwrap(), other);
                    assert_ne!(read, body);
                }
            }
        }
    }
}

#[test]
fn trees_out_of_order_and_huge_counts_are_refused() {
    let mut twice = trees();
    twice[1].tree = Tree::Weights;
    let bytes = Body::Reads(twice).encode().unwrap();
    assert_eq!(Body::decode(&bytes), Err(MessageError::Order));
    for bytes in ["07010ffffffff", "0700ff", "05ffffffff", "0501040000"] {
        let bytes = hex::decode(bytes.get(..bytes.len() / 2 * 2).unwrap()).unwrap();
        assert!(Body::decode(&bytes).is_err());
    }
    let huge = [5_u8].into_iter().chain([0xff; 4]).collect::<Vec<_>>();
    assert!(Body::decode(&huge).is_err());
}

#[test]
fn a_signature_is_of_one_party_at_one_point() {
    let key = SigningKey::from_seed(&[1; 32]);
    let (head, other) = (Digest::from_bytes([2; 32]), Digest::from_bytes([3; 32]));
    let body = Body::Draw(3).encode().unwrap();
    let message = sign(&key, &head, Party::Operator, &body);
    let public = key.public_key();
    fn read<'m>(
        key: &PublicKey,
        head: &Digest,
        party: Party,
        message: &'m [u8],
    ) -> Option<&'m [u8]> {
        signed_body(key, head, party, message)
    }
    assert_eq!(
        read(&public, &head, Party::Operator, &message),
        Some(body.as_slice())
    );
    assert_eq!(read(&public, &other, Party::Operator, &message), None);
    assert_eq!(read(&public, &head, Party::Challenger, &message), None);
    for at in 0..message.len() {
        let mut edited = message.clone();
        edited[at] ^= 1;
        assert_eq!(read(&public, &head, Party::Operator, &edited), None);
    }
    assert_eq!(read(&public, &head, Party::Operator, &message[..63]), None);
    assert_eq!(
        hex::encode(signed_bytes(&head, Party::Operator, &body)),
        format!(
            "{}{}010a03000000",
            hex::encode("credence/dispute-message/v1"),
            "02".repeat(32)
        )
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(body) = Body::decode(&bytes) {
            prop_assert_eq!(body.encode().unwrap(), bytes);
        }
    }
}
