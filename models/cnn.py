"""A small convolutional network in plain numpy: forward, backward, Adam, and its ONNX graph.

    image [N,1,8,8] -> Conv 3x3 pad 1 (16) -> Relu -> Conv 3x3 (32) -> Relu -> MaxPool 2
                    -> Flatten -> Gemm (64) -> Relu -> Gemm (10) -> logits [N,10]

Numpy alone trains it in about half a minute, so no training framework is a dependency. What it
does not do: anything general. The layers are written for this one network.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

SEED = 20_250_917
EPOCHS = 60
BATCH = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-4
DROPOUT = 0.3

Weights = dict[str, np.ndarray]


def initial_weights(rng: np.random.Generator) -> Weights:
    """He-normal weights and zero biases, in the order in which the graph uses them."""
    shapes = {
        "conv1": (16, 1, 3, 3),
        "conv2": (32, 16, 3, 3),
        "hidden": (64, 32 * 3 * 3),
        "logits": (10, 64),
    }
    weights: Weights = {}
    for name, shape in shapes.items():
        fan_in = int(np.prod(shape[1:]))
        scale = np.sqrt(2.0 / fan_in)
        weights[f"{name}.weight"] = (rng.standard_normal(shape) * scale).astype(np.float32)
        weights[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    return weights


def _patches(x: np.ndarray) -> np.ndarray:
    """[N,C,H,W] to the 3x3 patches [N,H-2,W-2,C*9], in ONNX's weight order (C, kh, kw)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    n, c, h, w = windows.shape[:4]
    return np.ascontiguousarray(windows.transpose(0, 2, 3, 1, 4, 5)).reshape(n, h, w, c * 9)


def _unpatch(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The adjoint of `_patches`: adds every patch's gradient back to where it was read."""
    n, h, w, _ = grad.shape
    parts = grad.reshape(n, h, w, shape[1], 3, 3)
    out = np.zeros(shape, np.float32)
    for i in range(3):
        for j in range(3):
            out[:, :, i : i + h, j : j + w] += parts[..., i, j].transpose(0, 3, 1, 2)
    return out


def _conv(patches: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    kernel = weights[f"{name}.weight"]
    out = patches @ kernel.reshape(kernel.shape[0], -1).T + weights[f"{name}.bias"]
    return np.maximum(out.transpose(0, 3, 1, 2), 0)


def _pool(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2x2 maximum, and a one-hot mask of the winner (the first of equals)."""
    n, c, h, w = x.shape
    cells = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    cells = cells.reshape(n, c, h // 2, w // 2, 4)
    mask = np.arange(4) == cells.argmax(-1)[..., None]
    return cells.max(-1), mask


def _forward(x: np.ndarray, weights: Weights, keep: np.ndarray | None) -> dict[str, np.ndarray]:
    """Every intermediate that the backward pass needs. `keep` is the dropout mask, in training."""
    p1 = _patches(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))))
    a1 = _conv(p1, weights, "conv1")
    p2 = _patches(a1)
    a2 = _conv(p2, weights, "conv2")
    pooled, mask = _pool(a2)
    flat = pooled.reshape(len(x), -1)
    hidden = np.maximum(flat @ weights["hidden.weight"].T + weights["hidden.bias"], 0)
    if keep is not None:
        hidden = hidden * keep
    logits = hidden @ weights["logits.weight"].T + weights["logits.bias"]
    return {"p1": p1, "a1": a1, "p2": p2, "a2": a2, "mask": mask, "flat": flat, "hidden": hidden, "logits": logits}


def _conv_gradient(grads: Weights, name: str, patches: np.ndarray, grad: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Records the layer's own gradient; returns the gradient of its patches."""
    rows = grad.transpose(0, 2, 3, 1).reshape(-1, kernel.shape[0])
    grads[f"{name}.weight"] = (rows.T @ patches.reshape(len(rows), -1)).reshape(kernel.shape)
    grads[f"{name}.bias"] = rows.sum(0)
    return (rows @ kernel.reshape(kernel.shape[0], -1)).reshape(patches.shape)


def _backward(state: dict[str, np.ndarray], labels: np.ndarray, weights: Weights, keep: np.ndarray) -> Weights:
    """Gradients of the mean cross-entropy."""
    n = len(labels)
    grads: Weights = {}
    shifted = np.exp(state["logits"] - state["logits"].max(1, keepdims=True))
    grad = shifted / shifted.sum(1, keepdims=True)
    grad[np.arange(n), labels] -= 1
    grad = (grad / n).astype(np.float32)
    grads["logits.weight"] = grad.T @ state["hidden"]
    grads["logits.bias"] = grad.sum(0)
    # `keep` is zero or positive, so the sign of the dropped activations is still the Relu's mask.
    grad = (grad @ weights["logits.weight"]) * keep * (state["hidden"] > 0)
    grads["hidden.weight"] = grad.T @ state["flat"]
    grads["hidden.bias"] = grad.sum(0)
    mask = state["mask"]
    grad = (grad @ weights["hidden.weight"]).reshape(mask.shape[:-1])[..., None] * mask
    n, c, h, w, _ = grad.shape
    grad = grad.reshape(n, c, h, w, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(state["a2"].shape)
    grad = grad * (state["a2"] > 0)
    grad = _conv_gradient(grads, "conv2", state["p2"], grad, weights["conv2.weight"])
    grad = _unpatch(grad, state["a1"].shape) * (state["a1"] > 0)
    _conv_gradient(grads, "conv1", state["p1"], grad, weights["conv1.weight"])
    return grads


def _adam(weights: Weights, grads: Weights, moments: dict[str, list[np.ndarray]], step: int, rate: float) -> None:
    """One AdamW step in place (Loshchilov and Hutter, 2019, algorithm 2)."""
    for name, grad in grads.items():
        first, second = moments[name]
        first += 0.1 * (grad - first)
        second += 0.001 * (grad * grad - second)
        update = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        weights[name] -= (rate * (update + WEIGHT_DECAY * weights[name])).astype(np.float32)


def train(images: np.ndarray, labels: np.ndarray) -> Weights:
    """Weights after `EPOCHS` passes over `images` [N,1,8,8] in 0..=1, with a cosine rate."""
    rng = np.random.default_rng(SEED)
    weights = initial_weights(rng)
    moments = {name: [np.zeros_like(w), np.zeros_like(w)] for name, w in weights.items()}
    steps = EPOCHS * (len(images) // BATCH)
    step = 0
    for _ in range(EPOCHS):
        order = rng.permutation(len(images))
        for start in range(0, len(images) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            keep = ((rng.random((BATCH, 64)) >= DROPOUT) / (1 - DROPOUT)).astype(np.float32)
            state = _forward(images[rows], weights, keep)
            grads = _backward(state, labels[rows], weights, keep)
            rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            step += 1
            _adam(weights, grads, moments, step, rate)
    return weights


def to_onnx(weights: Weights, opset: int, ir_version: int):
    """The trained network as an ONNX model with a symbolic batch axis."""
    nodes = [
        helper.make_node(
            "Conv", ["image", "conv1.weight", "conv1.bias"], ["conv1"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]
        ),
        helper.make_node("Relu", ["conv1"], ["relu1"]),
        helper.make_node("Conv", ["relu1", "conv2.weight", "conv2.bias"], ["conv2"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["conv2"], ["relu2"]),
        helper.make_node("MaxPool", ["relu2"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pool"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "hidden.weight", "hidden.bias"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["relu3"]),
        helper.make_node("Gemm", ["relu3", "logits.weight", "logits.bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "digits-cnn",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(
        graph,
        producer_name="credence models/train.py",
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
    )
