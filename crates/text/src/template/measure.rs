//! How large values may become while a template is rendered.
//!
//! Two bounds hold the memory: of one value, written out with all that it holds as often as it holds it ([`VALUE_BYTES_MAX`]); and of all that is made, together, whether it is still held or not
//! ([`MADE_BYTES_MAX`]). Work of the guards themselves is bounded too. A rendering has a thread of its own, so its counts are that thread's.
//!
//! Lists and objects hold no namespace and no loop: those change after they were weighed.

use core::cell::Cell;
use core::fmt;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::CONVERSATION_BYTES_MAX;

/// Bytes that one value is written as, at most, and 16 for each value in it: four times what a whole conversation may weigh.
const VALUE_BYTES_MAX: usize = 4 * CONVERSATION_BYTES_MAX;
/// Bytes of all texts that are made, with 32 for each item of each list and object, at most.
pub(crate) const MADE_BYTES_MAX: usize = 512 << 20;
/// Values looked at by all weighing together, at most.
const LOOKS_MAX: usize = 100_000_000;
/// Levels of lists and objects, at most.
const DEPTH_MAX: usize = 100;
const NODE_BYTES: usize = 16;
const ITEM_BYTES: usize = 32;

thread_local! {
    static MADE: Cell<usize> = const { Cell::new(0) };
    static LOOKS: Cell<usize> = const { Cell::new(0) };
}

/// What a template made is too large.
#[derive(Debug)]
pub(super) struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value is too large")
    }
}

impl core::error::Error for TooLarge {}

fn too_large() -> Error {
    let error = Error::new(ErrorKind::InvalidOperation, "a value is too large");
    error.with_source(TooLarge)
}

fn count(
    counter: &'static std::thread::LocalKey<Cell<usize>>,
    more: usize,
    max: usize,
) -> Result<(), Error> {
    let now = counter.get().saturating_add(more);
    counter.set(now);
    if now > max { Err(too_large()) } else { Ok(()) }
}

/// Counts bytes that are made.
pub(super) fn made(bytes: usize) -> Result<(), Error> {
    count(&MADE, bytes, MADE_BYTES_MAX)
}

/// Whether a value changes by itself: a namespace, or a loop.
fn changes(value: &Value) -> bool {
    let object = value.as_object();
    object.is_some_and(|object| {
        let name = object.type_name();
        name.ends_with("::Namespace") || name.ends_with("::Loop")
    })
}

/// What a value weighs, as long as that is allowed.
fn weight(value: &Value, depth: usize, left: &mut usize) -> Result<(), Error> {
    count(&LOOKS, 1, LOOKS_MAX)?;
    let own = NODE_BYTES + value.as_str().map_or(0, str::len);
    *left = left.checked_sub(own).ok_or_else(too_large)?;
    let kind = value.kind();
    if !matches!(kind, ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) {
        return Ok(());
    }
    if depth >= DEPTH_MAX || (depth > 0 && changes(value)) {
        return Err(too_large());
    }
    for item in value.try_iter()? {
        weight(&item, depth + 1, left)?;
        if kind == ValueKind::Map {
            weight(&value.get_item(&item)?, depth + 1, left)?;
        }
    }
    Ok(())
}

/// The value, if it is not too large.
pub(super) fn weigh(value: Value) -> Result<Value, Error> {
    let mut left = VALUE_BYTES_MAX;
    if value
        .as_object()
        .is_some_and(|own| own.type_name().ends_with("::Loop"))
    {
        return Ok(value);
    }
    weight(&value, 0, &mut left)?;
    Ok(value)
}

/// The value, new as it is, if neither it nor all together is too large.
pub(super) fn keep(value: Value) -> Result<Value, Error> {
    let value = weigh(value)?;
    let items = match value.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => value.len().unwrap_or(0),
        _ => 0,
    };
    let text = value.as_str().map_or(0, str::len);
    made(text.saturating_add(items.saturating_mul(ITEM_BYTES)))?;
    Ok(value)
}

/// The value, to be held by a namespace.
pub(super) fn assign(value: Value) -> Result<Value, Error> {
    if changes(&value) {
        return Err(too_large());
    }
    weigh(value)
}

/// Refuses a replacement that would be too large.
pub(super) fn replaces(text: &str, from: &str, to: &str) -> Result<(), Error> {
    let places = text.matches(from).count();
    fits(places.saturating_mul(to.len()).saturating_add(text.len()))
}

/// Refuses a joined text that would be too large.
pub(super) fn joins(values: &Value, between: &str) -> Result<(), Error> {
    let items = values
        .len()
        .unwrap_or_else(|| values.try_iter().map_or(0, Iterator::count));
    fits(items.saturating_mul(between.len()))
}

/// Refuses a formatted text that could be too large: by how often it names something, or by how wide.
fn formats(text: &str, args: &[Value]) -> Result<(), Error> {
    let mut left = VALUE_BYTES_MAX;
    for arg in args {
        weight(arg, 0, &mut left)?;
    }
    let digits = text.split(|c: char| !c.is_ascii_digit());
    if digits.map(str::len).any(|len| len > 3) || text.contains(":{") {
        return Err(too_large());
    }
    let places = text.matches('{').count();
    let widest = (VALUE_BYTES_MAX - left).saturating_add(1000);
    fits(places.saturating_mul(widest).saturating_add(text.len()))
}

fn fits(bytes: usize) -> Result<(), Error> {
    if bytes > VALUE_BYTES_MAX {
        Err(too_large())
    } else {
        Ok(())
    }
}

/// Methods of Python's strings and dicts, but for what would be too large.
pub(super) fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        match (method, args) {
            ("replace", [from, to, ..]) => {
                if let (Some(from), Some(to)) = (from.as_str(), to.as_str()) {
                    replaces(text, from, to)?;
                }
            }
            ("join", [values]) => joins(values, text)?,
            ("format", args) => formats(text, args)?,
            _ => {}
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args)
}
