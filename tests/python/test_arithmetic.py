"""The second implementation gives every value in `vectors/arithmetic`, `vectors/programs` and `vectors/language`."""

import copy
import json
import struct

import numpy as np
import pytest
from conftest import VECTORS, vector
from second import Refused, arithmetic, canonical, language, model, relations, tensors, trace


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


def check_costs(program: dict, values: list[np.ndarray], expected: list[int]) -> None:
    """What relations cost, and that none of a cut node is over the limit."""
    costs = relations.costs(program, [cells.shape[1:] for cells in values])
    assert costs == expected
    assert all(cost <= 16_640 for cost, node in zip(costs, program["nodes"], strict=True) if node["cut"])


def test_exp_256() -> None:
    entries = np.frombuffer(bytes.fromhex(vector("arithmetic/exp_256.json")["entries"]), "<i2")
    assert language.exp256().tolist() == [*entries.tolist(), 0]
    assert (np.diff(entries) <= 0).all() and entries[0] == 32767 and entries[-1] == 1
    assert language._exp256(2840) == language._exp256(65535) == 0


PROGRAMS = sorted((VECTORS / "programs").glob("*.json"))
LANGUAGE = sorted((VECTORS / "language").glob("*.json"))


def test_every_op_has_a_program() -> None:
    def seen(paths) -> set[str]:
        return {name for path in paths for node in load(path)[1].program["nodes"] for name in node["op"]}

    assert seen(PROGRAMS) == arithmetic.OPS.keys()
    assert seen(LANGUAGE) > language.OPS.keys()


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
    check_costs(loaded.program, values, case["relation_costs"])
    assert tensors.encode(outputs).hex() == case["answer"]


@pytest.mark.parametrize("path", LANGUAGE, ids=lambda path: path.stem)
def test_language_models(path) -> None:
    """Id, every value of every node at the positions observed, logits, and the root of all."""
    case, loaded = load(path)
    assert loaded.model_id().hex() == case["model_id"]
    run = language.run(loaded, case["tokens"], case["sampled"])
    nodes = loaded.program["nodes"]
    for position, expected in zip(case["observed"], case["values"], strict=True):
        for index, (node, cells) in enumerate(zip(nodes, expected, strict=True)):
            exists = run.carried[index] or position in case["sampled"]
            got = run.values[index][position].astype(model.DTYPES[node["dtype"]]).tobytes().hex() if exists else ""
            assert got == cells, (position, node)
    logits = run.values[loaded.program["language"]["logits"]]
    assert [logits[position].astype("<i4").tobytes().hex() for position in case["sampled"]] == case["logits"]
    assert trace.language_root(loaded.program, run).hex() == case["trace_root"]
    check_costs(loaded.program, run.values, case["relation_costs"])


@pytest.mark.parametrize("path", LANGUAGE, ids=lambda path: path.stem)
def test_blocks_begin_where_the_closed_form_says(path) -> None:
    """`docs/spec/trace.md`, section 3: `p·F + 64·R·(a + 1)·(16·a + b)`."""
    case, loaded = load(path)
    run = language.run(loaded, case["tokens"], case["sampled"])
    kept = [*language.remembered(loaded.program, "scores", "k"), *language.remembered(loaded.program, "attend", "v")]
    heads = fixed = 0
    for index, (node, carried) in enumerate(zip(loaded.program["nodes"], run.carried, strict=True)):
        if node["cut"] and carried and "scores" in node["op"]:
            heads += run.values[index].shape[1]
        elif node["cut"] and carried and index not in kept:
            size = run.values[index][0].size * model.DTYPES[node["dtype"]].itemsize
            fixed += -fixed % 64 + size
    fixed = max(fixed + -fixed % 64, 64)
    begins = 0
    for position in range(len(case["tokens"])):
        a, b = divmod(position, 32)
        assert begins == position * fixed + 64 * heads * (a + 1) * (16 * a + b)
        block = trace.block(loaded.program, run, True, position)
        assert len(block) == fixed + 64 * heads * ((position + 32) // 32)
        begins += len(block)


def test_heads_weigh_several_positions() -> None:
    """The vectors would say little if every mean were of one position."""
    shared = 0
    for path in LANGUAGE:
        case, loaded = load(path)
        run = language.run(loaded, case["tokens"], case["sampled"])
        for index, node in enumerate(loaded.program["nodes"]):
            if "scores" in node["op"]:
                seen = language.Past(loaded, case["tokens"], run.values).sees(index)[:, None]
                cells = np.where(seen, run.values[index], -(2**15))
                shared += int(((cells.max(-1, keepdims=True) - cells < 2840).sum(-1) > 1).sum())
    assert shared > 500


def nodes_of(program: dict, op: str) -> list[dict]:
    return [node for node in program["nodes"] if op in node["op"]]


WRONG_PROGRAMS = {
    "an input": lambda program: program["inputs"].append({}),
    "an output": lambda program: program["outputs"].append({}),
    "no context": lambda program: program["language"].update(context=0),
    "too large a vocabulary": lambda program: program["language"].update(vocabulary=2**20 + 1),
    "text that is not bytes": lambda program: program["params"][program["language"]["text"]].update(dtype="i16"),
    "keys that are not cut": lambda program: read_by(program, "scores", "k").update(cut=False),
    "values that are not cut": lambda program: read_by(program, "attend", "v").update(cut=False),
    "scores that are not cut": lambda program: nodes_of(program, "scores")[0].update(cut=False),
    "scores that another op reads": lambda program: nodes_of(program, "max_abs")[-1]["op"]["max_abs"].update(
        x=program["nodes"].index(nodes_of(program, "scores")[0])
    ),
    "logits that are not cut": lambda program: program["nodes"][-1].update(cut=False),
    "another type of logits": lambda program: program["nodes"][-1].update(dtype="i16"),
    "logits that are carried": lambda program: program["language"].update(logits=0),
}


def read_by(program: dict, op: str, member: str) -> dict:
    return program["nodes"][nodes_of(program, op)[0]["op"][op][member]]


@pytest.mark.parametrize("edit", WRONG_PROGRAMS.values(), ids=WRONG_PROGRAMS.keys())
def test_programs_that_are_not_language_models(edit) -> None:
    _, loaded = load(VECTORS / "language/window.json")
    program = copy.deepcopy(loaded.program)
    language.check(program)
    edit(program)
    with pytest.raises(Refused):
        language.check(program)


def test_tokens_that_do_not_fit() -> None:
    case, loaded = load(VECTORS / "language/window.json")
    spec = loaded.program["language"]
    for tokens, sampled in (
        ([], []),
        ([spec["vocabulary"]], [0]),
        ([-1], [0]),
        ([0] * (spec["context"] + 1), []),
        ([0], [1]),
        ([0, 0], [1, 0]),
    ):
        with pytest.raises(Refused):
            language.run(loaded, tokens, sampled)
