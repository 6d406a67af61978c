//! Where words go: data on standard output, talk on standard error.
//!
//! A reader that goes away (`credence … | head`) ends nothing and changes no exit code: what is left is not written. Any
//! other failure to write data is an error, since a script would take half an answer for a whole one.

use std::io::{BufWriter, Error, ErrorKind, IsTerminal as _, Write};

use serde::Serialize;

use crate::error::CliError;

/// Standard output and standard error.
pub(crate) struct Console {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    out_gone: bool,
    json: bool,
    err_is_terminal: bool,
}

impl Console {
    /// The process's own. With `json`, data is JSON.
    pub(crate) fn standard(json: bool) -> Self {
        Self {
            out: Box::new(BufWriter::new(std::io::stdout())),
            err: Box::new(std::io::stderr()),
            out_gone: false,
            json,
            err_is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Whether data is asked for as JSON.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Whether progress may be drawn.
    pub(crate) const fn draws(&self) -> bool {
        self.err_is_terminal
    }

    /// Writes a line, or several, of data.
    pub(crate) fn data(&mut self, text: &str) -> Result<(), CliError> {
        self.raw(text.as_bytes())?;
        self.raw(b"\n")
    }

    /// Writes `value` as one line of JSON.
    pub(crate) fn data_json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        let text = serde_json::to_string(value)
            .map_err(|e| CliError::ours("the answer has no JSON form", e))?;
        self.data(&text)?;
        self.flush()
    }

    /// Writes data as it is.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        if self.out_gone {
            return Ok(());
        }
        let written = self.out.write_all(bytes);
        self.note(written)
    }

    /// Sends what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        if self.out_gone {
            return Ok(());
        }
        let flushed = self.out.flush();
        self.note(flushed)
    }

    /// Says something to a person. Nothing depends on it, so a failure to write is no error.
    pub(crate) fn say(&mut self, text: &str) {
        drop(writeln!(self.err, "{text}"));
    }

    fn note(&mut self, written: Result<(), Error>) -> Result<(), CliError> {
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.out_gone = true;
                Ok(())
            }
            Err(error) => {
                // What is buffered cannot be written either: trying again would fail again.
                self.out_gone = true;
                Err(CliError::output(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink {
        bytes: Rc<RefCell<Vec<u8>>>,
        failure: Option<ErrorKind>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
            match self.failure {
                Some(kind) => Err(Error::from(kind)),
                None => {
                    self.bytes.borrow_mut().extend_from_slice(bytes);
                    Ok(bytes.len())
                }
            }
        }

        fn flush(&mut self) -> Result<(), Error> {
            Ok(())
        }
    }

    fn console(out: &Sink, err: &Sink) -> Console {
        Console {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            out_gone: false,
            json: false,
            err_is_terminal: false,
        }
    }

    #[test]
    fn data_and_talk_are_apart() {
        let (out, err) = (Sink::default(), Sink::default());
        let mut console = console(&out, &err);
        console.data("answer").unwrap();
        console.say("by the way");
        assert_eq!(*out.bytes.borrow(), b"answer\n");
        assert_eq!(*err.bytes.borrow(), b"by the way\n");
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        let failing = |kind| Sink {
            failure: Some(kind),
            ..Sink::default()
        };
        let gone = failing(ErrorKind::BrokenPipe);
        let mut quiet = console(&gone, &gone);
        quiet.data("answer").unwrap();
        quiet.say("nobody hears this");
        quiet.flush().unwrap();
        let full = failing(ErrorKind::StorageFull);
        assert!(console(&full, &full).data("answer").is_err());
    }
}
