"""The sampler of language models, from `docs/spec/sampling.md` (the numbers of sections are that page's).

Integers of Python, which have no size; lists and sorting; a block function of ChaCha20 of its own.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import Refused, require

VOCABULARY_MAX = 1 << 20
ONE = 1_000_000
BLOCK = 256
LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Parameters:
    """Section 1, in the order of the bytes."""

    temperature: int
    top_p: int
    top_k: int
    min_p: int
    frequency_penalty: int
    presence_penalty: int
    max_tokens: int
    seed: bytes | None = None
    logit_bias: list[tuple[int, int]] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    # Kind and text; this implementation does not read the text.
    grammar: tuple[int, str] | None = None


RANGES = {
    "temperature": (0, 2 * ONE),
    "top_p": (1, ONE),
    "top_k": (0, VOCABULARY_MAX),
    "min_p": (0, ONE),
    "frequency_penalty": (-2 * ONE, 2 * ONE),
    "presence_penalty": (-2 * ONE, 2 * ONE),
    "max_tokens": (1, 2**32 - 1),
}


def check(parameters: Parameters) -> None:
    for name, (low, high) in RANGES.items():
        require(low <= getattr(parameters, name) <= high, f"{name} is out of range")
    biases, stop = parameters.logit_bias, parameters.stop
    require(len(biases) <= 1024, "too many biases")
    ids = [token for token, _ in biases]
    require(ids == sorted(set(ids)), "biases do not ascend")
    require(all(0 <= token < VOCABULARY_MAX and abs(bias) <= 100 * ONE for token, bias in biases), "a bias is out of range")
    require(len(stop) <= 16, "too many stop texts")
    require(all(1 <= len(text.encode()) <= 256 for text in stop), "a stop text of another length")
    require(parameters.seed is None or len(parameters.seed) == 32, "a seed of another length")


def encode(parameters: Parameters) -> bytes:
    """Section 1.1."""
    check(parameters)
    out = bytearray(b"\x02" if parameters.grammar is None else b"\x03")
    for name, (low, _) in RANGES.items():
        out += struct.pack("<i" if low < 0 else "<I", getattr(parameters, name))
    out += b"\0" if parameters.seed is None else b"\x01" + parameters.seed
    out += struct.pack("<I", len(parameters.logit_bias))
    for token, bias in parameters.logit_bias:
        out += struct.pack("<Ii", token, bias)
    out += struct.pack("<I", len(parameters.stop))
    for text in parameters.stop:
        out += struct.pack("<I", len(text.encode())) + text.encode()
    if parameters.grammar is not None:
        kind, text = parameters.grammar
        out += struct.pack("<BI", kind, len(text.encode())) + text.encode()
    return bytes(out)


def decode(data: bytes) -> Parameters:
    """Section 1.1."""
    at = 0

    def take(length: int) -> bytes:
        nonlocal at
        require(at + length <= len(data), "the parameters end early")
        at += length
        return data[at - length : at]

    def number(code: str = "<I") -> int:
        return struct.unpack(code, take(struct.calcsize(code)))[0]

    version = take(1)[0]
    require(version in (2, 3), "another version of the parameters")
    numbers = {name: number("<i" if low < 0 else "<I") for name, (low, _) in RANGES.items()}
    flag = take(1)[0]
    require(flag <= 1, "a flag that is neither 0 nor 1")
    seed = take(32) if flag else None
    count = number()
    require(count <= 1024, "too many biases")
    biases = [(number(), number("<i")) for _ in range(count)]
    count = number()
    require(count <= 16, "too many stop texts")
    try:
        stop = [take(number()).decode() for _ in range(count)]
    except UnicodeDecodeError as error:
        raise Refused("a stop text is not UTF-8") from error
    grammar = None
    if version == 3:
        kind, length = take(1)[0], number()
        require(kind in (1, 2), "a grammar of another kind")
        require(1 <= length <= 2**16, "a grammar that is empty or too long")
        try:
            grammar = kind, take(length).decode()
        except UnicodeDecodeError as error:
            raise Refused("a grammar is not UTF-8") from error
    require(at == len(data), "bytes follow the parameters")
    parameters = Parameters(**numbers, seed=seed, logit_bias=biases, stop=stop, grammar=grammar)
    check(parameters)
    return parameters


LN2 = 3_196_577_161_300_663_914


def _exp(a: int) -> int:
    """Section 4: E, of a in units of 2^-62."""
    halvings, r = divmod(a, LN2)
    term = total = 1 << 62
    for k in range(1, 23):
        term = ((term * r) >> 62) // k
        total += -term if k % 2 else term
    return ((total >> halvings) + 2**31) >> 32


HIGH = [_exp(k << 57) for k in range(704)] + [0]
LOW = [_exp(k << 46) for k in range(2048)]


def weight(distance: int, temperature: int) -> int:
    """3.4 and 3.5."""
    y = (distance * ONE + temperature // 2) // temperature
    y = min(y, 22 * 2**16)
    return (HIGH[y >> 11] * LOW[y % 2**11] + 2**29) >> 30


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & 0xFFFFFFFF


def _quarter(state: list[int], a: int, b: int, c: int, d: int) -> None:
    """RFC 8439, section 2.1."""
    for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[x] = (state[x] + state[y]) & 0xFFFFFFFF
        state[z] = _rotate(state[z] ^ state[x], by)


def chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    """RFC 8439, section 2.3."""
    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", counter) + nonce))
    state = start.copy()
    for _ in range(10):
        for column in range(4):
            _quarter(state, column, 4 + column, 8 + column, 12 + column)
        for diagonal in range(4):
            _quarter(state, diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, start, strict=True)))


def random_number(seed: bytes, choice: int, step: int) -> int:
    """Section 5."""
    block = chacha20_block(seed, step, bytes(4) + struct.pack("<Q", choice))
    return int.from_bytes(block[:8], "little")


@dataclass(frozen=True)
class Step:
    """Section 2. `allowed` is a list of 64-bit words, or None."""

    logits: list[int]
    counts: dict[int, int]
    allowed: list[int] | None
    seed: bytes
    choice: int
    step: int


@dataclass(frozen=True)
class Taken:
    """The token, and what led to it. Everything after `maxima` is empty if greedy."""

    token: int
    maxima: list[int | None]
    kept: list[int]
    levels: list[list[int]]


def _adjusted(parameters: Parameters, step: Step) -> list[int | None]:
    """3.1 and 3.2."""
    size = len(step.logits)
    require(1 <= size <= VOCABULARY_MAX, "a vocabulary of another size")
    biases = dict(parameters.logit_bias)
    require(all(token < size for token in (*biases, *step.counts)), "a token beyond the vocabulary")
    allowed = None
    if step.allowed is not None:
        require(len(step.allowed) == -(-size // 64), "a bitmap of another length")
        allowed = sum(word << (64 * index) for index, word in enumerate(step.allowed))
        require(allowed >> size == 0, "a bitmap beyond the vocabulary")
    adjusted: list[int | None] = []
    bits = None if allowed is None else bin(allowed)[2:].zfill(size)[::-1]
    for token, logit in enumerate(step.logits):
        if bits is not None and bits[token] == "0":
            adjusted.append(None)
            continue
        count = step.counts.get(token, 0)
        a = biases.get(token, 0) - count * parameters.frequency_penalty
        a -= parameters.presence_penalty if count > 0 else 0
        x = logit + (a * 2**16 + 500_000) // ONE
        adjusted.append(min(max(x, -LIMIT), LIMIT))
    return adjusted


def _kept(weights: list[int], parameters: Parameters) -> list[int]:
    """3.6 to 3.9."""
    order = sorted((token for token, w in enumerate(weights) if w > 0), key=lambda token: (-weights[token], token))
    if parameters.top_k:
        order = order[: parameters.top_k]
    total, prefix = sum(weights[token] for token in order), 0
    for index, token in enumerate(order):
        prefix += weights[token]
        if prefix * ONE >= parameters.top_p * total:
            order = order[: index + 1]
            break
    return [token for token in order if weights[token] * ONE >= parameters.min_p * 2**30]


def _blocks(values: list) -> Iterable[list]:
    return (values[start : start + BLOCK] for start in range(0, len(values), BLOCK))


def _descend(tree: list[list[int]], number: int) -> int:
    """3.10, by the tree of section 7."""
    v, at = number * tree[-1][0] >> 64, 0
    for level in reversed(tree[:-1]):
        at *= BLOCK
        while v >= level[at]:
            v -= level[at]
            at += 1
    return at


def sample(parameters: Parameters, step: Step) -> Taken:
    """Section 3."""
    adjusted = _adjusted(parameters, step)
    maxima = [max((x for x in block if x is not None), default=None) for block in _blocks(adjusted)]
    highest = max((x for x in maxima if x is not None), default=None)
    if highest is None:
        raise Refused("no token is allowed")
    if parameters.temperature == 0:
        return Taken(adjusted.index(highest), maxima, [], [])
    weights = [0 if x is None else weight(highest - x, parameters.temperature) for x in adjusted]
    kept = _kept(weights, parameters)
    leaves = [0] * len(weights)
    for token in kept:
        leaves[token] = weights[token]
    tree = [leaves]
    while len(tree[-1]) > 1:
        tree.append([sum(block) for block in _blocks(tree[-1])])
    token = _descend(tree, random_number(step.seed, step.choice, step.step))
    return Taken(token, maxima, kept, tree[1:])


def logarithm(total: int) -> int:
    """Section 6: L, of S."""
    e = total.bit_length() - 1
    g, f = (total << 31) >> e, 0
    for _ in range(24):
        g = g * g >> 31
        bit = int(g >= 2**32)
        g, f = g >> bit, 2 * f + bit
    return (((e - 30) * 2**24 + f) * 1_488_522_236 + 2**38) >> 39


def logprobs(logits: list[int], chosen: int, count: int) -> tuple[int, list[tuple[int, int]]]:
    """Section 6: the chosen token's value, and the `count` likeliest tokens with theirs."""
    require(count <= 20 and chosen < len(logits), "a report that cannot be made")
    highest = max(logits)
    log = logarithm(sum(weight(highest - z, ONE) for z in logits))
    values = [-(highest - z) - log for z in logits]
    order = sorted(range(len(logits)), key=lambda token: (-logits[token], token))[:count]
    return values[chosen], [(token, values[token]) for token in order]
