"""Times llama.cpp on a GGUF file, for a comparison on the same machine in the same run.

    target/peers/bin/python bench/peers/llama_bench.py quantise FROM.gguf TO.gguf
    target/peers/bin/python bench/peers/llama_bench.py time MODEL.gguf --threads 2 < work.json

`quantise` writes the file in Q8_0, from whatever it is in. `time` reads what to do from stdin, as JSON:

    {"prompt": [ids], "generate": 128, "answer": [ids], "streams": 8, "steps": 64}

and writes one JSON document to stdout: for each part wall and CPU time in seconds (`time.process_time`: all threads), and tokens.

- `prefill`: the prompt in one call, logits of its last token alone.
- `decode`: `generate` tokens after it, each the likeliest, one call each.
- `make`: prompt and as many tokens as `answer` has, one after another: what generating it takes.
- `verify`: prompt and answer in one call, logits of all of the answer's positions: what one would have to do to draw each token anew.
- `streams`: `steps` calls of one token for each of `streams` sequences that have all had the prompt.

How: the library's low-level functions, its defaults but for threads and batch (512), a warm-up first, each part once: the caller repeats. The
KV cache is f16, flash attention as the library chooses. What it does not do: tokenise, compare.
"""

import argparse
import ctypes
import json
import platform
import sys
import time
from pathlib import Path

import llama_cpp as lib
import numpy as np

BATCH = 512


@lib.llama_log_callback
def _quiet(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """Says what went wrong, and nothing else."""
    if level == 4:
        sys.stderr.write(text.decode("utf-8", "replace"))


class Llama:
    """One model and one context."""

    def __init__(self, path: str, threads: int, context: int, sequences: int = 1) -> None:
        lib.llama_log_set(_quiet, ctypes.c_void_p(0))
        lib.llama_backend_init()
        model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
        if not model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        chosen = lib.llama_context_default_params()
        chosen.n_ctx = context * sequences
        chosen.n_batch = BATCH
        chosen.n_ubatch = BATCH
        chosen.n_seq_max = sequences
        chosen.n_threads = chosen.n_threads_batch = threads
        chosen.no_perf = True
        self._model = model
        self._context = lib.llama_init_from_model(model, chosen)
        if not self._context:
            raise SystemExit(f"llama.cpp makes no context of {context} tokens")
        self._batch = lib.llama_batch_init(BATCH, 0, 1)
        self.vocab = lib.llama_model_get_vocab(model)
        self.vocabulary = lib.llama_vocab_n_tokens(self.vocab)

    def clear(self) -> None:
        """Forgets all tokens."""
        lib.llama_memory_clear(lib.llama_get_memory(self._context), False)

    def decode(self, rows: list[tuple[int, int, int, bool]]) -> np.ndarray:
        """Runs rows of (token, position, sequence, logits wanted); a view of the logits, valid until the next call."""
        batch = self._batch
        batch.n_tokens = len(rows)
        wanted = 0
        for at, (token, position, sequence, logits) in enumerate(rows):
            batch.token[at] = token
            batch.pos[at] = position
            batch.n_seq_id[at] = 1
            batch.seq_id[at][0] = sequence
            batch.logits[at] = logits
            wanted += logits
        code = lib.llama_decode(self._context, batch)
        if code != 0:
            raise SystemExit(f"llama.cpp refuses a batch of {len(rows)} tokens: {code}")
        if wanted == 0:
            lib.llama_synchronize(self._context)
            return np.empty((0, self.vocabulary), np.float32)
        # Reading waits for the computation.
        logits = lib.llama_get_logits(self._context)
        return np.ctypeslib.as_array(logits, (wanted, self.vocabulary))

    def prompt(self, tokens: list[int], sequence: int = 0, logits_from: int | None = None) -> np.ndarray:
        """Runs tokens from position 0; the logits of the last piece of the batch, from position `logits_from` (by default the last)."""
        first = len(tokens) - 1 if logits_from is None else logits_from
        rows = [(token, at, sequence, at >= first) for at, token in enumerate(tokens)]
        out = np.empty((0, self.vocabulary), np.float32)
        for start in range(0, len(rows), BATCH):
            out = self.decode(rows[start : start + BATCH])
        return out

    def greedy(self, tokens: list[int], count: int) -> list[int]:
        """The likeliest tokens, one after another, after a prompt; ends early at the end of a turn."""
        return self.go_on(self.prompt(tokens), len(tokens), count, stop=True)

    def go_on(self, logits: np.ndarray, position: int, count: int, *, stop: bool) -> list[int]:
        """`count` tokens from the logits at hand on."""
        made: list[int] = []
        for _ in range(count):
            token = int(np.argmax(logits[-1]))
            made.append(token)
            if stop and (len(made) == count or lib.llama_vocab_is_eog(self.vocab, token)):
                break
            logits = self.decode([(token, position + len(made) - 1, 0, True)])
        return made


class Clock:
    """Wall and CPU time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self, tokens: int) -> dict:
        return {
            "tokens": tokens,
            "wall_s": time.perf_counter() - self._wall,
            "cpu_s": time.process_time() - self._cpu,
        }


def peak_kib() -> int:
    """The most memory that this process has held, Python and its modules included; 0 where there is no `/proc`."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def parts(model: str, threads: int, work: dict) -> dict:
    """Times every part."""
    prompt, answer = work["prompt"], work["answer"]
    context = len(prompt) + max(len(answer), work["generate"], work["steps"]) + 8
    idle_kib = peak_kib()
    load = Clock()
    llama = Llama(model, threads, context)
    load = load.read(0)
    llama.greedy(prompt, 8)
    done = {}

    llama.clear()
    clock = Clock()
    logits = llama.prompt(prompt)
    done["prefill"] = clock.read(len(prompt))
    clock = Clock()
    llama.go_on(logits, len(prompt), work["generate"], stop=False)
    done["decode"] = clock.read(work["generate"])
    peak = peak_kib()

    llama.clear()
    clock = Clock()
    llama.go_on(llama.prompt(prompt), len(prompt), len(answer), stop=False)
    done["make"] = clock.read(len(answer))

    llama.clear()
    clock = Clock()
    llama.prompt(prompt + answer[:-1], logits_from=len(prompt) - 1)
    done["verify"] = clock.read(len(answer))

    sequences = work["streams"]
    llama = Llama(model, threads, context, sequences)
    for sequence in range(sequences):
        llama.prompt(prompt, sequence)
    clock = Clock()
    for step in range(work["steps"]):
        llama.decode([(answer[step], len(prompt) + step, sequence, True) for sequence in range(sequences)])
    done["streams"] = clock.read(work["steps"] * sequences)
    return {"load_s": load["wall_s"], "idle_kib": idle_kib, "peak_kib": peak, "parts": done}


def quantise(source: str, target: str) -> None:
    """Writes a file in Q8_0."""
    chosen = lib.llama_model_quantize_default_params()
    chosen.ftype = lib.LLAMA_FTYPE_MOSTLY_Q8_0
    chosen.allow_requantize = True
    lib.llama_log_set(_quiet, ctypes.c_void_p(0))
    if lib.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(chosen)) != 0:
        raise SystemExit(f"llama.cpp cannot quantise {source}")


def processor() -> str:
    """The processor's name, as the kernel gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tasks = parser.add_subparsers(dest="task", required=True)
    task = tasks.add_parser("quantise", help="write a file in Q8_0")
    task.add_argument("source")
    task.add_argument("target")
    task = tasks.add_parser("time", help="time what stdin says")
    task.add_argument("model")
    task.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    if arguments.task == "quantise":
        quantise(arguments.source, arguments.target)
        return 0
    document = parts(arguments.model, arguments.threads, json.load(sys.stdin))
    document["version"] = lib.__version__
    document["processor"] = processor()
    document["system"] = lib.llama_print_system_info().decode()
    json.dump(document, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
