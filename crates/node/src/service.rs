//! Models that are hosted, the key that answers, and where receipts are kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, SystemTimeError};

use credence_base::json::JsonError;
use credence_base::{ModelId, ReceiptDigest};
use credence_exec::{Engine, Execution, Options, PlanError, RunError};
use credence_model::Model;
use credence_store::{Receipts, StoreError};
use zeroize::Zeroizing;

use crate::inference::{Answer, Draws, IssueError, Operator, Question, issue};

/// A model that is ready to run.
#[derive(Debug)]
pub struct Hosted {
    name: String,
    model: Arc<Model>,
    engine: Engine,
}

impl Hosted {
    /// Makes `model` ready, to be asked for as `name` or by its id.
    ///
    /// # Errors
    /// [`PlanError`] when the engine cannot run it on this machine.
    pub fn new(name: String, model: Arc<Model>, options: Options) -> Result<Self, PlanError> {
        let engine = Engine::new(Arc::clone(&model), options)?;
        Ok(Self {
            name,
            model,
            engine,
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
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The question does not fit the model.
    #[error("the inputs do not fit the model")]
    Run(#[from] RunError),
    /// No receipt could be made.
    #[error("no receipt could be made")]
    Issue(#[from] IssueError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for the salts")]
    Entropy(#[source] getrandom::Error),
    /// The clock says that it is before 1970.
    #[error("the system's clock is set before 1970")]
    Clock(#[from] SystemTimeError),
    /// The bundle has no JSON form.
    #[error("the bundle cannot be written")]
    Encode(#[from] JsonError),
    /// The receipt could not be kept, so the answer is withheld: nobody could ask for its receipt.
    #[error("the receipt cannot be kept")]
    Keep(#[from] StoreError),
}

impl AnswerError {
    /// Whether the question was at fault, and another would be answered.
    #[must_use]
    pub const fn is_clients(&self) -> bool {
        match self {
            Self::Run(error) => !matches!(error, RunError::Cell { .. } | RunError::Answer(_)),
            _ => false,
        }
    }
}

/// Answers questions about the models it hosts.
pub struct Service {
    operator: Operator,
    models: BTreeMap<String, Arc<Hosted>>,
    receipts: Box<dyn Receipts>,
}

impl Service {
    /// Hosts `models`, each under its name and its id. Of two with one name the last stays.
    #[must_use]
    pub fn new(operator: Operator, models: Vec<Hosted>, receipts: Box<dyn Receipts>) -> Self {
        let mut by_name = BTreeMap::new();
        for hosted in models.into_iter().map(Arc::new) {
            by_name.insert(hosted.id().to_string(), Arc::clone(&hosted));
            by_name.insert(hosted.name.clone(), hosted);
        }
        Self {
            operator,
            models: by_name,
            receipts,
        }
    }

    /// Who answers.
    #[must_use]
    pub const fn operator(&self) -> &Operator {
        &self.operator
    }

    /// The model of that name or id.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Arc<Hosted>> {
        self.models.get(name)
    }

    /// Runs the model and gives no receipt. Blocks its thread.
    ///
    /// # Errors
    /// [`AnswerError::Run`] when the inputs do not fit.
    pub fn execute(&self, hosted: &Hosted, question: &Question) -> Result<Execution, AnswerError> {
        Ok(hosted.engine.run(&question.inputs)?)
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
        let answer = issue(&self.operator, hosted.id(), &question, execution, &draws)?;
        self.receipts
            .put(answer.receipt, &answer.bundle.encode()?)?;
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

    /// The bundle of a receipt that was kept.
    ///
    /// # Errors
    /// [`StoreError`] when it is kept and cannot be read.
    pub fn receipt(&self, digest: ReceiptDigest) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.receipts.get(digest)
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
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(Self {
            salt_master,
            time_unix_s: since.as_secs(),
        })
    }
}
