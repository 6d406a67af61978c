//! Transposed convolution, as a convolution that gives every residue of the step a channel of its own, and a re-arrangement.
//!
//! With steps s, `y[s·q + r − pad] = Σ_v w[s·v + r]·x[q − v]`: for each r < s a convolution of ⌈k/s⌉ weights, mirrored. The channels of all r together are one
//! convolution; its result is as long as all q, and what padding takes away is cut off at the end.

use credence_import::{ConvOp, GraphOp, Run, Window};

use super::one;
use super::windows::{image, pair};
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
        Some([
            u32::try_from(before).ok()?,
            u32::try_from(after).ok()?,
        ])
    }
}

/// Transposed convolution of one or two spatial axes.
pub(crate) fn conv_transpose(
    t: &mut Translator,
    node: &Node<'_>,
) -> Result<Vec<Slot>, OnnxError> {
    node.operands_max(3)?;
    let known = [
        "auto_pad",
        "dilations",
        "group",
        "kernel_shape",
        "output_padding",
        "pads",
        "strides",
    ];
    let attributes = node.attributes(&known)?;
    let mode = attributes.string("auto_pad")?.unwrap_or("NOTSET");
    if !["", "NOTSET", "VALID"].contains(&mode) {
        return Err(attributes.error("auto_pad", "NOTSET or VALID", mode));
    }
    let image = image(t, node)?;
    let weight = node.floats(1)?;
    let [from, height, width] = image.dims;
    let (out, kernel) = match (image.axes, weight.shape.as_slice()) {
        (1, &[first, out, width]) if first == from => (out, [1, width]),
        (2, &[first, out, height, width]) if first == from => (out, [height, width]),
        _ => {
            let expected = format!("[{from}, O/groups, kernel] with as many kernel axes as the operand");
            return Err(node.operand_error(1, expected, weight.describe()));
        }
    };
    let spatial = image.axes;
    let size = |name: &str, default: u32| {
        let pair = pair(&attributes, name, spatial, Some(default))?;
        Ok::<_, OnnxError>(pair.map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
    };
    let mut step = size("strides", 1)?;
    if spatial == 1 {
        step[0] = 1;
    }
    let dilation = size("dilations", 1)?;
    let undilated = (0..2).all(|k| dilation[k] == 1 || kernel[k] == 1);
    if !undilated {
        return Err(attributes.error("dilations", "1", format!("{dilation:?}")));
    }
    if attributes.ints("kernel_shape")?.is_some() && size("kernel_shape", 1)? != kernel {
        return Err(attributes.error("kernel_shape", format!("{kernel:?}, the weight's"), "another"));
    }
    let more = match attributes.ints("output_padding")? {
        Some(_) => size("output_padding", 0)?,
        None => [0, 0],
    };
    let pads = match attributes.ints("pads")? {
        None => vec![0; 2 * spatial],
        Some(pads) => pads.iter().map(|&n| usize::try_from(n).unwrap_or(usize::MAX)).collect(),
    };
    let pads = match (spatial, pads.as_slice()) {
        (1, &[left, right]) => [0, left, 0, right],
        (2, &[top, left, bottom, right]) => [top, left, bottom, right],
        _ => return Err(attributes.error("pads", "two for each spatial axis", format!("{pads:?}"))),
    };
    let axis = |k: usize, length: usize| {
        let sizes = [step[k], kernel[k], pads[k], pads[k + 2], more[k]];
        if sizes.iter().any(|&n| n > 2048) || step[k] == 0 || kernel[k] == 0 || more[k] >= step[k].max(1) {
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
    let (Some(rows), Some(columns)) = (axis(0, height), axis(1, width)) else {
        let expected = "steps, kernels and pads of at most 2,048 that leave a result, output_padding below the step";
        return Err(attributes.error("pads", expected, format!("{pads:?}")));
    };
    let groups = attributes.int_or("group", 1)?;
    let groups = usize::try_from(groups)
        .ok()
        .filter(|&g| g > 0 && from.is_multiple_of(g))
        .ok_or_else(|| attributes.error("group", "a divisor of the channels", groups.to_string()))?;
    let bias = match node.operand(2) {
        Some(_) => node.floats(2)?.floats().unwrap_or_default().to_vec(),
        None => vec![0.0; out * groups],
    };
    if bias.len() != out * groups {
        return Err(node.operand_error(2, format!("of {} elements", out * groups), "others"));
    }
    let op = residues(weight.floats().unwrap_or_default(), [&rows, &columns], [from, out, groups]);
    let Some((weight, window)) = op else {
        return Err(attributes.error("strides", "steps whose residues fit a convolution", "others"));
    };
    let area = rows.step * columns.step;
    let conv = ConvOp {
        x: image.x,
        channels: out * groups * area,
        weight,
        bias: bias.iter().flat_map(|&b| vec![b; area]).collect(),
        window,
        groups,
    };
    let mut y = t.push(node, GraphOp::Conv(conv))?;
    let channels = out * groups;
    let places = [rows.places(), columns.places()];
    let split = vec![channels, rows.step, columns.step, places[0], places[1]];
    y = t.reshape(node, y, split)?;
    let order = vec![0, 3, 1, 4, 2];
    y = t.push(node, GraphOp::Transpose { x: y, order })?;
    let lengths = [places[0] * rows.step, places[1] * columns.step];
    y = t.reshape(node, y, vec![channels, lengths[0], lengths[1]])?;
    for (k, axis) in [&rows, &columns].into_iter().enumerate() {
        if axis.before > 0 || axis.result < lengths[k] {
            let run = Run {
                start: axis.before,
                step: 1,
                count: axis.result,
            };
            let axis = k + 1;
            y = t.push(node, GraphOp::Slice { x: y, axis, run })?;
        }
    }
    if spatial == 1 {
        y = t.reshape(node, y, vec![channels, columns.result])?;
    }
    Ok(one(y))
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
