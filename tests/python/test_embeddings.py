"""`credence model import` of an encoder's folder, and `/v1/embeddings` through the `openai` SDK, with the receipt of each vector.

The model is a tiny random one, written here as Hugging Face keeps models; what it computes is computed here again, in numpy.
"""

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest
from conftest import Credence
from test_oip import Server, serving
from test_openai import REQUESTS, bundle_of, checking, claim_of

NAME = "words"
WIDTH, HIDDEN, HEADS, BLOCKS, CONTEXT = 48, 64, 4, 2, 64
WORDS = "the of and to in a is that it was for on are as with his they at be this from have or by one".split()
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s", "##ed", "##ing", ".", ",", "!"]


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)

    def matrix(*shape: int, size: float = 1.0) -> np.ndarray:
        return (rng.normal(size=shape) * size).astype(np.float32)

    named = {
        "embeddings.word_embeddings.weight": matrix(len(PIECES), WIDTH),
        "embeddings.position_embeddings.weight": matrix(CONTEXT, WIDTH, size=0.3),
        "embeddings.token_type_embeddings.weight": matrix(2, WIDTH, size=0.3),
    }
    norms = ["embeddings.LayerNorm"]
    for block in range(BLOCKS):
        name = f"encoder.layer.{block}"
        for part, rows, columns in [
            *((f"attention.self.{x}", WIDTH, WIDTH) for x in ("query", "key", "value")),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", HIDDEN, WIDTH),
            ("output.dense", WIDTH, HIDDEN),
        ]:
            named[f"{name}.{part}.weight"] = matrix(rows, columns, size=columns**-0.5)
            named[f"{name}.{part}.bias"] = matrix(rows, size=0.1)
        norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
    for norm in norms:
        named[f"{norm}.weight"] = (1 + 0.1 * rng.normal(size=WIDTH)).astype(np.float32)
        named[f"{norm}.bias"] = matrix(WIDTH, size=0.1)
    return named


def write_folder(folder: Path) -> None:
    (folder / "1_Pooling").mkdir(parents=True)
    header, data = {}, b""
    for name, values in tensors().items():
        raw = values.tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    files = {
        "config.json": {
            "model_type": "bert", "vocab_size": len(PIECES), "hidden_size": WIDTH, "num_hidden_layers": BLOCKS,
            "num_attention_heads": HEADS, "max_position_embeddings": CONTEXT, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
        },
        "tokenizer.json": {
            "added_tokens": [{"id": i, "content": PIECES[i], "special": True} for i in range(5)],
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
            "model": {
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                "vocab": {piece: i for i, piece in enumerate(PIECES)},
            },
        },
        "modules.json": [{"type": f"sentence_transformers.models.{x}"} for x in ("Transformer", "Pooling", "Normalize")],
        "1_Pooling/config.json": {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


def float_embedding(ids: list[int]) -> np.ndarray:
    """The same network in numpy."""
    w = {name: values.astype(np.float64) for name, values in tensors().items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    gelu = np.vectorize(lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))))
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for block in range(BLOCKS):
        name = f"encoder.layer.{block}"
        q, k, v = (linear(x, f"{name}.attention.self.{p}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2) for p in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(WIDTH // HEADS)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), WIDTH)
        x = norm(x + linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        hidden = gelu(linear(x, f"{name}.intermediate.dense"))
        x = norm(x + linear(hidden, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


@pytest.fixture(scope="module")
def report(credence: Credence, tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("encoder") / "words"
    write_folder(folder)
    return json.loads(credence.succeed("model", "import", folder, "--name", NAME, "--min-cosine", "0.99", "--json"))


@pytest.fixture(scope="module")
def server(credence: Credence, report: dict) -> Iterator[Server]:
    with serving(credence, NAME) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    base = f"http://127.0.0.1:{server.port}/v1"
    with checking() as http_client:
        yield openai.OpenAI(base_url=base, api_key="none", max_retries=0, http_client=http_client)


def test_the_import_says_how_faithful_it_is(report: dict) -> None:
    assert report["kept"] and report["max_error"] is None and report["language_fidelity"] is None
    fidelity = report["encoder_fidelity"]
    assert fidelity["texts"] >= 20
    assert fidelity["cosine_mean"] >= 0.99


def test_vectors_are_those_of_the_float_network(client: openai.OpenAI) -> None:
    texts = ["The words, and the others!", "of one", "It was as they have it; this IS that.", "?"]
    ids = [[2, *(PIECES.index(p) for p in pieces), 3] for pieces in (
        ["the", "[UNK]", ",", "and", "the", "[UNK]", "!"],
        ["of", "one"],
        ["it", "was", "as", "they", "have", "it", "[UNK]", "this", "is", "that", "."],
        ["[UNK]"],
    )]
    by_text = client.embeddings.create(model=NAME, input=texts, encoding_format="float").data
    by_ids = client.embeddings.create(model=NAME, input=ids, encoding_format="float").data
    for own, other, tokens in zip(by_text, by_ids, ids, strict=True):
        assert own.embedding == other.embedding
        vector = np.array(own.embedding)
        assert abs(np.linalg.norm(vector) - 1) < 1e-3
        assert vector @ float_embedding(tokens) > 0.995


def test_both_encodings_are_the_claimed_vector(client: openai.OpenAI, server: Server, credence: Credence, tmp_path: Path) -> None:
    nonce = "5a" * 32
    # The SDK asks for base64 by itself, and decodes it.
    coded = client.embeddings.create(model=NAME, input="the one", extra_body={"credence": {"nonce": nonce}})
    plain = client.embeddings.create(model=NAME, input="the one", encoding_format="float")
    assert np.array_equal(np.float32(coded.data[0].embedding), np.float32(plain.data[0].embedding))
    assert (coded.usage.prompt_tokens, coded.usage.total_tokens) == (4, 4)
    place = coded.data[0].credence["bundle"]
    bundle = bundle_of(server, place)
    claim = claim_of(bundle)
    assert (claim["nonce"], claim["inputCount"], claim["outputCount"]) == (nonce, "4", "1")
    content = base64.b64decode(bundle["openings"]["output"]["content"])
    assert content.endswith(np.array(coded.data[0].embedding, dtype="<f4").tobytes())
    path = tmp_path / "vector.bundle.json"
    path.write_bytes(server.get(place).body)
    done = credence.run("verify", path, "--model", NAME)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"dimensions": 8}, "dimensions"),
        ({"input": []}, "input"),
        ({"input": ["the"] * 257}, "input"),
        ({"input": "the " * CONTEXT}, "input"),
        ({"input": [len(PIECES)]}, "input"),
        ({"model": "absent"}, "model"),
    ],
)
def test_what_cannot_be_embedded_is_refused_by_name(client: openai.OpenAI, change: dict, param: str) -> None:
    body = {"model": NAME, "input": "the", **change}
    with pytest.raises(openai.APIStatusError) as refused:
        client.embeddings.create(**body)
    assert refused.value.param == param
    none_or_too_many = change in ({"input": []}, {"input": ["the"] * 257})
    assert REQUESTS["/v1/embeddings"].is_valid(body) != none_or_too_many


def test_an_encoder_does_not_chat(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="/v1/embeddings"):
        client.chat.completions.create(model=NAME, messages=[{"role": "user", "content": "hi"}])
