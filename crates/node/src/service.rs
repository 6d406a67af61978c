//! Models that are hosted, the key that answers, and where receipts are kept.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTimeError};

use credence_base::json::JsonError;
use credence_base::{ModelId, Nonce, PublicKey, ReceiptDigest};
use credence_claim::Openings;
use credence_court::CourtClient;
use credence_exec::{Engine, Execution, Options, PlanError, RunError};
use credence_generate::{EmbedError, Embedder, Language, LanguageError, Prompt};
use credence_method_spot::Demand;
use credence_model::Model;
use credence_receipt::{
    BUNDLE_LEN_MAX, Bundle, BundleError, Kept, OpenError, ReceiptKey, Statement,
};
use credence_store::{Receipts, StoreError};
use zeroize::Zeroizing;

use crate::disputes::Disputing;
use crate::embedding::{Embed, issue_embedding};
use crate::inference::{Answer, Draws, IssueError, Operator, Question, issue};
use crate::keeper::{KeepError, Keeper, now_unix_s};
use crate::logging::{Logging, Wait};
use crate::speech::{Caps, Speaker};
use crate::spot::{SpotAsked, SpotError, Spots};

/// A model that is ready to run.
#[derive(Debug)]
pub struct Hosted {
    name: String,
    model: Arc<Model>,
    options: Options,
    runs: Runs,
}

/// How a model is run.
#[derive(Debug)]
enum Runs {
    /// A request at a time, each on the thread that asks.
    Tensors(Box<Engine>),
    /// Many answers side by side, on a thread of their own.
    Language(Speaker),
    /// Texts of a request side by side, on the thread that asks.
    Encoder(Box<Embedder>),
}

/// Why a model cannot be hosted.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine cannot run it on this machine.
    #[error("the engine cannot run the model on this machine")]
    Plan(#[from] PlanError),
    /// It is of language and cannot speak.
    #[error("the language model cannot speak")]
    Language(#[from] LanguageError),
    /// The system gives no thread.
    #[error("no thread can be started for the model")]
    Thread(#[source] io::Error),
}

impl Hosted {
    /// Makes `model` ready, to be asked for as `name` or by its id. A language model gets [`Caps::usual`].
    ///
    /// # Errors
    /// [`HostError`] when it cannot be run on this machine.
    pub fn new(name: String, model: Arc<Model>, options: Options) -> Result<Self, HostError> {
        Self::with_caps(name, model, options, Caps::usual())
    }

    /// As [`Self::new`], with other bounds for a language model; they mean nothing for one of tensors.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_caps(
        name: String,
        model: Arc<Model>,
        options: Options,
        caps: Caps,
    ) -> Result<Self, HostError> {
        let engine = Engine::new(Arc::clone(&model), options)?;
        let runs = match &model.program().spec().language {
            Some(language) if language.encoder.is_some() => {
                Runs::Encoder(Box::new(Embedder::new(engine)?))
            }
            Some(_) => {
                let language = Arc::new(Language::new(engine)?);
                Runs::Language(Speaker::start(language, caps).map_err(HostError::Thread)?)
            }
            None => Runs::Tensors(Box::new(engine)),
        };
        Ok(Self {
            name,
            model,
            options,
            runs,
        })
    }

    /// The name it is asked for by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.model.id()
    }

    /// Who speaks for it, if it is a language model.
    #[must_use]
    pub const fn speaker(&self) -> Option<&Speaker> {
        match &self.runs {
            Runs::Tensors(_) | Runs::Encoder(_) => None,
            Runs::Language(speaker) => Some(speaker),
        }
    }

    /// What embeds texts, if it is an encoder.
    #[must_use]
    pub const fn embedder(&self) -> Option<&Embedder> {
        match &self.runs {
            Runs::Tensors(_) | Runs::Language(_) => None,
            Runs::Encoder(embedder) => Some(embedder),
        }
    }
}

/// Why a statement about a key is not taken.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// It is no bundle.
    #[error("the body is not a statement's bundle")]
    Bundle(#[from] BundleError),
    /// It is not signed by the key it names.
    #[error("the statement is not signed by the key that it names")]
    Signature(#[from] OpenError),
    /// It is another kind of receipt.
    #[error("this is no statement about a key")]
    Kind,
    /// It is about another key.
    #[error("this is about key {got}, and this server signs with {expected}")]
    Stranger {
        /// The server's key.
        expected: PublicKey,
        /// The statement's.
        got: PublicKey,
    },
    /// Nothing is logged here.
    #[error("this server has no log")]
    NoLog,
    /// It cannot be kept or sent to the log.
    #[error("the statement cannot be kept")]
    Keep(#[from] KeepError),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The question does not fit the model.
    #[error("the inputs do not fit the model")]
    Run(#[from] RunError),
    /// It takes text, not tensors.
    #[error("this is a language model: ask it at `/v1/chat/completions` or `/v1/completions`")]
    Language,
    /// It takes texts, and gives embeddings.
    #[error("this is an encoder: ask it at `/v1/embeddings`")]
    Encoder,
    /// The texts of an encoder cannot be run.
    #[error("the texts cannot be embedded")]
    Embed(#[from] EmbedError),
    /// No receipt could be made.
    #[error("no receipt could be made")]
    Issue(#[from] IssueError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for the salts")]
    Entropy(#[source] getrandom::Error),
    /// The clock says that it is before 1970.
    #[error("the system's clock is set before 1970")]
    Clock(#[from] SystemTimeError),
    /// The receipt could not be kept or logged, so the answer is withheld.
    #[error("the answer is withheld: there is no receipt for it")]
    Keep(#[from] KeepError),
}

impl AnswerError {
    /// Whether the question was at fault, and another would be answered.
    #[must_use]
    pub const fn is_clients(&self) -> bool {
        match self {
            Self::Language | Self::Encoder => true,
            Self::Run(error) => !matches!(error, RunError::Cell { .. } | RunError::Answer(_)),
            _ => false,
        }
    }
}

/// An embedding, signed and kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// The vector.
    pub vector: Vec<f32>,
    /// Tokens of the text.
    pub tokens: usize,
    /// Its receipt.
    pub kept: Kept,
}

/// What is done with receipts beside keeping them.
#[derive(Default)]
pub struct Care {
    /// The log that they go to.
    pub logging: Option<Logging>,
    /// How sure the spot check is to be whose evidence each of them gets.
    pub attached: Option<Demand>,
}

/// Why a kept receipt is not shown.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The key is another receipt's, or made up.
    #[error("the key does not open this receipt; without one its public part can be had")]
    Key,
    /// It cannot be read.
    #[error("the receipt cannot be read")]
    Store(#[from] StoreError),
    /// What was kept is no bundle.
    #[error("what was kept is no bundle")]
    Bundle(#[from] BundleError),
    /// It has no JSON form.
    #[error("the bundle cannot be written")]
    Encode(#[from] JsonError),
    /// It cannot be opened for a spot check.
    #[error("no evidence of a spot check can be made")]
    Spot(#[from] SpotError),
}

/// Answers questions about the models it hosts.
pub struct Service {
    keeper: Arc<Keeper>,
    models: BTreeMap<String, Arc<Hosted>>,
}

impl Service {
    /// Hosts `models`, each under its name and its id. Of two with one name the last stays. What it signs is kept and not logged.
    #[must_use]
    pub fn new(operator: Operator, models: Vec<Hosted>, receipts: Box<dyn Receipts>) -> Self {
        Self::with_care(operator, models, receipts, Care::default())
    }

    /// As [`Self::new`], and more is done with what it signs.
    #[must_use]
    pub fn with_care(
        operator: Operator,
        models: Vec<Hosted>,
        receipts: Box<dyn Receipts>,
        care: Care,
    ) -> Self {
        let Care { logging, attached } = care;
        let runs = models
            .iter()
            .map(|hosted| (Arc::clone(&hosted.model), hosted.options));
        let spots = Arc::new(Spots::new(runs));
        let mut by_name = BTreeMap::new();
        for hosted in models.into_iter().map(Arc::new) {
            by_name.insert(hosted.id().to_string(), Arc::clone(&hosted));
            by_name.insert(hosted.name.clone(), hosted);
        }
        Self {
            keeper: Arc::new(Keeper {
                operator,
                receipts,
                logging,
                spots,
                attached,
            }),
            models: by_name,
        }
    }

    /// Who answers.
    #[must_use]
    pub fn operator(&self) -> &Operator {
        &self.keeper.operator
    }

    /// Who signs and keeps what language models say.
    #[must_use]
    pub const fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Every model once, in the order of their names.
    pub fn models(&self) -> impl Iterator<Item = &Arc<Hosted>> {
        let own = |(name, hosted): &(&String, &Arc<Hosted>)| **name == hosted.name;
        self.models.iter().filter(own).map(|(_, hosted)| hosted)
    }

    /// Answers disputes about what was signed here, before these referees and no others, for as long as what comes back is held.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn answer_disputes(
        &self,
        courts: Vec<CourtClient>,
        every: Duration,
    ) -> Result<Disputing, io::Error> {
        let models = self.models.values();
        let models = models.map(|own| (own.id(), (Arc::clone(&own.model), own.options)));
        Disputing::start(&self.keeper, models.collect(), courts, every)
    }

    /// The model of that name or id.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Arc<Hosted>> {
        self.models.get(name)
    }

    /// Ends what language models are saying: each answer that has a token with its receipt. They take no more.
    pub fn wind_down(&self) {
        for speaker in self.models.values().filter_map(|hosted| hosted.speaker()) {
            speaker.wind_down();
        }
    }

    /// Completes when no language model says anything and all receipts are kept.
    pub async fn quiet(&self) {
        for speaker in self.models.values().filter_map(|hosted| hosted.speaker()) {
            speaker.quiet().await;
        }
    }

    /// Runs the model and gives no receipt. Blocks its thread.
    ///
    /// # Errors
    /// [`AnswerError::Run`] when the inputs do not fit, [`AnswerError::Language`] when the model takes none.
    pub fn execute(&self, hosted: &Hosted, question: &Question) -> Result<Execution, AnswerError> {
        match &hosted.runs {
            Runs::Tensors(engine) => Ok(engine.run(&question.inputs)?),
            Runs::Language(_) => Err(AnswerError::Language),
            Runs::Encoder(_) => Err(AnswerError::Encoder),
        }
    }

    /// Signs what came of a run, and keeps the receipt: it is as durable as the place for receipts says, on return.
    ///
    /// # Errors
    /// [`AnswerError`]; no answer may then be given.
    pub fn sign_and_keep(
        &self,
        hosted: &Hosted,
        question: &Question,
        execution: Execution,
    ) -> Result<Answer, AnswerError> {
        let draws = Draws::from_system()?;
        // A claim commits to the inputs in the program's order, whatever order the client sent them in.
        let names = hosted.model.program().spec().inputs.iter();
        let inputs = question
            .inputs
            .ordered(names.map(|input| input.name.as_str()));
        let question = Question {
            inputs: inputs.unwrap_or_else(|| question.inputs.clone()),
            nonce: question.nonce,
        };
        let answer = issue(
            &self.keeper.operator,
            hosted.id(),
            &question,
            execution,
            &draws,
        )?;
        let wait = self.keeper.keep(answer.receipt, &answer.bundle)?;
        wait.map_or(Ok(()), Wait::finish).map_err(KeepError::from)?;
        Ok(answer)
    }

    /// Runs, signs and keeps. Blocks its thread.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn answer(&self, hosted: &Hosted, question: &Question) -> Result<Answer, AnswerError> {
        let execution = self.execute(hosted, question)?;
        self.sign_and_keep(hosted, question, execution)
    }

    /// Embeds texts side by side, signs each embedding and keeps its receipt. Blocks its thread.
    ///
    /// # Errors
    /// [`AnswerError`]; no embedding may then be given.
    pub fn embed(
        &self,
        (model, embedder): (ModelId, &Embedder),
        prompts: &[Prompt],
        nonce: Option<Nonce>,
    ) -> Result<Vec<Embedded>, AnswerError> {
        let texts: Vec<&[u32]> = prompts.iter().map(Prompt::ids).collect();
        let mut embedded = Vec::with_capacity(prompts.len());
        let mut waits = Vec::new();
        for (prompt, made) in prompts.iter().zip(embedder.run(&texts)?) {
            let asked = Embed {
                model,
                prompt,
                nonce,
            };
            let bundle =
                issue_embedding(&self.keeper.operator, &asked, &made, &Draws::from_system()?)?;
            let kept = Kept::of(&bundle);
            waits.extend(self.keeper.keep(kept.digest, &bundle)?);
            embedded.push(Embedded {
                vector: made.vector().to_vec(),
                tokens: prompt.ids().len(),
                kept,
            });
        }
        for wait in waits {
            wait.finish().map_err(KeepError::from)?;
        }
        Ok(embedded)
    }

    /// Evidence of a spot check of a receipt that was kept, for whoever has its key. Blocks its thread for as long as the run takes.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn spot_check(
        &self,
        digest: ReceiptDigest,
        key: ReceiptKey,
        asked: &SpotAsked,
    ) -> Result<Option<Vec<u8>>, ReceiptError> {
        if self.keeper.spots.is_busy() {
            return Err(SpotError::Busy.into());
        }
        let Some(bytes) = self.keeper.receipts.get(digest)? else {
            return Ok(None);
        };
        let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX)?;
        if ReceiptKey::of(&bundle) != Some(key) {
            return Err(ReceiptError::Key);
        }
        Ok(Some(self.keeper.spots.answer(&bundle, asked)?))
    }

    /// Keeps a statement about the operator's key, which the key itself has signed, and sends it to the log. Blocks its thread. Its bundle has the
    /// proof as soon as it is logged.
    ///
    /// # Errors
    /// [`StatementError`] when it is none, of another key, or there is no log.
    pub fn take_statement(&self, bytes: &[u8]) -> Result<ReceiptDigest, StatementError> {
        let bundle = Bundle::decode(bytes, BUNDLE_LEN_MAX)?;
        let opened = bundle.receipt().open()?;
        let Statement::Key(stated) = opened.into_statement() else {
            return Err(StatementError::Kind);
        };
        let expected = *self.keeper.operator.public_key();
        if stated.operator != expected {
            return Err(StatementError::Stranger {
                expected,
                got: stated.operator,
            });
        }
        if self.keeper.logging.is_none() {
            return Err(StatementError::NoLog);
        }
        let digest = bundle.receipt().digest();
        let plain = Bundle::new(bundle.receipt().clone(), Openings::default(), Vec::new())?;
        self.keeper.keep_as_it_is(digest, &plain)?;
        Ok(digest)
    }

    /// A receipt that was kept, with the proof that it is logged as soon as it is: the whole bundle for whoever has its key, else the signed receipt alone. A log
    /// that cannot be read is named to the operator, and what is asked for comes without a proof. Blocks its thread.
    ///
    /// # Errors
    /// [`ReceiptError`] when it cannot be read, or the key is another one.
    pub fn receipt(
        &self,
        digest: ReceiptDigest,
        key: Option<ReceiptKey>,
    ) -> Result<Option<Vec<u8>>, ReceiptError> {
        let Some(bytes) = self.keeper.receipts.get(digest)? else {
            return Ok(None);
        };
        let bundle = Bundle::decode(&bytes, BUNDLE_LEN_MAX)?;
        let bundle = match key {
            Some(_) if key == ReceiptKey::of(&bundle) => bundle,
            Some(_) => return Err(ReceiptError::Key),
            None => Bundle::new(bundle.receipt().clone(), Openings::default(), Vec::new())?,
        };
        let proof = self.keeper.logging.as_ref().map(|log| log.prove(digest));
        let bundle = match proof.transpose() {
            Ok(Some(Some(proof))) => bundle.with_log(proof)?,
            Ok(_) => bundle,
            Err(error) => {
                tracing::error!(
                    cause = crate::chain_of(&error),
                    "a receipt has no log proof"
                );
                bundle
            }
        };
        Ok(Some(bundle.encode()?))
    }
}

impl Draws {
    /// Salts from the system's random bytes, and the system's time.
    ///
    /// # Errors
    /// [`AnswerError::Entropy`], [`AnswerError::Clock`].
    pub fn from_system() -> Result<Self, AnswerError> {
        let mut salt_master = Zeroizing::new([0; 32]);
        getrandom::fill(salt_master.as_mut_slice()).map_err(AnswerError::Entropy)?;
        Ok(Self {
            salt_master,
            time_unix_s: now_unix_s()?,
        })
    }
}
