"""Tensors at the border and their canonical bytes (`docs/spec/arithmetic.md`, section 3.3)."""

import struct

import numpy as np

from . import Refused, require

TYPES = {1: np.dtype("<f4"), 2: np.dtype("<i4"), 3: np.dtype("<i8")}
NAMES = {"FP32": 1, "INT32": 2, "INT64": 3}

Tensors = dict[str, np.ndarray]


def encode(tensors: Tensors) -> bytes:
    """The bytes that a claim commits to; the order of the dict is the order of the tensors."""
    codes = {dtype: code for code, dtype in TYPES.items()}
    parts = [struct.pack("<I", len(tensors))]
    for name, array in tensors.items():
        text = name.encode()
        parts.append(struct.pack(f"<I{len(text)}sBB", len(text), text, codes[array.dtype], array.ndim))
        parts.append(struct.pack(f"<{array.ndim}Q", *array.shape))
        parts.append(np.ascontiguousarray(array).tobytes())
    return b"".join(parts)


def decode(data: bytes) -> Tensors:
    """The tensors of canonical bytes, and of no others."""
    at = 0

    def take(size: int) -> bytes:
        nonlocal at
        require(size <= len(data) - at, "the tensors are truncated")
        at += size
        return data[at - size : at]

    (count,) = struct.unpack("<I", take(4))
    require(count <= 256, "more than 256 tensors")
    tensors: Tensors = {}
    for _ in range(count):
        (length,) = struct.unpack("<I", take(4))
        require(1 <= length <= 256, "a name of no bytes, or of more than 256")
        try:
            name = take(length).decode()
        except UnicodeDecodeError as error:
            raise Refused("a name is not UTF-8") from error
        code, rank = take(2)
        require(code in TYPES and rank <= 9, "an unknown element type, or more than 9 axes")
        shape = struct.unpack(f"<{rank}Q", take(8 * rank))
        size = TYPES[code].itemsize
        for dimension in shape:
            size *= dimension
        require(name not in tensors, f"two tensors named {name}")
        tensors[name] = np.frombuffer(take(size), TYPES[code]).reshape(shape)
    require(at == len(data), "bytes follow the tensors")
    return tensors
