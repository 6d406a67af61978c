"""The second implementation runs every answer of `vectors/transcripts` again, and finds every lie about one."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import vector
from second import Refused, canonical, generation, sampling, text
from second.model import DTYPES, Model

FILES = {name: vector(f"transcripts/{name}.json") for name in ("one", "two")}


def model(file: dict) -> Model:
    program = canonical.decode(file["program"].encode())
    params = zip(program["params"], map(bytes.fromhex, file["weights"]), strict=True)
    return Model(program, [np.frombuffer(data, DTYPES[p["dtype"]]).reshape(p["shape"]) for p, data in params])


MODELS = {name: model(file) for name, file in FILES.items()}
CASES = [(name, answer) for name, file in FILES.items() for answer in file["answers"]]


def answer(case: dict) -> generation.Answer:
    contents = {name: bytes.fromhex(case[name]) for name in ("input", "params", "output")}
    nonce = None if case["nonce"] is None else bytes.fromhex(case["nonce"])
    counts = {name: case[name] for name in ("input_count", "output_count")}
    said = generation.Answer(**contents, **counts, finish=case["finish"], seed_source=case["seed_source"], nonce=nonce)
    if "constrained" not in case:
        return said
    return replace(said, constrained=case["constrained"], allowed=tuple(bitmap(words) for words in case["allowed"]))


def bitmap(words: str) -> tuple[int, ...]:
    data = bytes.fromhex(words)
    return tuple(int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8))


def named(file: str, name: str) -> generation.Answer:
    return next(answer(case) for case in FILES[file]["answers"] if case["name"] == name)


@pytest.mark.parametrize("name", FILES)
def test_ids(name: str) -> None:
    assert MODELS[name].model_id().hex() == FILES[name]["model_id"]


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}-{case['name']}" for name, case in CASES])
def test_answers(name: str, case: dict) -> None:
    found = answer(case)
    parameters = sampling.decode(found.params)
    key = generation.seed(found, parameters, MODELS[name].model_id())
    assert case["seed"] == (None if case["seed_source"] == "nothing" else key.hex())
    assert case["sampled"] == [case["input_count"] - 1, case["output_count"]]
    assert generation.check(MODELS[name], found).hex() == case["trace_root"]


def test_every_way_to_end_is_there() -> None:
    assert {case["finish"] for _, case in CASES} == {"stop", "length", "cancelled"}
    assert {case["seed_source"] for _, case in CASES} == {"nothing", "derived", "client", "operator"}
    assert sampling.decode(named("one", "drawn").params).seed == generation.small_seed(-5)


def edited(data: bytes, **members: object) -> bytes:
    return canonical.encode({**json.loads(data), **members})


HONEST = named("one", "derived")
TOKENS = json.loads(HONEST.output)["tokens"]
PROMPT = json.loads(HONEST.input)


@pytest.mark.parametrize(
    ("reason", "lie"),
    [
        ("token 5 is drawn", {"output": edited(HONEST.output, tokens=[*TOKENS[:5], TOKENS[5] ^ 1, *TOKENS[6:]])}),
        ("another text", {"output": edited(HONEST.output, text="!")}),
        ("output has another number", {"output": edited(HONEST.output, tokens=TOKENS[:6])}),
        ("ends by cancelled", {"output": edited(HONEST.output, tokens=TOKENS[:6]), "output_count": 6}),
        ("ends after", {"output": edited(HONEST.output, tokens=[*TOKENS, 0]), "output_count": len(TOKENS) + 1}),
        ("no token", {"output": edited(HONEST.output, tokens=[]), "output_count": 0}),
        ("other tokens", {"input": edited(HONEST.input, tokens=[1, *PROMPT["tokens"][1:]])}),
        ("is drawn otherwise", {"input": edited(HONEST.input, choice=1)}),
        ("is drawn otherwise", {"nonce": bytes(32)}),
        ("seed does not come", {"nonce": None}),
        ("seed does not come", {"seed_source": "client"}),
        ("seed does not come", {"seed_source": "nothing"}),
        ("seed does not come", {"seed_source": "chance"}),
        ("seed does not come", {"params": named("one", "drawn").params}),
        ("ends by length", {"finish": "stop"}),
        ("ends by length", {"finish": "complete"}),
        ("input has another number", {"input_count": HONEST.input_count + 1}),
        ("without an engine", {"constrained": {"engine": "grammar", "version": "1"}}),
        ("not canonical", {"input": HONEST.input + b" "}),
        ("not canonical", {"output": b" " + HONEST.output}),
        ("bytes follow", {"params": HONEST.params + b"\0"}),
        ("a conversation and a text", {"input": edited(HONEST.input, text="")}),
        ("unknown members", {"output": edited(HONEST.output, more=1)}),
    ],
)
def test_lies(reason: str, lie: dict) -> None:
    with pytest.raises(Refused, match=reason):
        generation.check(MODELS["one"], replace(HONEST, **lie))


SHAPED = named("one", "schema")
FREE = bytearray(b"\xff" * 32 + b"\x3f" + bytes(7))


@pytest.mark.parametrize(
    ("reason", "lie"),
    [
        ("without an engine", {"constrained": None}),
        ("is not known", {"allowed": None}),
        ("is not known", {"allowed": SHAPED.allowed[:3]}),
        ("without an engine", {"params": HONEST.params}),
        # Who ignores the mask draws otherwise.
        ("is drawn otherwise", {"allowed": tuple(bitmap(FREE.hex()) for _ in SHAPED.allowed)}),
    ],
)
def test_lies_about_a_grammar(reason: str, lie: dict) -> None:
    generation.check(MODELS["one"], SHAPED)
    with pytest.raises(Refused, match=reason):
        generation.check(MODELS["one"], replace(SHAPED, **lie))


def test_what_is_allowed_leads_to_json() -> None:
    for name in FILES:
        value = json.loads(json.loads(named(name, "schema").output)["text"])
        assert list(value) == ["b", "a"] and len(value["b"]) <= 3 and (value["a"] is None or value["a"] >= -5)


def test_another_model_draws_otherwise() -> None:
    with pytest.raises(Refused, match="is drawn otherwise"):
        generation.check(MODELS["two"], replace(named("one", "greedy")))


def test_words() -> None:
    """`docs/spec/text.md`, 4.2: the rule `gpt2`."""
    expected = ["I", "'ll", " ", " say", " '", "S", ":", " abc", "12345", "\r\n\n ", " x", "=", "1", ";", "  "]
    assert text.words("I'll  say 'S: abc12345\r\n\n  x=1;  ") == expected
    assert text.words("") == []


@pytest.mark.parametrize(
    ("reason", "members"),
    [
        ("not read here: spm", {"kind": "spm"}),
        ("not read here: llama-bpe", {"pre": "llama-bpe"}),
        ("members of `bpe`", {"scores": []}),
        ("for each token", {"types": []}),
        ("ends do not ascend", {"ends": [2, 1]}),
        ("beyond the vocabulary", {"ends": [262]}),
        ("twice", {"merges": ["t h", "t h"]}),
        ("no token", {"merges": ["t x"]}),
        ("another form", {"merges": ["t h e"]}),
        ("another version", {"version": 2}),
    ],
)
def test_specifications(reason: str, members: dict) -> None:
    data = MODELS["one"].params[MODELS["one"].program["language"]["text"]].tobytes()
    text.read(data)
    with pytest.raises(Refused, match=reason):
        text.read(edited(data, **members))
