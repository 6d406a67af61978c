"""Models that onnxruntime's own quantiser writes: imported without calibration, since scales and weights are the file's, and compared with onnxruntime's integers."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import MODELS, Credence
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from second import receipt, replay
from test_second_verifier import load

MODEL = "digits-cnn"


class Batches(CalibrationDataReader):
    """The shipped calibration set, one input at a time."""

    def __init__(self) -> None:
        with np.load(MODELS / f"{MODEL}.calibrate.npz") as archive:
            (self.name,) = archive.files
            self.rest = iter(archive[self.name])

    def get_next(self) -> dict | None:
        row = next(self.rest, None)
        return None if row is None else {self.name: row[None]}


CASES = [
    (form, activations, per_channel)
    for form in (QuantFormat.QDQ, QuantFormat.QOperator)
    for activations in (QuantType.QUInt8, QuantType.QInt8)
    for per_channel in (True, False)
]


@pytest.mark.parametrize(("form", "activations", "per_channel"), CASES, ids=str)
def test_integers_are_the_files(
    credence: Credence, tmp_path: Path, form: QuantFormat, activations: QuantType, per_channel: bool
) -> None:
    path, bundle = tmp_path / "model.onnx", tmp_path / "run.bundle.json"
    quantize_static(
        MODELS / f"{MODEL}.onnx",
        path,
        Batches(),
        quant_format=form,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    name = f"q-{form.name}-{activations.name}-{per_channel}".lower()
    credence.succeed("model", "import", path, "--name", name, "--allow-error")
    credence.succeed("run", name, "--input", MODELS / f"{MODEL}.inputs.npz", "--receipt", bundle)
    found = receipt.check(bundle.read_bytes())
    model = load(credence, found.claim["model"])
    (exact,) = replay.check(found, model).values()

    with np.load(MODELS / f"{MODEL}.inputs.npz") as archive:
        inputs = {key: archive[key] for key in archive.files}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, inputs)
    # The last rounding of the file gives the step. onnxruntime rounds halves to even, the profile up: one step either way.
    step = last_step(onnx.load(path))
    assert np.abs(exact - expected).max() <= 2.01 * step
    assert (np.abs(exact - expected) < 0.01 * step).mean() >= 0.95
    assert (exact.argmax(-1) == expected.argmax(-1)).mean() >= 0.995


def last_step(model: onnx.ModelProto) -> float:
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    last = next(node for node in reversed(model.graph.node) if node.op_type == "DequantizeLinear" and node.input[0] not in constants)
    return float(constants[last.input[1]])


def test_dynamic_quantisation_is_refused_by_name(credence: Credence, tmp_path: Path) -> None:
    path = tmp_path / "dynamic.onnx"
    quantize_dynamic(MODELS / "digits-mlp.onnx", path)
    done = credence.run("model", "import", path, "--calibrate", MODELS / "digits-mlp.calibrate.npz", "--name", "dynamic")
    assert 2 <= done.returncode <= 9
    assert "DynamicQuantizeLinear" in done.stderr and "quantize_static" in done.stderr, done.stderr
