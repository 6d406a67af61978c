//! Notes, verifier keys and checkpoints: the specifications' own examples, the second implementation in both directions,
//! and every spoilt byte.

use credence_log::checkpoint::CheckpointError;
use credence_log::key::{KeyNameError, VerifierKeyError};
use credence_log::note::{NoteError, SIGNATURES_MAX};
use credence_log::{
    Algorithm, Checkpoint, Hash, KeyName, Note, SignedCheckpoint, Signer, VerifierKey,
};
use proptest::prelude::*;

use crate::shared::{NOW, cosigned, flips, leaf, log_signer, name, signer, witness};

/// `signed-note`, "Example".
const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.\n\n\
    \u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// `tlog-cosignature`, the example of a checkpoint with a cosignature.
const COSIGNED: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
    \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
    \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

#[test]
fn the_example_of_signed_note_verifies() {
    let key: VerifierKey = VKEY.parse().unwrap();
    assert_eq!(key.to_string(), VKEY);
    assert_eq!(key.id(), 0x530d_903a);
    let note = Note::parse(NOTE.as_bytes()).unwrap();
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.is_signed_by(&key), Ok(true));
    assert_eq!(note.encode(), NOTE);
}

#[test]
fn the_example_of_a_checkpoint_reads_and_writes() {
    let signed = SignedCheckpoint::parse(COSIGNED.as_bytes()).unwrap();
    let checkpoint = signed.unverified();
    assert_eq!(checkpoint.origin(), "example.com/behind-the-sofa");
    assert_eq!(checkpoint.size(), 20_852_163);
    assert_eq!(checkpoint.extensions(), &[] as &[String]);
    assert_eq!(signed.encode(), COSIGNED);
    assert_eq!(signed.note().signatures().len(), 2);
    assert_eq!(signed.note().signatures()[1].key_id(), 0x8d66_cf3f);
}

#[test]
fn a_note_is_signed_by_its_signers_and_nobody_else() {
    let (a, b) = (log_signer(), signer("b.example", Algorithm::Ed25519, 2));
    let mut note = Note::sign("text\n\nmore — text\n", &a).unwrap();
    assert_eq!(Note::parse(note.encode().as_bytes()).unwrap(), note);
    assert_eq!(note.is_signed_by(a.verifier()), Ok(true));
    assert_eq!(note.is_signed_by(b.verifier()), Ok(false));
    // The same key under another name is another key, and so is another key of the same name.
    let renamed = signer("c.example", Algorithm::Ed25519, 1);
    let namesake = signer("log.example/receipts", Algorithm::Ed25519, 9);
    assert_eq!(note.is_signed_by(renamed.verifier()), Ok(false));
    assert_eq!(note.is_signed_by(namesake.verifier()), Ok(false));
    // Adding twice changes nothing.
    let line = note.signatures()[0].clone();
    note.add(line).unwrap();
    assert_eq!(note.signatures().len(), 1);
    assert!(Note::sign("no newline", &a).is_err());
    assert!(Note::sign("tab\t\n", &a).is_err());
}

#[test]
fn a_note_is_verified_with_the_keys_that_are_known() {
    let (log, w1, w2) = (log_signer(), witness(1), witness(2));
    let signed = cosigned(9, &[(&w1, NOW)]);
    let keys = [&w2, &log, &w1].map(|signer| signer.verifier().clone());
    let found = signed.note().verify(&keys).unwrap();
    assert_eq!(found, [log.verifier(), w1.verifier()]);
    assert_eq!(signed.note().verify(&keys[..1]), Err(NoteError::Unsigned));
    assert_eq!(signed.note().verify(&[]), Err(NoteError::Unsigned));
    let mut spoilt = signed.note().clone();
    let foreign = cosigned(8, &[(&w2, NOW)]);
    spoilt.add(foreign.note().signatures()[1].clone()).unwrap();
    assert!(matches!(
        spoilt.verify(&keys),
        Err(NoteError::BadSignature { .. })
    ));
    // Who does not know the second witness ignores it.
    assert_eq!(spoilt.verify(&keys[1..]).unwrap().len(), 2);
}

#[test]
fn a_bad_signature_of_a_known_key_spoils_the_note_even_beside_a_good_one() {
    let good = Note::sign("one\n", &log_signer()).unwrap();
    let other = Note::sign("two\n", &log_signer()).unwrap();
    let mut both = good.clone();
    both.add(other.signatures()[0].clone()).unwrap();
    let key = log_signer();
    assert!(matches!(
        both.is_signed_by(key.verifier()),
        Err(NoteError::BadSignature { .. })
    ));
    assert_eq!(good.is_signed_by(key.verifier()), Ok(true));
}

#[test]
fn notes_of_another_form_are_refused() {
    let line = "\u{2014} a.example AAAAAAA=\n";
    let good = format!("x\n\n{line}");
    assert!(Note::parse(good.as_bytes()).is_ok());
    for (bad, expected) in [
        (String::new(), NoteError::Form),
        ("x\n".to_owned(), NoteError::Form),
        ("x\n\n".to_owned(), NoteError::Form),
        (format!("x\n{line}"), NoteError::Form),
        (good.trim_end().to_owned(), NoteError::Form),
        (format!("{good}\n"), NoteError::Form),
        (good.replace('x', "x\r"), NoteError::Text),
        (good.replace('x', "\0"), NoteError::Text),
        (
            good.replace('\u{2014}', "-"),
            NoteError::SignatureLine { at: 0 },
        ),
        (
            good.replace("a.example", "a+b"),
            NoteError::SignatureLine { at: 0 },
        ),
        (
            good.replace("a.example", "a\u{a0}b"),
            NoteError::SignatureLine { at: 0 },
        ),
        (
            good.replace("a.example ", ""),
            NoteError::SignatureLine { at: 0 },
        ),
        // Four bytes of key id and no signature; another spelling of the base64; padding left out.
        (
            good.replace("AAAAAAA=", "AAAAAA=="),
            NoteError::SignatureLine { at: 0 },
        ),
        (
            good.replace("AAAAAAA=", "AAAAAAB="),
            NoteError::SignatureLine { at: 0 },
        ),
        (
            good.replace("AAAAAAA=", "AAAAAAA"),
            NoteError::SignatureLine { at: 0 },
        ),
    ] {
        assert_eq!(Note::parse(bad.as_bytes()), Err(expected), "{bad:?}");
    }
    assert_eq!(Note::parse(&[0xff, b'\n']), Err(NoteError::Text));
    let lines = |count: usize| format!("x\n\n{}", line.repeat(count));
    assert!(Note::parse(lines(SIGNATURES_MAX).as_bytes()).is_ok());
    assert!(matches!(
        Note::parse(lines(SIGNATURES_MAX + 1).as_bytes()),
        Err(NoteError::Signatures { .. })
    ));
    let long = format!("{}\n\n{line}", "x".repeat(credence_log::note::NOTE_LEN_MAX));
    assert!(matches!(
        Note::parse(long.as_bytes()),
        Err(NoteError::TooLong { .. })
    ));
}

#[test]
fn verifier_keys_have_one_form() {
    let key: VerifierKey = VKEY.parse().unwrap();
    for bad in [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        &VKEY.replace("530d903a", "530D903A"),
        &VKEY.replace("530d903a", "530d903"),
        &VKEY.replace("530d903a", "+30d903a"),
        &VKEY[..VKEY.len() - 1],
        &format!("{VKEY}A"),
    ] {
        assert_eq!(
            bad.parse::<VerifierKey>(),
            Err(VerifierKeyError::Form),
            "{bad}"
        );
    }
    assert!(matches!(
        VKEY.replace("foo", "fop").parse::<VerifierKey>(),
        Err(VerifierKeyError::Id {
            got: 0x530d_903a,
            ..
        })
    ));
    assert!(matches!(
        format!("+530d903a{}", &VKEY[24..]).parse::<VerifierKey>(),
        Err(VerifierKeyError::Name(_))
    ));
    assert!(matches!(
        VKEY.replace("+Aek", "+Buk").parse::<VerifierKey>(),
        Err(VerifierKeyError::Algorithm { got: 6 })
    ));
    let weak = "w+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert!(matches!(
        weak.parse::<VerifierKey>(),
        Err(VerifierKeyError::Key { .. })
    ));
    // The id depends on the type, so a log's key is not a witness's.
    let witness = VerifierKey::new(key.name().clone(), Algorithm::CosignatureV1, *key.key());
    assert_ne!(witness.id(), key.id());
    assert_eq!(witness.to_string().parse::<VerifierKey>(), Ok(witness));
    for (text, expected) in [
        ("", KeyNameError::Len { got: 0 }),
        ("a b", KeyNameError::Character),
        ("a\u{2003}b", KeyNameError::Character),
        ("a+b", KeyNameError::Character),
        ("a\u{1}", KeyNameError::Character),
        (&"n".repeat(256), KeyNameError::Len { got: 256 }),
    ] {
        assert_eq!(KeyName::new(text), Err(expected), "{text}");
    }
}

fn signed() -> SignedCheckpoint {
    let log = log_signer();
    Checkpoint::new(log.verifier().name(), 42, leaf(3))
        .unwrap()
        .sign(&log)
        .unwrap()
}

#[test]
fn a_checkpoint_is_accepted_of_its_own_log_alone() {
    let (log, signed) = (log_signer(), signed());
    let again = SignedCheckpoint::parse(signed.encode().as_bytes()).unwrap();
    assert_eq!(again, signed);
    assert_eq!(again.verify(log.verifier()).unwrap().tree(), (42, &leaf(3)));
    let other = signer("other.example", Algorithm::Ed25519, 1);
    assert!(matches!(
        signed.verify(other.verifier()),
        Err(CheckpointError::OtherLog { .. })
    ));
    let namesake = signer("log.example/receipts", Algorithm::Ed25519, 2);
    assert!(matches!(
        signed.verify(namesake.verifier()),
        Err(CheckpointError::Unsigned { .. })
    ));
    let witness = signer("log.example/receipts", Algorithm::CosignatureV1, 1);
    assert!(matches!(
        signed.verify(witness.verifier()),
        Err(CheckpointError::Algorithm(_))
    ));
    // A log signs under no other name, and a witness signs none.
    let checkpoint = signed.unverified().clone();
    assert!(matches!(
        checkpoint.clone().sign(&other),
        Err(CheckpointError::OtherLog { .. })
    ));
    assert!(matches!(
        checkpoint.sign(&witness),
        Err(CheckpointError::Algorithm(_))
    ));
}

#[test]
fn checkpoints_of_another_form_are_refused() {
    let root = Hash::of_empty_tree();
    let good = format!("o\n7\n{root}\n");
    assert_eq!(Checkpoint::parse(&good).unwrap().encode(), good);
    let extended = format!("{good}extension one\nextension two\n");
    let read = Checkpoint::parse(&extended).unwrap();
    assert_eq!(read.extensions().len(), 2);
    assert_eq!(read.encode(), extended);
    for (bad, expected) in [
        (String::new(), CheckpointError::Origin),
        ("\n7\n".to_owned(), CheckpointError::Size),
        (good.replacen('o', "", 1), CheckpointError::Origin),
        (good.replace('7', "07"), CheckpointError::Size),
        (good.replace('7', "-7"), CheckpointError::Size),
        (good.replace('7', ""), CheckpointError::Size),
        (
            good.replace('7', "9223372036854775808"),
            CheckpointError::Size,
        ),
        (good.replace('=', ""), CheckpointError::Root),
        (good.trim_end().to_owned(), CheckpointError::Root),
        (format!("{good}\n"), CheckpointError::Extension),
        (format!("{good}x"), CheckpointError::Extension),
    ] {
        let got = Checkpoint::parse(&bad);
        if bad == "\n7\n" {
            assert!(got.is_err());
        } else {
            assert_eq!(got, Err(expected), "{bad:?}");
        }
    }
    assert_eq!(
        Checkpoint::new(&name("o"), 0, leaf(0)),
        Err(CheckpointError::EmptyRoot)
    );
    // A log that signs another root for nothing is told apart from a damaged text.
    let log = log_signer();
    let text = format!("{}\n0\n{}\n", log.verifier().name(), leaf(0));
    let note = Note::sign(&text, &log).unwrap();
    let lie = SignedCheckpoint::parse(note.encode().as_bytes()).unwrap();
    assert_eq!(lie.verify(log.verifier()), Err(CheckpointError::EmptyRoot));
}

#[test]
fn every_flipped_bit_of_a_signed_checkpoint_is_refused() {
    let log = log_signer();
    let bytes = signed().encode().into_bytes();
    for (bit, flipped) in flips(&bytes) {
        let read = SignedCheckpoint::parse(&flipped);
        let accepted = read.is_ok_and(|read| read.verify(log.verifier()).is_ok());
        assert!(!accepted, "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(SignedCheckpoint::parse(&bytes[..len]).is_err(), "{len}");
    }
}

#[test]
fn the_second_implementation_reads_ours_and_we_read_theirs() {
    use signed_note::{Note as Theirs, StandardSigner, StandardVerifier, VerifierList};

    let log = log_signer();
    let verifier = StandardVerifier::new(&log.verifier().to_string()).unwrap();
    let ours = signed().encode();
    let note = Theirs::from_bytes(ours.as_bytes()).unwrap();
    let known = VerifierList::new(vec![Box::new(verifier)]);
    let (verified, unknown) = note.verify(&known).unwrap();
    assert_eq!((verified.len(), unknown.len()), (1, 0));
    let head = tlog_tiles::Checkpoint::from_bytes(note.text());
    // Their strict reader wants a blank line at the end; ours is the note's text.
    let head = head.or_else(|_| {
        tlog_tiles::Checkpoint::from_reader(&mut std::io::Cursor::new(note.text()), false)
    });
    let head = head.unwrap();
    assert_eq!((head.size(), head.hash().0), (42, *leaf(3).as_bytes()));

    // The other way round: they make a key and sign, we read both. Their secret's text form holds our seed.
    let seed = [5; 32];
    let own = signer("theirs.example/log", Algorithm::Ed25519, 5);
    let vkey = own.verifier().to_string();
    let mut secret = vec![1];
    secret.extend_from_slice(&seed);
    let id = own.verifier().id();
    let skey = format!(
        "PRIVATE+KEY+theirs.example/log+{id:08x}+{}",
        base64(&secret)
    );
    let theirs = StandardSigner::new(&skey).unwrap();
    let root = tlog_tiles::Hash(*leaf(8).as_bytes());
    let head = tlog_tiles::Checkpoint::new("theirs.example/log", 1 << 40, root, "").unwrap();
    let mut note = Theirs::new(&head.to_bytes(), &[]).unwrap();
    note.add_sigs(&[&theirs]).unwrap();
    let read = SignedCheckpoint::parse(&note.to_bytes()).unwrap();
    let key: VerifierKey = vkey.parse().unwrap();
    assert_eq!(read.verify(&key).unwrap().tree(), (1 << 40, &leaf(8)));
    assert_eq!(read.encode().into_bytes(), note.to_bytes());
}

/// A verifier key's base64 is the only way out of the crate for ours, so the test has its own.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut value = 0usize;
        for at in 0..3 {
            value = value << 8 | usize::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            if at > chunk.len() {
                out.push('=');
            } else {
                out.push(char::from(DIGITS[value >> (18 - 6 * at) & 63]));
            }
        }
    }
    out
}

#[test]
fn a_signer_hides_its_secret() {
    let shown = format!("{:?}", log_signer());
    assert!(shown.contains("hidden"), "{shown}");
    let _: fn(KeyName, Algorithm, credence_base::SigningKey) -> Signer = Signer::new;
}

proptest! {
    #[test]
    fn what_parses_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
        prop_assert!(Note::parse(&bytes).is_err());
        let mut mixed = COSIGNED.as_bytes().to_vec();
        let at = cut.min(mixed.len());
        mixed.splice(at..at, bytes);
        if let Ok(note) = Note::parse(&mixed) {
            prop_assert_eq!(note.encode().into_bytes(), mixed.clone());
        }
        if let Ok(read) = SignedCheckpoint::parse(&mixed) {
            prop_assert_eq!(read.encode().into_bytes(), mixed);
        }
    }

    #[test]
    fn a_verifier_key_that_is_read_is_written_the_same(text in "[a-z]{0,3}\\+[0-9a-f]{8}\\+A[A-Za-z0-9+/]{43}") {
        if let Ok(key) = text.parse::<VerifierKey>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }
}
