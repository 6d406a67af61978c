"""What one cell of each node reads at most (`docs/spec/trace.md`, section 5)."""

from collections import Counter
from dataclasses import dataclass
from math import prod

_COST = {"i8": 1, "i16": 4, "i32": 8}

Shape = tuple[int, ...]
Source = tuple[str, int]


@dataclass(frozen=True)
class _Reads:
    """One row of the section's table."""

    nodes: list[tuple[int, int]]
    """Operands at this position, and how many cells of each."""
    params: list[tuple[int, int]]
    past: list[tuple[int, int]]
    one_of_them: bool = False


def costs(program: dict, shapes: list[Shape]) -> list[int]:
    """The cost of each node's relation, cut or not; `shapes` are the nodes', of one position."""
    nodes, params = program["nodes"], program["params"]
    context = program["language"]["context"] if "language" in program else 1
    products: list[int] = []
    sources: list[Counter[Source]] = []

    def one(source: Source) -> int:
        kind, index = source
        return _COST[(params if kind == "param" else nodes)[index]["dtype"]]

    def there_are(source: Source) -> int:
        kind, index = source
        if kind == "param":
            return prod(params[index]["shape"])
        return prod(shapes[index]) * (context if kind == "past" else 1)

    for node in nodes:
        reads = _reads(node["op"], program, shapes)
        direct: Counter[Source] = Counter()
        for kind, listed in (("param", reads.params), ("past", reads.past)):
            for index, count in listed:
                direct[kind, index] += count
        terms = [
            count * (one(("node", index)) if nodes[index]["cut"] else products[index]) for index, count in reads.nodes
        ]
        by_operands = max(terms) if reads.one_of_them else sum(terms)
        products.append(by_operands + sum(count * one(source) for source, count in direct.items()))
        for index, count in reads.nodes:
            if nodes[index]["cut"]:
                direct["node", index] += count
            else:
                direct.update({source: count * inner for source, inner in sources[index].items()})
        sources.append(Counter({source: min(count, there_are(source)) for source, count in direct.items()}))
    by_source = [sum(count * one(source) for source, count in counted.items()) for counted in sources]
    return [min(pair) for pair in zip(products, by_source, strict=True)]


def _reads(op: dict, program: dict, shapes: list[Shape]) -> _Reads:
    ((name, m),) = op.items()
    weights = {index: param["shape"] for index, param in enumerate(program["params"])}

    def last(member: str) -> int:
        return shapes[m[member]][-1]

    def row(nodes: dict[str, int], params: dict[str, int] | None = None, past: dict[str, int] | None = None) -> _Reads:
        params = {**(params or {}), **({"bias": 1} if "bias" in m else {})}
        of = [[(m[member], count) for member, count in part.items()] for part in (nodes, params, past or {})]
        return _Reads(*of)

    match name:
        case "input" | "token" | "position":
            return row({})
        case "linear":
            width = weights[m["weight"]][1]
            return row({"x": width}, {"weight": width})
        case "conv":
            cells = prod(weights[m["weight"]][1:])
            return row({"x": cells}, {"weight": cells})
        case "rescale":
            return row({"x": 1}, {"multiplier": 1})
        case "add":
            return row({"a": 1, "b": 1})
        case "table":
            return row({"x": 1}, {"table": 1})
        case "max_pool" | "sum_pool":
            return row({"x": prod(m["window"]["kernel"])})
        case "reindex":
            return row({"x": 1})
        case "concat":
            return _Reads([(x, 1) for x in m["xs"]], [], [], one_of_them=True)
        case "softmax":
            return row({"x": last("x")}, {"exp": last("x")})
        case "arg_max" | "max_abs":
            return row({"x": last("x")})
        case "tree_leaves":
            return row({"x": m["depth"]}, {"nodes": 4 * m["depth"], "roots": 1})
        case "gather_sum":
            return row({"x": prod(shapes[m["x"]])}, {"table": prod(shapes[m["x"]])})
        case "gather":
            return row({"x": 1}, {"table": 1})
        case "mat_mul":
            return row({"a": last("a"), "b": last("a")})
        case "divide":
            return row({"a": 1, "b": 1})
        case "embed":
            return row({"x": 1}, {"table": 1, "multiplier": 1})
        case "quantise":
            return row({"x": 1, "scale": 1})
        case "rms_ratio":
            return row({"x": last("x"), "scale": 1})
        case "mul":
            return row({"a": 1, "b": 1})
        case "rope":
            return row({"x": 2}, {"cos": 1, "sin": 1})
        case "scores":
            return row({"q": last("q")}, past={"k": last("q")})
        case "attend":
            return row({"scores": last("scores")}, past={"v": last("scores")})
        case "hadamard":
            return row({"x": m["size"]})
    raise AssertionError(name)
