//! `parameters`: refused by name, but for those that ask for what is done anyway.

use std::collections::BTreeMap;

/// Parameters of a request, a tensor or an output, as they were sent.
pub type Parameters = BTreeMap<String, serde_json::Value>;

/// A parameter that is not known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}` of {whose} is not known here")]
pub struct ParameterError {
    /// The parameter.
    pub name: String,
    /// Whose it is.
    pub whose: String,
}

/// Parameters of the binary extension that may be sent with `false`: JSON is what is spoken.
const OFF: [&str; 2] = ["binary_data", "binary_data_output"];

/// Refuses every parameter but those that ask for JSON.
///
/// # Errors
/// [`ParameterError`] naming the first.
pub fn check_parameters(
    parameters: Option<&Parameters>,
    whose: &str,
) -> Result<(), ParameterError> {
    let unknown = parameters.into_iter().flatten().find(|(name, value)| {
        let off = OFF.contains(&name.as_str()) && **value == serde_json::Value::Bool(false);
        !off
    });
    match unknown {
        None => Ok(()),
        Some((name, _)) => Err(ParameterError {
            name: name.clone(),
            whose: whose.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_may_be_asked_for() {
        let cases = [
            ("{}", None),
            (r#"{"binary_data":false}"#, None),
            (r#"{"binary_data_output":false}"#, None),
            (r#"{"binary_data":true}"#, Some("binary_data")),
            (r#"{"sequence_id":1}"#, Some("sequence_id")),
            (r#"{"binary_data":false,"timeout":9}"#, Some("timeout")),
        ];
        for (text, refused) in cases {
            let parameters: Parameters = serde_json::from_str(text).unwrap();
            let error = check_parameters(Some(&parameters), "the request").err();
            assert_eq!(error.map(|e| e.name).as_deref(), refused, "{text}");
        }
        assert_eq!(check_parameters(None, "x"), Ok(()));
    }
}
