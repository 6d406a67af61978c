"""XGBoost and LightGBM through their ONNX converters: equal decisions on held-out rows of real data."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import lightgbm
import numpy as np
import onnxmltools
import pytest
import xgboost
from conftest import Credence
from onnxmltools.convert.common.data_types import FloatTensorType
from second import receipt, replay
from sklearn import datasets
from sklearn.model_selection import train_test_split
from test_import import compare, float_answers
from test_second_verifier import load

SEED = 7
# A table of log-odds up to 18 has steps of 2^-10, and a logistic function rises by a quarter at most: 1.22e-4 is half a step.
SCORE_SHARE = 1.5e-4


@dataclass(frozen=True)
class Source:
    """A model to be trained, on what, and what converts it."""

    model: object
    data: str
    labels: bool
    convert: Callable


def of_xgboost(model: object, data: str, labels: bool) -> Source:
    return Source(model, data, labels, onnxmltools.convert_xgboost)


def of_lightgbm(model: object, data: str, labels: bool) -> Source:
    return Source(model, data, labels, onnxmltools.convert_lightgbm)


def light(kind: type, trees: int) -> object:
    return kind(n_estimators=trees, random_state=SEED, n_jobs=1, deterministic=True, verbose=-1)


def extreme(kind: type, trees: int, depth: int) -> object:
    return kind(n_estimators=trees, max_depth=depth, random_state=SEED, n_jobs=1)


SOURCES = {
    "xgboost-binary": of_xgboost(extreme(xgboost.XGBClassifier, 60, 4), "breast_cancer", True),
    "xgboost-wine": of_xgboost(extreme(xgboost.XGBClassifier, 30, 3), "wine", True),
    "xgboost-digits": of_xgboost(extreme(xgboost.XGBClassifier, 20, 4), "digits", True),
    "xgboost-regression": of_xgboost(extreme(xgboost.XGBRegressor, 60, 4), "diabetes", False),
    "lightgbm-binary": of_lightgbm(light(lightgbm.LGBMClassifier, 60), "breast_cancer", True),
    "lightgbm-wine": of_lightgbm(light(lightgbm.LGBMClassifier, 30), "wine", True),
    "lightgbm-digits": of_lightgbm(light(lightgbm.LGBMClassifier, 20), "digits", True),
    "lightgbm-regression": of_lightgbm(light(lightgbm.LGBMRegressor, 60), "diabetes", False),
}


@pytest.mark.parametrize("name", SOURCES)
def test_boosted_trees_decide_as_the_float_model(credence: Credence, tmp_path: Path, name: str) -> None:
    source = SOURCES[name]
    x, y = getattr(datasets, f"load_{source.data}")(return_X_y=True)
    train, test, train_y, _ = train_test_split(x.astype(np.float32), y, test_size=0.3, random_state=SEED)
    source.model.fit(train, train_y)
    converted = source.convert(
        source.model, initial_types=[("features", FloatTensorType([None, x.shape[1]]))], target_opset=15
    )
    path, inputs, bundle = tmp_path / "model.onnx", tmp_path / "inputs.npz", tmp_path / "run.bundle.json"
    path.write_bytes(converted.SerializeToString())
    np.savez(inputs, features=test)

    # Nothing is calibrated: thresholds are exact and leaves bound the sums.
    credence.succeed("model", "import", path, "--name", name, "--allow-error")
    credence.succeed("run", name, "--input", inputs, "--receipt", bundle)
    found = receipt.check(bundle.read_bytes())
    exact = replay.check(found, load(credence, found.claim["model"]))
    compare(exact, float_answers(path, test), source.labels, SCORE_SHARE)
    if source.labels:
        # The library's own decisions, not only those of the converted file.
        assert np.array_equal(next(iter(exact.values())), source.model.predict(test))
