//! The JSON forms of OpenAI's API for text: chat completions and completions, streamed or not.
//!
//! ```text
//! body ─Fields─▶ Asked, conversation or prompts     refused by name if anything in it is not understood
//! Event… ─Reply──▶ one JSON answer
//!        ─Teller─▶ chunks, each with a signed head of the chain
//! ```
//!
//! A receipt must not cover a request that was read otherwise than its client meant, so unknown fields are refused by name; those whose neglect changes nothing for the
//! client (`user`, say) are let pass. Numbers are read from their decimal digits, exactly, to millionths. `docs/openai.md` is the list.
//!
//! Pure: no socket, no clock, no randomness. What is deliberately absent: images, audio, and everything that keeps state.

mod asked;
mod chat;
mod completion;
mod embedding;
mod error;
mod fields;
mod format;
mod heeded;
mod number;
mod reply;
mod teller;
mod tools;
mod view;

pub use asked::{Asked, CHOICES_MAX};
pub use chat::{Chat, read_chat};
pub use completion::{Completion, PROMPTS_MAX, Prompted, read_completion};
pub use embedding::{
    Embeddings, Encoding, INPUT_TOKENS_MAX, INPUTS_MAX, embeddings_body, read_embeddings,
};
pub use error::RequestError;
pub use format::grammar_param;
pub use heeded::heeded;
pub use number::{NumberError, millionths};
pub use reply::{Failure, Reply};
pub use teller::Teller;
pub use tools::{CallForm, Part, ToolCall, ToolParser};
pub use view::{Form, Frame, Kind, model_entry, models_list};
