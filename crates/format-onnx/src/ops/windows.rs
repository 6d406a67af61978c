//! Convolutions and pools. One-dimensional ones are two-dimensional ones of height 1.

use credence_import::{AffineOp, ConvOp, GraphOp, ValueId, Window, window_cells};

use super::one;
use crate::attributes::Attributes;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// A value as an image, and how many spatial axes it has outside.
pub(super) struct Image {
    pub(super) x: ValueId,
    /// C, H, W.
    pub(super) dims: [usize; 3],
    pub(super) axes: usize,
}

pub(super) fn image(t: &mut Translator, node: &Node<'_>) -> Result<Image, OnnxError> {
    let x = t.real(node, 0, node.value(0)?)?;
    let dims = match t.shape(x)[..] {
        [channels, width] => [channels, 1, width],
        [channels, height, width] => [channels, height, width],
        ref other => {
            let expected = "[batch, C, W] or [batch, C, H, W]";
            return Err(node.operand_error(0, expected, format!("[batch, {other:?}]")));
        }
    };
    let axes = t.shape(x).len() - 1;
    Ok(Image {
        x: t.reshape(node, x, dims.to_vec())?,
        dims,
        axes,
    })
}

/// Gives a result as many spatial axes as the operand had.
fn back(
    t: &mut Translator,
    node: &Node<'_>,
    y: ValueId,
    axes: usize,
) -> Result<Vec<Slot>, OnnxError> {
    let shape = t.shape(y);
    match (axes, shape.as_slice()) {
        (1, &[channels, _, width]) => Ok(one(t.reshape(node, y, vec![channels, width])?)),
        _ => Ok(one(y)),
    }
}

/// An attribute of one number for each spatial axis, as (vertical, horizontal).
pub(super) fn pair(
    attributes: &Attributes<'_>,
    name: &str,
    axes: usize,
    default: Option<u32>,
) -> Result<[u32; 2], OnnxError> {
    let expected = || format!("{axes} positive integers");
    let Some(ints) = attributes.ints(name)? else {
        let missing = || attributes.error(name, expected(), "absent");
        return default.map(|d| [d, d]).ok_or_else(missing);
    };
    let sizes: Option<Vec<u32>> = ints.iter().map(|&n| u32::try_from(n).ok()).collect();
    match (axes, sizes.as_deref()) {
        (1, Some(&[width])) => Ok([1, width]),
        (2, Some(&[height, width])) => Ok([height, width]),
        _ => Err(attributes.error(name, expected(), format!("{ints:?}"))),
    }
}

/// Padding: explicit, or as `auto_pad` works it out from the operand's size.
fn padding(
    attributes: &Attributes<'_>,
    image: &Image,
    [kernel, stride, dilation]: [[u32; 2]; 3],
) -> Result<[u32; 4], OnnxError> {
    let mode = attributes.string("auto_pad")?.unwrap_or("NOTSET");
    match mode {
        "" | "NOTSET" => {
            let Some(ints) = attributes.ints("pads")? else {
                return Ok([0; 4]);
            };
            let sizes: Option<Vec<u32>> = ints.iter().map(|&n| u32::try_from(n).ok()).collect();
            match (image.axes, sizes.as_deref()) {
                (1, Some(&[left, right])) => Ok([0, left, 0, right]),
                (2, Some(&[top, left, bottom, right])) => Ok([top, left, bottom, right]),
                _ => Err(attributes.error(
                    "pads",
                    "two numbers of at least 0 for each spatial axis",
                    format!("{ints:?}"),
                )),
            }
        }
        "VALID" => Ok([0; 4]),
        "SAME_UPPER" | "SAME_LOWER" => {
            let mut pads = [0; 4];
            for axis in 0..2 {
                let (k, s, d) = (kernel[axis], stride[axis].max(1), dilation[axis]);
                let length = u64::try_from(image.dims[axis + 1]).unwrap_or(u64::MAX);
                let steps = length.div_ceil(u64::from(s)) - 1;
                let extent = u64::from(d) * u64::from(k.saturating_sub(1)) + 1;
                let all = (steps.saturating_mul(u64::from(s)) + extent).saturating_sub(length);
                let less = u32::try_from(all / 2).unwrap_or(u32::MAX);
                let more = u32::try_from(all - all / 2).unwrap_or(u32::MAX);
                let upper = mode == "SAME_UPPER";
                (pads[axis], pads[axis + 2]) = if upper { (less, more) } else { (more, less) };
            }
            Ok(pads)
        }
        other => {
            Err(attributes.error("auto_pad", "NOTSET, VALID, SAME_UPPER or SAME_LOWER", other))
        }
    }
}

fn window(
    attributes: &Attributes<'_>,
    image: &Image,
    kernel: [u32; 2],
) -> Result<Window, OnnxError> {
    let mut stride = pair(attributes, "strides", image.axes, Some(1))?;
    let mut dilation = pair(attributes, "dilations", image.axes, Some(1))?;
    if image.axes == 1 {
        (stride[0], dilation[0]) = (1, 1);
    }
    let pad = padding(attributes, image, [kernel, stride, dilation])?;
    Ok(Window {
        kernel,
        stride,
        pad,
        dilation,
    })
}

/// Convolution.
pub(crate) fn conv(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    let known = [
        "auto_pad",
        "dilations",
        "group",
        "kernel_shape",
        "pads",
        "strides",
    ];
    let attributes = node.attributes(&known)?;
    let image = image(t, node)?;
    let weight = node.floats(1)?;
    let (channels, kernel) = match (image.axes, weight.shape.as_slice()) {
        (1, &[channels, _, width]) => (channels, [1, width]),
        (2, &[channels, _, height, width]) => (channels, [height, width]),
        _ => {
            let expected = "[O, C/groups, kernel] with as many kernel axes as the operand";
            return Err(node.operand_error(1, expected, weight.describe()));
        }
    };
    let kernel = kernel.map(|k| u32::try_from(k).unwrap_or(u32::MAX));
    if attributes.ints("kernel_shape")?.is_some()
        && pair(&attributes, "kernel_shape", image.axes, None)? != kernel
    {
        let expected = format!("{kernel:?}, the weight's");
        return Err(attributes.error("kernel_shape", expected, "another"));
    }
    let window = window(&attributes, &image, kernel)?;
    let groups = attributes.int_or("group", 1)?;
    let groups = usize::try_from(groups)
        .map_err(|_| attributes.error("group", "positive", groups.to_string()))?;
    let bias = match node.operand(2) {
        Some(_) => node.floats(2)?.floats().unwrap_or_default().to_vec(),
        None => Vec::new(),
    };
    let (x, window) = super::quantised::padded(t, node, image.x, window)?;
    let op = ConvOp {
        x,
        channels,
        weight: weight.floats().unwrap_or_default().to_vec(),
        bias,
        steps: weight.steps_along(0, channels),
        window,
        groups,
    };
    let y = t.push(node, GraphOp::Conv(op))?;
    back(t, node, y, image.axes)
}

/// Maximum over windows.
pub(crate) fn max_pool(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let known = [
        "auto_pad",
        "ceil_mode",
        "dilations",
        "kernel_shape",
        "pads",
        "storage_order",
        "strides",
    ];
    let attributes = node.attributes(&known)?;
    attributes.only("ceil_mode", 0)?;
    attributes.only("storage_order", 0)?;
    let image = image(t, node)?;
    let kernel = pair(&attributes, "kernel_shape", image.axes, None)?;
    let window = window(&attributes, &image, kernel)?;
    let y = t.push(node, GraphOp::MaxPool { x: image.x, window })?;
    back(t, node, y, image.axes)
}

/// Mean over windows.
pub(crate) fn average_pool(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    let known = [
        "auto_pad",
        "ceil_mode",
        "count_include_pad",
        "dilations",
        "kernel_shape",
        "pads",
        "strides",
    ];
    let attributes = node.attributes(&known)?;
    attributes.only("ceil_mode", 0)?;
    let image = image(t, node)?;
    let kernel = pair(&attributes, "kernel_shape", image.axes, None)?;
    let window = window(&attributes, &image, kernel)?;
    let counts_padding = attributes.int_or("count_include_pad", 0)? != 0;
    let mut y = t.push(node, GraphOp::AveragePool { x: image.x, window })?;
    if !counts_padding && window.pad.iter().any(|&pad| pad > 0) {
        y = without_padding(t, node, y, (&image, window))?;
    }
    back(t, node, y, image.axes)
}

/// Means of windows of which padding is no part: those that count it, times how much larger the window is than its part inside.
fn without_padding(
    t: &mut Translator,
    node: &Node<'_>,
    y: ValueId,
    (image, window): (&Image, Window),
) -> Result<ValueId, OnnxError> {
    let shape = t.shape(y);
    let inside = |axis: usize| {
        let length = image.dims[axis + 1];
        (0..shape[axis + 1])
            .map(|i| window_cells(window, axis, i, length).count())
            .collect::<Vec<usize>>()
    };
    let (rows, columns) = (inside(0), inside(1));
    let area = f64::from(window.kernel[0]) * f64::from(window.kernel[1]);
    let mut scale = Vec::with_capacity(rows.len() * columns.len());
    for &row in &rows {
        for &column in &columns {
            let cells = u32::try_from(row * column).unwrap_or(u32::MAX);
            scale.push(area / f64::from(cells.max(1)));
        }
    }
    let shift = vec![0.0; scale.len()];
    let x = t.reshape(node, y, vec![shape[0], scale.len()])?;
    let axis = 1;
    let affine = AffineOp {
        x,
        axis,
        scale,
        shift,
    };
    let y = t.push(node, GraphOp::Affine(affine))?;
    t.reshape(node, y, shape)
}

fn global(
    t: &mut Translator,
    node: &Node<'_>,
    op: impl FnOnce(ValueId, Window) -> GraphOp,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(1)?;
    node.attributes(&[])?;
    let image = image(t, node)?;
    let [_, height, width] = image.dims;
    let window = Window {
        kernel: [height, width].map(|k| u32::try_from(k).unwrap_or(u32::MAX)),
        stride: [1, 1],
        pad: [0; 4],
        dilation: [1, 1],
    };
    let y = t.push(node, op(image.x, window))?;
    back(t, node, y, image.axes)
}

/// Mean over each channel.
pub(crate) fn global_average_pool(
    t: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    global(t, node, |x, window| GraphOp::AveragePool { x, window })
}

/// Maximum over each channel.
pub(crate) fn global_max_pool(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    global(t, node, |x, window| GraphOp::MaxPool { x, window })
}
