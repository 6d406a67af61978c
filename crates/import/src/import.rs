//! The import itself: calibrate, plan, lower, cut, check.

use credence_base::Digest;
use credence_base::domain::CALIBRATION;
use credence_commit::tree;
use credence_model::{Model, Provenance, Tensors};

use crate::calibrate::{Clipping, Observed};
use crate::cuts;
use crate::error::ImportError;
use crate::graph::Graph;
use crate::lower::{Lowered, lower};
use crate::plan::Planner;
use crate::reach::Reaches;
use crate::simplify::simplify;

/// Version of everything in this crate that a `ModelId` depends on. The same graph, options and calibration set give the same id only
/// under the same version.
pub const IMPORTER_VERSION: u32 = 5;

/// What an import depends on besides the graph.
#[derive(Debug)]
pub struct ImportOptions<'a> {
    /// Typical inputs, from which scales are chosen. A graph whose ranges follow from itself (trees on inputs) needs none.
    pub calibration: Option<&'a Tensors>,
    /// How far scales reach.
    pub clipping: Clipping,
    /// Where the graph came from, for provenance: pairs such as `source.sha256` and its digest.
    pub source: &'a [(&'a str, String)],
}

/// A checked model, and where it came from.
#[derive(Debug)]
pub struct Imported {
    /// The model.
    pub model: Model,
    /// Importer version, options, digests of source and calibration set.
    pub provenance: Provenance,
}

/// Turns a graph into an integer program with its tensors.
///
/// Deterministic: nothing but the graph, the options and [`IMPORTER_VERSION`] decides the result, on every target and for every number of threads.
///
/// # Errors
/// [`ImportError`], naming the node or input and the remedy.
pub fn import(graph: &Graph, options: &ImportOptions<'_>) -> Result<Imported, ImportError> {
    let graph = &simplify(graph);
    let observed = match options.calibration {
        Some(tensors) => Some(Observed::new(graph, tensors).map_err(ImportError::Calibration)?),
        None => None,
    };
    let planner = Planner::new(graph, Reaches::new(graph, observed, options.clipping));
    let Lowered { mut spec, params } = lower(&planner)?;
    cuts::assign(&mut spec)?;
    let model = Model::new(spec, params).map_err(ImportError::Model)?;
    Ok(Imported {
        model,
        provenance: provenance(options),
    })
}

fn provenance(options: &ImportOptions<'_>) -> Provenance {
    let mut provenance = Provenance::new();
    let mut note = |key: &str, text: String| {
        provenance.insert(key.to_owned(), text);
    };
    note("importer.version", IMPORTER_VERSION.to_string());
    note("importer.clipping", options.clipping.name().to_owned());
    if let Some(tensors) = options.calibration {
        let digest = tree::root(CALIBRATION, &tensors.encode());
        note("calibration.blake3", digest.to_string());
    }
    for (key, text) in options.source {
        note(key, text.clone());
    }
    provenance
}

/// The digest that provenance names a calibration text by.
#[must_use]
pub fn text_digest(text: &str) -> Digest {
    tree::root(CALIBRATION, text.as_bytes())
}
