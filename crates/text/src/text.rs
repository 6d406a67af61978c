//! A checked text specification, ready for use.
//!
//! ```text
//! TextSpec ──new──▶ Text ──tokenise──▶ ids          text, special tokens in it or not, at the beginning of a context or not
//!                        ──token_bytes──▶ bytes     what a token stands for
//!                        ──render──▶ text           a conversation, by the chat template
//! ```
//!
//! Tokenising gives what llama.cpp's `llama_tokenize` gives for the same GGUF (`add_special` is [`Context::Begin`], `parse_special` is
//! [`Special::Parse`]). Everything is checked when the specification is read, so only a text that is too long is refused later.
//!
//! Left out on purpose: clean-up of spaces in output (`clean_up_tokenization_spaces`), which loses what the model said, and
//! stripping of white space around special tokens, which GGUF does not carry.

use crate::bpe::Bpe;
use crate::error::{TextError, shown};
use crate::spec::{SPEC_VERSION, SpecialIds, TextSpec};
use crate::special::{Part, Specials};
use crate::spm::Spm;
use crate::template::{Conversation, Template};
use crate::vocab::{Kind, TokenType, Vocab};
use crate::wordpiece::WordPiece;

/// Bytes of a text to tokenise, at most: the work of merging takes about a hundred bytes of memory for each.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Whether the texts of control tokens in a text are those tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// They are: for what a chat template has rendered.
    Parse,
    /// They are ordinary text: for what a stranger wrote. Tokens of type "user defined" are found all the same.
    Plain,
}

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// At the beginning: the model's own first and last tokens are added, if it says so.
    Begin,
    /// Somewhere in the middle: nothing is added.
    Continue,
}

#[derive(Debug)]
enum Method {
    Bpe(Bpe),
    Spm(Spm),
    WordPiece(WordPiece),
}

/// Tokeniser and chat template of a model, checked.
#[derive(Debug)]
pub struct Text {
    vocab: Vocab,
    method: Method,
    /// Control, unknown and user-defined tokens.
    specials: Specials,
    /// User-defined tokens alone.
    user_defined: Specials,
    /// Before and after a text that begins a context.
    before: Option<u32>,
    after: Option<u32>,
    ids: SpecialIds,
    ends: Vec<u32>,
    template: Option<Template>,
}

impl Text {
    /// Checks a specification.
    ///
    /// # Errors
    /// [`TextError`] says which field is wrong, and how.
    pub fn new(spec: &TextSpec) -> Result<Self, TextError> {
        if spec.version != SPEC_VERSION {
            return Err(TextError::Version {
                expected: SPEC_VERSION,
                got: spec.version,
            });
        }
        let kind = match spec.kind.as_str() {
            "bpe" => Kind::Bpe,
            "spm" => Kind::Spm,
            "wordpiece" => Kind::WordPiece,
            other => return Err(TextError::Kind { got: shown(other) }),
        };
        let vocab = Vocab::new(kind, &spec.tokens, &spec.types)?;
        let method = method(kind, spec, &vocab)?;
        check_ids(spec)?;
        let special = |wanted: fn(TokenType) -> bool| {
            let tokens = (0_u32..).zip(&spec.tokens).map(|(id, text)| (id, &**text));
            Specials::new(tokens.filter(|&(id, _)| vocab.token_type(id).is_some_and(wanted)))
        };
        let specials = special(TokenType::is_special);
        let user_defined = special(|kind| kind == TokenType::UserDefined);
        let template = spec.chat_template.as_deref();
        Ok(Self {
            specials,
            user_defined,
            method,
            before: added(spec.add_bos, spec.special.bos, "add_bos", "bos")?,
            after: added(spec.add_eos, spec.special.eos, "add_eos", "eos")?,
            ids: spec.special,
            ends: spec.ends.clone(),
            template: template
                .map(|source| Template::new(source, named_tokens(spec)))
                .transpose()?,
            vocab,
        })
    }

    /// The token ids of a text.
    ///
    /// # Errors
    /// [`TextError::TooLong`] when it has more than [`TEXT_BYTES_MAX`] bytes.
    pub fn tokenise(
        &self,
        text: &str,
        special: Special,
        context: Context,
    ) -> Result<Vec<u32>, TextError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(TextError::TooLong {
                what: "text",
                max: TEXT_BYTES_MAX,
                got: text.len(),
            });
        }
        let specials = match special {
            Special::Parse => &self.specials,
            Special::Plain => &self.user_defined,
        };
        let begins = context == Context::Begin;
        let mut ids: Vec<u32> = self.before.filter(|_| begins).into_iter().collect();
        let mut after_special = true;
        for part in specials.split(text) {
            match (part, &self.method) {
                (Part::Token(id), _) => ids.push(id),
                (Part::Text(text), Method::Bpe(bpe)) => bpe.tokenise(&self.vocab, text, &mut ids),
                (Part::Text(text), Method::WordPiece(pieces)) => {
                    pieces.tokenise(&self.vocab, text, &mut ids);
                }
                (Part::Text(text), Method::Spm(spm)) => {
                    spm.tokenise(&self.vocab, text, after_special, &mut ids);
                }
            }
            after_special = matches!(part, Part::Token(_));
        }
        ids.extend(self.after.filter(|_| begins));
        Ok(ids)
    }

    /// The token ids of what [`Text::render`] gave, as a prompt: control tokens are parsed, and the model's first token is put before it
    /// if the model asks for one and the template has not written it. A last token is not added, since the answer follows.
    ///
    /// # Errors
    /// [`TextError::TooLong`] when it has more than [`TEXT_BYTES_MAX`] bytes.
    pub fn tokenise_prompt(&self, rendered: &str) -> Result<Vec<u32>, TextError> {
        let ids = self.tokenise(rendered, Special::Parse, Context::Continue)?;
        let missing = self.before.filter(|id| ids.first() != Some(id));
        Ok(missing.into_iter().chain(ids).collect())
    }

    /// The bytes that a token stands for, special tokens their text; `None` for an id beyond the vocabulary.
    #[must_use]
    pub fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.vocab.bytes(id)
    }

    /// Whether output leaves the token out unless special tokens are asked for (control and unknown tokens).
    #[must_use]
    pub fn is_hidden(&self, id: u32) -> bool {
        self.vocab.token_type(id).is_some_and(TokenType::is_hidden)
    }

    /// Whether the token ends a generation.
    #[must_use]
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// The tokens that end a generation, strictly increasing.
    #[must_use]
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The token put before a text that begins a context, if the model asks for one.
    #[must_use]
    pub const fn begin_id(&self) -> Option<u32> {
        self.before
    }

    /// The tokens with a role.
    #[must_use]
    pub const fn special_ids(&self) -> SpecialIds {
        self.ids
    }

    /// Number of tokens.
    #[must_use]
    pub fn vocab_len(&self) -> usize {
        self.vocab.len()
    }

    /// The bytes that UTF-8 text can hold and this vocabulary cannot say: a byte-level tokeniser leaves them out of a text without a
    /// word, as all programs that run such models do. Empty for most models.
    #[must_use]
    pub fn missing_bytes(&self) -> Vec<u8> {
        self.vocab.missing_bytes()
    }

    /// Whether a leading space of a decoded text is the tokeniser's own.
    pub(crate) const fn adds_space_prefix(&self) -> bool {
        match &self.method {
            Method::Bpe(_) | Method::WordPiece(_) => false,
            Method::Spm(spm) => spm.adds_space_prefix(),
        }
    }

    /// Whether the model has a chat template.
    #[must_use]
    pub const fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// Whether the chat template looks up a variable of that name, such as `tools`: what it does not look up it cannot heed. False without a template.
    #[must_use]
    pub fn template_reads(&self, name: &str) -> bool {
        self.template.as_ref().is_some_and(|own| own.reads(name))
    }

    /// The chat template's source, if the model has one.
    #[must_use]
    pub fn template_source(&self) -> Option<&str> {
        self.template.as_ref().map(Template::source)
    }

    /// Renders a conversation by the model's chat template; the result is for [`Special::Parse`].
    ///
    /// Template and conversation together determine the result: there is no clock, no environment and no file.
    ///
    /// # Errors
    /// [`TextError::NoTemplate`]; what is wrong with the conversation; or how the template failed.
    pub fn render(&self, conversation: &Conversation) -> Result<String, TextError> {
        let template = self.template.as_ref().ok_or(TextError::NoTemplate)?;
        template.render(conversation)
    }
}

fn method(kind: Kind, spec: &TextSpec, vocab: &Vocab) -> Result<Method, TextError> {
    match kind {
        Kind::Bpe => {
            let (Some(pre), Some(merges), None, false) =
                (&spec.pre, &spec.merges, &spec.scores, spec.add_space_prefix)
            else {
                return Err(TextError::Fields {
                    kind: "bpe",
                    needs: "pre` and `merges",
                    not: "scores` or `add_space_prefix",
                });
            };
            Bpe::new(vocab, pre, merges).map(Method::Bpe)
        }
        Kind::Spm => {
            let (None, None, Some(scores)) = (&spec.pre, &spec.merges, &spec.scores) else {
                return Err(TextError::Fields {
                    kind: "spm",
                    needs: "scores",
                    not: "pre` or `merges",
                });
            };
            Spm::new(vocab, scores, spec.add_space_prefix).map(Method::Spm)
        }
        Kind::WordPiece => {
            let (Some(pre), None, None, false) =
                (&spec.pre, &spec.merges, &spec.scores, spec.add_space_prefix)
            else {
                return Err(TextError::Fields {
                    kind: "wordpiece",
                    needs: "pre",
                    not: "merges`, `scores` or `add_space_prefix",
                });
            };
            WordPiece::new(pre, spec.special.unk).map(Method::WordPiece)
        }
    }
}

fn check_ids(spec: &TextSpec) -> Result<(), TextError> {
    let size = spec.tokens.len();
    let beyond = |id: u32| usize::try_from(id).is_ok_and(|id| id >= size);
    let SpecialIds {
        bos,
        eos,
        eot,
        unk,
        pad,
    } = spec.special;
    let roles = [
        ("bos", bos),
        ("eos", eos),
        ("eot", eot),
        ("unk", unk),
        ("pad", pad),
    ];
    let roles = roles.into_iter().filter_map(|(what, id)| Some((what, id?)));
    let ends = spec.ends.iter().map(|&id| ("end-of-generation id", id));
    if let Some((what, got)) = roles.chain(ends).find(|&(_, id)| beyond(id)) {
        return Err(TextError::IdRange { what, got, size });
    }
    let mut pairs = spec.ends.iter().zip(spec.ends.iter().skip(1));
    match pairs.position(|(a, b)| a >= b) {
        Some(at) => Err(TextError::EndsOrder { index: at + 1 }),
        None => Ok(()),
    }
}

fn added(
    flag: bool,
    id: Option<u32>,
    flag_name: &'static str,
    id_name: &'static str,
) -> Result<Option<u32>, TextError> {
    match (flag, id) {
        (false, _) => Ok(None),
        (true, Some(id)) => Ok(Some(id)),
        (true, None) => Err(TextError::NoSpecial {
            flag: flag_name,
            id: id_name,
        }),
    }
}

/// The texts that a template knows the special tokens by.
fn named_tokens(spec: &TextSpec) -> Vec<(&'static str, String)> {
    let text = |id: Option<u32>| spec.tokens.get(usize::try_from(id?).ok()?).cloned();
    let special = &spec.special;
    [
        ("bos_token", text(special.bos)),
        ("eos_token", text(special.eos)),
        ("unk_token", text(special.unk)),
        ("pad_token", text(special.pad)),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, text?)))
    .collect()
}
