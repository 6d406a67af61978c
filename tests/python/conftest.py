"""What the tests share: the built binary in a home of its own, the shipped models, and honest bundles."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "models"
VECTORS = REPOSITORY / "vectors"
SHIPPED = ("digits-cnn", "digits-mlp", "forest")
RUN_LIMIT_S = 300


@dataclass(frozen=True)
class Credence:
    """The binary, bound to one home folder."""

    binary: Path
    home: Path

    def command(self, *arguments: object) -> list[str]:
        return [str(self.binary), *map(str, arguments)]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CREDENCE_HOME": str(self.home), "NO_COLOR": "1"}

    def run(self, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs to the end, whatever the exit code."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment(),
            cwd=cwd,
            text=True,
            capture_output=True,
            timeout=RUN_LIMIT_S,
        )

    def succeed(self, *arguments: object) -> str:
        """Runs, expects exit code 0, and gives what stood on stdout."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def models(self) -> dict[str, Path]:
        """Model files in the home, by the id that is their name."""
        return {path.stem: path for path in (self.home / "models").glob("*.safetensors")}


def rows(name: str, kind: str) -> tuple[str, np.ndarray]:
    """The one array of `NAME.KIND.npz`, and what it is called."""
    with np.load(MODELS / f"{name}.{kind}.npz") as archive:
        (array,) = archive.files
        return array, archive[array]


@pytest.fixture(scope="session")
def credence(tmp_path_factory: pytest.TempPathFactory) -> Credence:
    binary = os.environ.get("CREDENCE_BIN")
    assert binary, "CREDENCE_BIN is not set: run these tests by scripts/test-python"
    return Credence(Path(binary), tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def cnn(credence: Credence) -> str:
    """The digits CNN, imported."""
    return import_model(credence, "digits-cnn")


@pytest.fixture(scope="session", params=SHIPPED)
def imported(request: pytest.FixtureRequest, credence: Credence) -> str:
    """Each shipped model, imported."""
    return import_model(credence, request.param)


def import_model(credence: Credence, name: str) -> str:
    """Imports a shipped model unless the home has it."""
    if credence.run("model", "show", name).returncode != 0:
        calibrate = MODELS / f"{name}.calibrate.npz"
        credence.succeed("model", "import", MODELS / f"{name}.onnx", "--calibrate", calibrate, "--name", name)
    return name


@pytest.fixture(scope="session")
def bundles(credence: Credence, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """From a shipped model's name to the bundle of one run over its held-out inputs."""
    folder = tmp_path_factory.mktemp("bundles")

    def bundle(name: str) -> Path:
        path = folder / f"{import_model(credence, name)}.bundle.json"
        if not path.exists():
            credence.succeed("run", name, "--input", MODELS / f"{name}.inputs.npz", "--receipt", path)
        return path

    return bundle


@pytest.fixture(scope="session")
def bundle(bundles: Callable[[str], Path], imported: str) -> Path:
    """The bundle of each shipped model."""
    return bundles(imported)


def vector(path: str) -> dict:
    """A vector file, as JSON."""
    return json.loads((VECTORS / path).read_bytes())
