//! The JSON of a bundle.

use credence_base::Salt;
use credence_base::json::{Base64, Hex32};
use credence_claim::{Evidence, MethodId, Opened, Openings};
use serde::{Deserialize, Serialize};

use super::{BUNDLE_MEDIA_TYPE, Bundle, BundleError, check_log};
use crate::envelope::{Envelope, EnvelopeJson};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BundleJson {
    evidence: Vec<EvidenceJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    openings: Option<OpeningsJson>,
    receipt: EnvelopeJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceJson {
    bytes: Base64,
    method: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OpeningsJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<OpenedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<OpenedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<OpenedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_salt: Option<Hex32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenedJson {
    content: Base64,
    salt: Hex32,
}

impl BundleJson {
    pub(super) fn new(bundle: &Bundle) -> Self {
        let evidence = bundle.evidence.iter().map(|evidence| EvidenceJson {
            bytes: Base64(evidence.bytes.clone()),
            method: evidence.method.as_str().to_owned(),
            version: evidence.version,
        });
        Self {
            evidence: evidence.collect(),
            log: bundle.log.clone(),
            media_type: BUNDLE_MEDIA_TYPE.to_owned(),
            openings: OpeningsJson::new(&bundle.openings),
            receipt: bundle.receipt.to_json(),
        }
    }

    pub(super) fn read(self) -> Result<Bundle, BundleError> {
        if self.media_type != BUNDLE_MEDIA_TYPE {
            return Err(BundleError::MediaType);
        }
        let receipt = Envelope::from_json(self.receipt)?;
        let openings = match self.openings {
            None => Openings::default(),
            Some(openings) => openings.read()?,
        };
        let mut evidence = Vec::with_capacity(self.evidence.len());
        for (
            index,
            EvidenceJson {
                bytes,
                method,
                version,
            },
        ) in self.evidence.into_iter().enumerate()
        {
            let method =
                MethodId::new(&method).map_err(|source| BundleError::Method { index, source })?;
            evidence.push(Evidence {
                method,
                version,
                bytes: bytes.0,
            });
        }
        if let Some(log) = &self.log {
            check_log(log)?;
        }
        Ok(Bundle {
            receipt,
            openings,
            evidence,
            log: self.log,
        })
    }
}

impl OpeningsJson {
    fn new(openings: &Openings) -> Option<Self> {
        let Openings {
            input,
            params,
            output,
            trace,
        } = openings;
        if *openings == Openings::default() {
            return None;
        }
        let opened = |opened: &Opened| OpenedJson {
            content: Base64(opened.content.clone()),
            salt: Hex32(*opened.salt.as_bytes()),
        };
        Some(Self {
            input: input.as_ref().map(opened),
            output: output.as_ref().map(opened),
            params: params.as_ref().map(opened),
            trace_salt: trace.map(|salt| Hex32(*salt.as_bytes())),
        })
    }

    fn read(self) -> Result<Openings, BundleError> {
        let opened = |json: OpenedJson| Opened {
            salt: Salt::from_bytes(json.salt.0),
            content: json.content.0,
        };
        let openings = Openings {
            input: self.input.map(opened),
            params: self.params.map(opened),
            output: self.output.map(opened),
            trace: self.trace_salt.map(|salt| Salt::from_bytes(salt.0)),
        };
        // `{}` is another spelling of absence.
        if openings == Openings::default() {
            Err(BundleError::NoOpening)
        } else {
            Ok(openings)
        }
    }
}
