"""The second implementation gives every value in `vectors/arithmetic` and `vectors/programs`."""

import json
import struct

import numpy as np
import pytest
from conftest import VECTORS, vector
from second import Refused, arithmetic, canonical, model, tensors, trace


def or_none(compute, *arguments: object) -> int | None:
    """What `compute` gives, or None where the specification has an error."""
    try:
        return int(compute(*arguments))
    except Refused:
        return None


def fp32(bits: int) -> np.ndarray:
    return np.array([[bits]], "<u4").view("<f4")


def encoded(bits: int, how: dict) -> np.ndarray:
    spec = {"name": "x", "dtype": "FP32", "shape": [1], "encode": how}
    return arithmetic.encode(spec, fp32(bits))[0, 0]


def test_rescale() -> None:
    for case in vector("arithmetic/rescale.json"):
        t = np.array(int(case["t"]), np.int64)
        expected = None if case["y"] is None else int(case["y"])
        assert or_none(arithmetic.rescale, t, case["shift"]) == expected, case


def test_quantise() -> None:
    for case in vector("arithmetic/quantise.json"):
        how = {name: case[name] for name in ("multiplier", "shift", "min", "max")}
        assert or_none(encoded, case["bits"], {"quantise": how}) == case["q"], case


def test_order_key() -> None:
    for case in vector("arithmetic/order_key.json"):
        assert or_none(encoded, case["bits"], {"order_key": {}}) == case["key"], case


def test_to_fp32() -> None:
    for case in vector("arithmetic/to_fp32.json"):
        nearest = arithmetic.nearest_f32(case["q"] * case["multiplier"], case["shift"])
        assert struct.unpack("<I", struct.pack("<f", nearest))[0] == case["bits"], case


PROGRAMS = sorted((VECTORS / "programs").glob("*.json"))


def test_every_op_has_a_program() -> None:
    seen = {name for path in PROGRAMS for node in load(path)[1].program["nodes"] for name in node["op"]}
    assert seen == arithmetic.OPS.keys()


def load(path) -> tuple[dict, model.Model]:
    case = json.loads(path.read_bytes())
    program = canonical.decode(case["program"].encode())
    params = [
        np.frombuffer(bytes.fromhex(data), model.DTYPES[spec["dtype"]]).reshape(spec["shape"])
        for spec, data in zip(program["params"], case["weights"], strict=True)
    ]
    return case, model.Model(program, params)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs(path) -> None:
    """Id, every value of every node at every position, trace bytes and root, and the answer."""
    case, loaded = load(path)
    assert loaded.model_id().hex() == case["model_id"]
    outputs, values = arithmetic.run(loaded, tensors.decode(bytes.fromhex(case["request"])))
    for position, nodes in enumerate(case["values"]):
        for node, expected in enumerate(nodes):
            assert values[node][position].reshape(-1).tolist() == expected, loaded.program["nodes"][node]
    assert trace.section(loaded.program, values).hex() == case["trace"]
    assert trace.root(loaded.program, values).hex() == case["trace_root"]
    assert tensors.encode(outputs).hex() == case["answer"]
