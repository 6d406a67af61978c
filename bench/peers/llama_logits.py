"""Logits and greedy answers of llama.cpp, for whoever compares them with others.

    target/peers/bin/python bench/peers/llama_logits.py logits MODEL.gguf [--threads 2] < texts.json > rows.f32
    target/peers/bin/python bench/peers/llama_logits.py greedy MODEL.gguf [--threads 2] < prompts.json

`logits` reads a list of lists of token ids. For each list, a context of its own: one row of logits for every position, little-endian f32, row after
row, nothing between rows or lists. `greedy` reads `{"prompts": [[ids]], "tokens": most}` and writes a list of lists of ids, each ending with the token that ends
the turn, if one came. Settings are those of `llama_bench.py`. What it does not do: tokenise, compare.
"""

import argparse
import json
import sys

import numpy as np
from llama_bench import BATCH, Llama


def rows(llama: Llama, tokens: list[int], out) -> None:
    """Writes a text's rows, a batch at a time."""
    llama.clear()
    for start in range(0, len(tokens), BATCH):
        piece = tokens[start : start + BATCH]
        logits = llama.decode([(token, start + at, 0, True) for at, token in enumerate(piece)])
        out.write(np.ascontiguousarray(logits, "<f4").data)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["logits", "greedy"])
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    work = json.load(sys.stdin)
    if arguments.task == "logits":
        llama = Llama(arguments.model, arguments.threads, max(map(len, work), default=1))
        for tokens in work:
            rows(llama, tokens, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return 0
    longest = max(map(len, work["prompts"]), default=1) + work["tokens"]
    llama = Llama(arguments.model, arguments.threads, longest)
    answers = []
    for prompt in work["prompts"]:
        llama.clear()
        answers.append(llama.greedy(prompt, work["tokens"]))
    json.dump(answers, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
