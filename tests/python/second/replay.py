"""The method `replay`, version 1 (`docs/spec/receipt.md`, section 10): run the model again and compare for equality."""

from . import arithmetic, generation, receipt, require, tensors, trace
from .model import Model

# A tensor model takes no parameters: a version, 1, and a count, 0, as u32.
TENSOR_PARAMS = bytes([1, 0, 0, 0, 0])


def check(found: receipt.Receipt, model: Model) -> tensors.Tensors | None:
    """The outputs of a tensor model, if the run gives them, and the claim's trace commitment with them; nothing of a language model."""
    claim = found.claim
    require(model.model_id().hex() == claim["model"], "the claim is of another model")
    require({"input", "params", "output"} <= found.opened.keys() and found.trace_salt, "not all openings are there")
    if "language" in model.program:
        _trace(found, generation.check(model, _answer(found)))
        return None
    require(found.opened["params"] == TENSOR_PARAMS, "a tensor model takes no parameters")
    require(claim["finish"] == "complete" and claim["seed"] == "nothing", "a tensor model completes, and draws nothing")
    require("constrained" not in claim, "a tensor model constrains nothing")
    outputs, values = arithmetic.run(model, tensors.decode(found.opened["input"]))
    require(tensors.encode(outputs) == found.opened["output"], "the run gives another output")
    positions = str(len(values[0]))
    require(claim["inputCount"] == claim["outputCount"] == positions, "the run has another number of positions")
    _trace(found, trace.root(model.program, values))
    return outputs


def _trace(found: receipt.Receipt, root: bytes) -> None:
    committed = receipt.commitment("trace", found.operator, found.trace_salt, root)
    require(committed.hex() == found.claim["trace"], "the run has another trace")


def _answer(found: receipt.Receipt) -> generation.Answer:
    claim, nonce = found.claim, found.claim.get("nonce")
    return generation.Answer(
        **found.opened,
        finish=claim["finish"],
        seed_source=claim["seed"],
        nonce=bytes.fromhex(nonce) if nonce else None,
        input_count=int(claim["inputCount"]),
        output_count=int(claim["outputCount"]),
        constrained=claim.get("constrained"),
    )
