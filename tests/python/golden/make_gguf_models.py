"""Tiny random models of every architecture, and llama.cpp's logits for them, for crates/format-gguf/tests/golden/models/.

Weights are F32 and the cache too, so that llama.cpp rounds as little as it can; its GELU is a table of halves, which shows in the fourth digit.
Needs `numpy`, `gguf` (0.19) and `llama-cpp-python` (0.3.36). Run from the repository's root: python tests/python/golden/make_gguf_models.py
"""

import json
from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from llama_cpp import Llama

OUT = Path("crates/format-gguf/tests/golden/models")
VOCABULARY = 24
CONTEXT = 32
WIDTH = 16
INNER = 24
TOKENS = 20

# Architecture, file, head width, blocks, and settings of its own.
MODELS = [
    ("llama", "llama", 8, 2, {}),
    ("llama", "llama-scaled", 4, 2, {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    ("qwen2", "qwen2", 8, 2, {}),
    ("qwen3", "qwen3", 6, 2, {}),
    (
        "qwen3",
        "qwen3-yarn",
        12,
        2,
        {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 300},
    ),
    ("gemma3", "gemma3", 12, 3, {"attention.sliding_window": 5, "attention.sliding_window_pattern": 3}),
    ("gemma3", "gemma3-capped", 8, 2, {"final_logit_softcapping": 1.5, "rope.scaling.factor": 8.0}),
    ("gpt2", "gpt2", 8, 2, {}),
]


class Model:
    def __init__(self, architecture, name, head, blocks, settings):
        self.rng = np.random.default_rng(sum(name.encode()))
        self.architecture, self.name, self.head, self.blocks = architecture, name, head, blocks
        self.heads = 4 if head == 4 else 2
        self.kv_heads = self.heads if architecture == "gpt2" else self.heads // 2
        self.path = OUT / f"{name}.gguf"
        self.writer = GGUFWriter(str(self.path), architecture)
        self.settings(settings)
        self.tokenizer()
        self.tensors()
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()

    def settings(self, settings):
        w = self.writer
        w.add_name(f"tiny {self.name}")
        w.add_context_length(CONTEXT)
        w.add_embedding_length(WIDTH)
        w.add_block_count(self.blocks)
        w.add_feed_forward_length(INNER)
        w.add_head_count(self.heads)
        w.add_head_count_kv(self.kv_heads)
        if self.architecture == "gpt2":
            w.add_layer_norm_eps(1e-5)
        else:
            w.add_layer_norm_rms_eps(1e-6)
            w.add_rope_freq_base(500.0)
            w.add_key_length(self.head)
            w.add_value_length(self.head)
        for key, value in settings.items():
            add = {str: w.add_string, float: w.add_float32, int: w.add_uint32}[type(value)]
            add(f"{self.architecture}.{key}", value)

    def tokenizer(self):
        w = self.writer
        letters = [chr(ord("a") + i) for i in range(VOCABULARY - 2)]
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre("default")
        w.add_token_list(letters + ["ab", "<end>"])
        w.add_token_types([1] * (VOCABULARY - 1) + [3])
        w.add_token_merges(["a b"])
        w.add_bos_token_id(VOCABULARY - 1)
        w.add_eos_token_id(VOCABULARY - 1)
        w.add_add_bos_token(False)

    def matrix(self, name, rows, columns):
        self.writer.add_tensor(name, (self.rng.normal(size=(rows, columns)) * 0.35).astype(np.float32))

    def bias(self, name, length):
        self.writer.add_tensor(name, (self.rng.normal(size=length) * 0.5).astype(np.float32))

    def gain(self, name, length):
        self.writer.add_tensor(name, (1 + self.rng.normal(size=length) * 0.3).astype(np.float32))

    def linear(self, name, rows, columns, biased):
        self.matrix(f"{name}.weight", rows, columns)
        if biased:
            self.bias(f"{name}.bias", rows)

    def norm(self, name, biased):
        self.gain(f"{name}.weight", WIDTH)
        if biased:
            self.bias(f"{name}.bias", WIDTH)

    def tensors(self):
        kind = self.architecture
        gpt2 = kind == "gpt2"
        self.matrix("token_embd.weight", VOCABULARY, WIDTH)
        if gpt2:
            self.matrix("position_embd.weight", CONTEXT, WIDTH)
        if self.name == "llama-scaled":
            self.writer.add_tensor("rope_freqs.weight", np.array([1.0, 3.0], dtype=np.float32))
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        for block in range(self.blocks):
            name = f"blk.{block}"
            self.norm(f"{name}.attn_norm", gpt2)
            if gpt2:
                self.linear(f"{name}.attn_qkv", queries + 2 * keys, WIDTH, True)
            else:
                biased = kind == "qwen2" or self.name == "llama-scaled"
                self.linear(f"{name}.attn_q", queries, WIDTH, biased)
                self.linear(f"{name}.attn_k", keys, WIDTH, biased)
                self.linear(f"{name}.attn_v", keys, WIDTH, biased)
            if kind in ("qwen3", "gemma3"):
                self.gain(f"{name}.attn_q_norm.weight", self.head)
                self.gain(f"{name}.attn_k_norm.weight", self.head)
            self.linear(f"{name}.attn_output", WIDTH, queries, gpt2 or self.name == "llama-scaled")
            self.norm(f"{name}.ffn_norm", gpt2)
            if kind == "gemma3":
                self.norm(f"{name}.post_attention_norm", False)
                self.norm(f"{name}.post_ffw_norm", False)
            if not gpt2:
                self.matrix(f"{name}.ffn_gate.weight", INNER, WIDTH)
            self.linear(f"{name}.ffn_up", INNER, WIDTH, gpt2)
            self.linear(f"{name}.ffn_down", WIDTH, INNER, gpt2)
        self.norm("output_norm", gpt2)
        if self.name in ("llama", "qwen3", "gpt2"):
            self.matrix("output.weight", VOCABULARY, WIDTH)

    def logits(self):
        tokens = [int(t) for t in self.rng.integers(0, VOCABULARY, TOKENS)]
        model = Llama(
            str(self.path), logits_all=True, n_ctx=CONTEXT, n_threads=1, type_k=0, type_v=0, verbose=False
        )
        model.eval(tokens)
        rows = [[round(float(x), 6) for x in row] for row in model.scores[:TOKENS]]
        return {"model": self.name, "tokens": tokens, "logits": rows}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps(Model(*row).logits()) for row in MODELS]
    (OUT / "logits.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()
