"""A second implementation, from the specifications alone, takes what `credence` made and refuses what it refuses.

It checks signature, form, commitments and `ModelId`, and re-executes the whole run in its own arithmetic: every output
byte and the root of the trace must be equal.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Credence, rows
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from second import Refused, arithmetic, canonical, model, receipt, replay, tensors

# Changes a claim and the openings that stand behind it.
Edit = Callable[[dict, dict], None]


def load(credence: Credence, model_id: str) -> model.Model:
    return model.read(credence.models()[model_id].read_bytes())


def test_the_model_id_is_the_files(credence: Credence, imported: str) -> None:
    shown = credence.succeed("model", "show", imported)
    matching = [model_id for model_id in credence.models() if model_id in shown]
    assert len(matching) == 1, shown
    assert load(credence, matching[0]).model_id().hex() == matching[0]


def test_one_changed_weight_is_another_model(credence: Credence, bundle: Path) -> None:
    honest = load(credence, receipt.check(bundle.read_bytes()).claim["model"])
    params = [param.copy() for param in honest.params]
    params[0].reshape(-1)[0] ^= 1
    assert model.Model(honest.program, params).model_id() != honest.model_id()


def test_an_honest_run_is_taken_by_both(credence: Credence, imported: str, bundle: Path) -> None:
    found = receipt.check(bundle.read_bytes())
    name, inputs = rows(imported, "inputs")
    committed = tensors.decode(found.opened["input"])
    assert list(committed) == [name]
    assert committed[name].tobytes() == inputs.tobytes()
    replay.check(found, load(credence, found.claim["model"]))
    assert credence.run("verify", bundle, "--model", imported).returncode == 0


def test_items_do_not_depend_on_their_batch(credence: Credence, bundle: Path) -> None:
    found = receipt.check(bundle.read_bytes())
    loaded, inputs = load(credence, found.claim["model"]), tensors.decode(found.opened["input"])
    whole, _ = arithmetic.run(loaded, inputs)
    part, _ = arithmetic.run(loaded, {name: np.ascontiguousarray(array[7:9]) for name, array in inputs.items()})
    assert all(np.array_equal(part[name], whole[name][7:9]) for name in whole)


def resigned(data: bytes, edit: Edit) -> bytes:
    """The bundle of an operator who edits claim and openings, commits to the edit with its own key, and signs."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    operator = key.public_key().public_bytes_raw()
    bundle = json.loads(data)
    statement = json.loads(base64.b64decode(bundle["receipt"]["payload"]))
    claim, openings = statement["predicate"]["claim"], bundle["openings"]
    edit(claim, openings)
    for field in ("input", "params", "output"):
        salt, content = bytes.fromhex(openings[field]["salt"]), base64.b64decode(openings[field]["content"])
        claim[field] = receipt.commitment(field, operator, salt, receipt.root(field, content)).hex()
    statement["predicate"]["operator"] = operator.hex()
    statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(bytes.fromhex(claim["output"])).hexdigest()
    payload = canonical.encode(statement)
    signature = base64.b64encode(key.sign(receipt.pae(payload))).decode()
    bundle["receipt"] = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": receipt.PAYLOAD_TYPE,
        "signatures": [{"keyid": operator.hex(), "sig": signature}],
    }
    return canonical.encode(bundle)


def flip_last_byte(field: str) -> Edit:
    def edit(_: dict, openings: dict) -> None:
        content = bytearray(base64.b64decode(openings[field]["content"]))
        content[-1] ^= 1
        openings[field]["content"] = base64.b64encode(content).decode()

    return edit


def invert_an_image(_: dict, openings: dict) -> None:
    """Another question to the same answer. A change too small to be another integer would be a true claim."""
    asked = tensors.decode(base64.b64decode(openings["input"]["content"]))
    changed = {name: array.copy() for name, array in asked.items()}
    changed["image"][0] = 1 - changed["image"][0]
    openings["input"]["content"] = base64.b64encode(tensors.encode(changed)).decode()


def miscount(claim: dict, _: dict) -> None:
    claim["inputCount"] = claim["outputCount"] = "1"


def keep(_: dict, __: dict) -> None:
    """Another operator's trace commitment, which this operator's key cannot open."""


# Each lie, and the exit code that `credence verify` gives for it (docs/cli.md).
LIES = {
    "edited output": (flip_last_byte("output"), 8),
    "edited input": (invert_an_image, 8),
    "invented parameters": (flip_last_byte("params"), 3),
    "wrong counts": (miscount, 8),
    "copied trace": (keep, 8),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_well_signed_is_refused_by_both(
    credence: Credence, cnn: str, bundles: Callable[[str], Path], tmp_path: Path, lie: str
) -> None:
    edit, code = LIES[lie]
    data = resigned(bundles(cnn).read_bytes(), edit)
    found = receipt.check(data)
    with pytest.raises(Refused):
        replay.check(found, load(credence, found.claim["model"]))
    path = tmp_path / "lie.bundle.json"
    path.write_bytes(data)
    check_refusal(credence, path, cnn, code)


def check_refusal(credence: Credence, path: Path, name: str, code: int) -> None:
    """The documented exit code, and one line of reason."""
    done = credence.run("verify", path, "--model", name)
    assert done.returncode == code, done.stdout + done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1, done.stderr


EDITS = {
    "a newline at the end": lambda data: data + b"\n",
    "a space": lambda data: data.replace(b":", b": ", 1),
    "a doubled member": lambda data: data.replace(b'{"evidence":[]', b'{"evidence":[],"evidence":[]', 1),
    "an unknown member": lambda data: data.replace(b'{"evidence"', b'{"another":1,"evidence"', 1),
    "a missing member": lambda data: data.replace(b'"evidence":[],', b"", 1),
    "a cut": lambda data: data[:-1],
    "nothing": lambda data: b"",
    "a longer signature": lambda data: data.replace(b'"sig":"', b'"sig":"AAAA', 1),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_bundle_is_refused_by_both(
    credence: Credence, cnn: str, bundles: Callable[[str], Path], tmp_path: Path, edit: str
) -> None:
    honest = bundles(cnn).read_bytes()
    data = EDITS[edit](honest)
    assert data != honest
    with pytest.raises(Refused):
        receipt.check(data)
    path = tmp_path / "edited.bundle.json"
    path.write_bytes(data)
    check_refusal(credence, path, cnn, 3)
