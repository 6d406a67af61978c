//! Evidence in files: what a monitor, or a witness that was told two truths, keeps for others to check.
//!
//! ```text
//! <folder>/<log>-<digest>.evidence       the text of the evidence
//!         /<log>-<digest>.receipt.json   two roots of one size, as a receipt that we sign
//! ```
//!
//! Both names begin with the first 16 digits of the SHA-256 of origin and text, so one piece of evidence has one file.
//!
//! It deliberately publishes nothing.

use std::path::{Path, PathBuf};

use credence_base::SigningKey;
use credence_claim::Openings;
use credence_receipt::{Bundle, Equivocation, NOTE_LEN_MAX, Statement, sign};
use credence_store::StoreError;
use credence_store::file::{self, Access};
use credence_witness::state::origin_name;
use credence_witness::{Clock, Evidence};

/// A folder of evidence.
pub struct Archive {
    /// The folder, which is made when it is needed.
    pub folder: PathBuf,
    /// Our key, if evidence is to be signed as a receipt as well.
    pub key: Option<SigningKey>,
    /// The clock for the time in such receipts.
    pub clock: Clock,
}

impl Archive {
    /// Writes the evidence, durable on return; a file that is there already is left as it is. Which files hold it.
    ///
    /// # Errors
    /// [`StoreError`] when a file cannot be written.
    pub fn keep(&self, evidence: &Evidence) -> Result<Vec<PathBuf>, StoreError> {
        let text = evidence.encode();
        let start = |text: &str| origin_name(text).chars().take(16).collect::<String>();
        let name = format!("{}-{}", start(evidence.log().name().as_str()), start(&text));
        file::make_folder(&self.folder, Access::Public)?;
        let raw = self.folder.join(format!("{name}.evidence"));
        create(&raw, text.as_bytes())?;
        let mut files = vec![raw];
        if let Some(bytes) = self.receipt(evidence) {
            let path = self.folder.join(format!("{name}.receipt.json"));
            create(&path, &bytes)?;
            files.push(path);
        }
        Ok(files)
    }

    /// The same as a receipt of ours, when the checkpoints are of one size and short enough, and we have a key.
    fn receipt(&self, evidence: &Evidence) -> Option<Vec<u8>> {
        let (key, found) = (self.key.as_ref()?, evidence.equivocation()?);
        let (first, second) = (found.first().encode(), found.second().encode());
        if first.len().max(second.len()) > NOTE_LEN_MAX {
            return None;
        }
        let statement = Statement::Equivocation(Equivocation {
            operator: key.public_key(),
            log: found.log().to_string(),
            first,
            second,
            time_unix_s: (self.clock)(),
        });
        let receipt = sign(&statement, key).ok()?;
        Bundle::new(receipt, Openings::default(), Vec::new())
            .ok()?
            .encode()
            .ok()
    }
}

fn create(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    match file::create(path, bytes, Access::Public) {
        Err(StoreError::Exists { .. }) => Ok(()),
        other => other,
    }
}
