"""Language models in numpy: a run over tokens (`docs/spec/arithmetic.md`, sections 4, 6 and 7).

Cells are int64 with the position as first axis, as in `arithmetic`. Every node is computed at every position; what does
not exist there is left out of the trace, and `carried` shows that nothing else depends on it.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import arithmetic, require
from .model import Model

_LANGUAGE_MAX = 2**20
_LN_2 = 3_196_577_161_300_663_914


@dataclass(frozen=True)
class Run:
    """A run over tokens."""

    values: list[np.ndarray]
    """Every node's cells, `[P, ...]`; of no meaning where the node does not exist."""
    carried: list[bool]
    """Whether a node exists at every position, and not only at sampled ones."""
    sampled: list[int]
    """The sampled positions, rising."""


@cache
def exp256() -> np.ndarray:
    """Section 7: the weights of scores that lie 0, 1, ... below the largest, ending with a 0 for all that lie lower."""
    return np.array([_exp256(below) for below in range(2840)] + [0], np.int64)


def _exp256(below: int) -> int:
    halvings, rest = divmod(below << 54, _LN_2)
    term = series = 1 << 62
    for k in range(1, 23):
        term = (term * rest >> 62) // k
        series += -term if k % 2 else term
    return min((series >> halvings) + (1 << 46) >> 47, 2**15 - 1)


def operands(op: dict) -> list[int]:
    """The nodes that an op reads, whatever the op."""
    ((_, members),) = op.items()
    named = [members[name] for name in ("x", "a", "b", "scale", "q", "k", "scores", "v") if name in members]
    return named + members.get("xs", [])


def remembered(program: dict, op_name: str, member: str) -> list[int]:
    """The nodes that ops of this name read at earlier positions, each once, in order."""
    return sorted({node["op"][op_name][member] for node in program["nodes"] if op_name in node["op"]})


def carried(program: dict) -> list[bool]:
    """Section 4: whether a later position may depend on a node."""
    known = set(remembered(program, "scores", "k") + remembered(program, "attend", "v"))
    for index in reversed(range(len(program["nodes"]))):
        if index in known:
            known.update(operands(program["nodes"][index]["op"]))
    return [index in known for index in range(len(program["nodes"]))]


def check(program: dict) -> None:
    """What section 4 asks of a language model's program beyond shapes and references."""
    language, nodes, params = program["language"], program["nodes"], program["params"]
    require(not program["inputs"] and not program["outputs"], "a language model has neither inputs nor outputs")
    for name in ("vocabulary", "context"):
        require(1 <= language[name] <= _LANGUAGE_MAX, f"{name} is outside 1 to 2^20")
    text = params[language["text"]]
    require(text["dtype"] == "i8" and len(text["shape"]) == 1, "the text is not one axis of i8")
    scores = {index for index, node in enumerate(nodes) if "scores" in node["op"]}
    kept = remembered(program, "scores", "k") + remembered(program, "attend", "v")
    require(all(nodes[index]["cut"] for index in [*kept, *scores]), "keys, values or scores are not cut")
    for node in nodes:
        require("attend" in node["op"] or not scores.intersection(operands(node["op"])), "not `attend` reads scores")
    logits = nodes[language["logits"]]
    require(logits["cut"] and logits["dtype"] == "i32", "the logits are not cut, or not i32")
    require(not carried(program)[language["logits"]], "a key or a value depends on the logits")


def run(model: Model, tokens: list[int], sampled: list[int]) -> Run:
    """Every node's cells over these tokens."""
    program = model.program
    check(program)
    language = program["language"]
    require(1 <= len(tokens) <= language["context"], "no tokens, or more than the context has")
    require(all(0 <= token < language["vocabulary"] for token in tokens), "a token outside the vocabulary")
    require(sampled == sorted(set(sampled)) and set(sampled) <= set(range(len(tokens))), "not positions of the run")
    values: list[np.ndarray] = []
    for node in program["nodes"]:
        ((name, op),) = node["op"].items()
        if name in OPS:
            cells = OPS[name](op, Past(model, tokens, values))
        else:
            require(name in arithmetic.OPS, f"an op that `exact-1` does not have: {name}")
            cells = arithmetic.OPS[name](op, values, model.params)
        arithmetic.fits(node, cells)
        values.append(cells)
    logits = values[language["logits"]]
    require(logits.shape[1:] == (language["vocabulary"],), "not a logit for each token id")
    return Run(values, carried(program), sampled)


@dataclass(frozen=True)
class Past:
    """What an op may read."""

    model: Model
    tokens: list[int]
    values: list[np.ndarray]

    def param(self, index: int) -> np.ndarray:
        return self.model.params[index].astype(np.int64)

    def sees(self, scores: int | dict) -> np.ndarray:
        """Section 6: `[P, N]`, whether position p sees position t."""
        op = scores if isinstance(scores, dict) else self.model.program["nodes"][scores]["op"]["scores"]
        context = self.model.program["language"]["context"]
        distance = np.arange(len(self.tokens))[:, None] - np.arange(context)
        return (distance >= 0) & (distance < op.get("window", context))


def _clamp(op: dict, cells: np.ndarray) -> np.ndarray:
    return np.clip(cells, op["min"], op["max"])


def token(_: dict, past: Past) -> np.ndarray:
    return np.array(past.tokens, np.int64)[:, None]


def position(_: dict, past: Past) -> np.ndarray:
    return np.arange(len(past.tokens))[:, None]


def embed(op: dict, past: Past) -> np.ndarray:
    table, multiplier, x = past.param(op["table"]), past.param(op["multiplier"]), past.values[op["x"]][:, 0]
    require((x >= 0).all() and (x < len(table)).all(), "a row outside a table")
    return _clamp(op, arithmetic.rescale(table[x] * multiplier[x, None], op["shift"]))


def max_abs(op: dict, past: Past) -> np.ndarray:
    return np.maximum(np.abs(past.values[op["x"]]).max(-1, keepdims=True), 1)


def quantise(op: dict, past: Past) -> np.ndarray:
    x, scale, limit = past.values[op["x"]], past.values[op["scale"]], op["limit"]
    require((scale >= 1).all(), "a scale below 1")
    return np.clip((limit * x + scale // 2) // scale, -limit, limit)


def rms_ratio(op: dict, past: Past) -> np.ndarray:
    x, scale = past.values[op["x"]], past.values[op["scale"]]
    require((scale >= 0).all(), "a scale below 0")
    squares = (x * x).sum(-1, keepdims=True) + op["epsilon"]
    roots = [max(1, math.isqrt(int(square))) for square in squares.reshape(-1)]
    return np.minimum(scale * op["factor"] // np.array(roots).reshape(squares.shape), op["max"])


def mul(op: dict, past: Past) -> np.ndarray:
    product = arithmetic.rescale(past.values[op["a"]] * past.values[op["b"]], op["shift"])
    return _clamp(op, product + (past.param(op["bias"]) if "bias" in op else 0))


def rope(op: dict, past: Past) -> np.ndarray:
    x, count = past.values[op["x"]], len(past.tokens)
    pairs = past.param(op["cos"]).shape[1]
    axes = (count, *[1] * (x.ndim - 2), pairs)
    cos, sin = (past.param(op[name])[:count].reshape(axes) for name in ("cos", "sin"))
    first, second, rest = x[..., :pairs], x[..., pairs : 2 * pairs], x[..., 2 * pairs :]
    left = arithmetic.rescale(first * cos - second * sin, 14)
    right = arithmetic.rescale(second * cos + first * sin, 14)
    return _clamp(op, np.concatenate([left, right, rest], axis=-1))


def _heads(cells: np.ndarray, heads: int) -> np.ndarray:
    """What each head reads of keys or values: `[P, H, D]`."""
    return cells[:, np.arange(heads) * cells.shape[1] // heads]


def scores(op: dict, past: Past) -> np.ndarray:
    """Cells of positions that are not seen do not exist; they are 0 here, as in the trace."""
    q, sees = past.values[op["q"]], past.sees(op)
    k = _heads(past.values[op["k"]], q.shape[1])
    sums = arithmetic.accumulator(np.einsum("phd,thd->pht", q, k))
    cells = np.zeros((*q.shape[:2], sees.shape[1]), np.int64)
    cells[..., : len(k)] = _clamp(op, arithmetic.rescale(sums * op["multiplier"], op["shift"]))
    return np.where(sees[:, None], cells, 0)


def attend(op: dict, past: Past) -> np.ndarray:
    cells, sees = past.values[op["scores"]], past.sees(op["scores"])[:, None]
    below = np.where(sees, cells, -(2**15)).max(-1, keepdims=True) - cells
    table = exp256()
    weights = np.where(sees, table[np.clip(below, 0, len(table) - 1)], 0)
    v = _heads(past.values[op["v"]], cells.shape[1])
    total, sums = weights.sum(-1)[..., None], np.einsum("pht,thd->phd", weights[..., : len(v)], v)
    require(0 <= op["bits"] <= 15, "a mean finer than its values by more than 15 bits")
    return ((sums << op["bits"]) + total // 2) // total


def hadamard(op: dict, past: Past) -> np.ndarray:
    x, size = past.values[op["x"]], op["size"]
    blocks = x.reshape(*x.shape[:-1], -1, size)
    signs = [[(-1) ** (i & j).bit_count() for j in range(size)] for i in range(size)]
    return arithmetic.accumulator((blocks @ np.array(signs)).reshape(x.shape))


OPS = {
    "token": token,
    "position": position,
    "embed": embed,
    "max_abs": max_abs,
    "quantise": quantise,
    "rms_ratio": rms_ratio,
    "mul": mul,
    "rope": rope,
    "scores": scores,
    "attend": attend,
    "hadamard": hadamard,
}
