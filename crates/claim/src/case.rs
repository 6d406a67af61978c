//! One claim before a method: what is claimed, by which key, and what was opened and checked against it.

use credence_base::{PublicKey, TraceRoot};

use crate::claim::Claim;
use crate::commitment::{output_root, trace_commitment};
use crate::method::{Fact, MethodError, Refutation};
use crate::openings::{CheckedOpenings, Openings, OpeningsError};

/// A claim with its operator's key and openings that match it.
///
/// It does not say that the operator signed: the verifier does, before a method sees the case.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    claim: &'a Claim,
    operator: &'a PublicKey,
    openings: CheckedOpenings<'a>,
}

impl<'a> Case<'a> {
    /// Checks every opening against the claim.
    ///
    /// # Errors
    /// [`OpeningsError`] names the first that the claim does not commit to.
    pub fn check(
        claim: &'a Claim,
        operator: &'a PublicKey,
        openings: &'a Openings,
    ) -> Result<Self, OpeningsError> {
        let openings = CheckedOpenings::check(claim, operator, openings)?;
        Ok(Self {
            claim,
            operator,
            openings,
        })
    }

    /// What is claimed.
    #[must_use]
    pub const fn claim(&self) -> &'a Claim {
        self.claim
    }

    /// By which key.
    #[must_use]
    pub const fn operator(&self) -> &'a PublicKey {
        self.operator
    }

    /// What was opened.
    #[must_use]
    pub const fn openings(&self) -> &CheckedOpenings<'a> {
        &self.openings
    }

    /// The input's bytes.
    ///
    /// # Errors
    /// [`MethodError::Missing`] when it is not opened.
    pub fn input(&self) -> Result<&'a [u8], MethodError> {
        self.openings
            .input()
            .ok_or(MethodError::Missing(Fact::Input))
    }

    /// The parameters' bytes.
    ///
    /// # Errors
    /// [`MethodError::Missing`] when they are not opened.
    pub fn params(&self) -> Result<&'a [u8], MethodError> {
        self.openings
            .params()
            .ok_or(MethodError::Missing(Fact::Params))
    }

    /// The output's bytes.
    ///
    /// # Errors
    /// [`MethodError::Missing`] when it is not opened.
    pub fn output(&self) -> Result<&'a [u8], MethodError> {
        self.openings
            .output()
            .ok_or(MethodError::Missing(Fact::Output))
    }

    /// Checks that the claimed output is `content`, which the method computed itself.
    ///
    /// A method that knows what the bytes mean compares values first, for a better message; this comparison is the one
    /// that decides.
    ///
    /// # Errors
    /// [`MethodError::Missing`] when the output is not opened, [`MethodError::Refuted`] when it is another.
    pub fn check_output(&self, content: &[u8]) -> Result<(), MethodError> {
        let claimed = self.output()?;
        if claimed == content {
            return Ok(());
        }
        let (claimed, got) = (output_root(claimed), output_root(content));
        Err(MethodError::Refuted(Refutation::Output { claimed, got }))
    }

    /// Checks that the claim commits to the trace of root `root`, which the method computed itself.
    ///
    /// # Errors
    /// [`MethodError::Missing`] when the trace's salt is not opened, [`MethodError::Refuted`] when salt and root do not
    /// give the claim's commitment.
    pub fn check_trace(&self, root: &TraceRoot) -> Result<(), MethodError> {
        let salt = self
            .openings
            .trace_salt()
            .ok_or(MethodError::Missing(Fact::TraceSalt))?;
        let got = trace_commitment(self.operator, salt, root);
        let claimed = self.claim.fields().trace;
        if claimed == got {
            return Ok(());
        }
        Err(MethodError::Refuted(Refutation::Trace { claimed, got }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::ClaimFields;
    use crate::claim::tests::fields;
    use crate::commitment::{Commitments, Roots, Salts, input_root, params_root};
    use crate::openings::{Field, Opened};
    use credence_base::{Salt, SigningKey};

    const TRACE: TraceRoot = TraceRoot::from_bytes([6; 32]);

    fn honest() -> (Claim, PublicKey, Openings) {
        let operator = SigningKey::from_seed(&[1; 32]).public_key();
        let salts = Salts::derive(&[2; 32]);
        let roots = Roots {
            input: input_root(b"in"),
            params: params_root(b"params"),
            output: output_root(b"out"),
            trace: TRACE,
        };
        let Commitments {
            input,
            params,
            output,
            trace,
        } = Commitments::new(&operator, &salts, &roots);
        let claim = Claim::new(ClaimFields {
            input,
            params,
            output,
            trace,
            ..fields()
        })
        .unwrap();
        let opened = |salt, content: &[u8]| {
            Some(Opened {
                salt,
                content: content.to_vec(),
            })
        };
        let openings = Openings {
            input: opened(salts.input, b"in"),
            params: opened(salts.params, b"params"),
            output: opened(salts.output, b"out"),
            trace: Some(salts.trace),
        };
        (claim, operator, openings)
    }

    #[test]
    fn honest_openings_pass_and_give_their_bytes() {
        let (claim, operator, openings) = honest();
        let case = Case::check(&claim, &operator, &openings).unwrap();
        assert_eq!(case.input().unwrap(), b"in");
        assert_eq!(case.params().unwrap(), b"params");
        assert_eq!(case.output().unwrap(), b"out");
        case.check_output(b"out").unwrap();
        case.check_trace(&TRACE).unwrap();
    }

    #[test]
    fn each_edited_opening_is_named() {
        type Pick = fn(&mut Openings) -> &mut Option<Opened>;
        fn edit(opened: &mut Option<Opened>, salt: bool) {
            let opened = opened.as_mut().unwrap();
            if salt {
                opened.salt = Salt::from_bytes([9; 32]);
            } else {
                opened.content.push(0);
            }
        }
        let cases: [(Field, Pick); 3] = [
            (Field::Input, |o| &mut o.input),
            (Field::Params, |o| &mut o.params),
            (Field::Output, |o| &mut o.output),
        ];
        for (field, pick) in cases {
            for salt in [false, true] {
                let (claim, operator, mut openings) = honest();
                edit(pick(&mut openings), salt);
                let error = Case::check(&claim, &operator, &openings).unwrap_err();
                assert_eq!(error.field, field);
                *pick(&mut openings) = None;
                assert!(Case::check(&claim, &operator, &openings).is_ok());
            }
        }
        let (claim, _, openings) = honest();
        let copier = SigningKey::from_seed(&[9; 32]).public_key();
        assert!(Case::check(&claim, &copier, &openings).is_err());
    }

    #[test]
    fn what_is_missing_is_not_what_is_refuted() {
        let (claim, operator, openings) = honest();
        let case = Case::check(&claim, &operator, &openings).unwrap();
        assert!(matches!(
            case.check_output(b"other"),
            Err(MethodError::Refuted(Refutation::Output { .. }))
        ));
        assert!(matches!(
            case.check_trace(&TraceRoot::from_bytes([7; 32])),
            Err(MethodError::Refuted(Refutation::Trace { .. }))
        ));
        let wrong_salt = Openings {
            trace: Some(Salt::from_bytes([7; 32])),
            ..openings.clone()
        };
        let case = Case::check(&claim, &operator, &wrong_salt).unwrap();
        assert!(matches!(
            case.check_trace(&TRACE),
            Err(MethodError::Refuted(_))
        ));

        let nothing = Openings::default();
        let case = Case::check(&claim, &operator, &nothing).unwrap();
        assert!(matches!(
            case.input(),
            Err(MethodError::Missing(Fact::Input))
        ));
        assert!(matches!(
            case.params(),
            Err(MethodError::Missing(Fact::Params))
        ));
        assert!(matches!(
            case.check_output(b"out"),
            Err(MethodError::Missing(Fact::Output))
        ));
        assert!(matches!(
            case.check_trace(&TRACE),
            Err(MethodError::Missing(Fact::TraceSalt))
        ));
    }
}
