//! What a check earned, in words and numbers, and the confidence that follows.
//!
//! Never a bool. A [`Finding`] says on which basis something was shown, what exactly, what had to be trusted and what was
//! not looked at. [`Confidence`] is a bound on accepting a wrong output, computed from the findings, with the
//! assumptions it rests on; where there is no bound it says so.
//!
//! The words for each basis stand here, so that the command line, the API and the page say the same.

use core::fmt;

/// On what a finding rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// A key signed it.
    Signed,
    /// It stands in an append-only log.
    Logged,
    /// Others saw the log that it stands in.
    Witnessed,
    /// The whole computation was run again.
    ReExecuted,
    /// Some of the computation was checked, chosen so that the operator could not foresee it.
    SpotChecked,
    /// A succinct proof was checked.
    Proved,
    /// A measured program in an enclave said so.
    AttestedByHardware,
    /// So many operators gave exactly the same answer.
    Agreed {
        /// How many.
        operators: u32,
    },
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signed => f.write_str("signed"),
            Self::Logged => f.write_str("logged"),
            Self::Witnessed => f.write_str("witnessed"),
            Self::ReExecuted => f.write_str("re-executed"),
            Self::SpotChecked => f.write_str("spot-checked"),
            Self::Proved => f.write_str("proved"),
            Self::AttestedByHardware => f.write_str("attested by hardware"),
            Self::Agreed { operators } => write!(f, "agreed by {operators} operators"),
        }
    }
}

/// How large a number is, with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// So many things.
    Count(u64),
    /// Security in bits: a chance of at most 2 to the minus that.
    Bits(u32),
    /// Parts per million.
    PartsPerMillion(u32),
    /// So many seconds.
    Seconds(u64),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Bits(bits) => write!(f, "{bits} bits"),
            Self::PartsPerMillion(ppm) => write!(f, "{ppm} parts per million"),
            Self::Seconds(seconds) => write!(f, "{seconds} s"),
        }
    }
}

/// A number that a finding gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// What is counted or bounded.
    pub name: &'static str,
    /// How much.
    pub quantity: Quantity,
}

/// A bound on the chance that a *wrong output* gets a finding, given what the finding trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Soundness {
    /// No bound: the finding says nothing about whether the output is right.
    None,
    /// At most 2 to the minus this.
    Bits(u32),
}

/// What one check showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// On what it rests.
    pub basis: Basis,
    /// What was shown.
    pub shown: Vec<String>,
    /// How much was looked at, and with what bounds.
    pub numbers: Vec<Number>,
    /// What had to be trusted.
    pub trusted: Vec<String>,
    /// What was not looked at.
    pub not_checked: Vec<String>,
    /// The chance that a wrong output gets this finding.
    pub soundness: Soundness,
}

/// Where a receipt stands in a log.
#[derive(Clone, Copy)]
pub struct LogPlace<'a> {
    /// The log's name.
    pub log: &'a dyn fmt::Display,
    /// The receipt's index.
    pub index: u64,
    /// Entries under the checkpoint.
    pub size: u64,
}

/// Collision resistance of BLAKE3 with 32 bytes of output, in bits.
pub const HASH_COLLISION_BITS: u32 = 128;

impl Finding {
    /// The finding that `operator` signed. `operator_expected` says whether the policy named the key.
    #[must_use]
    pub fn signed(operator: &impl fmt::Display, operator_expected: bool) -> Self {
        let mut not_checked =
            vec!["whether the output is right: a signature says only who said so".to_owned()];
        if !operator_expected {
            not_checked.push("who holds the key: the policy accepts any operator".to_owned());
        }
        Self {
            basis: Basis::Signed,
            shown: vec![format!("key {operator} signed exactly this claim")],
            numbers: Vec::new(),
            trusted: vec![
                "Ed25519, and that the key's owner kept it secret".to_owned(),
                "SHA-256 and BLAKE3".to_owned(),
            ],
            not_checked,
            soundness: Soundness::None,
        }
    }

    /// The finding that the receipt stands in a log. `witnessed` says whether others were asked about that log.
    #[must_use]
    pub fn logged(place: &LogPlace<'_>, witnessed: bool) -> Self {
        let LogPlace { log, index, size } = place;
        let mut not_checked = vec!["what the log has appended since that checkpoint".to_owned()];
        if !witnessed {
            not_checked.push(
                "whether the log shows others another tree: the policy asks for no witness"
                    .to_owned(),
            );
        }
        let number = |name, count| Number {
            name,
            quantity: Quantity::Count(count),
        };
        Self {
            basis: Basis::Logged,
            shown: vec![format!(
                "the receipt's digest is entry {index} of log `{log}`, under a checkpoint that the log signed"
            )],
            numbers: vec![
                number("index in the log", *index),
                number("entries under the checkpoint", *size),
            ],
            trusted: vec![
                "Ed25519, and that the log's owner kept its key secret".to_owned(),
                "SHA-256: nobody found a collision".to_owned(),
            ],
            not_checked,
            soundness: Soundness::None,
        }
    }

    /// The finding that `cosignatures` witnesses, of whom `quorum` are asked for, saw the checkpoint, which was still their
    /// newest `age_s` seconds ago.
    #[must_use]
    pub fn witnessed(cosignatures: u64, quorum: u32, age_s: u64) -> Self {
        let number = |name, quantity| Number { name, quantity };
        Self {
            basis: Basis::Witnessed,
            shown: vec![format!(
                "{cosignatures} witnesses saw that checkpoint continue every earlier one they saw of its log"
            )],
            numbers: vec![
                number("cosignatures", Quantity::Count(cosignatures)),
                number("cosignatures asked for", Quantity::Count(quorum.into())),
                number("age of the checkpoint", Quantity::Seconds(age_s)),
            ],
            trusted: vec![format!(
                "that fewer than {quorum} of the policy's witnesses lie, or are in the log's hands"
            )],
            not_checked: vec![
                "whether anyone reads the log: witnesses see that it only grows, not what stands in it"
                    .to_owned(),
            ],
            soundness: Soundness::None,
        }
    }

    /// The finding that the whole computation, run again, gave the claimed output and the claimed trace.
    ///
    /// `output_values` and `trace_values` are how many values were compared for equality, directly and through the
    /// trace's root.
    #[must_use]
    pub fn re_executed(output_values: u64, trace_values: u64) -> Self {
        let number = |name, quantity| Number { name, quantity };
        Self {
            basis: Basis::ReExecuted,
            shown: vec![
                "the model, run again on the opened input, gives exactly the claimed output"
                    .to_owned(),
                "every intermediate value that the claim commits to is the one the model gives"
                    .to_owned(),
            ],
            numbers: vec![
                number("output values compared", Quantity::Count(output_values)),
                number("trace values compared", Quantity::Count(trace_values)),
                number("soundness", Quantity::Bits(HASH_COLLISION_BITS)),
            ],
            trusted: vec![
                "this machine, and the engine that ran the model again".to_owned(),
                "BLAKE3: nobody found a collision".to_owned(),
            ],
            not_checked: vec![
                "whether the model is a good one: it was checked that this model gave this output"
                    .to_owned(),
            ],
            soundness: Soundness::Bits(HASH_COLLISION_BITS),
        }
    }
}

/// All that was found about one receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assurance {
    findings: Vec<Finding>,
}

impl Assurance {
    /// Collects findings. Having one is no proof of anything: only what the verifier returns is.
    #[must_use]
    pub const fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    /// The findings, in the order they were made.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether something was shown on this basis.
    #[must_use]
    pub fn rests_on(&self, basis: Basis) -> bool {
        self.findings.iter().any(|finding| finding.basis == basis)
    }

    /// The strongest bound that the findings give, and what it rests on.
    #[must_use]
    pub fn confidence(&self) -> Confidence {
        let best = self.findings.iter().max_by_key(|finding| finding.soundness);
        match best {
            Some(finding) if finding.soundness != Soundness::None => Confidence {
                wrong_output: finding.soundness,
                assumptions: finding.trusted.clone(),
            },
            Some(_) | None => Confidence {
                wrong_output: Soundness::None,
                assumptions: Vec::new(),
            },
        }
    }
}

/// How likely it is that the output was accepted although it is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confidence {
    /// The bound.
    pub wrong_output: Soundness,
    /// What must hold for the bound to hold. Empty when there is no bound.
    pub assumptions: Vec<String>,
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wrong_output {
            Soundness::None => f.write_str(
                "no bound on a wrong output: the computation was not checked, or only in part",
            ),
            Soundness::Bits(bits) => write!(
                f,
                "a wrong output is accepted with a chance of at most 2^-{bits}, provided: {}",
                self.assumptions.join("; ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_bounds_nothing() {
        let assurance = Assurance::new(vec![Finding::signed(&"k", false)]);
        assert_eq!(assurance.confidence().wrong_output, Soundness::None);
        assert!(assurance.confidence().to_string().starts_with("no bound"));
        assert_eq!(
            Assurance::new(Vec::new()).confidence().wrong_output,
            Soundness::None
        );
        assert!(
            assurance.findings()[0]
                .not_checked
                .iter()
                .any(|t| t.contains("any operator"))
        );
        let known = Finding::signed(&"k", true);
        assert!(!known.not_checked.iter().any(|t| t.contains("any operator")));
    }

    #[test]
    fn confidence_names_the_assumptions_of_the_strongest_finding() {
        let replay = Finding::re_executed(10, 2000);
        let weaker = Finding {
            soundness: Soundness::Bits(20),
            ..Finding::signed(&"k", true)
        };
        let all = vec![weaker, replay.clone(), Finding::signed(&"k", true)];
        let confidence = Assurance::new(all).confidence();
        assert_eq!(confidence.wrong_output, Soundness::Bits(128));
        assert_eq!(confidence.assumptions, replay.trusted);
        let text = confidence.to_string();
        assert!(
            text.contains("2^-128") && text.contains("this machine"),
            "{text}"
        );
    }

    #[test]
    fn a_log_bounds_nothing_and_says_who_was_asked() {
        let place = LogPlace {
            log: &"log.example",
            index: 3,
            size: 9,
        };
        let alone = Finding::logged(&place, false);
        let numbers: Vec<_> = alone.numbers.iter().map(|n| n.quantity).collect();
        assert_eq!(numbers, [Quantity::Count(3), Quantity::Count(9)]);
        assert!(alone.not_checked.iter().any(|t| t.contains("no witness")));
        let seen = Finding::logged(&place, true);
        assert!(!seen.not_checked.iter().any(|t| t.contains("no witness")));
        let witnessed = Finding::witnessed(3, 2, 60);
        assert!(witnessed.trusted[0].contains("fewer than 2"));
        assert_eq!(witnessed.numbers[2].quantity.to_string(), "60 s");
        let all = Assurance::new(vec![alone, witnessed]);
        assert_eq!(all.confidence().wrong_output, Soundness::None);
        assert!(all.rests_on(Basis::Logged) && all.rests_on(Basis::Witnessed));
    }

    #[test]
    fn bases_in_words() {
        let cases = [
            (Basis::Signed, "signed"),
            (Basis::Logged, "logged"),
            (Basis::Witnessed, "witnessed"),
            (Basis::ReExecuted, "re-executed"),
            (Basis::SpotChecked, "spot-checked"),
            (Basis::Proved, "proved"),
            (Basis::AttestedByHardware, "attested by hardware"),
            (Basis::Agreed { operators: 3 }, "agreed by 3 operators"),
        ];
        for (basis, words) in cases {
            assert_eq!(basis.to_string(), words);
        }
    }
}
