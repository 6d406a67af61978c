//! A shape that an answer must have, in one spelling: what a claim commits to.
//!
//! The text is JSON without spaces, members in the order in which the client sent them. Reading takes nothing that would be written otherwise.

use std::sync::Arc;

use crate::compile::compile;
use crate::error::GrammarError;
use crate::json::{DEPTH_MAX, Json, quoted};
use crate::nodes::Nodes;

/// Most bytes of a grammar's text.
pub const GRAMMAR_BYTES_MAX: usize = 1 << 16;
/// Most tools of a forced call.
pub const TOOLS_MAX: usize = 128;
/// Most bytes of the name of a tool that is forced.
pub const NAME_BYTES_MAX: usize = 64;

/// What the text of a grammar means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JSON schema, which the whole answer fits.
    Schema,
    /// A list of tools, one of which the answer calls.
    Calls,
}

impl Kind {
    /// Its number in the parameters' bytes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Schema => 1,
            Self::Calls => 2,
        }
    }
}

/// A grammar whose every keyword is followed and that some answer fits.
#[derive(Clone, Debug)]
pub struct Grammar {
    kind: Kind,
    text: String,
    /// Shared, so that an answer does not copy them.
    nodes: Arc<Nodes>,
}

impl PartialEq for Grammar {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.text) == (other.kind, &other.text)
    }
}

impl Eq for Grammar {}

impl Grammar {
    /// An answer that fits a JSON schema, given as its text.
    ///
    /// # Errors
    /// [`GrammarError`]: the text is no JSON, too long or too deep, has a keyword that is not followed, or nothing fits it.
    pub fn schema(text: &str) -> Result<Self, GrammarError> {
        Self::checked(Kind::Schema, read(text)?)
    }

    /// An answer that calls one of these tools: names, and the texts of the schemas of their arguments.
    ///
    /// # Errors
    /// [`GrammarError`] if a name or a schema is refused, or there are none or too many.
    pub fn calls(tools: &[(String, String)]) -> Result<Self, GrammarError> {
        let tool = |(name, parameters): &(String, String)| {
            Ok(Json::Object(vec![
                ("name".to_owned(), Json::Text(name.clone())),
                ("parameters".to_owned(), read(parameters)?),
            ]))
        };
        let tools: Result<Vec<Json>, GrammarError> = tools.iter().map(tool).collect();
        Self::checked(Kind::Calls, Json::List(tools?))
    }

    /// Reads a grammar's kind and text, in canonical form alone.
    ///
    /// # Errors
    /// [`GrammarError`].
    pub fn decode(kind: u8, text: &str) -> Result<Self, GrammarError> {
        let kinds = [Kind::Schema, Kind::Calls];
        let found = kinds.into_iter().find(|known| known.code() == kind);
        let kind = found.ok_or(GrammarError::Kind { got: kind })?;
        let grammar = Self::checked(kind, read(text)?)?;
        if grammar.text == text {
            Ok(grammar)
        } else {
            Err(GrammarError::NotCanonical)
        }
    }

    fn checked(kind: Kind, json: Json) -> Result<Self, GrammarError> {
        let text = json.text();
        check_length(&text)?;
        let nodes = match kind {
            Kind::Schema => compile(&[(None, &json)])?,
            Kind::Calls => {
                let tools = tools(&json)?;
                let frames: Vec<(String, &Json)> = tools
                    .iter()
                    .map(|(name, parameters)| (begin_call(name), *parameters))
                    .collect();
                let each = frames.iter();
                let framed = each.map(|(begin, parameters)| {
                    (Some((begin.as_bytes(), END_CALL.as_bytes())), *parameters)
                });
                compile(&framed.collect::<Vec<_>>())?
            }
        };
        let nodes = Arc::new(nodes);
        Ok(Self { kind, text, nodes })
    }

    /// What its text means.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its canonical text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.nodes
    }
}

const END_CALL: &str = "}\n</tool_call>";

fn begin_call(name: &str) -> String {
    let name = quoted(name);
    format!("<tool_call>\n{{\"name\": {name}, \"arguments\": ")
}

fn check_length(text: &str) -> Result<(), GrammarError> {
    if text.len() > GRAMMAR_BYTES_MAX {
        return Err(GrammarError::TooLong {
            max: GRAMMAR_BYTES_MAX,
            got: text.len(),
        });
    }
    Ok(())
}

fn read(text: &str) -> Result<Json, GrammarError> {
    // White space is not counted in what is kept, but it is read.
    if text.len() > 2 * GRAMMAR_BYTES_MAX {
        let (max, got) = (GRAMMAR_BYTES_MAX, text.len());
        return Err(GrammarError::TooLong { max, got });
    }
    Json::read(text).ok_or(GrammarError::Json { max: DEPTH_MAX })
}

fn tools(json: &Json) -> Result<Vec<(&str, &Json)>, GrammarError> {
    let Json::List(tools) = json else {
        return Err(GrammarError::NotCanonical);
    };
    if !(1..=TOOLS_MAX).contains(&tools.len()) {
        return Err(GrammarError::Tools {
            max: TOOLS_MAX,
            got: tools.len(),
        });
    }
    tools.iter().map(tool).collect()
}

/// The name and the schema of one tool.
fn tool(tool: &Json) -> Result<(&str, &Json), GrammarError> {
    let Json::Object(members) = tool else {
        return Err(GrammarError::NotCanonical);
    };
    let [(first, Json::Text(name)), (second, parameters)] = members.as_slice() else {
        return Err(GrammarError::NotCanonical);
    };
    if first != "name" || second != "parameters" {
        return Err(GrammarError::NotCanonical);
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(GrammarError::Name {
            max: NAME_BYTES_MAX,
            got: name.chars().take(NAME_BYTES_MAX).collect(),
        });
    }
    Ok((name.as_str(), parameters))
}
