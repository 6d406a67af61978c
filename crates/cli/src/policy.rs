//! What a verifier demands, from a TOML file (`docs/spec/policy.md`) or from options.

use credence_base::key::KeyError;
use credence_base::{Digest, HexError, ModelId, Name, NameError, Nonce, PublicKey};
use credence_claim::{HASH_COLLISION_BITS, MethodId};
use credence_log::key::VerifierKeyError;
use credence_log::{LogPolicy, LogPolicyError, VerifierKey};
use credence_method_spot::{Demand, DemandError};
use credence_verify::{LogDemand, Policy};
use serde::Deserialize;

/// The longest policy that is read, in bytes.
pub(crate) const POLICY_BYTES_MAX: u64 = 1024 * 1024;

/// Why a policy is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PolicyError {
    /// Not UTF-8.
    #[error("it is not text")]
    Text(#[from] std::str::Utf8Error),
    /// Not TOML, or fields that are not known.
    #[error("it is not a policy")]
    Form(#[from] toml::de::Error),
    /// A method's name.
    #[error("`require` names `{got}`, which is no method's name")]
    Method {
        /// What stands there.
        got: String,
        /// Why it is none.
        source: NameError,
    },
    /// A public key.
    #[error("`{field}` holds `{got}`")]
    Operator {
        /// The field.
        field: &'static str,
        /// What stands there.
        got: String,
        /// Why it is no key.
        source: PublicKeyError,
    },
    /// A model's id or a nonce.
    #[error("`{field}` holds `{got}`")]
    Digits {
        /// The field.
        field: &'static str,
        /// What stands there.
        got: String,
        /// Why it is none.
        source: HexError,
    },
    /// The verifier key of a log or a witness.
    #[error("`{field}` holds `{got}`")]
    VerifierKey {
        /// The field.
        field: &'static str,
        /// What stands there.
        got: String,
        /// Why it is no verifier key.
        source: VerifierKeyError,
    },
    /// Logs, witnesses and quorum that do not go together.
    #[error("`[log]` could not be met as it stands")]
    Log(#[from] LogPolicyError),
    /// A demand on spot checks that cannot be met.
    #[error("`[spot]` could not be met as it stands")]
    Spot(#[from] DemandError),
    /// Bits that no check can give.
    #[error(
        "`min_bits` is {got}: ask for 1 to {HASH_COLLISION_BITS}, more than which no check gives"
    )]
    Bits {
        /// What stands there.
        got: u32,
    },
    /// An empty list accepts nothing, and is more likely a mistake.
    #[error("`{field}` is empty, so nothing could be accepted")]
    Empty {
        /// The field.
        field: &'static str,
    },
}

/// Why text is no public key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublicKeyError {
    /// Not 64 digits.
    #[error("a public key has 64 lower-case hexadecimal digits")]
    Hex(#[from] HexError),
    /// No key.
    #[error("it is no Ed25519 public key")]
    Key(#[from] KeyError),
}

/// The file's fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    require: Option<Vec<String>>,
    operators: Option<Vec<String>>,
    models: Option<Vec<String>>,
    max_age_s: Option<u64>,
    max_clock_skew_s: Option<u64>,
    nonce: Option<String>,
    min_bits: Option<u32>,
    vouchers: Option<Vec<String>>,
    log: Option<LogTable>,
    spot: Option<SpotTable>,
}

/// The fields of the table `[spot]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpotTable {
    bits: Option<u32>,
    share_ppm: Option<u32>,
    rows: Option<u32>,
}

/// The fields of the table `[log]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogTable {
    logs: Vec<String>,
    witnesses: Option<Vec<String>>,
    quorum: Option<u32>,
    max_checkpoint_age_s: Option<u64>,
    required: Option<bool>,
}

/// Reads a policy from TOML. What it leaves out is as in [`usual`].
pub(crate) fn read(bytes: &[u8]) -> Result<Policy, PolicyError> {
    let file: PolicyFile = toml::from_str(std::str::from_utf8(bytes)?)?;
    let mut policy = usual();
    if let Some(names) = not_empty("require", file.require)? {
        let methods = names.iter().map(|name| method(name));
        policy.required = methods.collect::<Result<_, _>>()?;
    }
    policy.operators = keys("operators", file.operators)?;
    policy.vouchers = keys("vouchers", file.vouchers)?;
    if let Some(ids) = not_empty("models", file.models)? {
        let id = |got: String| digits("models", got, str::parse::<ModelId>);
        policy.models = Some(ids.into_iter().map(id).collect::<Result<_, _>>()?);
    }
    policy.age_max_s = file.max_age_s;
    policy.skew_max_s = file.max_clock_skew_s.unwrap_or(policy.skew_max_s);
    policy.nonce = match file.nonce {
        Some(got) => Some(digits("nonce", got, str::parse::<Nonce>)?),
        None => None,
    };
    if let Some(got) = file
        .min_bits
        .filter(|n| !(1..=HASH_COLLISION_BITS).contains(n))
    {
        return Err(PolicyError::Bits { got });
    }
    policy.bits_min = file.min_bits;
    policy.log = file.log.map(log_demand).transpose()?;
    // Read by itself, and refused here as well.
    spot_demand(bytes)?;
    Ok(policy)
}

/// How sure the table `[spot]` asks a spot check to be that an operator attached.
pub(crate) fn spot_demand(bytes: &[u8]) -> Result<Demand, PolicyError> {
    let file: PolicyFile = toml::from_str(std::str::from_utf8(bytes)?)?;
    let usual = Demand::USUAL;
    let demand = file.spot.map_or(usual, |table| Demand {
        bits: table.bits.unwrap_or(usual.bits),
        share_ppm: table.share_ppm.unwrap_or(usual.share_ppm),
        rows: table.rows.unwrap_or(usual.rows),
    });
    demand.cells()?;
    Ok(demand)
}

/// The public keys of a list that is there.
fn keys(
    field: &'static str,
    list: Option<Vec<String>>,
) -> Result<Option<Vec<PublicKey>>, PolicyError> {
    let key = |got: String| match public_key(&got) {
        Ok(key) => Ok(key),
        Err(source) => Err(PolicyError::Operator { field, got, source }),
    };
    let list = not_empty(field, list)?;
    list.map(|keys| keys.into_iter().map(key).collect())
        .transpose()
}

/// What the table `[log]` asks for. Who names witnesses and no quorum means all of them.
fn log_demand(table: LogTable) -> Result<LogDemand, PolicyError> {
    let LogTable {
        logs,
        witnesses,
        quorum,
        max_checkpoint_age_s,
        required,
    } = table;
    let logs = verifier_keys("logs", logs)?;
    let witnesses = not_empty("witnesses", witnesses)?.unwrap_or_default();
    let witnesses = verifier_keys("witnesses", witnesses)?;
    let quorum = quorum.unwrap_or_else(|| {
        let mut names: Vec<_> = witnesses.iter().map(VerifierKey::name).collect();
        names.sort_unstable();
        names.dedup();
        u32::try_from(names.len()).unwrap_or(u32::MAX)
    });
    let mut policy = LogPolicy::new(logs, witnesses, quorum)?;
    if let Some(max_s) = max_checkpoint_age_s {
        policy = policy.with_age_max_s(max_s)?;
    }
    Ok(LogDemand {
        policy,
        required: required.unwrap_or(true),
    })
}

fn verifier_keys(field: &'static str, list: Vec<String>) -> Result<Vec<VerifierKey>, PolicyError> {
    let key = |got: String| match got.parse() {
        Ok(key) => Ok(key),
        Err(source) => Err(PolicyError::VerifierKey { field, got, source }),
    };
    list.into_iter().map(key).collect()
}

/// Signed and re-executed; any operator, model and age.
pub(crate) fn usual() -> Policy {
    Policy {
        required: vec![MethodId::SIGNED, MethodId::REPLAY],
        ..Policy::signature_only()
    }
}

/// The method of that name.
fn method(name: &str) -> Result<MethodId, PolicyError> {
    MethodId::new(name).map_err(|source| PolicyError::Method {
        got: name.to_owned(),
        source,
    })
}

/// The methods of those names, which options have checked.
pub(crate) fn methods(names: &[Name]) -> Result<Vec<MethodId>, PolicyError> {
    names.iter().map(|name| method(name.as_str())).collect()
}

/// Reads a public key from its 64 digits.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, PublicKeyError> {
    let digest: Digest = text.parse()?;
    Ok(PublicKey::from_bytes(digest.as_bytes())?)
}

fn not_empty<T>(field: &'static str, list: Option<Vec<T>>) -> Result<Option<Vec<T>>, PolicyError> {
    match list {
        Some(list) if list.is_empty() => Err(PolicyError::Empty { field }),
        other => Ok(other),
    }
}

fn digits<T>(
    field: &'static str,
    got: String,
    parse: impl Fn(&str) -> Result<T, HexError>,
) -> Result<T, PolicyError> {
    parse(&got).map_err(|source| PolicyError::Digits { field, got, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use credence_base::SigningKey;
    use credence_log::{Algorithm, KeyName};

    fn key() -> PublicKey {
        SigningKey::from_seed(&[1; 32]).public_key()
    }

    /// Whether the published schema lets a policy pass; nothing if it is no TOML.
    fn fits_schema(text: &str) -> Option<bool> {
        let schema = include_str!("../../../schemas/policy.v1.json");
        let schema = serde_json::from_str(schema).unwrap();
        let policy: serde_json::Value = toml::from_str(text).ok()?;
        Some(credence_testkit::schema::fits(&schema, &policy).is_ok())
    }

    #[test]
    fn an_empty_file_demands_the_usual() {
        assert_eq!(fits_schema(""), Some(true));
        let policy = read(b"").unwrap();
        assert_eq!(policy, usual());
        let names: Vec<_> = policy.required.iter().map(MethodId::as_str).collect();
        assert_eq!(names, ["signed", "replay"]);
    }

    #[test]
    fn every_field_is_read() {
        let (id, nonce) = ("ab".repeat(32), "cd".repeat(32));
        let text = format!(
            "require = ['signed']\noperators = ['{}']\nmodels = ['{id}']\nmax_age_s = 60\n\
             max_clock_skew_s = 5\nnonce = '{nonce}'\nmin_bits = 100\nvouchers = ['{}']",
            key(),
            key()
        );
        let expected = Policy {
            required: vec![MethodId::SIGNED],
            operators: Some(vec![key()]),
            models: Some(vec![id.parse().unwrap()]),
            age_max_s: Some(60),
            skew_max_s: 5,
            nonce: Some(nonce.parse().unwrap()),
            bits_min: Some(100),
            vouchers: Some(vec![key()]),
            log: None,
        };
        assert_eq!(read(text.as_bytes()).unwrap(), expected);
        assert_eq!(fits_schema(&text), Some(true));
    }

    #[test]
    fn mutations_of_the_example_are_read_or_refused() {
        use credence_testkit::mutation::{Choices, mutate};
        let example = include_bytes!("../../../docs/spec/policy.example.toml");
        let mut choices = Choices::new(1);
        let accepted = (0..20_000).filter(|_| read(&mutate(example, &mut choices)).is_ok());
        let accepted = accepted.count();
        // Comments may change; not everything else.
        assert!((100..19_900).contains(&accepted), "{accepted}");
    }

    #[test]
    fn the_example_in_the_documentation_is_one() {
        let example = include_str!("../../../docs/spec/policy.example.toml");
        assert_eq!(fits_schema(example), Some(true));
        let policy = read(example.as_bytes()).unwrap();
        assert!(policy.operators.is_some() && policy.age_max_s.is_some());
        let log = policy.log.unwrap();
        assert!(log.required && log.policy.quorum() == 2);
        assert_eq!(log.policy.witnesses().len(), 3);
        assert_eq!(log.policy.checkpoint_age_max_s(), Some(604_800));
    }

    fn verifier_key(name: &str, algorithm: Algorithm, seed: u8) -> String {
        let key = SigningKey::from_seed(&[seed; 32]).public_key();
        VerifierKey::new(KeyName::new(name).unwrap(), algorithm, key).to_string()
    }

    #[test]
    fn logs_and_witnesses_are_read() {
        let log = verifier_key("log.example", Algorithm::Ed25519, 1);
        let w1 = verifier_key("w1.example", Algorithm::CosignatureV1, 2);
        let w2 = verifier_key("w2.example", Algorithm::CosignatureV1, 3);
        let demand = |text: &str| {
            let text = format!("[log]\n{text}");
            let found = read(text.as_bytes()).map(|p| p.log.unwrap());
            assert!(found.is_err() || fits_schema(&text) == Some(true), "{text}");
            found
        };
        let alone = demand(&format!("logs = ['{log}']")).unwrap();
        assert!(alone.required && alone.policy.quorum() == 0);
        let all = demand(&format!(
            "logs = ['{log}']\nwitnesses = ['{w1}', '{w2}']\nrequired = false"
        ))
        .unwrap();
        assert!(!all.required && all.policy.quorum() == 2);
        let some = demand(&format!(
            "logs = ['{log}']\nwitnesses = ['{w1}', '{w2}']\nquorum = 1\nmax_checkpoint_age_s = 60"
        ))
        .unwrap();
        assert_eq!(some.policy.quorum(), 1);
        assert_eq!(some.policy.checkpoint_age_max_s(), Some(60));
        for (text, expected) in [
            (String::new(), "missing field"),
            ("logs = []".to_owned(), "at least one log"),
            (format!("logs = ['{w1}']"), "0x04"),
            (format!("logs = ['{log}', '{log}']"), "count twice"),
            (format!("logs = ['{log}']\nwitnesses = []"), "empty"),
            (
                format!("logs = ['{log}']\nwitnesses = ['{w1}']\nquorum = 2"),
                "quorum of 2",
            ),
            (
                format!("logs = ['{log}']\nmax_checkpoint_age_s = 60"),
                "quorum of at least 1",
            ),
            (format!("logs = ['{log}x']"), "logs"),
            (
                format!("logs = ['{log}']\nwitness = ['{w1}']"),
                "unknown field",
            ),
        ] {
            let words = crate::error::chain(&demand(&text).unwrap_err());
            assert!(words.contains(expected), "{text}: {words}");
            // No schema counts keys against the quorum, or knows that two are one log's.
            let beyond = ["count twice", "quorum of 2"].contains(&expected);
            assert_eq!(
                fits_schema(&format!("[log]\n{text}")),
                Some(beyond),
                "{text}"
            );
        }
    }

    #[test]
    fn demands_on_spot_checks_are_read_and_those_that_cannot_be_met_refused() {
        assert_eq!(spot_demand(b"").unwrap(), Demand::USUAL);
        let some = spot_demand(b"[spot]\nbits = 40\nshare_ppm = 100000").unwrap();
        assert_eq!((some.bits, some.share_ppm, some.rows), (40, 100_000, 1));
        assert_eq!(some.cells().unwrap(), 264);
        for text in [
            "bits = 0",
            "bits = 129",
            "share_ppm = 1000000",
            "share_ppm = 1",
            "cells = 80",
        ] {
            let text = format!("[spot]\n{text}");
            assert!(spot_demand(text.as_bytes()).is_err(), "{text}");
            assert!(read(text.as_bytes()).is_err(), "{text}");
            // How many cells a demand comes to, no schema says.
            let beyond = text.ends_with("share_ppm = 1");
            assert_eq!(fits_schema(&text), Some(beyond), "{text}");
        }
        let some = "[spot]\nbits = 40\nshare_ppm = 100000";
        assert_eq!(fits_schema(some), Some(true));
    }

    #[test]
    fn what_could_be_a_mistake_is_refused() {
        let weak = format!("operators = ['01{}']", "00".repeat(31));
        let cases = [
            ("requires = ['signed']", "unknown field"),
            ("require = []", "empty"),
            ("operators = []", "empty"),
            ("models = []", "empty"),
            ("vouchers = []", "empty"),
            ("vouchers = ['ab']", "`vouchers`"),
            ("require = ['Replay']", "`Replay`"),
            ("operators = ['ab']", "`ab`"),
            (&weak, "no Ed25519"),
            ("models = ['AB']", "`AB`"),
            ("nonce = ''", "`nonce`"),
            ("max_age_s = -1", "not a policy"),
            ("min_bits = 0", "`min_bits` is 0"),
            ("min_bits = 129", "1 to 128"),
            ("max_age_s = 1\nmax_age_s = 2", "duplicate"),
            ("require = 'signed'", "sequence"),
        ];
        for (text, expected) in cases {
            let error = read(text.as_bytes()).unwrap_err();
            let words = crate::error::chain(&error);
            assert!(words.contains(expected), "{text}: {words}");
            let fit = match expected {
                "duplicate" => None,
                // Digits that are no key's.
                "no Ed25519" => Some(true),
                _ => Some(false),
            };
            assert_eq!(fits_schema(text), fit, "{text}");
        }
        assert!(read(&[0xff]).is_err());
    }
}
