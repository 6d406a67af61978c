//! From a JSON schema to nodes: every keyword is followed, is an annotation, or is refused by name (`docs/spec/grammar.md`, section 2).

use std::collections::{BTreeMap, BTreeSet};

use crate::error::GrammarError;
use crate::json::{DEPTH_MAX, Json, quoted};
use crate::nodes::{ANY, Node, NodeId, Nodes, Property, any};
use crate::number::{Range, bound};

/// Most parts of a grammar: nodes, named properties, required names and literal texts.
const NODES_MAX: usize = 8192;

/// Keywords that say nothing about which values fit.
const ANNOTATIONS: [&str; 14] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "discriminator",
];
/// Keywords of each type.
const OBJECT: [&str; 3] = ["properties", "required", "additionalProperties"];
const LIST: [&str; 4] = ["items", "prefixItems", "minItems", "maxItems"];
const TEXT: [&str; 2] = ["minLength", "maxLength"];
const NUMBER: [&str; 4] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
/// Keywords that say all, and stand beside annotations alone.
const WHOLE: [&str; 3] = ["$ref", "anyOf", "allOf"];
/// What types there are.
const TYPES: [&str; 7] = [
    "object", "array", "string", "number", "integer", "boolean", "null",
];

/// A text before and behind what a schema describes.
pub(crate) type Frame<'a> = (&'a [u8], &'a [u8]);

/// Compiles schemas, one of which fits: each a document of its own, within its frame if it has one.
pub(crate) fn compile(schemas: &[(Option<Frame<'_>>, &Json)]) -> Result<Nodes, GrammarError> {
    let (mut all, mut listed) = (any(), 0);
    let mut roots = Vec::new();
    for (frame, schema) in schemas {
        let mut compiler = Compiler {
            document: schema,
            all,
            listed,
            references: BTreeMap::new(),
            pending: Vec::new(),
        };
        let mut root = compiler.schema(schema, "#")?;
        compiler.pending()?;
        if let Some((before, after)) = frame {
            root = compiler.add(Node::Framed {
                before: before.to_vec(),
                inner: root,
                after: after.to_vec(),
            })?;
        }
        roots.push(root);
        (all, listed) = (compiler.all, compiler.listed);
    }
    all.push(Node::Either(roots));
    check_circles(&all)?;
    let root = all.len() - 1;
    let nodes = Nodes::new(all, root);
    if nodes.fits(root, 0) {
        Ok(nodes)
    } else {
        Err(GrammarError::Empty { max: DEPTH_MAX })
    }
}

/// Refuses alternatives that lead back to themselves without a byte in between.
fn check_circles(all: &[Node]) -> Result<(), GrammarError> {
    // What leads only to what is known to end, ends; what is left over goes in circles.
    let mut from: Vec<Vec<NodeId>> = vec![Vec::new(); all.len()];
    let (mut waits, mut ends) = (vec![0_usize; all.len()], Vec::new());
    for (id, node) in all.iter().enumerate() {
        let ways = match node {
            Node::Either(ways) => ways.as_slice(),
            _ => &[],
        };
        for &way in ways {
            if let (Some(own), Some(wait)) = (from.get_mut(way), waits.get_mut(id)) {
                own.push(id);
                *wait += 1;
            }
        }
        if ways.is_empty() {
            ends.push(id);
        }
    }
    let mut found = 0;
    while let Some(id) = ends.pop() {
        found += 1;
        for &before in from.get(id).into_iter().flatten() {
            if let Some(wait) = waits.get_mut(before) {
                *wait -= 1;
                if *wait == 0 {
                    ends.push(before);
                }
            }
        }
    }
    if found < all.len() {
        let at = "#".to_owned();
        return Err(GrammarError::Circle { at });
    }
    Ok(())
}

/// A keyword of definitions and a name there; none for the document.
type Name<'a> = Option<(&'static str, &'a str)>;

/// What `$ref` names and is not compiled yet: its node, where it stands, and the schema.
struct Pending<'a> {
    node: NodeId,
    path: String,
    schema: &'a Json,
}

struct Compiler<'a> {
    document: &'a Json,
    all: Vec<Node>,
    /// Properties, required names and literal texts of these nodes.
    listed: usize,
    /// Nodes of what `$ref` names, however it spells it.
    references: BTreeMap<Name<'a>, NodeId>,
    pending: Vec<Pending<'a>>,
}

fn wrong(keyword: &str, at: &str, expected: &'static str) -> GrammarError {
    GrammarError::Value {
        keyword: keyword.to_owned(),
        at: at.to_owned(),
        expected,
    }
}

fn refused(keyword: &str, at: &str) -> GrammarError {
    GrammarError::Keyword {
        keyword: keyword.chars().take(64).collect(),
        at: at.to_owned(),
    }
}

/// A whole number of a keyword; none if it is absent.
fn size(schema: &Json, keyword: &str, at: &str) -> Result<Option<usize>, GrammarError> {
    let Some(value) = schema.member(keyword) else {
        return Ok(None);
    };
    let number = match value {
        Json::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()),
        _ => None,
    };
    let number = number.ok_or_else(|| wrong(keyword, at, "a whole number, not negative"))?;
    Ok(Some(number))
}

impl<'a> Compiler<'a> {
    fn add(&mut self, node: Node) -> Result<NodeId, GrammarError> {
        self.check_parts(1)?;
        self.all.push(node);
        Ok(self.all.len() - 1)
    }

    /// Refuses so many further parts if they are too many.
    fn check_parts(&self, further: usize) -> Result<(), GrammarError> {
        let parts = self.all.len().saturating_add(self.listed);
        if parts.saturating_add(further) > NODES_MAX {
            return Err(GrammarError::TooLarge { max: NODES_MAX });
        }
        Ok(())
    }

    /// Counts what a node lists.
    fn list_parts(&mut self, further: usize) -> Result<(), GrammarError> {
        self.check_parts(further)?;
        self.listed = self.listed.saturating_add(further);
        Ok(())
    }

    /// One of several; each is tried once, however often it is named.
    fn either(&mut self, mut ways: Vec<NodeId>) -> Result<NodeId, GrammarError> {
        let mut seen = BTreeSet::new();
        ways.retain(|way| seen.insert(*way));
        self.add(Node::Either(ways))
    }

    /// Compiles what `$ref` named, one after the other, so that only what is nested in the text takes stack: at most `DEPTH_MAX` levels.
    fn pending(&mut self) -> Result<(), GrammarError> {
        while let Some(next) = self.pending.pop() {
            let inner = self.schema(next.schema, &next.path)?;
            if let Some(own) = self.all.get_mut(next.node) {
                *own = Node::Either(vec![inner]);
            }
        }
        Ok(())
    }

    fn schema(&mut self, schema: &'a Json, at: &str) -> Result<NodeId, GrammarError> {
        let members = match schema {
            Json::Bool(true) => return Ok(ANY),
            Json::Bool(false) => return self.add(Node::Either(Vec::new())),
            Json::Object(members) => members,
            _ => return Err(wrong("schema", at, "a schema: an object, or true or false")),
        };
        let keywords = members.iter().map(|(keyword, _)| keyword.as_str());
        let keywords: Vec<&str> = keywords.filter(|own| !ANNOTATIONS.contains(own)).collect();
        for keyword in &keywords {
            let known = ["type", "enum", "const"].contains(keyword)
                || WHOLE.contains(keyword)
                || [&OBJECT[..], &LIST[..], &TEXT[..], &NUMBER[..]]
                    .iter()
                    .any(|own| own.contains(keyword));
            if !known {
                return Err(refused(keyword, at));
            }
        }
        if let Some(whole) = keywords.iter().find(|own| WHOLE.contains(own)) {
            if let Some(other) = keywords.iter().find(|own| *own != whole) {
                return Err(refused(&format!("{other}` beside `{whole}"), at));
            }
            return self.whole(schema, whole, at);
        }
        if keywords.is_empty() {
            return Ok(ANY);
        }
        if schema.member("enum").is_some() || schema.member("const").is_some() {
            return self.words(schema, &keywords, at);
        }
        let types = types(schema, &keywords, at)?;
        let mut ways = Vec::new();
        for name in types {
            ways.push(self.typed(schema, name, at)?);
        }
        match ways.as_slice() {
            [one] => Ok(*one),
            _ => self.either(ways),
        }
    }

    /// `$ref`, `anyOf`, and `allOf` of one.
    fn whole(&mut self, schema: &'a Json, keyword: &str, at: &str) -> Result<NodeId, GrammarError> {
        let value = schema.member(keyword);
        if keyword == "$ref" {
            let Some(Json::Text(path)) = value else {
                return Err(wrong(keyword, at, "a text"));
            };
            return self.reference(path, at);
        }
        let Some(Json::List(ways)) = value else {
            return Err(wrong(keyword, at, "a list of schemas"));
        };
        let mut nodes = Vec::new();
        for (index, way) in ways.iter().enumerate() {
            nodes.push(self.schema(way, &format!("{at}/{keyword}/{index}"))?);
        }
        match (keyword, nodes.as_slice()) {
            (_, [one]) => Ok(*one),
            ("anyOf", [_, ..]) => self.either(nodes),
            ("anyOf", []) => Err(wrong(keyword, at, "a list of at least one schema")),
            (_, _) => Err(wrong(keyword, at, "a list of one schema here")),
        }
    }

    /// A reference within the document: `#`, or a name among its definitions.
    fn reference(&mut self, path: &str, at: &str) -> Result<NodeId, GrammarError> {
        let document = self.document;
        let named = |keyword: &'static str| {
            let name = path.strip_prefix(&format!("#/{keyword}/"))?;
            let name = name.replace("~1", "/").replace("~0", "~");
            let Json::Object(definitions) = document.member(keyword)? else {
                return None;
            };
            let (name, schema) = definitions.iter().find(|(own, _)| *own == name)?;
            Some((Some((keyword, name.as_str())), schema))
        };
        let target = if path == "#" {
            Some((None, document))
        } else {
            named("$defs").or_else(|| named("definitions"))
        };
        let expected = "`#`, or `#/$defs/` with the name of a definition in this schema";
        let (name, schema) = target.ok_or_else(|| wrong("$ref", at, expected))?;
        if let Some(&known) = self.references.get(&name) {
            return Ok(known);
        }
        // Known before it is compiled, so that it may refer to itself.
        let node = self.add(Node::Either(Vec::new()))?;
        self.references.insert(name, node);
        let path = path.to_owned();
        self.pending.push(Pending { node, path, schema });
        Ok(node)
    }

    /// `enum` and `const`, of the types that `type` allows.
    fn words(
        &mut self,
        schema: &Json,
        keywords: &[&str],
        at: &str,
    ) -> Result<NodeId, GrammarError> {
        let beside = |own: &&&str| !["enum", "const", "type"].contains(own);
        if let Some(other) = keywords.iter().find(beside) {
            return Err(refused(&format!("{other}` beside `enum` or `const"), at));
        }
        let named = match schema.member("enum") {
            None => None,
            Some(Json::List(all)) => Some(all.clone()),
            Some(_) => return Err(wrong("enum", at, "a list of values")),
        };
        let one = schema.member("const");
        let all = match (named, one) {
            (Some(all), Some(one)) => all.into_iter().filter(|value| value == one).collect(),
            (Some(all), None) => all,
            (None, one) => one.cloned().into_iter().collect(),
        };
        let types = match schema.member("type") {
            None => TYPES.to_vec(),
            Some(_) => types(schema, keywords, at)?,
        };
        let fits = |value: &&Json| types.iter().any(|name| is_of(value, name));
        let words = all
            .iter()
            .filter(fits)
            .map(|value| value.text().into_bytes());
        let mut words: Vec<Vec<u8>> = words.collect();
        words.sort_unstable();
        words.dedup();
        self.list_parts(words.len())?;
        self.add(Node::Words(words))
    }

    fn typed(&mut self, schema: &'a Json, name: &str, at: &str) -> Result<NodeId, GrammarError> {
        match name {
            "object" => self.object(schema, at),
            "array" => self.list(schema, at),
            "string" => {
                let min = size(schema, "minLength", at)?.unwrap_or(0);
                let max = size(schema, "maxLength", at)?.unwrap_or(usize::MAX);
                self.add(Node::Text { min, max })
            }
            "boolean" => {
                let words = ["false", "true"].map(|word| word.as_bytes().to_vec());
                self.add(Node::Words(words.to_vec()))
            }
            "null" => self.add(Node::Words(vec![b"null".to_vec()])),
            other => {
                let range = range(schema, other == "integer", at)?;
                self.add(Node::Number(range))
            }
        }
    }

    fn object(&mut self, schema: &'a Json, at: &str) -> Result<NodeId, GrammarError> {
        let named = match schema.member("properties") {
            None => &[][..],
            Some(Json::Object(named)) => named.as_slice(),
            Some(_) => return Err(wrong("properties", at, "an object of schemas")),
        };
        let required = required(schema, at)?;
        self.list_parts(named.len().saturating_add(required.len()))?;
        let own: BTreeSet<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
        let needed: BTreeSet<&str> = required.iter().copied().collect();
        let others = match schema.member("additionalProperties") {
            None => Some(ANY),
            Some(Json::Bool(false)) => None,
            Some(other) => Some(self.schema(other, &format!("{at}/additionalProperties"))?),
        };
        let mut properties = Vec::new();
        for (name, value) in named {
            let value = self.schema(value, &format!("{at}/properties/{name}"))?;
            properties.push(Property {
                key: quoted(name).into_bytes(),
                value,
                required: needed.contains(name.as_str()),
            });
        }
        // What is required and has no schema is one of the others, at the end.
        for name in &required {
            if !own.contains(name) {
                let value = match others {
                    Some(others) => others,
                    None => self.add(Node::Either(Vec::new()))?,
                };
                let key = quoted(name).into_bytes();
                let required = true;
                properties.push(Property {
                    key,
                    value,
                    required,
                });
            }
        }
        let names = own.union(&needed).map(|name| name.as_bytes().to_vec());
        let names = names.collect();
        self.add(Node::Object {
            properties,
            names,
            others,
        })
    }

    fn list(&mut self, schema: &'a Json, at: &str) -> Result<NodeId, GrammarError> {
        let mut first = Vec::new();
        match schema.member("prefixItems") {
            None => {}
            Some(Json::List(items)) => {
                for (index, item) in items.iter().enumerate() {
                    first.push(self.schema(item, &format!("{at}/prefixItems/{index}"))?);
                }
            }
            Some(_) => return Err(wrong("prefixItems", at, "a list of schemas")),
        }
        let others = match schema.member("items") {
            None => Some(ANY),
            Some(Json::Bool(false)) => None,
            Some(items) => Some(self.schema(items, &format!("{at}/items"))?),
        };
        let min = size(schema, "minItems", at)?.unwrap_or(0);
        let max = size(schema, "maxItems", at)?.unwrap_or(usize::MAX);
        if min > max {
            return self.add(Node::Either(Vec::new()));
        }
        self.add(Node::List {
            first,
            others,
            min,
            max,
        })
    }
}

/// The types that `type` names, or the one that the other keywords are about.
fn types<'a>(schema: &'a Json, keywords: &[&str], at: &str) -> Result<Vec<&'a str>, GrammarError> {
    let expected = "a type of JSON, or a list of such";
    let known = |name: &'a Json| match name {
        Json::Text(name) if TYPES.contains(&name.as_str()) => Ok(name.as_str()),
        _ => Err(wrong("type", at, expected)),
    };
    match schema.member("type") {
        Some(Json::List(names)) if !names.is_empty() => {
            let mut found: Vec<&str> = Vec::new();
            for name in names {
                let name = known(name)?;
                if !found.contains(&name) {
                    found.push(name);
                }
            }
            Ok(found)
        }
        Some(name) => Ok(vec![known(name)?]),
        None => {
            let about = |own: &[&str]| keywords.iter().all(|keyword| own.contains(keyword));
            let kinds: [(&[&str], &str); 4] = [
                (&OBJECT, "object"),
                (&LIST, "array"),
                (&TEXT, "string"),
                (&NUMBER, "number"),
            ];
            let found = kinds.into_iter().find(|(own, _)| about(own));
            let found = found.ok_or_else(|| wrong("type", at, "there"))?;
            Ok(vec![found.1])
        }
    }
}

fn is_of(value: &Json, name: &str) -> bool {
    match value {
        Json::Null => name == "null",
        Json::Bool(_) => name == "boolean",
        Json::Number(number) => name == "number" || (name == "integer" && !number.is_f64()),
        Json::Text(_) => name == "string",
        Json::List(_) => name == "array",
        Json::Object(_) => name == "object",
    }
}

fn required<'a>(schema: &'a Json, at: &str) -> Result<Vec<&'a str>, GrammarError> {
    let expected = "a list of names";
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    match schema.member("required") {
        None => {}
        Some(Json::List(all)) => {
            for name in all {
                let Json::Text(name) = name else {
                    return Err(wrong("required", at, expected));
                };
                if seen.insert(name.as_str()) {
                    names.push(name.as_str());
                }
            }
        }
        Some(_) => return Err(wrong("required", at, expected)),
    }
    Ok(names)
}

fn range(schema: &Json, integer: bool, at: &str) -> Result<Range, GrammarError> {
    let read = |keyword: &str| -> Result<Option<i128>, GrammarError> {
        let expected = "a number of at most 15 digits behind the point";
        match schema.member(keyword) {
            None => Ok(None),
            Some(Json::Number(number)) => bound(&number.to_string())
                .map(Some)
                .ok_or_else(|| wrong(keyword, at, expected)),
            Some(_) => Err(wrong(keyword, at, expected)),
        }
    };
    let above = read("exclusiveMinimum")?.map(|bound| bound + 1);
    let below = read("exclusiveMaximum")?.map(|bound| bound - 1);
    let (min, max) = (read("minimum")?, read("maximum")?);
    Ok(Range {
        integer,
        min: min.into_iter().chain(above).max(),
        max: max.into_iter().chain(below).min(),
    })
}

#[cfg(test)]
mod tests {
    use super::{GrammarError, Json, NODES_MAX, compile};

    fn parts(text: &str) -> Result<usize, GrammarError> {
        let schema = Json::read(text).ok_or(GrammarError::NotCanonical)?;
        compile(&[(None, &schema)]).map(|nodes| nodes.len())
    }

    /// Six nodes are of any value, one is the root.
    #[test]
    fn nodes_are_made_once() {
        let objects = ["\"object\""; 2000].join(",");
        let types = ["\"object\",\"null\""; 2000].join(",");
        for (text, nodes) in [
            ("true".to_owned(), 0),
            (format!(r#"{{"type":[{objects}],"properties":{{"a":true}}}}"#), 1),
            (format!(r#"{{"type":[{types}],"properties":{{"a":true}}}}"#), 3),
            // Of the alternatives, the definition's node and its null are made once.
            (
                r##"{"anyOf":[{"$ref":"#/$defs/~~"},{"$ref":"#/$defs/~0~"},{"$ref":"#/$defs/~0~0"}],"$defs":{"~~":{"type":"null"}}}"##.to_owned(),
                3,
            ),
        ] {
            assert_eq!(parts(&text), Ok(nodes + 7), "{}", text.len());
        }
    }

    #[test]
    fn what_is_listed_counts() {
        let numbers = |count: usize| {
            let words: Vec<String> = (0..count).map(|own| own.to_string()).collect();
            format!(r#"{{"enum":[{}]}}"#, words.join(","))
        };
        // Beside the words there are six nodes, and theirs.
        assert_eq!(parts(&numbers(NODES_MAX - 7)), Ok(8));
        let max = NODES_MAX;
        assert_eq!(
            parts(&numbers(NODES_MAX - 6)),
            Err(GrammarError::TooLarge { max })
        );
    }
}
