"""The JSON schemas are schemas, what Credence writes fits them, and what it refuses does not."""

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from conftest import REPOSITORY, Credence, vector
from second import model

SCHEMAS = REPOSITORY / "schemas"
KIND_SCHEMAS = {"inference": "inference-statement.v1.json", "key statement": "key-statement.v1.json"}


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / name).read_bytes()))


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name)
def test_each_is_a_schema_that_says_what_it_is(path: Path) -> None:
    schema = json.loads(path.read_bytes())
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"]
    jsonschema.Draft202012Validator.check_schema(schema)


def test_vectors_fit() -> None:
    bundle = vector("receipt/bundle.json")
    validator("bundle.v1.json").validate(bundle)
    validator("envelope.v1.json").validate(bundle["receipt"])
    cases = vector("receipt/statements.json")["cases"]
    assert {case["kind"] for case in cases} <= KIND_SCHEMAS.keys()
    for case in cases:
        validator(KIND_SCHEMAS[case["kind"]]).validate(json.loads(case["statement"]))


def objects(value: object) -> Iterator[dict]:
    """Every object within a JSON value."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from objects(item)


def test_an_unknown_member_fits_nowhere() -> None:
    bundle = vector("receipt/bundle.json")
    for index in range(len(list(objects(bundle)))):
        edited = copy.deepcopy(bundle)
        list(objects(edited))[index]["another"] = "member"
        assert not validator("bundle.v1.json").is_valid(edited), index


def test_a_run_fits(bundle: Path) -> None:
    found = json.loads(bundle.read_bytes())
    validator("bundle.v1.json").validate(found)
    validator("inference-statement.v1.json").validate(json.loads(base64.b64decode(found["receipt"]["payload"])))


def test_a_program_fits(credence: Credence, imported: str) -> None:
    shown = credence.succeed("model", "show", imported)
    (path,) = (path for model_id, path in credence.models().items() if model_id in shown)
    validator("program.json").validate(model.read(path.read_bytes()).program)
