//! Transposed convolution, as a convolution that gives every residue of the step a channel of its own, and a re-arrangement.
//!
//! With steps s, `y[s·q + r − pad] = Σ_v w[s·v + r]·x[q − v]`: for each r < s a convolution of ⌈k/s⌉ weights, mirrored. The channels of all r together are one
//! convolution; its result is as long as all q, and what padding takes away is cut off at the end.

use credence_import::{ConvOp, GraphOp, Run, ValueId, Window};

use super::one;
use super::windows::{Image, image, pair};
use crate::attributes::Attributes;
use crate::constant::Constant;
use crate::error::OnnxError;
use crate::translate::{Node, Slot, Translator};

/// One axis.
struct Axis {
    /// Length of the operand, kernel, step, what is cut off in front, length of the result.
    length: usize,
    kernel: usize,
    step: usize,
    before: usize,
    result: usize,
}

impl Axis {
    /// Weights for each residue.
    const fn taps(&self) -> usize {
        self.kernel.div_ceil(self.step)
    }

    /// Places q that are computed: enough for the whole result.
    fn places(&self) -> usize {
        let all = (self.before + self.result).div_ceil(self.step);
        all.max(self.length)
    }

    /// Cells of padding of the convolution: in front, and behind.
    fn pads(&self) -> Option<[u32; 2]> {
        let before = self.taps() - 1;
        let after = self.places().checked_sub(self.length)?;
        Some([u32::try_from(before).ok()?, u32::try_from(after).ok()?])
    }
}

/// What the attributes and the weight's shape say.
struct Geometry {
    /// Output channels of a group.
    out: usize,
    groups: usize,
    rows: Axis,
    columns: Axis,
}

const KNOWN: [&str; 7] = [
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "output_padding",
    "pads",
    "strides",
];

/// An attribute of one number for each spatial axis.
fn sizes(
    attributes: &Attributes<'_>,
    name: &str,
    spatial: usize,
    default: u32,
) -> Result<[usize; 2], OnnxError> {
    let pair = pair(attributes, name, spatial, Some(default))?;
    Ok(pair.map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
}

/// Cells that are cut off: top, left, bottom, right.
fn cut_off(attributes: &Attributes<'_>, spatial: usize) -> Result<[usize; 4], OnnxError> {
    let pads: Vec<usize> = match attributes.ints("pads")? {
        None => vec![0; 2 * spatial],
        Some(pads) => {
            let pads = pads.iter().map(|&n| usize::try_from(n));
            pads.map(|n| n.unwrap_or(usize::MAX)).collect()
        }
    };
    match (spatial, pads.as_slice()) {
        (1, &[left, right]) => Ok([0, left, 0, right]),
        (2, &[top, left, bottom, right]) => Ok([top, left, bottom, right]),
        _ => Err(attributes.error("pads", "two for each spatial axis", format!("{pads:?}"))),
    }
}

fn axes(
    attributes: &Attributes<'_>,
    image: &Image,
    kernel: [usize; 2],
) -> Result<[Axis; 2], OnnxError> {
    let spatial = image.axes;
    let mut step = sizes(attributes, "strides", spatial, 1)?;
    if spatial == 1 {
        step[0] = 1;
    }
    let dilation = sizes(attributes, "dilations", spatial, 1)?;
    if (0..2).any(|k| dilation[k] != 1 && kernel[k] != 1) {
        return Err(attributes.error("dilations", "1", format!("{dilation:?}")));
    }
    if attributes.ints("kernel_shape")?.is_some()
        && sizes(attributes, "kernel_shape", spatial, 1)? != kernel
    {
        let expected = format!("{kernel:?}, the weight's");
        return Err(attributes.error("kernel_shape", expected, "another"));
    }
    let mut more = sizes(attributes, "output_padding", spatial, 0)?;
    if spatial == 1 {
        more[0] = 0;
    }
    let pads = cut_off(attributes, spatial)?;
    let axis = |k: usize| {
        let length = image.dims[k + 1];
        let all = [step[k], kernel[k], pads[k], pads[k + 2], more[k]];
        let sound = all.iter().all(|&n| n <= 2048) && step[k] > 0 && kernel[k] > 0;
        if !sound || more[k] >= step[k] {
            return None;
        }
        let all = step[k] * (length - 1) + more[k] + kernel[k];
        let result = all.checked_sub(pads[k] + pads[k + 2]).filter(|&n| n > 0)?;
        Some(Axis {
            length,
            kernel: kernel[k],
            step: step[k],
            before: pads[k],
            result,
        })
    };
    match (axis(0), axis(1)) {
        (Some(rows), Some(columns)) => Ok([rows, columns]),
        _ => {
            let expected = "with steps, kernels and pads of at most 2,048 that leave a result, output_padding below the step";
            Err(attributes.error("pads", expected, format!("{pads:?}")))
        }
    }
}

fn geometry(node: &Node<'_>, image: &Image, weight: &Constant) -> Result<Geometry, OnnxError> {
    let attributes = node.attributes(&KNOWN)?;
    let mode = attributes.string("auto_pad")?.unwrap_or("NOTSET");
    if !["", "NOTSET", "VALID"].contains(&mode) {
        return Err(attributes.error("auto_pad", "NOTSET or VALID", mode));
    }
    let from = image.dims[0];
    let (out, kernel) = match (image.axes, weight.shape.as_slice()) {
        (1, &[first, out, width]) if first == from => (out, [1, width]),
        (2, &[first, out, height, width]) if first == from => (out, [height, width]),
        _ => {
            let expected =
                format!("[{from}, O/groups, kernel] with as many kernel axes as the operand");
            return Err(node.operand_error(1, expected, weight.describe()));
        }
    };
    let [rows, columns] = axes(&attributes, image, kernel)?;
    let groups = attributes.int_or("group", 1)?;
    let groups = usize::try_from(groups)
        .ok()
        .filter(|&g| g > 0 && from.is_multiple_of(g))
        .ok_or_else(|| {
            attributes.error("group", "a divisor of the channels", groups.to_string())
        })?;
    Ok(Geometry {
        out,
        groups,
        rows,
        columns,
    })
}

/// Transposed convolution of one or two spatial axes.
pub(crate) fn conv_transpose(t: &mut Translator, node: &Node<'_>) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    let image = image(t, node)?;
    let weight = node.floats(1)?;
    let geometry = geometry(node, &image, weight)?;
    let (rows, columns) = (&geometry.rows, &geometry.columns);
    let channels = geometry.out.saturating_mul(geometry.groups);
    let bias = match node.operand(2) {
        Some(_) => node.floats(2)?.floats().unwrap_or_default().to_vec(),
        None => vec![0.0; channels.min(1 << 24)],
    };
    if bias.len() != channels {
        return Err(node.operand_error(2, format!("of {channels} elements"), "others"));
    }
    let sizes = [image.dims[0], geometry.out, geometry.groups];
    let made = residues(weight.floats().unwrap_or_default(), [rows, columns], sizes);
    let Some((weight, window)) = made else {
        let attributes = node.attributes(&KNOWN)?;
        let expected = "steps whose residues fit a convolution";
        return Err(attributes.error("strides", expected, "others"));
    };
    let area = rows.step * columns.step;
    let conv = ConvOp {
        x: image.x,
        channels: channels * area,
        weight,
        bias: bias.iter().flat_map(|&b| vec![b; area]).collect(),
        steps: Vec::new(),
        window,
        groups: geometry.groups,
    };
    let y = t.push(node, GraphOp::Conv(conv))?;
    let y = interleaved(t, node, y, (channels, [rows, columns]))?;
    if image.axes == 1 {
        return Ok(one(t.reshape(node, y, vec![channels, columns.result])?));
    }
    Ok(one(y))
}

/// The channels of all residues as places between places, and what padding takes cut off.
fn interleaved(
    t: &mut Translator,
    node: &Node<'_>,
    y: ValueId,
    (channels, [rows, columns]): (usize, [&Axis; 2]),
) -> Result<ValueId, OnnxError> {
    let places = [rows.places(), columns.places()];
    let split = vec![channels, rows.step, columns.step, places[0], places[1]];
    let y = t.reshape(node, y, split)?;
    let order = vec![0, 3, 1, 4, 2];
    let y = t.push(node, GraphOp::Transpose { x: y, order })?;
    let lengths = [places[0] * rows.step, places[1] * columns.step];
    let mut y = t.reshape(node, y, vec![channels, lengths[0], lengths[1]])?;
    for (k, own) in [rows, columns].into_iter().enumerate() {
        if own.before > 0 || own.result < lengths[k] {
            let run = Run {
                start: own.before,
                step: 1,
                count: own.result,
            };
            let axis = k + 1;
            y = t.push(node, GraphOp::Slice { x: y, axis, run })?;
        }
    }
    Ok(y)
}

/// The weights of all residues, `[O·s², C/G, taps, taps]`, and the window.
fn residues(
    weight: &[f32],
    [rows, columns]: [&Axis; 2],
    [from, out, groups]: [usize; 3],
) -> Option<(Vec<f32>, Window)> {
    let depth = from / groups;
    let [height, width] = [rows.taps(), columns.taps()];
    let [[top, bottom], [left, right]] = [rows.pads()?, columns.pads()?];
    let cells = out
        .checked_mul(groups)?
        .checked_mul(rows.step * columns.step)?
        .checked_mul(depth)?
        .checked_mul(height * width)?;
    // No more than a small multiple of what the file has.
    if cells > weight.len().saturating_mul(4).saturating_add(1 << 16) {
        return None;
    }
    let mut all = Vec::with_capacity(cells);
    for o in 0..out * groups {
        let group = o / out;
        for r in 0..rows.step {
            for s in 0..columns.step {
                for c in 0..depth {
                    let first = ((group * depth + c) * out + o % out) * rows.kernel;
                    for i in 0..height {
                        let u = rows.step * (height - 1 - i) + r;
                        for j in 0..width {
                            let v = columns.step * (width - 1 - j) + s;
                            let inside = u < rows.kernel && v < columns.kernel;
                            all.push(if inside {
                                weight[(first + u) * columns.kernel + v]
                            } else {
                                0.0
                            });
                        }
                    }
                }
            }
        }
    }
    let window = Window {
        kernel: [u32::try_from(height).ok()?, u32::try_from(width).ok()?],
        stride: [1, 1],
        pad: [top, left, bottom, right],
        dilation: [1, 1],
    };
    Some((all, window))
}
