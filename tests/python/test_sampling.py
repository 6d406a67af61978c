"""The second implementation gives every value in `vectors/sampling`."""

from collections import Counter

import pytest
from conftest import vector
from second import Refused, sampling


def logits(value: list[int] | dict) -> list[int]:
    """Listed, or made by the rule that the vectors' generator states."""
    if isinstance(value, list):
        return value
    mixed = ((40503 * i * i + 2654435761 * i + value["salt"]) % 2**32 % value["range"] for i in range(value["tokens"]))
    return [value["low"] + cell for cell in mixed]


def test_parameters() -> None:
    for case in vector("sampling/parameters.json")["valid"]:
        data = bytes.fromhex(case.pop("bytes"))
        seed = None if case["seed"] is None else bytes.fromhex(case["seed"])
        biases = [(token, bias) for token, bias in case["logit_bias"]]
        grammar = (case["grammar"]["kind"], case["grammar"]["text"]) if "grammar" in case else None
        parameters = sampling.Parameters(**{**case, "seed": seed, "logit_bias": biases, "grammar": grammar})
        assert sampling.encode(parameters) == data
        assert sampling.decode(data) == parameters
        for length in range(len(data)):
            with pytest.raises(Refused):
                sampling.decode(data[:length])


@pytest.mark.parametrize("case", vector("sampling/parameters.json")["refused"], ids=lambda case: case["why"])
def test_refused_parameters(case: dict) -> None:
    with pytest.raises(Refused):
        sampling.decode(bytes.fromhex(case["bytes"]))


@pytest.mark.parametrize("name", ["high", "low"])
def test_tables(name: str) -> None:
    expected, table = vector("sampling/tables.json")[name], getattr(sampling, name.upper())
    assert (len(table), str(sum(table))) == (expected["length"], expected["sum"])
    for index, entry in expected["entries"]:
        assert table[index] == entry, index


def test_our_block_function_is_chacha20() -> None:
    """RFC 8439, section 2.3.2."""
    nonce = bytes.fromhex("000000090000004a00000000")
    block = sampling.chacha20_block(bytes(range(32)), 1, nonce)
    assert block.hex().startswith("10f1e7e4d13b5915500fdd1fa32071c4")
    assert block.hex().endswith("b5129cd1de164eb9cbd083e8a2503c4e")


def test_random_numbers() -> None:
    for case in vector("sampling/numbers.json"):
        number = sampling.random_number(bytes.fromhex(case["seed"]), case["choice"], case["step"])
        assert str(number) == case["number"], case


def test_weights() -> None:
    for case in vector("sampling/weights.json"):
        weights = [sampling.weight(distance, case["temperature"]) for distance in case["distances"]]
        assert weights == case["weights"], case["temperature"]


@pytest.mark.parametrize("case", vector("sampling/steps.json"), ids=lambda case: case["name"])
def test_steps(case: dict) -> None:
    parameters = sampling.decode(bytes.fromhex(case["parameters"]))
    allowed = None if case["allowed"] is None else [int(word, 16) for word in case["allowed"]]
    counts, cells, seed = Counter(case["generated"]), logits(case["logits"]), bytes.fromhex(case["seed"])

    def step(number: int) -> sampling.Taken:
        return sampling.sample(parameters, sampling.Step(cells, counts, allowed, seed, case["choice"], number))

    if case["tokens"] is None:
        with pytest.raises(Refused):
            step(case["step"])
        return
    tokens = []
    for number in range(case["step"], case["step"] + case["steps"]):
        taken = step(number)
        if not tokens:
            first = case["first"]
            assert taken.maxima == first["maxima"]
            assert len(taken.kept) == first["kept"]
            assert (taken.kept or [None])[-1] == first["last_kept"]
            assert [[str(total) for total in level] for level in taken.levels] == first["levels"]
        counts[taken.token] += 1
        tokens.append(taken.token)
    assert tokens == case["tokens"]


def test_log_probabilities() -> None:
    for case in vector("sampling/logprobs.json"):
        value, top = sampling.logprobs(logits(case["logits"]), case["chosen"], case["count"])
        assert (value, top) == (case["value"], [tuple(pair) for pair in case["top"]])
