"""A model's file, program and `ModelId` (`docs/spec/trace.md`, section 4; `docs/spec/arithmetic.md`, section 4).

The file is safetensors (<https://huggingface.co/docs/safetensors>): a `u64` length, a JSON header, tensor bytes. The
program stands in the header's metadata, canonical within the value of the key `credence`.
"""

import json
import struct
from dataclasses import dataclass

import numpy as np

from . import canonical, require, tree

DTYPES = {"i8": np.dtype("<i1"), "i16": np.dtype("<i2"), "i32": np.dtype("<i4")}
_FILE_DTYPES = {"I8": "i8", "I16": "i16", "I32": "i32"}


@dataclass(frozen=True)
class Model:
    """A program, and its parameters in the program's order."""

    program: dict
    params: list[np.ndarray]

    def model_id(self) -> bytes:
        """The 32 bytes that name the model."""
        program = canonical.encode(self.program)
        weights = b"".join(_padded(param.tobytes()) for param in self.params)
        return tree.root(
            "credence/model/v1",
            struct.pack("<Q", len(program))
            + tree.root("credence/program/v1", program)
            + struct.pack("<Q", len(weights))
            + tree.root("credence/weights/v1", weights),
        )


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 64)


def read(data: bytes) -> Model:
    """The model of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    require(length <= len(data) - 8, "the file's header is truncated")
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    program = canonical.decode(header.pop("__metadata__")["credence"].encode())["program"]
    require(program["profile"] == "exact-1", "another profile")
    require({param["name"] for param in program["params"]} == header.keys(), "tensors and parameters differ")
    params = []
    for param in program["params"]:
        entry = header[param["name"]]
        require(
            _FILE_DTYPES[entry["dtype"]] == param["dtype"] and entry["shape"] == param["shape"],
            "a tensor's type or shape",
        )
        start, end = entry["data_offsets"]
        params.append(np.frombuffer(body[start:end], DTYPES[param["dtype"]]).reshape(param["shape"]))
    return Model(program, params)
