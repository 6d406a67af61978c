//! Tensors as people read them: all of a small one, a summary of a large one.

use std::fmt::Display;

use credence_model::{Elements, Tensor, Tensors};

/// Most rows and columns that are written out.
const ROWS_MAX: usize = 12;
const COLUMNS_MAX: usize = 16;

/// Words for all tensors.
pub(crate) fn text(tensors: &Tensors) -> String {
    let all: Vec<String> = tensors.iter().map(one).collect();
    all.join("\n")
}

/// Name, type and shape on one line.
pub(crate) fn heading(tensor: &Tensor) -> String {
    let dims: Vec<String> = tensor.shape().iter().map(ToString::to_string).collect();
    format!(
        "{}: {} [{}]",
        tensor.name(),
        tensor.elements().border_type().name(),
        dims.join(", ")
    )
}

fn one(tensor: &Tensor) -> String {
    let heading = heading(tensor);
    let rows = tensor.shape().first().copied().unwrap_or(1);
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let body = match tensor.elements() {
        Elements::Fp32(all) => body(all, rows),
        Elements::Int32(all) => body(all, rows),
        Elements::Int64(all) => body(all, rows),
    };
    format!("{heading}{body}")
}

fn body<T: Display + Copy>(all: &[T], rows: usize) -> String {
    let columns = all.len() / rows.max(1);
    if columns == 0 {
        return "\n  (no element)".to_owned();
    }
    let line = |row: &[T]| {
        let cells = row.iter().take(COLUMNS_MAX).map(ToString::to_string);
        let cells: Vec<String> = cells.collect();
        let more = row.len().saturating_sub(COLUMNS_MAX);
        let more = if more == 0 {
            String::new()
        } else {
            format!(" … and {more} more")
        };
        format!("\n  {}{more}", cells.join(" "))
    };
    let shown: String = all.chunks(columns).take(ROWS_MAX).map(line).collect();
    let more = rows.saturating_sub(ROWS_MAX);
    if more == 0 {
        shown
    } else {
        format!("{shown}\n  … and {more} more rows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_are_written_out_and_large_ones_cut() {
        let tensor = |shape: Vec<u64>, all: Vec<i64>| {
            one(&Tensor::new("y", shape, Elements::Int64(all)).unwrap())
        };
        assert_eq!(
            tensor(vec![2, 2], vec![1, 2, 3, 4]),
            "y: INT64 [2, 2]\n  1 2\n  3 4"
        );
        assert_eq!(
            tensor(vec![0, 2], vec![]),
            "y: INT64 [0, 2]\n  (no element)"
        );
        let long = tensor(vec![20, 20], (0..400).collect());
        assert!(long.contains("… and 4 more\n") && long.ends_with("… and 8 more rows"));
    }
}
