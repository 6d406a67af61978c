//! Matrix products: linear layers and convolutions, with the rounding behind them.
//!
//! ```text
//! x ──▶ panel: rows of x in the kernel's form ──▶ kernel: sums, rounding ──▶ y
//! ```
//!
//! A linear layer's rows are the vectors of all positions of the tile, so that one pass over the weights serves them all. A
//! convolution's rows are windows that overlap in a padded copy of the image: a row is where its window begins, and the weights'
//! offsets say where in it each group lies.

use core::ops::Range;

use super::{Axis, Place, Surroundings, Tile};
use crate::cells::Cells;
use crate::kernel::{Form, Job, Layout, Packed, Run, StartList, Sums, Work, vectorise};

/// A product.
pub(crate) struct Product {
    pub(crate) x: Place,
    /// Where results go: of the rounding if there is one, else the sums.
    pub(crate) y: Place,
    pub(crate) operand: Operand,
    /// One matrix for each group of channels; one for a linear layer. All have the same number of outputs.
    pub(crate) groups: Vec<Packed>,
    /// The byte of the panel where each row of x starts; for a linear layer, of as many positions as a tile has at most.
    pub(crate) starts: StartList,
}

/// How x becomes rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand {
    /// Vectors of `length` cells, `count` of them in a position.
    Vectors { length: usize, count: usize },
    /// Windows of an image.
    Image(Padded),
}

/// An image with cells of 0 around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Padded {
    /// Vertical, horizontal.
    pub(crate) axes: [Axis; 2],
    pub(crate) channels: usize,
    /// Groups of channels.
    pub(crate) groups: usize,
}

impl Padded {
    /// Rows and columns of the copy: what windows reach, and the image.
    fn extent(&self) -> [usize; 2] {
        self.axes.map(|axis| {
            let reached = (axis.windows - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1;
            reached.max(axis.pad + axis.length)
        })
    }

    /// Cells of the padded image, or `None` if they are out of proportion to the image itself.
    pub(crate) fn cells(&self) -> Option<usize> {
        let [height, width] = self.extent();
        let [vertical, horizontal] = &self.axes;
        let own = vertical.length * horizontal.length * self.channels;
        let cells = height.checked_mul(width)?.checked_mul(self.channels)?;
        (cells <= own.saturating_mul(4).saturating_add(1 << 16)).then_some(cells)
    }

    /// The cell of the padded image where each window begins.
    fn starts(&self) -> impl Iterator<Item = usize> {
        let [vertical, horizontal] = self.axes;
        let (width, channels) = (self.extent()[1], self.channels);
        (0..vertical.windows).flat_map(move |i| {
            let row = i * vertical.stride * width;
            (0..horizontal.windows).map(move |j| (row + j * horizontal.stride) * channels)
        })
    }

    /// What of a window is contiguous in the padded image, for a row of weights `[KH, KW, C/G]`: a whole row of the window
    /// if nothing lies between its pixels, else one pixel's channels.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let [vertical, horizontal] = &self.axes;
        let (width, depth) = (self.extent()[1], self.channels / self.groups);
        let whole = self.groups == 1 && horizontal.dilation == 1;
        let mut runs = Vec::new();
        for u in 0..vertical.kernel {
            let row = u * vertical.dilation * width;
            let pixels = if whole { 1 } else { horizontal.kernel };
            for v in 0..pixels {
                runs.push(Run {
                    x: (row + v * horizontal.dilation) * self.channels,
                    weight: (u * horizontal.kernel + v) * depth,
                    len: if whole {
                        horizontal.kernel * depth
                    } else {
                        depth
                    },
                });
            }
        }
        runs
    }
}

impl Operand {
    /// Bytes of panel for a tile of so many positions.
    pub(crate) fn panel_bytes(&self, layout: Layout, positions: usize) -> usize {
        match self {
            Self::Vectors { length, count } => positions * count * row_bytes(layout, *length),
            // The last group of a window may reach behind the image.
            Self::Image(padded) => {
                padded.cells().unwrap_or(0) * layout.form.width() + layout.group_bytes()
            }
        }
    }

    /// The byte of the panel where each row starts. `None` if rows are not in the order of their starts.
    pub(crate) fn starts(&self, layout: Layout, positions: usize) -> Option<StartList> {
        StartList::new(match self {
            Self::Vectors { length, count } => {
                let row_bytes = row_bytes(layout, *length);
                (0..positions * count).map(|row| row * row_bytes).collect()
            }
            Self::Image(padded) => padded
                .starts()
                .map(|cell| cell * layout.form.width())
                .collect(),
        })
    }
}

/// Bytes of one vector in the panel: whole groups.
fn row_bytes(layout: Layout, length: usize) -> usize {
    length.next_multiple_of(layout.group) * layout.form.width()
}

impl Product {
    /// Multiply-adds of one position.
    pub(crate) fn work(&self) -> usize {
        let [rows, sum] = match &self.operand {
            Operand::Vectors { length, count } => [*count, *length],
            Operand::Image(padded) => {
                let [vertical, horizontal] = &padded.axes;
                let depth = padded.channels / padded.groups;
                [
                    vertical.windows * horizontal.windows,
                    vertical.kernel * horizontal.kernel * depth,
                ]
            }
        };
        rows * sum * self.outputs()
    }

    /// Outputs of all groups.
    fn outputs(&self) -> usize {
        self.groups.iter().map(Packed::outputs).sum()
    }

    /// Computes a tile.
    pub(crate) fn run(&self, tile: &mut Tile<'_>, around: Surroundings<'_>) {
        // Within a position results stand one after another.
        let strides = (self.outputs() * self.y.dtype.width(), self.outputs());
        match self.operand {
            Operand::Vectors { length, count } => {
                let layout = self.groups[0].layout();
                let stride = row_bytes(layout, length);
                for position in 0..tile.positions() {
                    let (panel, x) = tile.panel_and_read(position, self.x);
                    let panel = &mut panel[position * count * stride..][..count * stride];
                    vectorise(
                        around.isa,
                        FillRows {
                            x,
                            panel,
                            length,
                            layout,
                        },
                    );
                }
                if count == 1 {
                    let strides = (tile.stride(self.y.region), tile.sums_room());
                    self.rows(tile, around, (0, 0..tile.positions()), strides);
                    return;
                }
                for position in 0..tile.positions() {
                    let rows = position * count..(position + 1) * count;
                    self.rows(tile, around, (position, rows), strides);
                }
            }
            Operand::Image(padded) => {
                let form = self.groups[0].layout().form;
                for position in 0..tile.positions() {
                    let (panel, x) = tile.panel_and_read(position, self.x);
                    let fill = FillImage {
                        x,
                        panel,
                        padded,
                        form,
                    };
                    vectorise(around.isa, fill);
                    self.rows(tile, around, (position, 0..self.starts.len()), strides);
                }
            }
        }
    }

    /// Some rows of the panel, whose results begin in a position and are `y_stride` bytes apart, their sums `sums_stride` cells.
    fn rows(
        &self,
        tile: &mut Tile<'_>,
        around: Surroundings<'_>,
        (position, rows): (usize, Range<usize>),
        (y_stride, sums_stride): (usize, usize),
    ) {
        let room = tile.sums_room();
        let mut first = 0;
        for (number, packed) in self.groups.iter().enumerate() {
            let skipped = match &self.operand {
                Operand::Vectors { .. } => 0,
                Operand::Image(padded) => {
                    number * (padded.channels / padded.groups) * packed.layout().form.width()
                }
            };
            let (panel, y, sums) = tile.panel_and_write(position, self.y);
            // Sums that are not rounded are y itself.
            let sums = sums.filter(|_| packed.rescaling().is_some());
            let job = Job {
                packed,
                blocks: 0..packed.blocks(),
                x: &panel[skipped..],
                starts: self.starts.rows(rows.clone()),
                y: &mut y[first * packed.output_bytes()..],
                y_stride,
                sums: sums.map(|sums| Sums {
                    cells: &mut sums[position * room + first..],
                    stride: sums_stride,
                }),
            };
            let work = rows.len() * packed.groups() * packed.layout().group * packed.outputs();
            divide(job, around.threads.min(work / around.part_min).max(1));
            first += packed.outputs();
        }
    }
}

/// Runs a job in so many parts, in parallel on the pool whose thread this is.
fn divide(job: Job<'_>, parts: usize) {
    let rows = job.starts.len();
    let blocks = job.blocks.len();
    if parts < 2 || (rows < 2 && blocks < 2) {
        return job.run();
    }
    let share = parts / 2;
    let (left, right) = if rows > 1 {
        job.split_rows((rows * share / parts).max(1))
    } else {
        job.split_blocks((blocks * share / parts).max(1))
    };
    rayon::join(|| divide(left, share), || divide(right, parts - share));
}

/// Copies vectors into the panel.
struct FillRows<'a> {
    x: Cells<'a>,
    panel: &'a mut [u8],
    length: usize,
    layout: Layout,
}

impl Work for FillRows<'_> {
    #[inline(always)]
    fn run(self) {
        // A checked program has 8-bit operands here.
        let Cells::I8(x) = self.x else { return };
        let stride = row_bytes(self.layout, self.length);
        let rows = self.panel.chunks_exact_mut(stride);
        for (row, x) in rows.zip(x.chunks_exact(self.length)) {
            self.layout.form.fill(x, row);
        }
    }
}

/// Copies an image into the panel, with cells of 0 around it.
struct FillImage<'a> {
    x: Cells<'a>,
    panel: &'a mut [u8],
    padded: Padded,
    form: Form,
}

impl Work for FillImage<'_> {
    #[inline(always)]
    fn run(self) {
        let Cells::I8(x) = self.x else { return };
        let [height, width] = self.padded.extent();
        let [vertical, horizontal] = &self.padded.axes;
        let cell = self.padded.channels * self.form.width();
        let zero = self.form.zero();
        let (before, row) = (horizontal.pad * cell, width * cell);
        let inside = horizontal.length * cell;
        let x_rows = x.chunks_exact(horizontal.length * self.padded.channels);
        let (top, rest) = self.panel.split_at_mut(vertical.pad * row);
        let (middle, bottom) = rest.split_at_mut(vertical.length * row);
        top.fill(zero);
        bottom[..(height - vertical.pad - vertical.length) * row].fill(zero);
        for (row, x) in middle.chunks_exact_mut(row).zip(x_rows) {
            row[..before].fill(zero);
            self.form.fill(x, &mut row[before..][..inside]);
            row[before + inside..].fill(zero);
        }
    }
}
