//! `credence model list`, `show` and `rm`.

use credence_hub::{Entry, Hub, Removed};
use credence_model::ProgramSpec;
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
    /// What the file says, unchecked; null if it cannot be read.
    kind: Option<&'static str>,
    parameter_count: Option<u64>,
    context: Option<u32>,
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

/// Lists models. Nothing is loaded: what is said of each is what its file says.
pub(crate) fn list(context: &mut Context) -> Result<(), CliError> {
    let hub = context.hub()?;
    let entries = hub.list()?;
    if context.console.json() {
        let models = entries
            .iter()
            .map(|entry| entry_view(&hub, entry))
            .collect();
        return context.console.data_json(&ListView { models });
    }
    if entries.is_empty() {
        context
            .console
            .say("no models here yet: `credence pull smollm2-135m`, or `credence model import FILE.onnx --calibrate inputs.npz`");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("name", Side::Left),
        ("kind", Side::Left),
        ("parameters", Side::Right),
        ("bytes", Side::Right),
        ("id", Side::Left),
    ]);
    for entry in &entries {
        let EntryView {
            id,
            names,
            size_bytes,
            kind,
            parameter_count,
            context,
        } = entry_view(&hub, entry);
        let size = size_bytes.map_or_else(|| "file is gone".to_owned(), |n| n.to_string());
        let names = if names.is_empty() {
            "(no name)".to_owned()
        } else {
            names.join(", ")
        };
        let kind = match (kind, context) {
            (Some(kind), Some(context)) => format!("{kind}, {context} tokens"),
            (Some(kind), None) => kind.to_owned(),
            (None, _) => "unreadable".to_owned(),
        };
        let count = parameter_count.map_or_else(|| "-".to_owned(), |n| n.to_string());
        table.row(vec![names, kind, count, size, id]);
    }
    context.console.data(&table.text())
}

fn entry_view(hub: &Hub, entry: &Entry) -> EntryView {
    let program = hub.peek(entry.id).ok();
    let language = program.as_ref().and_then(|spec| spec.language.as_ref());
    EntryView {
        kind: program.as_ref().map(|spec| match spec.language {
            Some(_) => "language",
            None => "tensors",
        }),
        parameter_count: program.as_ref().map(ProgramSpec::parameter_count),
        context: language.map(|language| language.context),
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
