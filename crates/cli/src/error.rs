//! What goes wrong, as a person reads it: what happened with all its causes on one line, then a hint.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use credence_hub::HubError;
use credence_store::{HomeError, KeyFileError, StoreError};

use crate::exit::Exit;

/// A failure of a command, with the code the process ends with.
#[derive(Debug)]
pub(crate) struct CliError {
    exit: Exit,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

impl CliError {
    /// Something went wrong that has no cause but itself.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            source: None,
            hint: None,
        }
    }

    /// Something went wrong because of something else.
    pub(crate) fn because(
        exit: Exit,
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            source: Some(source.into()),
            ..Self::new(exit, what)
        }
    }

    /// A library's error as it is.
    pub(crate) fn of(exit: Exit, error: impl Error) -> Self {
        Self::new(exit, chain(&error))
    }

    /// A fault of this program or machine.
    pub(crate) fn ours(what: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::because(Exit::Failed, what, source)
    }

    /// Standard output takes no more.
    pub(crate) fn output(source: io::Error) -> Self {
        Self::because(Exit::Io, "standard output cannot be written", source)
    }

    /// Says what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn hint_if(self, hint: Option<&str>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The code the process ends with.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened, with its causes, on one line.
    pub(crate) fn reason(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {}", self.what, chain(source.as_ref())),
            None => self.what.clone(),
        }
    }

    /// What to do about it.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The words for a person.
    pub(crate) fn words(&self) -> String {
        match &self.hint {
            Some(hint) => format!("error: {}\nhint: {hint}", self.reason()),
            None => format!("error: {}", self.reason()),
        }
    }
}

/// An error and its sources, on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string cannot fail.
        if write!(text, ": {cause}").is_err() {
            break;
        }
        source = cause.source();
    }
    // Whatever a file said must not start a line of its own.
    text.replace(['\n', '\r'], " ")
}

/// The code of a file that could not be read or written, whoever wanted it.
const fn store_exit(error: &StoreError) -> Exit {
    match error {
        StoreError::TooLong { .. } => Exit::Malformed,
        StoreError::Absent { .. }
        | StoreError::Denied { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Full { .. }
        | StoreError::Folder { .. }
        | StoreError::Exists { .. }
        | StoreError::Io { .. } => Exit::Io,
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let (exit, hint) = (store_exit(&error), error.hint());
        Self::of(exit, error).hint_if(hint)
    }
}

impl From<HomeError> for CliError {
    fn from(error: HomeError) -> Self {
        Self::of(Exit::Usage, error).hint("say where with `--home DIR` or `CREDENCE_HOME`")
    }
}

impl From<KeyFileError> for CliError {
    fn from(error: KeyFileError) -> Self {
        let exit = match &error {
            KeyFileError::Store(error) => store_exit(error),
            KeyFileError::Key { .. } | KeyFileError::Mode { .. } => Exit::Malformed,
            KeyFileError::Entropy(_) => Exit::Failed,
        };
        let hint = error.hint();
        Self::of(exit, error).hint_if(hint)
    }
}

impl From<HubError> for CliError {
    fn from(error: HubError) -> Self {
        let exit = match &error {
            HubError::Store(error) => store_exit(error),
            HubError::Unknown { .. } | HubError::Absent { .. } => Exit::Missing,
            HubError::Ambiguous { .. }
            | HubError::Query { .. }
            | HubError::NameLikeId { .. }
            | HubError::NameTaken { .. } => Exit::Usage,
            HubError::File { .. }
            | HubError::OtherModel { .. }
            | HubError::Names { .. }
            | HubError::NamesName { .. } => Exit::Malformed,
            HubError::Encode(_) => Exit::Failed,
        };
        let hint = error.hint();
        Self::of(exit, error).hint_if(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_has_one_code_whoever_reads_it() {
        let long = || StoreError::TooLong {
            path: "x".into(),
            max: 8,
        };
        let all = [
            CliError::from(long()),
            CliError::from(HubError::Store(long())),
            CliError::from(KeyFileError::Store(long())),
        ];
        for error in all {
            assert_eq!(error.exit(), Exit::Malformed);
            assert!(error.reason().contains("`x`"));
        }
    }

    #[test]
    fn a_file_system_that_takes_no_writes_is_named_with_a_remedy() {
        let told = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let error = StoreError::from_io(credence_store::Action::Write, "x".as_ref(), told);
        let error = CliError::from(error);
        assert_eq!(error.exit(), Exit::Io);
        assert!(error.reason().contains("read-only") && error.hint_text().is_some());
    }

    #[test]
    fn causes_stand_on_one_line_and_hints_behind() {
        let inner = io::Error::other("disk\non fire");
        let error = CliError::because(Exit::Io, "`x` cannot be read", inner).hint("use water");
        assert_eq!(
            error.words(),
            "error: `x` cannot be read: disk on fire\nhint: use water"
        );
        assert_eq!(CliError::new(Exit::Usage, "no").words(), "error: no");
    }
}
