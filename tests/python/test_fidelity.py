"""The exact integer models answer as the float models do, on held-out inputs that no import saw.

The float side is onnxruntime, which shares nothing with Credence's importer or its float reference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import MODELS, rows
from second import receipt, tensors


@dataclass(frozen=True)
class Bar:
    """What a model must reach: shares of rows, and cosine of the whole output."""

    top1: float
    cosine: float
    max_error: float


# Floors, not what is measured. A forest's splits are integer comparisons, so its decisions are equal.
BARS = {
    "digits-cnn": Bar(top1=0.99, cosine=0.999, max_error=1.0),
    "digits-mlp": Bar(top1=0.99, cosine=0.999, max_error=0.25),
    "forest": Bar(top1=1.0, cosine=1 - 1e-9, max_error=1e-6),
}


def float_outputs(name: str) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(MODELS / f"{name}.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict([rows(name, "inputs")])), strict=True))


def decisions(outputs: dict[str, np.ndarray]) -> np.ndarray:
    return outputs["label"] if "label" in outputs else outputs["logits"].argmax(1)


@pytest.fixture(params=BARS)
def both(request: pytest.FixtureRequest, bundles: Callable[[str], Path]) -> tuple[str, dict, dict]:
    """A model's name, what Credence answered and what onnxruntime answers."""
    found = receipt.check(bundles(request.param).read_bytes())
    return request.param, tensors.decode(found.opened["output"]), float_outputs(request.param)


def test_outputs_have_the_float_models_form(both: tuple[str, dict, dict]) -> None:
    _, exact, floats = both
    assert list(exact) == list(floats)
    for name, array in exact.items():
        assert (array.dtype, array.shape) == (floats[name].dtype, floats[name].shape), name


def test_decisions_agree(both: tuple[str, dict, dict]) -> None:
    name, exact, floats = both
    agreement = float((decisions(exact) == decisions(floats)).mean())
    assert agreement >= BARS[name].top1, f"top-1 agreement {agreement:.4f}"


def test_scores_are_close(both: tuple[str, dict, dict]) -> None:
    name, exact, floats = both
    scores = "logits" if "logits" in exact else "probabilities"
    a, b = exact[scores].astype(np.float64).ravel(), floats[scores].astype(np.float64).ravel()
    cosine = float(a @ b / np.sqrt((a @ a) * (b @ b)))
    error = float(np.abs(a - b).max())
    assert cosine >= BARS[name].cosine, f"cosine {cosine:.7f}"
    assert error <= BARS[name].max_error, f"largest error {error:.5f}"


def test_accuracy_is_kept(both: tuple[str, dict, dict]) -> None:
    """Within one row in a hundred of the float model's accuracy on the true labels."""
    name, exact, floats = both
    _, labels = rows(name, "labels")
    assert (decisions(exact) == labels).mean() >= (decisions(floats) == labels).mean() - 0.01
