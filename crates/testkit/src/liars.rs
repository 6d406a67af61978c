//! Operators that lie about a run, by name: what a spot check holds against each, and how likely it is to find it.
//!
//! ```text
//! Liar ─caught_by─▶ the check that says no       ─odds─▶ with which chance, for a share f of wrong work and k cells
//! ```
//!
//! The list is what `docs/threat-model.md` promises; a test plays every one of them and compares how often it was caught with the formula. Playing them takes a model and an
//! engine, so that is the test's affair. It deliberately names no liar that a spot check is not there for.

/// An operator that lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Liar {
    /// Runs a smaller model, and fills the trace up.
    SmallerModel,
    /// Runs the same model in fewer bits.
    FewerBits,
    /// Leaves layers out.
    LayersSkipped,
    /// Changes one weight.
    OneWeight,
    /// Makes one layer's activations up.
    InventedActivations,
    /// Runs another prompt.
    WrongPrompt,
    /// Samples by other parameters than it states.
    WrongParameters,
    /// Tries seeds until it likes the answer.
    GrindingSeed,
    /// Tries salts until the draws of its own evidence miss what is wrong.
    GrindingSalts,
    /// Exchanges the last token.
    EditedLastToken,
    /// Commits to the true trace, and to another output.
    FalseOutput,
    /// Commits to the true output, and to a trace that it made up.
    InventedTrace,
    /// Opens nothing where the cells that are drawn are wrong.
    RefusesCells,
    /// Opens one run to one auditor, and another to the other.
    TwoTongued,
    /// Claims another operator's trace.
    AnothersTrace,
    /// Opens a run of other tokens than it claimed.
    AnotherRun,
}

/// Which check says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaughtBy {
    /// A cell that is drawn is not what its relation gives.
    Cells,
    /// A cell that reads the request is not what the request gives.
    Border,
    /// A token is not the one that the logits draw.
    Token,
    /// The source of the seed does not fit.
    Seed,
    /// A value of the output is not the run's.
    Output,
    /// What is opened is not under the claim's trace root.
    Root,
    /// What is opened is under another operator's key.
    Key,
    /// Nothing is opened: it is not shown wrong, and not shown.
    Silence,
}

/// With which chance an audit of k cells catches it, f being the share of its work that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odds {
    /// Whatever is drawn.
    Always,
    /// `1 − (1 − f)^k`.
    Cells,
    /// At least `1 − (1 − g)^⌈k/10⌉`, g being the share of tokens that are not those of the request.
    AtLeastBorder,
}

impl Liar {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::SmallerModel,
        Self::FewerBits,
        Self::LayersSkipped,
        Self::OneWeight,
        Self::InventedActivations,
        Self::WrongPrompt,
        Self::WrongParameters,
        Self::GrindingSeed,
        Self::GrindingSalts,
        Self::EditedLastToken,
        Self::FalseOutput,
        Self::InventedTrace,
        Self::RefusesCells,
        Self::TwoTongued,
        Self::AnothersTrace,
        Self::AnotherRun,
    ];

    /// The check that says no.
    #[must_use]
    pub const fn caught_by(self) -> CaughtBy {
        match self {
            Self::SmallerModel
            | Self::FewerBits
            | Self::LayersSkipped
            | Self::OneWeight
            | Self::InventedActivations
            | Self::GrindingSalts
            | Self::InventedTrace => CaughtBy::Cells,
            Self::WrongPrompt => CaughtBy::Border,
            Self::WrongParameters | Self::EditedLastToken => CaughtBy::Token,
            Self::GrindingSeed => CaughtBy::Seed,
            Self::FalseOutput => CaughtBy::Output,
            Self::RefusesCells => CaughtBy::Silence,
            Self::TwoTongued | Self::AnotherRun => CaughtBy::Root,
            Self::AnothersTrace => CaughtBy::Key,
        }
    }

    /// How likely that is.
    #[must_use]
    pub const fn odds(self) -> Odds {
        match self.caught_by() {
            CaughtBy::Cells | CaughtBy::Silence => Odds::Cells,
            CaughtBy::Border => Odds::AtLeastBorder,
            CaughtBy::Token
            | CaughtBy::Seed
            | CaughtBy::Output
            | CaughtBy::Root
            | CaughtBy::Key => Odds::Always,
        }
    }
}

impl Odds {
    /// The chance, for a wrong share and so many cells; of a border the share is that of the tokens.
    #[must_use]
    pub fn chance(self, share: f64, cells: u32) -> f64 {
        let missed = |draws: u32| (1.0 - share).powf(f64::from(draws));
        match self {
            Self::Always => 1.0,
            Self::Cells => 1.0 - missed(cells),
            Self::AtLeastBorder => 1.0 - missed(cells.div_ceil(10)),
        }
    }
}
