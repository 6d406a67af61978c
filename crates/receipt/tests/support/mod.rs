//! One honest claim, statement and bundle with every optional field present, and the vectors made from such values.
#![expect(
    clippy::unwrap_used,
    reason = "a value that cannot be made is a failed test"
)]

pub(crate) mod vectors;

use credence_base::{
    ClaimDigest, Digest, FileDigest, ModelId, Name, Nonce, Profile, ReceiptDigest, SigningKey,
    TraceRoot,
};
use credence_claim::commitment::{input_root, output_root, params_root};
use credence_claim::{
    Claim, ClaimFields, Commitments, ConstrainedDecoding, Counts, Evidence, FinishReason, MethodId,
    Opened, Openings, Roots, Salts, SeedSource,
};
use credence_receipt::{
    Audit, AuditOutcome, Bundle, Equivocation, Imported, Inference, KeyAction, KeyStatement, Loser,
    Statement, Tool, VerdictStatement, WeightsBinding, sign,
};

/// 2026-11-21T00:00:00Z.
pub(crate) const TIME_UNIX_S: u64 = 1_795_219_200;
pub(crate) const INPUT: &[u8] = b"an input";
pub(crate) const PARAMS: &[u8] = b"the parameters";
pub(crate) const OUTPUT: &[u8] = b"an output";

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

pub(crate) fn salts() -> Salts {
    Salts::derive(&[2; 32])
}

pub(crate) fn roots() -> Roots {
    Roots {
        input: input_root(INPUT),
        params: params_root(PARAMS),
        output: output_root(OUTPUT),
        trace: TraceRoot::from_bytes([3; 32]),
    }
}

pub(crate) fn claim_fields() -> ClaimFields {
    let Commitments {
        input,
        params,
        output,
        trace,
    } = Commitments::new(&key().public_key(), &salts(), &roots());
    ClaimFields {
        profile: Profile::Exact1,
        model: ModelId::from_bytes([4; 32]),
        input,
        params,
        output,
        trace,
        counts: Counts {
            input: 12,
            output: 34,
        },
        finish: FinishReason::Stop,
        nonce: Some(Nonce::from_bytes([5; 32])),
        seed: SeedSource::Derived,
        constrained: Some(ConstrainedDecoding {
            engine: Name::new("llguidance").unwrap(),
            version: Name::new("1.2.0").unwrap(),
        }),
    }
}

/// The claim of a tensor model: nothing optional.
pub(crate) fn plain_claim_fields() -> ClaimFields {
    ClaimFields {
        finish: FinishReason::Complete,
        nonce: None,
        seed: SeedSource::Nothing,
        constrained: None,
        ..claim_fields()
    }
}

pub(crate) fn inference(fields: ClaimFields) -> Statement {
    Statement::Inference(Inference {
        claim: Claim::new(fields).unwrap(),
        operator: key().public_key(),
        time_unix_s: TIME_UNIX_S,
    })
}

pub(crate) fn key_statement(action: KeyAction) -> Statement {
    let operator = key().public_key();
    Statement::Key(KeyStatement {
        operator,
        action,
        time_unix_s: TIME_UNIX_S,
    })
}

pub(crate) fn key_actions() -> [KeyAction; 3] {
    [
        KeyAction::Rotate {
            successor: SigningKey::from_seed(&[6; 32]).public_key(),
        },
        KeyAction::Expire {
            not_after_unix_s: TIME_UNIX_S + 86_400,
        },
        KeyAction::Revoke {
            since_unix_s: TIME_UNIX_S - 86_400,
        },
    ]
}

/// One of each kind that is neither an inference nor about a key, an import without its optional member, and an audit without numbers.
pub(crate) fn other_statements() -> [Statement; 7] {
    let operator = key().public_key();
    let tool = |name, version| Tool {
        name: Name::new(name).unwrap(),
        version: Name::new(version).unwrap(),
    };
    let imported = Imported {
        operator,
        model: ModelId::from_bytes([4; 32]),
        file: FileDigest::from_bytes([7; 32]),
        importer: tool("credence-import", "4"),
        options: "granularity=per-row".to_owned(),
        calibration: Some(Digest::from_bytes([8; 32])),
        time_unix_s: TIME_UNIX_S,
    };
    let name = |text| Name::new(text).unwrap();
    let audit = Audit {
        operator,
        receipt: ReceiptDigest::from_bytes([14; 32]),
        method: name("spot"),
        method_version: 1,
        outcome: AuditOutcome::Passed,
        numbers: vec![(name("cells"), 80), (name("tokens"), u64::MAX)],
        time_unix_s: TIME_UNIX_S,
    };
    let bare = Audit {
        numbers: Vec::new(),
        outcome: AuditOutcome::Refuted,
        ..audit.clone()
    };
    let uncalibrated = Imported {
        calibration: None,
        options: String::new(),
        ..imported.clone()
    };
    [
        Statement::Equivocation(Equivocation {
            operator,
            log: "log.example+00000000+AQ==".to_owned(),
            first: "log.example\n1\nroot\n\n\u{2014} log.example AAAAAAA=\n".to_owned(),
            second: "log.example\n1\nother\n\n\u{2014} log.example AAAAAAA=\n".to_owned(),
            time_unix_s: TIME_UNIX_S,
        }),
        Statement::WeightsBinding(WeightsBinding {
            operator,
            model: ModelId::from_bytes([4; 32]),
            scheme: Name::new("basefold-goldilocks").unwrap(),
            root: Digest::from_bytes([9; 32]),
            derivation: tool("rows-in-order", "1"),
            time_unix_s: TIME_UNIX_S,
        }),
        Statement::Imported(imported),
        Statement::Imported(uncalibrated),
        Statement::Audit(audit),
        Statement::Audit(bare),
        Statement::Verdict(VerdictStatement {
            operator,
            claim: ClaimDigest::from_bytes([10; 32]),
            accused: SigningKey::from_seed(&[11; 32]).public_key(),
            challenger: SigningKey::from_seed(&[12; 32]).public_key(),
            started_unix_s: TIME_UNIX_S - 3600,
            turn_s: 600,
            transcript: Digest::from_bytes([13; 32]),
            loser: Loser::Operator,
            reason: Name::new("wrong-cell").unwrap(),
            time_unix_s: TIME_UNIX_S,
        }),
    ]
}

/// What stands in the place of a log proof: nothing here reads it.
pub(crate) const LOG: &str =
    "c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example\n1\nroot\n\n\u{2014} log.example AAAAAAA=\n";

pub(crate) fn logged_bundle() -> Bundle {
    bundle().with_log(LOG.to_owned()).unwrap()
}

pub(crate) fn openings() -> Openings {
    let salts = salts();
    let opened = |salt, content: &[u8]| {
        Some(Opened {
            salt,
            content: content.to_vec(),
        })
    };
    Openings {
        input: opened(salts.input, INPUT),
        params: opened(salts.params, PARAMS),
        output: opened(salts.output, OUTPUT),
        trace: Some(salts.trace),
    }
}

pub(crate) fn evidence() -> Vec<Evidence> {
    let evidence = |method, version, bytes: &[u8]| Evidence {
        method: MethodId::new(method).unwrap(),
        version,
        bytes: bytes.to_vec(),
    };
    vec![
        evidence("spot", 1, b"cells"),
        evidence("snark", 2, b"proof"),
    ]
}

pub(crate) fn bundle() -> Bundle {
    let receipt = sign(&inference(claim_fields()), &key()).unwrap();
    Bundle::new(receipt, openings(), evidence()).unwrap()
}
