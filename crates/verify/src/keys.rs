//! What statements about keys do to a receipt: rotation, expiry and revocation (`docs/spec/receipt.md`, "Keys by time").
//!
//! One principle decides: what restricts a key counts as soon as the key signed it, logged or not; what extends trust to
//! another key counts only if a believed log shows it. A statement is a signature by its own key, so the same rules that hold
//! for a receipt hold for it.
//!
//! It deliberately keeps no state and asks nobody: statements that were not given, or are made later, are not known here, and
//! the assurance says so.

use credence_base::PublicKey;
use credence_receipt::{Bundle, KeyAction, KeyStatement, Kind, Statement};

use crate::logged::{check_log_at_any_age, clock};
use crate::policy::{Facts, Policy};
use crate::refusal::Refusal;

/// The longest chain of successors that is followed.
const SUCCESSORS_MAX: usize = 16;

/// A signature by a key: when its owner says it was made, and by when witnesses saw it in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signing {
    /// By the owner's clock.
    pub(crate) time_unix_s: u64,
    /// By the witnesses of a believed log, if it was shown.
    pub(crate) by_unix_s: Option<u64>,
}

/// One statement, checked.
#[derive(Debug)]
struct Stated {
    statement: KeyStatement,
    is_logged: bool,
    signing: Signing,
}

/// All statements that the verifier was given, and when it looks at them.
#[derive(Debug)]
pub(crate) struct Keys {
    stated: Vec<Stated>,
    now_unix_s: u64,
}

/// What is known of a key at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyKnown {
    /// Statements that this key made.
    pub(crate) statements: usize,
    /// Whether it has expired by now, and nothing but its owner's clock says that it had not yet.
    pub(crate) expiry_by_own_clock: bool,
}

impl Keys {
    /// Checks each of the verifier's statements: signature, kind, and its log proof where there is one and the policy names
    /// logs.
    ///
    /// # Errors
    /// [`Refusal::KeyStatement`] for the first that is bad.
    pub(crate) fn read(policy: &Policy, facts: &Facts) -> Result<Self, Refusal> {
        let read = |(at, bundle)| {
            stated(bundle, policy, facts).map_err(|source| Refusal::KeyStatement {
                at,
                kind: source.kind(),
                source: Box::new(source),
            })
        };
        let statements = facts.key_statements.iter().enumerate().map(read);
        Ok(Self {
            stated: statements.collect::<Result<_, _>>()?,
            now_unix_s: facts.now_unix_s,
        })
    }

    /// Whether what `key` signed counts.
    ///
    /// # Errors
    /// [`Refusal::KeyRevoked`], [`Refusal::KeyExpired`] or [`Refusal::KeyRotated`].
    pub(crate) fn check(&self, key: &PublicKey, signing: Signing) -> Result<KeyKnown, Refusal> {
        let not_after = self.check_revoked_and_expired(key, signing)?;
        let time_unix_s = signing.time_unix_s;
        let rotated = self
            .of(key)
            .filter_map(|stated| match stated.statement.action {
                KeyAction::Rotate { .. } => Some(stated.statement.time_unix_s),
                KeyAction::Expire { .. } | KeyAction::Revoke { .. } => None,
            });
        match rotated.min() {
            Some(rotated_unix_s) if time_unix_s > rotated_unix_s => Err(Refusal::KeyRotated {
                key: *key,
                rotated_unix_s,
                time_unix_s,
            }),
            Some(_) | None => Ok(KeyKnown {
                statements: self.of(key).count(),
                expiry_by_own_clock: not_after.is_some_and(|last| {
                    self.now_unix_s > last && signing.by_unix_s.is_none_or(|by| by > last)
                }),
            }),
        }
    }

    /// The last second in which the key may sign, if it said one.
    fn check_revoked_and_expired(
        &self,
        key: &PublicKey,
        signing: Signing,
    ) -> Result<Option<u64>, Refusal> {
        let since = self
            .of(key)
            .filter_map(|stated| match stated.statement.action {
                KeyAction::Revoke { since_unix_s } => Some(since_unix_s),
                KeyAction::Rotate { .. } | KeyAction::Expire { .. } => None,
            });
        if let Some(since_unix_s) = since.min() {
            let is_before = |time: u64| time < since_unix_s;
            if !is_before(signing.time_unix_s) || !signing.by_unix_s.is_some_and(is_before) {
                return Err(Refusal::KeyRevoked {
                    key: *key,
                    since_unix_s,
                });
            }
        }
        let last = self
            .of(key)
            .filter_map(|stated| match stated.statement.action {
                KeyAction::Expire { not_after_unix_s } => Some(not_after_unix_s),
                KeyAction::Rotate { .. } | KeyAction::Revoke { .. } => None,
            });
        let not_after = last.min();
        match not_after {
            Some(not_after_unix_s) if signing.time_unix_s > not_after_unix_s => {
                Err(Refusal::KeyExpired {
                    key: *key,
                    not_after_unix_s,
                    time_unix_s: signing.time_unix_s,
                })
            }
            Some(_) | None => Ok(not_after),
        }
    }

    /// Whether `operator` is one of `accepted`, or follows from one by logged rotations.
    ///
    /// # Errors
    /// [`Refusal::Successors`] when an accepted key on the way named two, else [`Refusal::Operator`].
    pub(crate) fn check_operator(
        &self,
        operator: &PublicKey,
        accepted: &[PublicKey],
    ) -> Result<(), Refusal> {
        if accepted.contains(operator) {
            return Ok(());
        }
        let mut refusal = Refusal::Operator { got: *operator };
        for first in accepted {
            let mut key = *first;
            for _ in 0..SUCCESSORS_MAX {
                match self.successor(&key) {
                    Ok(Some(next)) if next == *operator => return Ok(()),
                    Ok(Some(next)) => key = next,
                    Ok(None) => break,
                    Err(ambiguous) => {
                        refusal = ambiguous;
                        break;
                    }
                }
            }
        }
        Err(refusal)
    }

    /// The one successor that `key` named, in a log, while it could.
    fn successor(&self, key: &PublicKey) -> Result<Option<PublicKey>, Refusal> {
        let mut found = None;
        for stated in self.of(key).filter(|stated| stated.is_logged) {
            let KeyAction::Rotate { successor } = stated.statement.action else {
                continue;
            };
            // A rotation that was made when the key no longer counted counts no more than a receipt would.
            let Ok(not_after) = self.check_revoked_and_expired(key, stated.signing) else {
                continue;
            };
            // Its own clock is no word for a key that has expired: who stole it would date back.
            let is_seen_in_time = |last: u64| stated.signing.by_unix_s.is_some_and(|by| by <= last);
            if not_after.is_some_and(|last| !is_seen_in_time(last)) {
                continue;
            }
            if found.is_some_and(|other| other != successor) {
                return Err(Refusal::Successors { key: *key });
            }
            found = Some(successor);
        }
        Ok(found)
    }

    fn of<'a>(&'a self, key: &'a PublicKey) -> impl Iterator<Item = &'a Stated> {
        self.stated
            .iter()
            .filter(move |stated| stated.statement.operator == *key)
    }
}

fn stated(bundle: &Bundle, policy: &Policy, facts: &Facts) -> Result<Stated, Refusal> {
    let statement = key_statement(bundle)?;
    let logged = check_log_at_any_age(bundle, policy.log.as_ref(), clock(policy, facts))?;
    let by_unix_s = logged
        .as_ref()
        .and_then(|logged| logged.witnessed().by_unix_s());
    Ok(Stated {
        is_logged: logged.is_some(),
        signing: Signing {
            time_unix_s: statement.time_unix_s,
            by_unix_s,
        },
        statement,
    })
}

/// The statement in the bundle, if it is one about a key, with its signature checked.
pub(crate) fn key_statement(bundle: &Bundle) -> Result<KeyStatement, Refusal> {
    let signed = bundle.receipt().open().map_err(Refusal::from_open)?;
    match signed.into_statement() {
        Statement::Key(statement) => Ok(statement),
        other @ (Statement::Inference(_)
        | Statement::Equivocation(_)
        | Statement::WeightsBinding(_)
        | Statement::Imported(_)
        | Statement::Audit(_)
        | Statement::Verdict(_)) => Err(Refusal::Kind {
            expected: Kind::KeyStatement,
            got: other.kind(),
        }),
    }
}
