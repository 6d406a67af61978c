//! What the ledger's benchmark prints, and the table that is made of it.
//!
//! ```text
//! ledger::proof/entries=10000: median 0.080 ms, p99 0.120 ms        one line for each measurement
//! ```

use core::fmt::Write as _;

/// A measurement: its name, its parameters, and what came of it in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    name: String,
    keys: Vec<(String, String)>,
    found: String,
}

impl Line {
    /// Reads a line; `None` for one that is no measurement.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (head, found) = line.strip_prefix("ledger::")?.split_once(": ")?;
        let (name, keys) = head.split_once('/')?;
        let keys = keys.split(',').map(|pair| {
            let (key, value) = pair.split_once('=')?;
            Some((key.to_owned(), value.to_owned()))
        });
        Some(Self {
            name: name.to_owned(),
            keys: keys.collect::<Option<_>>()?,
            found: found.to_owned(),
        })
    }

    fn key(&self, wanted: &str) -> Option<&str> {
        let found = self.keys.iter().find(|(key, _)| key == wanted);
        found.map(|(_, value)| value.as_str())
    }

    /// The number between `before` and the next space, slash or comma.
    fn figure(&self, before: &str) -> Option<&str> {
        let (_, rest) = self.found.split_once(before)?;
        let end = rest.find([' ', '/', ',']).unwrap_or(rest.len());
        rest.get(..end)
    }
}

/// The part of the page.
pub(crate) fn text(lines: &[Line]) -> String {
    let mut page = String::from(
        "# The log\n\n\
         A log in a folder with every write flushed, its index in SQLite, batches every 250 ms. The log of each size is made for the purpose: its index is whole, of\n\
         its tiles there are those that are read. Digests are random, those that are looked up and those that come. `wait` is from appending a digest to hearing that\n\
         the checkpoint which covers it is durable. A proof is looked up by digest: index, tiles, each shown right. A bundle is verified from its bytes, with its\n\
         inclusion proof and three cosignatures.\n\n\
         | entries | appended/s | wait, median ms | wait, p99 ms | most/s | proof, median ms | proof, p99 ms | hashes | verify, median ms |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let mut sizes: Vec<&str> = Vec::new();
    for size in lines.iter().filter_map(|line| line.key("entries")) {
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    for size in sizes {
        let find = |name: &str, most: bool| {
            lines.iter().find(|line| {
                let is_most = line.key("rate") == Some("most");
                line.name == name && line.key("entries") == Some(size) && is_most == most
            })
        };
        let figure = |name: &str, most, before: &str| {
            let found = find(name, most).and_then(|line| line.figure(before));
            found.unwrap_or("–").to_owned()
        };
        let hashes = find("verify", false).and_then(|line| line.key("hashes"));
        // Writing to a string cannot fail.
        let _written = writeln!(
            page,
            "| {size} | {} | {} | {} | {} | {} | {} | {} | {} |",
            figure("append", false, ""),
            figure("append", false, "median "),
            figure("append", false, "p99 "),
            figure("append", true, ""),
            figure("proof", false, "median "),
            figure("proof", false, "p99 "),
            hashes.unwrap_or("–"),
            figure("verify", false, "median "),
        );
    }
    page
}
