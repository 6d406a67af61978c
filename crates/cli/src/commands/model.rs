//! `credence model list`, `show` and `rm`.

use credence_hub::{Entry, Removed};
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::view::model::ModelView;
use crate::view::table::{Side, Table};

/// One line of `model list --json`.
#[derive(Debug, Serialize)]
struct EntryView {
    id: String,
    names: Vec<String>,
    size_bytes: Option<u64>,
}

/// What `model rm --json` prints.
#[derive(Debug, Serialize)]
struct RemovedView {
    id: String,
    names: Vec<String>,
    file: bool,
}

/// What `model list --json` prints.
#[derive(Debug, Serialize)]
struct ListView {
    models: Vec<EntryView>,
}

/// Lists models. Nothing is loaded.
pub(crate) fn list(context: &mut Context) -> Result<(), CliError> {
    let entries = context.hub()?.list()?;
    if context.console.json() {
        let models = entries.iter().map(entry_view).collect();
        return context.console.data_json(&ListView { models });
    }
    if entries.is_empty() {
        context
            .console
            .say("no models here yet: `credence model import FILE.onnx --calibrate inputs.npz`");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("name", Side::Left),
        ("bytes", Side::Right),
        ("id", Side::Left),
    ]);
    for entry in &entries {
        let EntryView {
            id,
            names,
            size_bytes,
        } = entry_view(entry);
        let size = size_bytes.map_or_else(|| "file is gone".to_owned(), |n| n.to_string());
        let names = if names.is_empty() {
            "(no name)".to_owned()
        } else {
            names.join(", ")
        };
        table.row(vec![names, size, id]);
    }
    context.console.data(&table.text())
}

fn entry_view(entry: &Entry) -> EntryView {
    EntryView {
        id: entry.id.to_string(),
        names: entry.names.iter().map(ToString::to_string).collect(),
        size_bytes: entry.size_bytes,
    }
}

/// Prints a model's program.
pub(crate) fn show(context: &mut Context, text: &str) -> Result<(), CliError> {
    let found = context.model(text)?;
    let view = ModelView::new(&found.model, &found.provenance);
    if context.console.json() {
        return context.console.data_json(&view);
    }
    context.console.data(&view.text())
}

/// Removes a name, and the model with its last one.
pub(crate) fn remove(context: &mut Context, text: &str) -> Result<(), CliError> {
    let Removed { id, names, file } = context.hub()?.remove(text)?;
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    if context.console.json() {
        let id = id.to_string();
        return context.console.data_json(&RemovedView { id, names, file });
    }
    for name in names {
        context.console.say(&format!("removed the name `{name}`"));
    }
    context.console.say(&if file {
        format!("removed model `{id}`")
    } else {
        format!("model `{id}` stays: it has another name")
    });
    Ok(())
}
