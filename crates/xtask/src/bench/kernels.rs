//! Where the time of a run goes: each kernel's share, what it does in a second, and which limit it is at.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use credence_exact::{NodeId, Op};
use credence_exec::StepTime;
use credence_model::Program;

/// One kernel of one run.
pub(crate) struct Kernel {
    pub(crate) name: &'static str,
    /// Share of all steps' time.
    pub(crate) share: f64,
    /// Cells that it computes, of one position.
    pub(crate) cells: usize,
    /// Billions of cells a second.
    pub(crate) cells_g: f64,
    /// Billions of 8-bit multiply-adds a second, of products.
    pub(crate) products_g: f64,
}

/// Multiply-adds of a node at one position: for each cell of a product as many as its row has weights.
pub(crate) fn multiply_adds(program: &Program, id: NodeId) -> usize {
    let found = program.nodes().find(|(node, _, _)| *node == id);
    let Some((_, node, shape)) = found else {
        return 0;
    };
    let weight = match &node.op {
        Op::Linear(op) => op.weight,
        Op::Conv(op) => op.weight,
        _ => return 0,
    };
    let row = program.param_shape(weight);
    shape.cells() * row.map_or(0, |w| w.cells() / w.dims().first().copied().unwrap_or(1))
}

/// The kernels of a run over so many positions in all, the longest first.
pub(crate) fn kernels(program: &Program, times: &[StepTime], positions: f64) -> Vec<Kernel> {
    let cells: BTreeMap<NodeId, usize> = program
        .nodes()
        .map(|(id, _, shape)| (id, shape.cells()))
        .collect();
    let total: f64 = times.iter().map(|time| time.seconds).sum();
    let mut all: BTreeMap<&'static str, (f64, usize, usize)> = BTreeMap::new();
    for time in times {
        let (seconds, made, products) = all.entry(time.step).or_default();
        *seconds += time.seconds;
        // A step's last node is its result; those before are sums that never leave registers.
        let last = time.nodes.last().and_then(|id| cells.get(id));
        *made += last.copied().unwrap_or(0);
        *products += time
            .nodes
            .iter()
            .map(|&id| multiply_adds(program, id))
            .sum::<usize>();
    }
    let of = |count: usize, seconds: f64| super::language::real(count) * positions / seconds / 1e9;
    let mut kernels: Vec<Kernel> = all
        .into_iter()
        .filter(|(_, (seconds, _, _))| *seconds > 0.0)
        .map(|(name, (seconds, cells, products))| Kernel {
            name,
            share: seconds / total,
            cells,
            cells_g: of(cells, seconds),
            products_g: of(products, seconds),
        })
        .collect();
    kernels.sort_by(|a, b| b.share.total_cmp(&a.share));
    kernels
}

/// What bounds a kernel, by what its inner loop does.
fn limit(name: &str) -> &'static str {
    match name {
        "product" | "direct conv" => {
            "arithmetic; memory if a matrix fits no cache and few rows are read with it"
        }
        "scores" | "attend" => {
            "arithmetic, 16-bit multiply-adds; memory of keys and values at long contexts"
        }
        "table" | "embed" | "gather" | "gather_sum" => "loads: one look-up a cell",
        "tree_leaves" => "latency: each comparison waits for the one before",
        "rescale" | "add" | "mul" | "rope" => {
            "arithmetic: products, shifts and clamps of 64 bits, 8 to an instruction"
        }
        "quantise" | "divide" | "softmax" => "arithmetic: quotients in 64-bit floats",
        "hadamard" => "arithmetic: additions and shuffles in the first cache",
        "input" => "arithmetic: floats to integers, with their checks",
        _ => "moving and comparing cells in the first cache",
    }
}

/// Rows of a table: what was run, and its kernels that take a hundredth or more.
pub(crate) fn rows(
    page: &mut String,
    what: &str,
    kernels: &[Kernel],
    peak_g: f64,
) -> std::fmt::Result {
    for kernel in kernels.iter().filter(|kernel| kernel.share >= 0.01) {
        let peak = if kernel.products_g > 0.0 {
            format!("{:.0} % of the peak", kernel.products_g / peak_g * 100.0)
        } else {
            "–".to_owned()
        };
        writeln!(
            page,
            "| {what} | {} | {:.0} % | {} | {:.2} | {peak} | {} |",
            kernel.name,
            kernel.share * 100.0,
            kernel.cells,
            kernel.cells_g,
            limit(kernel.name)
        )?;
    }
    Ok(())
}

/// The head of the table.
pub(crate) const HEAD: &str = "\
| run | kernel | of the run | cells a position | G cells/s | multiply-adds | limit |
|---|---|---|---|---|---|---|";
