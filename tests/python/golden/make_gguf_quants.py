"""Blocks of every quantised type and their floats by the `gguf` package, for crates/format-gguf/tests/golden/quants.json.

Needs `numpy` and `gguf` (0.19). Run from the repository's root: python tests/python/golden/make_gguf_quants.py
"""

import json
from pathlib import Path

import numpy as np
from gguf.constants import GGMLQuantizationType as Kind
from gguf.quants import dequantize

OUT = Path("crates/format-gguf/tests/golden/quants.json")

# Type, bytes of a block, where its halves (scales) stand.
TYPES = [
    (Kind.F32, 4, []),
    (Kind.F16, 2, [0]),
    (Kind.BF16, 2, []),
    (Kind.Q8_0, 34, [0]),
    (Kind.Q4_0, 18, [0]),
    (Kind.Q4_1, 20, [0, 2]),
    (Kind.Q5_0, 22, [0]),
    (Kind.Q5_1, 24, [0, 2]),
    (Kind.Q4_K, 144, [0, 2]),
    (Kind.Q5_K, 176, [0, 2]),
    (Kind.Q6_K, 210, [208]),
]
# Scales that a model has, and the odd ones: zeros, a subnormal, the largest.
SCALES = [0.0123, -0.5, 0.0, -0.0, 6e-8, 65504.0, 1.0, 0.3333]


def case(kind, size, halves, rng):
    count = 96 if size <= 4 else 8 if size < 100 else 3
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if kind == Kind.F32:
        blocks = rng.normal(size=count).astype("<f4").view(np.uint8).reshape(count, 4)
    if kind == Kind.BF16:
        blocks[:, 1] = rng.integers(0x38, 0x44, count)
    for at in halves:
        picked = rng.permutation(SCALES * (1 + count // len(SCALES)))[:count]
        if kind == Kind.F16:
            picked = np.where(np.arange(count) % 2, picked, rng.normal(size=count))
        blocks[:, at : at + 2] = picked.astype("<f2").view(np.uint8).reshape(count, 2)
    floats = dequantize(blocks.reshape(-1) if size > 4 else blocks.reshape(1, -1), kind)
    bits = np.asarray(floats, dtype="<f4").reshape(-1).view("<u4")
    return {
        "kind": kind.name,
        "bytes": blocks.tobytes().hex(),
        "float_bits": "".join(f"{b:08x}" for b in bits),
    }


def main():
    rng = np.random.default_rng(20240501)
    cases = [case(*row, rng) for row in TYPES]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
