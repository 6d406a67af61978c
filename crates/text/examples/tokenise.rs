//! Prints the token ids of texts, for comparing with another tokeniser.
//!
//! The first argument is a file with a text specification (canonical JSON); standard input has one JSON string per line. For each it prints
//! a line with a JSON list of two lists of ids: control tokens parsed, and taken as plain text; each as at the beginning of a context.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, BufRead as _, Write as _};

use credence_text::{Context, Special, Text, TextSpec};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args()
        .nth(1)
        .ok_or("give the file of a text specification")?;
    let mut spec = TextSpec::from_bytes(&std::fs::read(path)?)?;
    spec.complete();
    let text = Text::new(&spec)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let words: String = serde_json::from_str(&line?)?;
        let ids = [Special::Parse, Special::Plain]
            .map(|special| text.tokenise(&words, special, Context::Begin));
        let [parsed, plain] = ids;
        writeln!(out, "{}", serde_json::to_string(&[parsed?, plain?])?)?;
    }
    Ok(out.flush()?)
}
