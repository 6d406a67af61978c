"""Profile `exact-1` in numpy, op by op in the order of `docs/spec/arithmetic.md`, section 5.

The ops of section 6 are in `language`.

Cells are int64 with the position as first axis. Section 8 of the specification says that no accumulator of an
accepted model leaves 32 bits and no rescaled value 62, so int64 holds all of it; what section 1 and 2 call errors are
checked all the same.
"""

import math

import numpy as np

from . import Refused, require
from .model import Model
from .tensors import Tensors

_RANGE = {"i8": 2**7, "i16": 2**15, "i32": 2**31}
_BORDER = {"FP32": np.dtype("<f4"), "INT32": np.dtype("<i4"), "INT64": np.dtype("<i8")}


def run(model: Model, inputs: Tensors) -> tuple[Tensors, list[np.ndarray]]:
    """The outputs, and every node's cells."""
    program = model.program
    require([spec["name"] for spec in program["inputs"]] == list(inputs), "inputs and the program's differ")
    values: list[np.ndarray] = []
    for node in program["nodes"]:
        ((name, op),) = node["op"].items()
        require(name in OPS, f"an op that `exact-1` does not have: {name}")
        if name == "input":
            spec = program["inputs"][op["index"]]
            cells = encode(spec, inputs[spec["name"]])
        else:
            cells = OPS[name](op, values, model.params)
        fits(node, cells)
        values.append(cells)
    outputs = {spec["name"]: decode(spec["decode"], values[spec["node"]]) for spec in program["outputs"]}
    return outputs, values


def fits(node: dict, cells: np.ndarray) -> None:
    """Section 1: a value outside its type is an error."""
    bound = _RANGE[node["dtype"]]
    require((cells >= -bound).all() and (cells < bound).all(), f"node {node['name']} leaves {node['dtype']}")


def encode(spec: dict, x: np.ndarray) -> np.ndarray:
    """Section 3.1."""
    require(
        x.dtype == _BORDER[spec["dtype"]] and list(x.shape[1:]) == spec["shape"], f"the type or shape of {spec['name']}"
    )
    ((kind, how),) = spec["encode"].items()
    if kind == "integer":
        require((x >= how["min"]).all() and (x <= how["max"]).all(), "an integer outside its range")
        return x.astype(np.int64)
    require(np.isfinite(x).all(), "NaN or infinity")
    if kind == "order_key":
        bits = np.ascontiguousarray(x).view(np.uint32).astype(np.int64)
        return np.where(bits < 2**31, bits, -(bits - 2**31))
    # Two significands of 24 bits: the product is exact in 53. Adding a half is exact but for tiny products, where
    # rounding cannot reach an integer.
    product = np.ldexp(x.astype(np.float64) * how["multiplier"], -how["shift"])
    return np.clip(np.floor(product + 0.5), how["min"], how["max"]).astype(np.int64)


def decode(how: dict, cells: np.ndarray) -> np.ndarray:
    """Section 3.2."""
    ((kind, how),) = how.items()
    if kind == "integer":
        return cells.astype("<i8")
    if kind == "lookup":
        return np.array(how["values"], "<i8")[cells]
    flat = [nearest_f32(int(cell) * how["multiplier"], how["shift"]) for cell in cells.reshape(-1)]
    return np.array(flat, "<f4").reshape(cells.shape)


def nearest_f32(numerator: int, shift: int) -> float:
    """The FP32 nearest to `numerator / 2^shift`, ties to even. None is subnormal: the shift is at most 126."""
    magnitude = abs(numerator)
    surplus = max(magnitude.bit_length() - 24, 0)
    kept, lost = magnitude >> surplus, magnitude & ((1 << surplus) - 1)
    half = (1 << surplus) >> 1
    if surplus and (lost > half or (lost == half and kept & 1)):
        kept += 1
    return math.ldexp(kept if numerator >= 0 else -kept, surplus - shift)


def rescale(t: np.ndarray, shift: int) -> np.ndarray:
    """Section 2. An arithmetic shift to the right is a floor division."""
    require(1 <= shift <= 46, "a shift outside 1 to 46")
    rounded = t + (1 << (shift - 1))
    require((np.abs(rounded) < 2**62).all(), "a rescaled value leaves 62 bits")
    return rounded >> shift


def accumulator(cells: np.ndarray) -> np.ndarray:
    require((np.abs(cells) < 2**31).all(), "an accumulator leaves 32 bits")
    return cells


def _bias(op: dict, params: list[np.ndarray]) -> np.ndarray | int:
    return params[op["bias"]].astype(np.int64) if "bias" in op else 0


def linear(op: dict, values: list[np.ndarray], params: list[np.ndarray]) -> np.ndarray:
    weight = params[op["weight"]].astype(np.int64)
    return accumulator(values[op["x"]] @ weight.T + _bias(op, params))


def _windows(x: np.ndarray, window: dict, outside: int):
    """For each cell of the window, `(u, v, cells)`: what of x lies under it, `[P, H', W', C]`."""
    (kh, kw), (sy, sx), (dy, dx) = window["kernel"], window["stride"], window["dilation"]
    top, left, bottom, right = window["pad"]
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=outside)
    rows = (padded.shape[1] - dy * (kh - 1) - 1) // sy + 1
    columns = (padded.shape[2] - dx * (kw - 1) - 1) // sx + 1
    for u in range(kh):
        for v in range(kw):
            y, z = u * dy, v * dx
            yield u, v, padded[:, y : y + sy * (rows - 1) + 1 : sy, z : z + sx * (columns - 1) + 1 : sx]


def conv(op: dict, values: list[np.ndarray], params: list[np.ndarray]) -> np.ndarray:
    weight, groups = params[op["weight"]].astype(np.int64), op["groups"]
    outs, ins = weight.shape[0] // groups, weight.shape[3]
    total: np.ndarray | int = 0
    for u, v, cells in _windows(values[op["x"]], op["window"], 0):
        parts = [cells[..., g * ins : (g + 1) * ins] @ weight[g * outs : (g + 1) * outs, u, v].T for g in range(groups)]
        total = total + np.concatenate(parts, axis=-1)
    return accumulator(total + _bias(op, params))


def rescale_op(op: dict, values: list[np.ndarray], params: list[np.ndarray]) -> np.ndarray:
    scaled = values[op["x"]] * params[op["multiplier"]].astype(np.int64)
    return np.clip(rescale(scaled, op["shift"]), op["min"], op["max"])


def add(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    a, b = values[op["a"]] * op["a_multiplier"], values[op["b"]] * op["b_multiplier"]
    return np.clip(rescale(a - b if op["negate_b"] else a + b, op["shift"]), op["min"], op["max"])


def table(op: dict, values: list[np.ndarray], params: list[np.ndarray]) -> np.ndarray:
    entries, at = params[op["table"]].astype(np.int64), values[op["x"]] - op["base"]
    require((at >= 0).all() and (at < len(entries)).all(), "an index outside a table")
    return entries[at]


def max_pool(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    lowest = -(2**62)
    best = np.maximum.reduce([cells for _, _, cells in _windows(values[op["x"]], op["window"], lowest)])
    require((best > lowest).all(), "a window with no cell inside")
    return best


def sum_pool(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    return accumulator(sum(cells for _, _, cells in _windows(values[op["x"]], op["window"], 0)))


def reindex(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    flat = values[op["x"]].reshape(len(values[op["x"]]), -1)
    at = np.full(op["shape"], op["offset"], np.int64)
    for axis, (size, stride) in enumerate(zip(op["shape"], op["strides"], strict=True)):
        steps = np.arange(size) * stride
        at += steps.reshape([-1 if k == axis else 1 for k in range(len(op["shape"]))])
    require((at >= 0).all() and (at < flat.shape[1]).all(), "an index outside the operand")
    return flat[:, at]


def concat(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([values[x] for x in op["xs"]], axis=op["axis"] + 1)


def softmax(op: dict, values: list[np.ndarray], params: list[np.ndarray]) -> np.ndarray:
    x, exp = values[op["x"]], params[op["exp"]].astype(np.int64)
    e = exp[np.minimum(x.max(-1, keepdims=True) - x, len(exp) - 1)]
    total = e.sum(-1, keepdims=True)
    return ((e << op["bits"]) + total // 2) // total


def arg_max(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    return values[op["x"]].argmax(-1)


def tree_leaves(op: dict, values: list[np.ndarray], params: list[np.ndarray]) -> np.ndarray:
    x, nodes = values[op["x"]], params[op["nodes"]].astype(np.int64)
    at = np.tile(params[op["roots"]].astype(np.int64), (len(x), 1))
    for _ in range(op["depth"]):
        feature, threshold, left, right = np.moveaxis(nodes[np.maximum(at, 0)], -1, 0)
        below = np.take_along_axis(x, feature, axis=1) <= threshold
        at = np.where(at < 0, at, np.where(below, left, right))
    require((at < 0).all(), "a path is longer than the program says")
    return -1 - at


def gather_sum(op: dict, values: list[np.ndarray], params: list[np.ndarray]) -> np.ndarray:
    rows = params[op["table"]].astype(np.int64)[values[op["x"]]]
    return accumulator(rows.sum(1) + _bias(op, params))


def gather(op: dict, values: list[np.ndarray], params: list[np.ndarray]) -> np.ndarray:
    table = params[op["table"]].astype(np.int64)
    rows = values[op["x"]]
    require(((rows >= 0) & (rows < len(table))).all(), "a row that the table lacks")
    return table[rows]


def mat_mul(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    return accumulator(values[op["a"]] @ values[op["b"]])


def divide(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    a, b = values[op["a"]], values[op["b"]]
    require((b >= 1).all(), "a divisor below 1")
    total = a * op["factor"] + b // 2
    require((np.abs(total) < 2**62).all(), "a sum leaves 62 bits")
    return np.clip(total // b, op["min"], op["max"])


def max_abs(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    return np.maximum(np.abs(values[op["x"]]).max(-1, keepdims=True), 1)


def quantise(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    x, scale, limit = values[op["x"]], values[op["scale"]], op["limit"]
    require((scale >= 1).all(), "a scale below 1")
    return np.clip((limit * x + scale // 2) // scale, -limit, limit)


def rms_ratio(op: dict, values: list[np.ndarray], _: list[np.ndarray]) -> np.ndarray:
    x, scale = values[op["x"]], values[op["scale"]]
    require((scale >= 0).all(), "a scale below 0")
    sums = (x * x).sum(-1, keepdims=True) + op["epsilon"]
    roots = np.array([max(1, math.isqrt(int(v))) for v in sums.reshape(-1)], dtype=np.int64).reshape(sums.shape)
    return np.minimum(scale * op["factor"] // roots, op["max"])


def mul(op: dict, values: list[np.ndarray], params: list[np.ndarray]) -> np.ndarray:
    product = rescale(values[op["a"]] * values[op["b"]], op["shift"])
    return np.clip(product + _bias(op, params), op["min"], op["max"])


def _input(*_: object) -> np.ndarray:
    raise Refused("inputs are read by `run`")


OPS = {
    "input": _input,
    "linear": linear,
    "conv": conv,
    "rescale": rescale_op,
    "add": add,
    "table": table,
    "max_pool": max_pool,
    "sum_pool": sum_pool,
    "reindex": reindex,
    "concat": concat,
    "softmax": softmax,
    "arg_max": arg_max,
    "tree_leaves": tree_leaves,
    "gather_sum": gather_sum,
    "gather": gather,
    "mat_mul": mat_mul,
    "divide": divide,
    "max_abs": max_abs,
    "quantise": quantise,
    "rms_ratio": rms_ratio,
    "mul": mul,
}
