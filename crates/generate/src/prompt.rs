//! What was asked: a conversation, a text or plain tokens, with the token ids it became (`docs/spec/generation.md`, section 1).
//!
//! The canonical bytes are RFC 8785 JSON: what the client sent and the ids, so that whoever has the model checks that one gives the other.

use std::collections::BTreeMap;

use credence_base::json::{JsonError, from_canonical, to_canonical};
use credence_text::{Context, Conversation, Special, Text, TextError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most bytes of an input.
pub const INPUT_BYTES_MAX: usize = 16 << 20;

/// What a client asks of a language model.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Messages, for the model's template.
    Chat(Conversation),
    /// A text to go on from; special tokens in it are plain text.
    Text(String),
    /// Token ids to go on from.
    Tokens,
}

/// A request's content, its tokens, and which of the request's choices this is.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    content: Content,
    ids: Vec<u32>,
    choice: u32,
}

/// Why a prompt is refused.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// Not the canonical JSON of a prompt.
    #[error("the bytes are not a prompt in canonical form")]
    Json(#[from] JsonError),
    /// Template or tokeniser refuse it.
    #[error("the prompt does not fit the model's template or tokeniser")]
    Text(#[from] TextError),
    /// The ids are not those of the content.
    #[error("the prompt's tokens are not those that the model's template and tokeniser give")]
    Ids,
    /// More bytes than whoever checks would read.
    #[error(
        "the prompt takes {got} bytes with its tokens, more than {INPUT_BYTES_MAX}: shorten it"
    )]
    TooLong {
        /// Its bytes.
        got: usize,
    },
    /// No token at all.
    #[error("the prompt has no token: send some text")]
    Empty,
    /// Both or neither of what a prompt may be.
    #[error("a prompt is a conversation, a text or tokens, and one of them")]
    Kind,
}

/// The wire form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    version: u8,
    choice: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    chat: Option<Chat>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    text: Option<String>,
    tokens: Vec<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chat {
    messages: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tools: Option<Vec<Value>>,
    add_generation_prompt: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    date: Option<String>,
    extra: BTreeMap<String, Value>,
}

impl From<Conversation> for Chat {
    fn from(conversation: Conversation) -> Self {
        // Naming every field makes a new one an error here until it is claimed.
        let Conversation {
            messages,
            tools,
            add_generation_prompt,
            date,
            extra,
        } = conversation;
        Self {
            messages,
            tools,
            add_generation_prompt,
            date,
            extra,
        }
    }
}

impl From<Chat> for Conversation {
    fn from(chat: Chat) -> Self {
        Self {
            messages: chat.messages,
            tools: chat.tools,
            add_generation_prompt: chat.add_generation_prompt,
            date: chat.date,
            extra: chat.extra,
        }
    }
}

const VERSION: u8 = 1;

impl Prompt {
    /// Renders and tokenises. Numbers of a conversation are taken as its canonical bytes have them, since those are what is rendered again: `1.0` is 1.
    ///
    /// # Errors
    /// [`PromptError`] if the model's text refuses the content, or it has no token.
    pub fn new(content: Content, choice: u32, text: &Text) -> Result<Self, PromptError> {
        let content = match content {
            Content::Chat(conversation) => Content::Chat(canonical(conversation)?),
            Content::Text(_) | Content::Tokens => content,
        };
        let ids = match &content {
            Content::Tokens => Vec::new(),
            Content::Chat(_) | Content::Text(_) => ids(&content, text)?,
        };
        Self::checked(content, ids, choice)
    }

    /// Takes ids as they are.
    ///
    /// # Errors
    /// [`PromptError::Empty`].
    pub fn tokens(ids: Vec<u32>, choice: u32) -> Result<Self, PromptError> {
        Self::checked(Content::Tokens, ids, choice)
    }

    fn checked(content: Content, ids: Vec<u32>, choice: u32) -> Result<Self, PromptError> {
        if ids.is_empty() {
            return Err(PromptError::Empty);
        }
        Ok(Self {
            content,
            ids,
            choice,
        })
    }

    /// Reads canonical bytes. That the ids are those of the content is not checked: see [`Self::check`].
    ///
    /// # Errors
    /// [`PromptError`] if they are no prompt's.
    pub fn decode(bytes: &[u8]) -> Result<Self, PromptError> {
        let wire: Wire = from_canonical(bytes, INPUT_BYTES_MAX)?;
        let content = match (wire.chat, wire.text) {
            (Some(chat), None) => Content::Chat(chat.into()),
            (None, Some(text)) => Content::Text(text),
            (None, None) => Content::Tokens,
            (Some(_), Some(_)) => return Err(PromptError::Kind),
        };
        if wire.version != VERSION {
            return Err(PromptError::Kind);
        }
        Self::checked(content, wire.tokens, wire.choice)
    }

    /// Checks that the ids are what the model's template and tokeniser give.
    ///
    /// # Errors
    /// [`PromptError::Ids`] if they are not.
    pub fn check(&self, text: &Text) -> Result<(), PromptError> {
        if self.content == Content::Tokens || ids(&self.content, text)? == self.ids {
            return Ok(());
        }
        Err(PromptError::Ids)
    }

    /// The canonical bytes: what a claim commits to as input.
    ///
    /// # Errors
    /// [`PromptError::Json`] if a number in a message has no canonical form.
    pub fn encode(&self) -> Result<Vec<u8>, PromptError> {
        let (chat, text) = match &self.content {
            Content::Chat(chat) => (Some(chat.clone().into()), None),
            Content::Text(text) => (None, Some(text.clone())),
            Content::Tokens => (None, None),
        };
        let bytes = to_canonical(&Wire {
            version: VERSION,
            choice: self.choice,
            chat,
            text,
            tokens: self.ids.clone(),
        })?;
        if bytes.len() > INPUT_BYTES_MAX {
            return Err(PromptError::TooLong { got: bytes.len() });
        }
        Ok(bytes)
    }

    /// What was asked.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The tokens, at least one.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Which of the request's choices this is, from 0.
    #[must_use]
    pub const fn choice(&self) -> u32 {
        self.choice
    }
}

/// The conversation as whoever decodes it will see it.
fn canonical(conversation: Conversation) -> Result<Conversation, PromptError> {
    let bytes = to_canonical(&Chat::from(conversation))?;
    let chat: Chat = from_canonical(&bytes, INPUT_BYTES_MAX)?;
    Ok(chat.into())
}

fn ids(content: &Content, text: &Text) -> Result<Vec<u32>, PromptError> {
    Ok(match content {
        Content::Chat(chat) => text.tokenise_prompt(&text.render(chat)?)?,
        Content::Text(plain) => text.tokenise(plain, Special::Plain, Context::Begin)?,
        Content::Tokens => Vec::new(),
    })
}
