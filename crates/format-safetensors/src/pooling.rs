//! `modules.json` and `1_Pooling/config.json`, as sentence-transformers writes them: how a text's vectors become one.

use credence_import::language::Pooling;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{SafetensorsError, shown};
use crate::folder::{MODULES_FILE, POOLING_FILE, json};

/// One step of a model; where it stands in the list is its order.
#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

/// The poolings that are taken, by the names of their switches.
const MEAN: &str = "pooling_mode_mean_tokens";
const FIRST: &str = "pooling_mode_cls_token";

/// What `modules.json` and the pooling's own file say: the pooling, and whether vectors are brought to length 1.
pub(crate) fn read(
    modules: Option<&[u8]>,
    pooling: Option<&[u8]>,
    width: usize,
) -> Result<(Pooling, bool), SafetensorsError> {
    let file = MODULES_FILE;
    let modules: Vec<Module> = json(file, modules.ok_or(SafetensorsError::NoPooling { file })?)?;
    // The last part of the type is the class; packages have moved it about.
    let class = |module: &Module| module.kind.rsplit('.').next().unwrap_or("").to_owned();
    let classes: Vec<String> = modules.iter().map(class).collect();
    let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
    let normalised = match classes[..] {
        ["Transformer", "Pooling"] => false,
        ["Transformer", "Pooling", "Normalize"] => true,
        _ => {
            return Err(SafetensorsError::Unsupported {
                file,
                what: "the steps",
                got: shown(&classes.join(", ")),
                known: "Transformer and Pooling, and Normalize behind them or not",
            });
        }
    };
    let file = POOLING_FILE;
    let settings = pooling.ok_or(SafetensorsError::NoPooling { file })?;
    Ok((mode(json(file, settings)?, width)?, normalised))
}

fn mode(settings: Map<String, Value>, width: usize) -> Result<Pooling, SafetensorsError> {
    let unsupported = |what, got: String, known| SafetensorsError::Unsupported {
        file: POOLING_FILE,
        what,
        got: shown(&got),
        known,
    };
    let own = settings.get("word_embedding_dimension");
    if own.and_then(Value::as_u64) != u64::try_from(width).ok() {
        let got = own.map_or_else(String::new, Value::to_string);
        return Err(unsupported("the width", got, "that of `config.json`"));
    }
    let on = settings
        .iter()
        .filter(|(name, value)| name.starts_with("pooling_mode_") && **value != Value::Bool(false));
    let on: Vec<&str> = on.map(|(name, _)| name.as_str()).collect();
    match on[..] {
        [MEAN] => Ok(Pooling::Mean),
        [FIRST] => Ok(Pooling::First),
        _ => {
            let known = "`pooling_mode_mean_tokens` or `pooling_mode_cls_token`, one of them";
            Err(unsupported("the poolings", on.join(", "), known))
        }
    }
}
