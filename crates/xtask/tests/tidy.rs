//! The repository checks itself: dependency edges, file headers and sizes, where domain strings stand, plug-in folders.
//!
//! The table of edges is the one in `ARCHITECTURE.md`; it is read, not copied.
#![expect(clippy::unwrap_used, reason = "a test says what is untidy by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const PREFIX: &str = "credence-";
/// Lines of a source file, tests not counted.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf()
}

/// The rows of the table under "## Crates" in ARCHITECTURE.md: crate or family, and what it may use.
fn edge_table() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text
        .split("## Crates")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let names: Vec<String> = cells[1]
            .split(',')
            .map(|name| name.trim().trim_matches('`').to_owned())
            .collect();
        let may_use = cells[3].to_owned();
        names.into_iter().map(move |name| (name, may_use.clone()))
    })
    .collect()
}

/// Whether a row's name (`base`, `method-*`) is about this crate.
fn covers(row: &str, krate: &str) -> bool {
    row.strip_suffix('*')
        .map_or(row == krate, |family| krate.starts_with(family))
}

/// Whether the third column of a row lets the crate use the other one.
fn allows(may_use: &str, user: &str, used: &str, table: &[(String, String)]) -> bool {
    let position = |krate: &str| table.iter().position(|(row, _)| covers(row, krate));
    let listed = |list: &str| {
        list.split(',')
            .map(|name| name.trim().trim_matches('`'))
            .any(|name| covers(name, used))
    };
    match may_use {
        "–" => false,
        "all" => true,
        "the above" => position(used) < position(user),
        other => match other.strip_prefix("all but ") {
            Some(list) => !list
                .split(" and ")
                .any(|name| covers(name.trim().trim_matches('`'), used)),
            None => listed(other),
        },
    }
}

fn workspace_edges() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut edges = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"]
            .as_str()
            .unwrap()
            .strip_prefix(PREFIX)
            .unwrap()
            .to_owned();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let normal = dependencies.filter(|dependency| dependency["kind"] != "dev");
        let ours = normal
            .filter_map(|dependency| dependency["name"].as_str().unwrap().strip_prefix(PREFIX));
        edges.insert(name, ours.map(str::to_owned).collect());
    }
    edges
}

#[test]
fn dependencies_point_up_the_table() {
    let table = edge_table();
    for (user, uses) in workspace_edges() {
        let Some((_, may_use)) = table.iter().find(|(row, _)| covers(row, &user)) else {
            panic!("crate `{user}` has no row in ARCHITECTURE.md");
        };
        for used in uses {
            assert!(
                allows(may_use, &user, &used, &table),
                "`{user}` may not use `{used}`: its row says `{may_use}`"
            );
        }
    }
}

#[test]
fn the_table_tells_edges_apart() {
    let row = |name: &str, may_use: &str| (name.to_owned(), may_use.to_owned());
    let table = [
        row("base", "–"),
        row("method-*", "`base`, `exact`"),
        row("wiring", "the above"),
        row("node", "all but `watch` and `cli`"),
    ];
    let allowed = |user: &str, used: &str| {
        let (_, may_use) = table.iter().find(|(name, _)| covers(name, user)).unwrap();
        allows(may_use, user, used, &table)
    };
    assert!(!allowed("base", "exact"));
    assert!(allowed("method-replay", "base") && !allowed("method-replay", "wiring"));
    assert!(allowed("wiring", "method-spot") && !allowed("wiring", "node"));
    assert!(allowed("node", "wiring") && !allowed("node", "cli"));
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&root().join("crates"), &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

/// The file without its tests.
fn code_of(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
}

/// The testkit is all test.
fn is_test(path: &Path) -> bool {
    path.components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "testkit")
        || path.file_name().is_some_and(|name| name == "tests.rs")
}

#[test]
fn every_file_says_what_it_does_and_is_short() {
    for (path, text) in all_sources() {
        let header = text.lines().next().unwrap_or_default();
        assert!(
            header.starts_with("//! ") && header.len() > 10,
            "{} does not open with what it does",
            path.display()
        );
        let code = code_of(&text);
        let lines = code.lines().count();
        assert!(
            is_test(&path) || lines <= LINES_MAX,
            "{} has {lines} lines",
            path.display()
        );
    }
}

#[test]
fn domain_strings_stand_in_one_file() {
    let quoted = format!("\"{}/", "credence");
    for (path, text) in all_sources() {
        let is_home = path.ends_with("base/src/domain.rs");
        let of_library = !is_test(&path) && !path.starts_with(root().join("crates/testkit"));
        let elsewhere = code_of(&text)
            .lines()
            .filter(|line| line.contains(&quoted) && line.contains("/v1\""));
        assert!(
            is_home || !of_library || elsewhere.count() == 0,
            "{} writes a domain string",
            path.display()
        );
    }
}

#[test]
fn unsafe_is_forbidden_where_no_kernel_and_no_map_lives() {
    for folder in std::fs::read_dir(root().join("crates")).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        for file in ["src/lib.rs", "src/main.rs"] {
            let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
                continue;
            };
            let forbids = text.contains("#![forbid(unsafe_code)]");
            assert!(
                forbids || ["exec", "store"].contains(&&*name),
                "{name}/{file} does not forbid unsafe code"
            );
        }
    }
}

#[test]
fn no_test_is_switched_off_and_nothing_is_left_undone() {
    let words = [
        "#[ignore",
        "todo!(",
        "unimplemented!(",
        "should_panic",
        "#[allow(",
    ];
    for (path, text) in all_sources() {
        if path.ends_with("xtask/tests/tidy.rs") {
            continue;
        }
        for word in words {
            assert!(!text.contains(word), "{} has `{word}`", path.display());
        }
    }
}

/// The files of a folder whose names end so, by name.
fn files(folder: &str, end: &str) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.to_string_lossy().ends_with(end))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn every_schema_is_named_in_the_documents_and_held_to_something() {
    let within = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let mut named = BTreeSet::new();
    for folder in ["docs", "docs/spec"] {
        for text in files(folder, ".md").values() {
            let words = text.split(|c: char| !within(c));
            named.extend(words.filter(|w| w.ends_with(".v1.json")).map(str::to_owned));
        }
    }
    let schemas = files("schemas", ".v1.json");
    let there: BTreeSet<String> = schemas.keys().cloned().collect();
    assert_eq!(named, there, "named in docs, and there");
    let mut tests: String = files("tests/python", ".py").into_values().collect();
    tests.extend(all_sources().into_iter().map(|(_, text)| text));
    for (name, schema) in schemas {
        let stem = name.strip_suffix(".v1.json").unwrap();
        let used = tests.contains(&format!("\"{stem}\"")) || tests.contains(&name);
        assert!(used, "no test holds anything to schemas/{name}");
        assert!(
            schema.contains(&format!("/{name}\"")),
            "{name} has another id"
        );
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut pages = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    for folder in ["docs", "docs/spec", "docs/decisions"] {
        let entries = std::fs::read_dir(root().join(folder)).unwrap();
        pages.extend(
            entries
                .map(|entry| entry.unwrap().path())
                .filter(|p| p.extension().is_some_and(|e| e == "md")),
        );
    }
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap();
            let here = target.is_empty() || target.contains("://");
            assert!(
                here || page.parent().unwrap().join(target).exists(),
                "{} links to `{link}`",
                page.display()
            );
        }
    }
}
