//! The tokenizer's raw material, as plain data on its way from a model file to what tokenises.
//!
//! Everything is as the file has it; the lengths fit together and ids are below the number of tokens, since
//! [`LanguageGraph`](crate::language::LanguageGraph) checks that. What the parts mean is decided elsewhere.

/// Ids of tokens with a role, where the model names one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Begins a text.
    pub begin: Option<u32>,
    /// Ends a text.
    pub end: Option<u32>,
    /// Ends a turn.
    pub end_of_turn: Option<u32>,
    /// Ends a message, more of the same turn to come.
    pub end_of_message: Option<u32>,
    /// Stands for what no token covers.
    pub unknown: Option<u32>,
    /// Stands between two texts.
    pub separator: Option<u32>,
    /// Fills up.
    pub padding: Option<u32>,
    /// Stands before a text that is to be classified.
    pub classify: Option<u32>,
    /// Hides a token.
    pub mask: Option<u32>,
    /// Before the text that precedes a gap.
    pub fill_prefix: Option<u32>,
    /// Before the text that follows a gap.
    pub fill_suffix: Option<u32>,
    /// Before the text of a gap.
    pub fill_middle: Option<u32>,
    /// Fills up around a gap.
    pub fill_padding: Option<u32>,
    /// Names a repository.
    pub fill_repository: Option<u32>,
    /// Stands between files.
    pub fill_separator: Option<u32>,
}

impl SpecialIds {
    /// Each role by name, and its id.
    #[must_use]
    pub const fn all(&self) -> [(&'static str, Option<u32>); 15] {
        [
            ("begin", self.begin),
            ("end", self.end),
            ("end of turn", self.end_of_turn),
            ("end of message", self.end_of_message),
            ("unknown", self.unknown),
            ("separator", self.separator),
            ("padding", self.padding),
            ("classify", self.classify),
            ("mask", self.mask),
            ("fill prefix", self.fill_prefix),
            ("fill suffix", self.fill_suffix),
            ("fill middle", self.fill_middle),
            ("fill padding", self.fill_padding),
            ("fill repository", self.fill_repository),
            ("fill separator", self.fill_separator),
        ]
    }
}

/// What a model file says of its tokenizer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextSource {
    /// Kind of tokenizer: GGUF's `tokenizer.ggml.model`.
    pub model: String,
    /// How text is cut up before tokenising: GGUF's `tokenizer.ggml.pre`.
    pub pre: Option<String>,
    /// Tokens by id.
    pub tokens: Vec<String>,
    /// Types by id (1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte); empty if the file has none.
    pub types: Vec<i32>,
    /// Scores by id; empty if the file has none.
    pub scores: Vec<f32>,
    /// Merges, first to be applied first: two tokens with a space between; empty if the file has none.
    pub merges: Vec<String>,
    /// Tokens with a role.
    pub special: SpecialIds,
    /// Whether a text gets the token that begins it; `None` leaves it to the kind of tokenizer.
    pub add_begin: Option<bool>,
    /// Whether a text gets the token that ends it.
    pub add_end: Option<bool>,
    /// Whether a text gets a separator.
    pub add_separator: Option<bool>,
    /// Whether a text gets a space in front.
    pub add_space_prefix: Option<bool>,
    /// Whether runs of white space become one.
    pub remove_extra_whitespace: Option<bool>,
    /// The template that makes a prompt of a conversation.
    pub chat_template: Option<String>,
}
