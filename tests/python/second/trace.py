"""The trace of a run: layout and root (`docs/spec/trace.md`, section 2)."""

import struct

import numpy as np

from . import tree
from .model import DTYPES


def section(program: dict, values: list[np.ndarray]) -> bytes:
    """The blocks of all positions; `values[n]` holds node n's cells, the first axis being the position."""
    positions = len(values[0])
    offset = 0
    placed: list[tuple[int, np.ndarray]] = []
    for node, cells in zip(program["nodes"], values, strict=True):
        if node["cut"]:
            offset += -offset % 64
            flat = np.ascontiguousarray(cells.reshape(positions, -1).astype(DTYPES[node["dtype"]]))
            placed.append((offset, flat.view(np.uint8).reshape(positions, -1)))
            offset += placed[-1][1].shape[1]
    blocks = np.zeros((positions, offset + -offset % 64), np.uint8)
    for start, cells in placed:
        blocks[:, start : start + cells.shape[1]] = cells
    return blocks.tobytes()


def root(program: dict, values: list[np.ndarray]) -> bytes:
    """The trace root of a run: one section, of kind 0."""
    content = section(program, values)
    head = struct.pack("<IBQ", 1, 0, len(content))
    return tree.root("credence/trace-root/v1", head + tree.root("credence/trace-section/v1", content))
