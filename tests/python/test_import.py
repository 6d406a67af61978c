"""Models as their makers write them: scikit-learn through skl2onnx at its defaults, and files that must be refused.

Trained here on scikit-learn's own real data, continuous features included; compared with onnxruntime on held-out rows.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import MODELS, Credence
from onnx import TensorProto, helper, numpy_helper
from second import receipt, replay, tensors
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn import datasets, ensemble, tree
from sklearn.model_selection import train_test_split
from test_second_verifier import load

SEED = 7


@dataclass(frozen=True)
class Source:
    """A model to be trained, and on what."""

    model: object
    data: str
    labels: bool


SOURCES = {
    "forest-binary": Source(ensemble.RandomForestClassifier(20, max_depth=6, random_state=SEED), "breast_cancer", True),
    "forest-wine": Source(ensemble.RandomForestClassifier(20, max_depth=6, random_state=SEED), "wine", True),
    "forest-regression": Source(ensemble.RandomForestRegressor(20, max_depth=6, random_state=SEED), "diabetes", False),
    "extra-trees": Source(ensemble.ExtraTreesClassifier(20, max_depth=6, random_state=SEED), "wine", True),
    "decision-tree": Source(tree.DecisionTreeClassifier(max_depth=5, random_state=SEED), "wine", True),
    "boosted-binary": Source(
        ensemble.GradientBoostingClassifier(n_estimators=30, random_state=SEED), "breast_cancer", True
    ),
    "boosted-wine": Source(ensemble.GradientBoostingClassifier(n_estimators=20, random_state=SEED), "wine", True),
    "boosted-regression": Source(
        ensemble.GradientBoostingRegressor(n_estimators=30, random_state=SEED), "diabetes", False
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_trees_decide_as_the_float_model(credence: Credence, tmp_path: Path, name: str) -> None:
    source = SOURCES[name]
    x, y = getattr(datasets, f"load_{source.data}")(return_X_y=True)
    train, test, train_y, _ = train_test_split(x.astype(np.float32), y, test_size=0.3, random_state=SEED)
    source.model.fit(train, train_y)
    converted = convert_sklearn(
        source.model,
        initial_types=[("features", FloatTensorType([None, x.shape[1]]))],
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    path, inputs, bundle = tmp_path / "model.onnx", tmp_path / "inputs.npz", tmp_path / "run.bundle.json"
    path.write_bytes(converted.SerializeToString())
    np.savez(tmp_path / "calibrate.npz", features=train)
    np.savez(inputs, features=test)

    credence.succeed("model", "import", path, "--calibrate", tmp_path / "calibrate.npz", "--name", name)
    credence.succeed("run", name, "--input", inputs, "--receipt", bundle)
    found = receipt.check(bundle.read_bytes())
    exact = replay.check(found, load(credence, found.claim["model"]))
    compare(exact, float_answers(path, test), source.labels)
    assert credence.run("verify", bundle, "--model", name).returncode == 0


def float_answers(path: Path, rows: np.ndarray) -> list[np.ndarray]:
    """Outputs in the file's order; a ZipMap's list of maps as the table that it was made from."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    answers = session.run(None, {"features": rows})
    return [np.array([list(row.values()) for row in a], np.float32) if isinstance(a, list) else a for a in answers]


def compare(exact: tensors.Tensors, floats: list[np.ndarray], labels: bool, share: float = 1e-4) -> None:
    """Equal decisions, and scores within this share of their range."""
    assert len(exact) == len(floats)
    for position, (array, expected) in enumerate(zip(exact.values(), floats, strict=True)):
        if labels and position == 0:
            assert np.array_equal(array, expected)
        else:
            scale = float(np.abs(expected).max())
            assert np.abs(array.reshape(expected.shape) - expected).max() <= share * scale


def chain(*operators: str, weight: np.ndarray | None = None) -> onnx.ModelProto:
    """`x [N,4]` through a matrix and then through each operator."""
    weight = np.eye(4, dtype=np.float32) if weight is None else weight
    nodes = [helper.make_node("MatMul", ["x", "w"], ["t0"])]
    nodes += [helper.make_node(name, [f"t{at}"], [f"t{at + 1}"]) for at, name in enumerate(operators)]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info(f"t{len(operators)}", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def cyclic() -> onnx.ModelProto:
    model = chain("Relu", "Relu")
    model.graph.node[1].input[0] = "t2"
    return model


def with_weight(value: float) -> onnx.ModelProto:
    weight = np.eye(4, dtype=np.float32)
    weight[1, 2] = value
    return chain("Relu", weight=weight)


def external() -> onnx.ModelProto:
    model = chain("Relu")
    (weight,) = model.graph.initializer
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")
    return model


def short_weight() -> onnx.ModelProto:
    model = chain("Relu")
    model.graph.initializer[0].raw_data = b"\0" * 60
    return model


def huge_weight() -> onnx.ModelProto:
    model = chain("Relu")
    model.graph.initializer[0].dims[:] = [2**62, 2**62]
    return model


def doubled_output() -> onnx.ModelProto:
    model = chain("Relu", "Relu")
    model.graph.node[1].output[0] = "t2"
    return model


def unknown_input() -> onnx.ModelProto:
    model = chain("Relu")
    model.graph.node[0].input[0] = "nowhere"
    return model


# What each file is, and what its refusal must name.
REFUSED = {
    "unsupported operator": (chain("Det").SerializeToString(), "Det"),
    "cyclic": (cyclic().SerializeToString(), ""),
    "NaN weight": (with_weight(float("nan")).SerializeToString(), "`w`"),
    "infinite weight": (with_weight(float("inf")).SerializeToString(), "`w`"),
    "external data": (external().SerializeToString(), "`w`"),
    "short weight": (short_weight().SerializeToString(), "`w`"),
    "huge weight": (huge_weight().SerializeToString(), "`w`"),
    "doubled output": (doubled_output().SerializeToString(), "t2"),
    "unknown input": (unknown_input().SerializeToString(), "nowhere"),
    "empty": (b"", ""),
    "not protobuf": (b"\xff" * 64, ""),
    "truncated": ((MODELS / "digits-cnn.onnx").read_bytes()[:50_000], ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_files_get_one_clear_error(credence: Credence, tmp_path: Path, case: str) -> None:
    data, named = REFUSED[case]
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    np.savez(tmp_path / "calibrate.npz", x=np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4))
    before = credence.models()
    done = credence.run("model", "import", path, "--calibrate", tmp_path / "calibrate.npz", "--name", "bad")
    check_refusal(done.returncode, done.stderr, named)
    assert credence.models() == before
    assert not list((credence.home / "models").glob(".*")), "nothing half-written is left"


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"image": np.full((4, 1, 8, 8), np.nan, np.float32)}, "image"),
        ({"image": np.full((4, 1, 8, 8), np.inf, np.float32)}, "image"),
        ({"image": np.zeros((4, 1, 8, 7), np.float32)}, "image"),
        ({"image": np.zeros((4, 64), np.float32)}, "image"),
        ({"image": np.zeros((4, 1, 8, 8), np.float64)}, "image"),
        ({"image": np.zeros((0, 1, 8, 8), np.float32)}, ""),
        ({"picture": np.zeros((4, 1, 8, 8), np.float32)}, "picture"),
        ({"image": np.zeros((4, 1, 8, 8), np.float32), "more": np.zeros(3, np.float32)}, "more"),
        ({}, ""),
    ],
)
def test_bad_inputs_get_one_clear_error(credence: Credence, cnn: str, tmp_path: Path, arrays: dict, named: str) -> None:
    path, bundle = tmp_path / "inputs.npz", tmp_path / "never.bundle.json"
    np.savez(path, **arrays)
    done = credence.run("run", cnn, "--input", path, "--receipt", bundle)
    check_refusal(done.returncode, done.stderr, named)
    assert not bundle.exists()


def check_refusal(code: int, talk: str, named: str) -> None:
    """Refused as the input's fault (docs/cli.md), in one line; never by a panic, a signal or as our own fault."""
    assert 2 <= code <= 9, talk
    assert len([line for line in talk.splitlines() if line.startswith("error: ")]) == 1, talk
    assert named in talk, talk


def test_importing_twice_gives_one_id(credence: Credence, cnn: str) -> None:
    """Into one home under two names: the model's file is its id, so there is still one."""
    before = credence.models()
    again = ("--calibrate", MODELS / f"{cnn}.calibrate.npz", "--name", "again")
    credence.succeed("model", "import", MODELS / f"{cnn}.onnx", *again)
    assert credence.models() == before
