"""Times onnxruntime in f32 on the shipped models, for a comparison on the same machine in the same run.

    .venv/bin/python bench/peers/onnxruntime_bench.py --threads 2 [--seconds 2] [--bind]

One JSON document on stdout. For each case: the minimum and the median over calls of wall time and of this
process's CPU time, in seconds per call. Nothing is subtracted. The cases named `call-overhead` run a graph
of one Identity node on the same input: what a call from Python costs when there is nothing to compute.

How: CPUExecutionProvider, all graph optimisations, `intra_op` threads as given, one `inter_op` thread.
Warm-up first, then calls until both `--seconds` of wall time and `CALLS_MIN` calls have passed. Calls rotate over
distinct real inputs, so that a forest's branches are not learnt by the predictor. CPU time is read in batches of
calls, since its clock may be coarse: a batch's mean is one sample. Worker threads spin between calls by default, which
costs CPU time and saves wall time; `--no-spin` turns that off. What it does not do: compare. The caller does.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

MODELS = Path(__file__).resolve().parents[2] / "models"
CASES = [("digits-cnn", 1), ("digits-cnn", 64), ("digits-mlp", 1), ("digits-mlp", 64), ("forest", 1), ("forest", 64)]
CALLS_MIN = 200
# Long enough for CLOCK_PROCESS_CPUTIME_ID to be read well, short enough for hundreds of samples.
CPU_BATCH_S = 0.002


def options(threads: int, spin: bool) -> onnxruntime.SessionOptions:
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = 1
    chosen.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    chosen.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    return chosen


def identity(name: str, shape: tuple[int, ...]) -> bytes:
    """A model that hands its input back."""
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], ["same"])],
        "identity",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("same", TensorProto.FLOAT, ["N", *shape])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def batches(name: str, batch: int) -> tuple[str, list[np.ndarray]]:
    """The input's name, and the held-out rows cut into whole batches."""
    with np.load(MODELS / f"{name}.inputs.npz") as archive:
        input_name = archive.files[0]
        rows = archive[input_name]
    return input_name, [np.ascontiguousarray(rows[at : at + batch]) for at in range(0, len(rows) - batch + 1, batch)]


def callers(session: onnxruntime.InferenceSession, input_name: str, inputs: list[np.ndarray], bind: bool) -> list:
    """One function without arguments per input: `session.run`, or a run over an input that is bound already."""
    if not bind:
        return [lambda rows=rows: session.run(None, {input_name: rows}) for rows in inputs]
    bound = []
    for rows in inputs:
        binding = session.io_binding()
        binding.bind_cpu_input(input_name, rows)
        for output in session.get_outputs():
            binding.bind_output(output.name, "cpu")
        bound.append(lambda binding=binding: session.run_with_iobinding(binding))
    return bound


def measure(calls: list, seconds: float) -> dict:
    """Minimum and median per call, in seconds, of wall and of CPU time."""
    warm_until = time.perf_counter() + min(0.3, seconds)
    while time.perf_counter() < warm_until:
        for call in calls:
            call()
    start = time.perf_counter()
    for call in calls:
        call()
    per_call = (time.perf_counter() - start) / len(calls)
    batch = max(1, round(CPU_BATCH_S / per_call))

    wall, cpu, made = [], [], 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or made < CALLS_MIN:
        cpu_start = time.process_time()
        for _ in range(batch):
            call = calls[made % len(calls)]
            before = time.perf_counter()
            call()
            wall.append(time.perf_counter() - before)
            made += 1
        cpu.append((time.process_time() - cpu_start) / batch)
    return {
        "calls": made,
        "wall_min_s": min(wall),
        "wall_median_s": statistics.median(wall),
        "cpu_min_s": min(cpu),
        "cpu_median_s": statistics.median(cpu),
        "cpu_batch_calls": batch,
    }


def run_case(name: str, batch: int, arguments: argparse.Namespace) -> list[dict]:
    """The model's case and the overhead of a call on the same input."""
    input_name, inputs = batches(name, batch)
    chosen = options(arguments.threads, not arguments.no_spin)
    sources = [
        (name, str(MODELS / f"{name}.onnx")),
        (f"call-overhead/{name}", identity(input_name, inputs[0].shape[1:])),
    ]
    results = []
    for label, source in sources:
        session = onnxruntime.InferenceSession(source, chosen, providers=["CPUExecutionProvider"])
        figures = measure(callers(session, input_name, inputs, arguments.bind), arguments.seconds)
        results.append(
            {"case": f"onnxruntime::run/model={label}/batch={batch}", "model": label, "batch": batch, **figures}
        )
    return results


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def positive(kind):
    """An argparse type: a number of this kind above zero."""

    def read(text: str):
        value = kind(text)
        if value <= 0:
            raise argparse.ArgumentTypeError(f"expected more than 0, got `{text}`")
        return value

    return read


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=positive(int), required=True, help="intra-op threads")
    parser.add_argument("--seconds", type=positive(float), default=2.0, help="least wall time per case (default 2)")
    parser.add_argument(
        "--bind", action="store_true", help="bind inputs beforehand instead of passing them to each call"
    )
    parser.add_argument("--no-spin", action="store_true", help="let worker threads sleep between calls")
    arguments = parser.parse_args()
    cases = [result for name, batch in CASES for result in run_case(name, batch, arguments)]
    document = {
        "onnxruntime": onnxruntime.__version__,
        "provider": "CPUExecutionProvider",
        "threads": arguments.threads,
        "spinning": not arguments.no_spin,
        "io_binding": arguments.bind,
        "processor": processor(),
        "logical_cpus": os.cpu_count(),
        "cases": cases,
    }
    json.dump(document, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
