"""The trace of a run: layout and root (`docs/spec/trace.md`, section 2)."""

import struct

import numpy as np

from . import tree
from .model import DTYPES


def root(program: dict, values: list[np.ndarray]) -> bytes:
    """The trace root of a run; `values[n]` holds node n's cells, the first axis being the position."""
    positions = len(values[0])
    offset = 0
    placed: list[tuple[int, np.ndarray]] = []
    for node, cells in zip(program["nodes"], values, strict=True):
        if node["cut"]:
            offset += -offset % 64
            flat = np.ascontiguousarray(cells.reshape(positions, -1).astype(DTYPES[node["dtype"]]))
            placed.append((offset, flat.view(np.uint8).reshape(positions, -1)))
            offset += placed[-1][1].shape[1]
    block = max(offset, 1)
    block += -block % 64
    section = np.zeros((positions, block), np.uint8)
    for start, cells in placed:
        section[:, start : start + cells.shape[1]] = cells
    content = section.tobytes()
    head = struct.pack("<IBQ", 1, 0, len(content))
    return tree.root("credence/trace-root/v1", head + tree.root("credence/trace-section/v1", content))
