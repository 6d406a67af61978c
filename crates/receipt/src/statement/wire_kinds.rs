//! The JSON of the kinds of statement besides inferences and keys.

use credence_base::json::{Hex32, U64String};
use credence_base::{Digest, FileDigest, ModelId};
use serde::{Deserialize, Serialize};

use super::kinds::{
    Equivocation, Imported, LOG_KEY_LEN_MAX, NOTE_LEN_MAX, OPTIONS_LEN_MAX, Tool, WeightsBinding,
};
use super::wire::{PredicateJson, key, name};
use super::{Statement, StatementError};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EquivocationJson {
    first: String,
    log: String,
    operator: Hex32,
    second: String,
    time_unix_s: U64String,
}

impl EquivocationJson {
    pub(super) fn new(statement: &Equivocation) -> Self {
        let Equivocation {
            operator,
            log,
            first,
            second,
            time_unix_s,
        } = statement;
        Self {
            first: first.clone(),
            log: log.clone(),
            operator: Hex32(*operator.as_bytes()),
            second: second.clone(),
            time_unix_s: U64String(*time_unix_s),
        }
    }
}

impl PredicateJson for EquivocationJson {
    fn read(self) -> Result<Statement, StatementError> {
        Ok(Statement::Equivocation(Equivocation {
            operator: key("operator", &self.operator)?,
            log: text("log", self.log, (1, LOG_KEY_LEN_MAX))?,
            first: text("first", self.first, (1, NOTE_LEN_MAX))?,
            second: text("second", self.second, (1, NOTE_LEN_MAX))?,
            time_unix_s: self.time_unix_s.0,
        }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolJson {
    name: String,
    version: String,
}

impl ToolJson {
    fn new(tool: &Tool) -> Self {
        Self {
            name: tool.name.as_str().to_owned(),
            version: tool.version.as_str().to_owned(),
        }
    }

    /// The names that the two fields have in an error.
    fn read(self, fields: [&'static str; 2]) -> Result<Tool, StatementError> {
        let [of_name, of_version] = fields;
        Ok(Tool {
            name: name(of_name, &self.name)?,
            version: name(of_version, &self.version)?,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WeightsBindingJson {
    derivation: ToolJson,
    model: Hex32,
    operator: Hex32,
    root: Hex32,
    scheme: String,
    time_unix_s: U64String,
}

impl WeightsBindingJson {
    pub(super) fn new(statement: &WeightsBinding) -> Self {
        let WeightsBinding {
            operator,
            model,
            scheme,
            root,
            derivation,
            time_unix_s,
        } = statement;
        Self {
            derivation: ToolJson::new(derivation),
            model: Hex32(*model.as_bytes()),
            operator: Hex32(*operator.as_bytes()),
            root: Hex32(*root.as_bytes()),
            scheme: scheme.as_str().to_owned(),
            time_unix_s: U64String(*time_unix_s),
        }
    }
}

impl PredicateJson for WeightsBindingJson {
    fn read(self) -> Result<Statement, StatementError> {
        Ok(Statement::WeightsBinding(WeightsBinding {
            operator: key("operator", &self.operator)?,
            model: ModelId::from_bytes(self.model.0),
            scheme: name("scheme", &self.scheme)?,
            root: Digest::from_bytes(self.root.0),
            derivation: self
                .derivation
                .read(["derivation.name", "derivation.version"])?,
            time_unix_s: self.time_unix_s.0,
        }))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ImportedJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<Hex32>,
    file: Hex32,
    importer: ToolJson,
    model: Hex32,
    operator: Hex32,
    options: String,
    time_unix_s: U64String,
}

impl ImportedJson {
    pub(super) fn new(statement: &Imported) -> Self {
        let Imported {
            operator,
            model,
            file,
            importer,
            options,
            calibration,
            time_unix_s,
        } = statement;
        Self {
            calibration: calibration.map(|digest| Hex32(*digest.as_bytes())),
            file: Hex32(*file.as_bytes()),
            importer: ToolJson::new(importer),
            model: Hex32(*model.as_bytes()),
            operator: Hex32(*operator.as_bytes()),
            options: options.clone(),
            time_unix_s: U64String(*time_unix_s),
        }
    }
}

impl PredicateJson for ImportedJson {
    fn read(self) -> Result<Statement, StatementError> {
        Ok(Statement::Imported(Imported {
            operator: key("operator", &self.operator)?,
            model: ModelId::from_bytes(self.model.0),
            file: FileDigest::from_bytes(self.file.0),
            importer: self.importer.read(["importer.name", "importer.version"])?,
            options: text("options", self.options, (0, OPTIONS_LEN_MAX))?,
            calibration: self.calibration.map(|digest| Digest::from_bytes(digest.0)),
            time_unix_s: self.time_unix_s.0,
        }))
    }
}

fn text(
    field: &'static str,
    text: String,
    (min, max): (usize, usize),
) -> Result<String, StatementError> {
    let got = text.len();
    if (min..=max).contains(&got) {
        Ok(text)
    } else {
        Err(StatementError::Text {
            field,
            min,
            max,
            got,
        })
    }
}
