"""Trains the shipped models and writes them with their calibration and held-out inputs.

    python models/train.py            # from scripts/python-env's environment; about a minute

Flow: load the data (scikit-learn's own copies, no download), split with a fixed seed, train, write
`NAME.onnx`, `NAME.calibrate.npz`, `NAME.inputs.npz` and `NAME.labels.npz`, then read each model back
with onnxruntime, measure its accuracy on rows that it has not seen, and fail below the stated floor.
Last, `SHA256SUMS` over all of them.

Files are byte-for-byte the same on one machine and one set of package versions. Across CPUs the
BLAS may differ in a last bit, so the committed files are the reference, not this script's output.
"""

import os

# One BLAS thread: the order of sums, hence the weights, must not depend on the number of cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import hashlib
import io
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import cnn

HERE = Path(__file__).resolve().parent
SEED = 20_250_917
OPSET = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8
CALIBRATION_ROWS = 300


@dataclass(frozen=True)
class Digits:
    """The digits data, split once: a held-out fifth that no training and no calibration sees."""

    train: np.ndarray
    train_labels: np.ndarray
    held_out: np.ndarray
    held_out_labels: np.ndarray


def digits() -> Digits:
    """1,797 images of 8x8 pixels, each an integer in 0..=16; stratified split, 1,437 to 360."""
    pixels, labels = load_digits(return_X_y=True)
    train, held_out, train_labels, held_out_labels = train_test_split(
        pixels.astype(np.float32), labels.astype(np.int64), test_size=0.2, random_state=SEED, stratify=labels
    )
    return Digits(train, train_labels, held_out, held_out_labels)


def write_npz(path: Path, name: str, array: np.ndarray) -> None:
    """One array as a deflated npz. Unlike `np.savez_compressed`, the same bytes on every run."""
    body = io.BytesIO()
    np.lib.format.write_array(body, np.ascontiguousarray(array), version=(1, 0))
    entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, body.getvalue(), compresslevel=9)


def from_sklearn(model, name: str):
    """`model` through skl2onnx: `pixels` in; `label` and `probabilities` out, as plain tensors (no ZipMap)."""
    outputs = {"output_label": "label"}
    converted = convert_sklearn(
        model,
        initial_types=[("pixels", FloatTensorType([None, 64]))],
        target_opset=OPSET,
        options={id(model): {"zipmap": False}},
    )
    # The converter may import one domain twice; ONNX asks for each once.
    versions = {entry.domain: entry.version for entry in converted.opset_import}
    del converted.opset_import[:]
    converted.opset_import.extend(onnx.helper.make_opsetid(*entry) for entry in sorted(versions.items()))
    # The converter names a graph at random, which would make every run another file.
    converted.graph.name = name
    for node in converted.graph.node:
        node.output[:] = [outputs.get(name, name) for name in node.output]
        node.input[:] = [outputs.get(name, name) for name in node.input]
    for value in converted.graph.output:
        value.name = outputs.get(value.name, value.name)
    for value in (*converted.graph.input, *converted.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    converted.ir_version = IR_VERSION
    return converted


def accuracy(path: Path, input_name: str, inputs: np.ndarray, labels: np.ndarray) -> float:
    """The share of `inputs` that onnxruntime, given the file as written, labels rightly."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    first = session.run(None, {input_name: inputs})[0]
    decided = first.argmax(1) if first.ndim == 2 else first
    return float((decided == labels).mean())


def publish(name: str, model, arrays: tuple[np.ndarray, np.ndarray, np.ndarray], floor: float) -> bool:
    """Writes a model's four files, prints what they are, and says whether it reaches `floor`."""
    calibrate, inputs, labels = arrays
    input_name = model.graph.input[0].name
    onnx.checker.check_model(model, full_check=True)
    path = HERE / f"{name}.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    write_npz(HERE / f"{name}.calibrate.npz", input_name, calibrate)
    write_npz(HERE / f"{name}.inputs.npz", input_name, inputs)
    write_npz(HERE / f"{name}.labels.npz", "label", labels)
    reached = accuracy(path, input_name, inputs, labels)
    print(f"{name}: held-out accuracy {reached:.4f} on {len(inputs)} rows (floor {floor})")
    return reached >= floor


def write_digests() -> None:
    """`SHA256SUMS` over every shipped file, as `sha256sum --check` reads it."""
    files = sorted([*HERE.glob("*.onnx"), *HERE.glob("*.npz")])
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (HERE / "SHA256SUMS").write_text("".join(lines))
    print(f"{len(files)} files, {sum(file.stat().st_size for file in files)} bytes in all")


def main() -> int:
    data = digits()
    flat = (data.train[:CALIBRATION_ROWS], data.held_out, data.held_out_labels)
    # The network reads pixels in 0..=1: sixteenths, exact in f32.
    images = tuple((rows / 16).reshape(-1, 1, 8, 8) for rows in (data.train, data.held_out))
    weights = cnn.train(images[0], data.train_labels)
    good = publish(
        "digits-cnn",
        cnn.to_onnx(weights, OPSET[""], IR_VERSION),
        (images[0][:CALIBRATION_ROWS], images[1], data.held_out_labels),
        floor=0.98,
    )

    mlp = MLPClassifier((64, 32), alpha=1e-2, max_iter=400, random_state=SEED)
    mlp.fit(data.train, data.train_labels)
    good &= publish("digits-mlp", from_sklearn(mlp, "digits-mlp"), flat, floor=0.96)

    forest = RandomForestClassifier(100, max_depth=8, max_leaf_nodes=34, max_features=5, n_jobs=1, random_state=SEED)
    forest.fit(data.train, data.train_labels)
    good &= publish("forest", from_sklearn(forest, "forest"), flat, floor=0.94)
    write_digests()
    if not good:
        print("train.py: a model is below its floor; nothing of it should be committed", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
