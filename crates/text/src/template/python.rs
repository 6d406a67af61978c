//! Writes values as Python does: `str`, `repr` and `json.dumps`.
//!
//! Hugging Face's `tojson` is `json.dumps(ensure_ascii=False)`, with no escapes for HTML. Keys come in the order of the map, which here is sorted.

use core::fmt::Write as _;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// Levels of lists and objects that are written, at most.
const DEPTH_MAX: usize = 64;
/// Bytes that one value is written as, at most.
const BYTES_MAX: usize = 4 << 20;
/// Spaces of one level of indentation, at most.
const INDENT_MAX: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Repr,
    Json { indent: Option<usize> },
}

fn refuse(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// What Python's `str` gives, and nothing for what is undefined.
pub(super) fn text(value: &Value) -> Result<String, Error> {
    if value.is_undefined() {
        return Ok(String::new());
    }
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    write(value, Style::Repr)
}

/// The filter `tojson`.
pub(super) fn tojson(value: &Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Both are what is done anyway, whatever the template says of them.
    let _: Option<Value> = options.get("ensure_ascii")?;
    let _: Option<Value> = options.get("sort_keys")?;
    options.assert_all_used()?;
    if indent.is_some_and(|indent| indent > INDENT_MAX) {
        return Err(refuse("tojson indents by 16 at most"));
    }
    write(value, Style::Json { indent })
}

/// The filter `indent`: spaces before every line but the first, and before those that are empty or not only if asked.
pub(super) fn indent(
    text: &str,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
) -> Result<String, Error> {
    let width = width.unwrap_or(4);
    if width > INDENT_MAX {
        return Err(refuse("indent goes by 16 at most"));
    }
    let mut out = String::new();
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let wanted = if index == 0 {
            first.unwrap_or(false)
        } else {
            blank.unwrap_or(false) || !line.is_empty()
        };
        if wanted {
            out.extend(core::iter::repeat_n(' ', width));
        }
        out.push_str(line);
    }
    Ok(out)
}

fn write(value: &Value, style: Style) -> Result<String, Error> {
    let mut writer = Writer {
        out: String::new(),
        style,
        depth: 0,
    };
    writer.value(value)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    style: Style,
    depth: usize,
}

impl Writer {
    fn value(&mut self, value: &Value) -> Result<(), Error> {
        if self.out.len() > BYTES_MAX {
            return Err(refuse("the value is too long to be written"));
        }
        let json = self.style != Style::Repr;
        match value.kind() {
            ValueKind::Undefined => return Err(refuse("an undefined value cannot be written")),
            ValueKind::None => self.out.push_str(if json { "null" } else { "None" }),
            ValueKind::Bool => self.out.push_str(match (json, value.is_true()) {
                (true, true) => "true",
                (true, false) => "false",
                (false, true) => "True",
                (false, false) => "False",
            }),
            ValueKind::Number => self.number(value)?,
            ValueKind::String => {
                let text = value.as_str().unwrap_or_default();
                if json {
                    self.json_string(text);
                } else {
                    self.repr_string(text);
                }
            }
            ValueKind::Seq | ValueKind::Iterable => self.sequence(value)?,
            ValueKind::Map => self.map(value)?,
            _ => return Err(refuse("a value of this kind cannot be written")),
        }
        Ok(())
    }

    fn number(&mut self, value: &Value) -> Result<(), Error> {
        if value.is_integer() {
            return write!(self.out, "{value}").map_err(Error::from);
        }
        let number = f64::try_from(value.clone())?;
        self.out.push_str(&float(number));
        Ok(())
    }

    fn sequence(&mut self, value: &Value) -> Result<(), Error> {
        self.enter('[')?;
        let mut first = true;
        for item in value.try_iter()? {
            self.separate(&mut first);
            self.value(&item)?;
        }
        self.leave(']', first);
        Ok(())
    }

    fn map(&mut self, value: &Value) -> Result<(), Error> {
        self.enter('{')?;
        let mut first = true;
        for key in value.try_iter()? {
            self.separate(&mut first);
            if self.style == Style::Repr || key.as_str().is_some() {
                self.value(&key)?;
            } else {
                return Err(refuse("a key that is not text cannot be written as JSON"));
            }
            self.out.push_str(": ");
            self.value(&value.get_item(&key)?)?;
        }
        self.leave('}', first);
        Ok(())
    }

    fn enter(&mut self, open: char) -> Result<(), Error> {
        self.out.push(open);
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(refuse("the value nests too deep to be written"));
        }
        Ok(())
    }

    fn separate(&mut self, first: &mut bool) {
        if !*first {
            let indented = matches!(self.style, Style::Json { indent: Some(_) });
            self.out.push_str(if indented { "," } else { ", " });
        }
        *first = false;
        self.line();
    }

    fn leave(&mut self, close: char, empty: bool) {
        self.depth = self.depth.saturating_sub(1);
        if !empty {
            self.line();
        }
        self.out.push(close);
    }

    fn line(&mut self) {
        if let Style::Json {
            indent: Some(indent),
        } = self.style
        {
            self.out.push('\n');
            let spaces = core::iter::repeat_n(' ', indent * self.depth);
            self.out.extend(spaces);
        }
    }

    fn json_string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' => self.hexadecimal("\\u", c, 4),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn repr_string(&mut self, text: &str) {
        let quote = if text.contains('\'') && !text.contains('"') {
            '"'
        } else {
            '\''
        };
        self.out.push(quote);
        for c in text.chars() {
            match c {
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                c if c == quote => self.out.extend(['\\', c]),
                c if c < ' ' || ('\u{7f}'..='\u{a0}').contains(&c) || c == '\u{ad}' => {
                    self.hexadecimal("\\x", c, 2);
                }
                c => self.out.push(c),
            }
        }
        self.out.push(quote);
    }

    fn hexadecimal(&mut self, before: &str, c: char, width: usize) {
        let digits = format!("{:0width$x}", u32::from(c));
        self.out.extend([before, &digits]);
    }
}

/// Python's `repr` of a float: the shortest digits that read back, with an exponent below -4 or from 16 on.
fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_does() {
        for (number, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(float(number), expected);
        }
    }
}
