//! Where rows of x start, known to ascend: the last start is the largest, so that one comparison bounds them all.

use core::ops::Range;

/// Starts that ascend, in bytes.
#[derive(Debug, Default)]
pub(crate) struct StartList(Vec<usize>);

impl StartList {
    /// Takes starts; `None` if they do not ascend.
    pub(crate) fn new(starts: Vec<usize>) -> Option<Self> {
        starts.is_sorted().then_some(Self(starts))
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Those of some rows.
    pub(crate) fn rows(&self, rows: Range<usize>) -> Starts<'_> {
        Starts(&self.0[rows])
    }
}

/// Part of a [`StartList`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Starts<'a>(&'a [usize]);

impl Starts<'_> {
    pub(crate) const fn len(self) -> usize {
        self.0.len()
    }

    /// The largest, 0 if there is none.
    pub(crate) fn last(self) -> usize {
        self.0.last().copied().unwrap_or(0)
    }

    #[inline(always)]
    pub(crate) fn get(self, row: usize) -> usize {
        self.0[row]
    }

    pub(crate) fn split_at(self, row: usize) -> (Self, Self) {
        let (first, later) = self.0.split_at(row);
        (Self(first), Self(later))
    }
}
