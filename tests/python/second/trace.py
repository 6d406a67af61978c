"""The trace of a run: layout and root (`docs/spec/trace.md`, sections 2 and 3)."""

import struct

import numpy as np

from . import language, tree
from .model import DTYPES

_TILE_POSITIONS = 32


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
    """The trace root of a run on tensors: one section, of kind 0."""
    return _root([(0, section(program, values))])


def _root(sections: list[tuple[int, bytes]]) -> bytes:
    """The root of sections given as kind and content."""
    listed = [
        struct.pack("<BQ", kind, len(content)) + tree.root("credence/trace-section/v1", content)
        for kind, content in sections
    ]
    return tree.root("credence/trace-root/v1", struct.pack("<I", len(listed)) + b"".join(listed))


def language_root(program: dict, run: language.Run) -> bytes:
    """The trace root of a run over tokens: four sections (section 3)."""
    return _root(list(enumerate(language_sections(program, run))))


def language_sections(program: dict, run: language.Run) -> list[bytes]:
    """What the sections of kinds 0 to 3 hold."""
    positions = len(run.values[0])
    keys = [run.values[node] for node in language.remembered(program, "scores", "k")]
    values = [run.values[node] for node in language.remembered(program, "attend", "v")]
    fill = -positions % _TILE_POSITIONS
    return [
        b"".join(block(program, run, True, position) for position in range(positions)),
        b"".join(_bytes("i16", cells.transpose(1, 0, 2)) for cells in keys),
        b"".join(_bytes("i16", np.pad(cells.transpose(1, 2, 0), ((0, 0), (0, 0), (0, fill)))) for cells in values),
        b"".join(block(program, run, False, position) for position in run.sampled),
    ]


def block(program: dict, run: language.Run, of_carried: bool, position: int) -> bytes:
    """One position's block in section 0, or in section 3."""
    kept = {*language.remembered(program, "scores", "k"), *language.remembered(program, "attend", "v")}
    fixed, rows = b"", b""
    for index, node in enumerate(program["nodes"]):
        if not node["cut"] or run.carried[index] != of_carried or index in kept:
            continue
        cells = run.values[index][position]
        if "scores" in node["op"]:
            seen = cells[:, : position + 1]
            rows += _bytes("i16", np.pad(seen, ((0, 0), (0, -(position + 1) % _TILE_POSITIONS))))
        else:
            fixed += bytes(-len(fixed) % 64) + _bytes(node["dtype"], cells)
    fixed = fixed or bytes(64)
    return fixed + bytes(-len(fixed) % 64) + rows


def _bytes(dtype: str, cells: np.ndarray) -> bytes:
    return np.ascontiguousarray(cells.astype(DTYPES[dtype])).tobytes()
