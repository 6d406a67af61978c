"""The JSON schemas are schemas, what Credence writes fits them, and what it refuses does not."""

import base64
import copy
import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from conftest import REPOSITORY, VECTORS, Credence, vector
from second import model

SCHEMAS = REPOSITORY / "schemas"
KIND_SCHEMAS = {
    "inference": "inference-statement.v1.json",
    "key statement": "key-statement.v1.json",
    "equivocation": "equivocation-statement.v1.json",
    "weights binding": "weights-binding-statement.v1.json",
    "imported": "imported-statement.v1.json",
    "audit": "audit-statement.v1.json",
    "verdict": "verdict-statement.v1.json",
}


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
    validator("bundle.v1.json").validate(vector("receipt/bundle-logged.json"))
    cases = vector("receipt/statements.json")["cases"]
    assert {case["kind"] for case in cases} <= KIND_SCHEMAS.keys()
    for case in cases:
        validator(KIND_SCHEMAS[case["kind"]]).validate(json.loads(case["statement"]))


PROGRAMS = sorted([*(VECTORS / "programs").glob("*.json"), *(VECTORS / "language").glob("*.json")])


def programs() -> list[dict]:
    return [json.loads(json.loads(path.read_bytes())["program"]) for path in PROGRAMS]


def test_programs_fit_and_with_an_unknown_member_do_not() -> None:
    schema = validator("program.json")
    ops: set[str] = set()
    for program in programs():
        schema.validate(program)
        for node in program["nodes"]:
            ((name, members),) = node["op"].items()
            if name not in ops:
                ops.add(name)
                members["another"] = 0
                assert not schema.is_valid(program), name
                del members["another"]
        for place in [program, program["language"]] if "language" in program else [program]:
            place["another"] = 0
            assert not schema.is_valid(program)
            del place["another"]
    items = schema.schema["properties"]["nodes"]["items"]["properties"]["op"]["oneOf"]
    assert ops == {name for item in items for name in item["properties"]}


WRONG_LANGUAGE = {
    "no member language, and so no inputs": lambda program: program.pop("language"),
    "no text": lambda program: program["language"].pop("text"),
    "no context": lambda program: program["language"].update(context=0),
    "too large a vocabulary": lambda program: program["language"].update(vocabulary=2**20 + 1),
    "an input": lambda program: program["inputs"].append(programs_of_tensors()[0]["inputs"][0]),
    "an output": lambda program: program["outputs"].append(programs_of_tensors()[0]["outputs"][0]),
}


def programs_of_tensors() -> list[dict]:
    return [program for program in programs() if "language" not in program]


@pytest.mark.parametrize("edit", WRONG_LANGUAGE.values(), ids=WRONG_LANGUAGE.keys())
def test_a_program_with_half_a_language_does_not_fit(edit) -> None:
    (program, *_) = (program for program in programs() if "language" in program)
    edit(program)
    assert not validator("program.json").is_valid(program)


def test_a_program_of_tensors_has_inputs_and_outputs() -> None:
    for member in ("inputs", "outputs"):
        (program, *_) = programs_of_tensors()
        program[member] = []
        assert not validator("program.json").is_valid(program)


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
