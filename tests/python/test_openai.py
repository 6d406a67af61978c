"""`credence serve` through the clients that people have: the `openai` SDK and LangChain, and the receipt of each answer.

The model is a tiny random one, written here as GGUF and imported: what it says is noise, but it says it as a large one would.
"""

import base64
import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import httpx
import jsonschema
import numpy as np
import openai
import pydantic
import pytest
from blake3 import blake3
from conftest import Credence
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from gguf import GGUFWriter
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from test_oip import Server, serving
from test_schemas import validator

NAME = "tiny"
WIDTH = 32
INNER = 48
HEADS = 4
BLOCKS = 2
CONTEXT = 256
ENDS = ["<|im_end|>", "<|endoftext|>"]
TEMPLATE = (
    "{% if tools %}{{ '<|im_start|>system\n<tool_call>{\"name\": f, \"arguments\": a}</tool_call>' }}"
    "{% for t in tools %}{{ ' ' + t['function']['name'] }}{% endfor %}{{ '<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def byte_alphabet() -> list[str]:
    """GPT-2's character for each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens and merges: every byte, a few pairs, and what begins and ends turns."""
    merges = ["t h", "th e", "Ġ the", "i n", "a n"]
    return [*byte_alphabet(), *(pair.replace(" ", "") for pair in merges), "<|im_start|>", *ENDS], merges


def write_gguf(path: Path) -> None:
    tokens, merges = vocabulary()
    rng = np.random.default_rng(11)
    w = GGUFWriter(str(path), "llama")
    w.add_name("tiny")
    w.add_context_length(CONTEXT)
    w.add_embedding_length(WIDTH)
    w.add_block_count(BLOCKS)
    w.add_feed_forward_length(INNER)
    w.add_head_count(HEADS)
    w.add_head_count_kv(HEADS // 2)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_rope_freq_base(10000.0)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    w.add_token_types([1] * (len(tokens) - 3) + [3] * 3)
    w.add_token_merges(merges)
    w.add_bos_token_id(len(tokens) - 3)
    w.add_eos_token_id(len(tokens) - 2)
    w.add_add_bos_token(False)
    w.add_chat_template(TEMPLATE)

    def matrix(name: str, rows: int, columns: int, size: float) -> None:
        w.add_tensor(f"{name}.weight", (rng.normal(size=(rows, columns)) * size).astype(np.float32))

    def gain(name: str) -> None:
        w.add_tensor(f"{name}.weight", (1 + rng.normal(size=WIDTH) * 0.1).astype(np.float32))

    # Tied to the output: small, so that no token is nearly certain.
    matrix("token_embd", len(tokens), WIDTH, 0.2)
    for block in range(BLOCKS):
        name = f"blk.{block}"
        gain(f"{name}.attn_norm")
        gain(f"{name}.ffn_norm")
        for part, rows in (("q", WIDTH), ("k", WIDTH // 2), ("v", WIDTH // 2), ("output", WIDTH)):
            matrix(f"{name}.attn_{part}", rows, WIDTH, 0.2)
        matrix(f"{name}.ffn_gate", INNER, WIDTH, 0.2)
        matrix(f"{name}.ffn_up", INNER, WIDTH, 0.2)
        matrix(f"{name}.ffn_down", WIDTH, INNER, 0.2)
    gain("output_norm")
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


@pytest.fixture(scope="module")
def server(credence: Credence, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path)
    # A model of noise is far from uniform nowhere, so its fidelity means nothing.
    credence.succeed("model", "import", path, "--name", NAME, "--allow-error")
    with serving(credence, NAME) as running:
        yield running


REQUESTS = {
    "/v1/chat/completions": validator("http-chat-request.v1.json"),
    "/v1/completions": validator("http-completion-request.v1.json"),
    "/v1/embeddings": validator("http-embeddings-request.v1.json"),
}


def checking() -> openai.DefaultHttpxClient:
    """A client whose requests, where the server takes them, fit the published schemas."""

    def fits(answer: httpx.Response) -> None:
        schema = REQUESTS.get(answer.request.url.path)
        if schema is not None and answer.status_code == 200:
            schema.validate(json.loads(answer.request.content))

    return openai.DefaultHttpxClient(event_hooks={"response": [fits]})


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    base = f"http://127.0.0.1:{server.port}/v1"
    with checking() as http_client:
        yield openai.OpenAI(base_url=base, api_key="none", max_retries=0, http_client=http_client)


def messages(text: str = "the thing") -> list[dict]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def endless() -> dict[str, int]:
    """A bias that keeps the ends away."""
    tokens, _ = vocabulary()
    return {str(tokens.index(end)): -100 for end in ENDS}


def bundle_of(server: Server, place: str) -> dict:
    kept = server.get(place)
    assert kept.status == 200
    return json.loads(kept.body)


def claim_of(bundle: dict) -> dict:
    return json.loads(base64.b64decode(bundle["receipt"]["payload"]))["predicate"]["claim"]


def output_of(bundle: dict) -> dict:
    return json.loads(base64.b64decode(bundle["openings"]["output"]["content"]))


def verify(credence: Credence, server: Server, place: str, folder: Path) -> None:
    path = folder / "kept.bundle.json"
    path.write_bytes(server.get(place).body)
    done = credence.run("verify", path, "--model", NAME)
    assert done.returncode == 0, done.stdout + done.stderr


def test_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object) == (NAME, "model")
    assert client.models.retrieve(NAME).credence["context"] == CONTEXT
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("absent")
    assert refused.value.code == "model_not_found"


def test_chat_and_its_receipt(
    client: openai.OpenAI, server: Server, credence: Credence, tmp_path: Path
) -> None:
    nonce = "5a" * 32
    got = client.chat.completions.create(
        model=NAME,
        messages=messages(),
        max_completion_tokens=12,
        temperature=0.7,
        top_p=0.95,
        extra_body={"credence": {"nonce": nonce}, "top_k": 50},
    )
    assert got.object == "chat.completion"
    (choice,) = got.choices
    assert choice.finish_reason in ("stop", "length")
    bundle = bundle_of(server, got.credence["bundle"])
    claim = claim_of(bundle)
    assert (claim["nonce"], claim["seed"], claim["model"]) == (nonce, "derived", got.credence["model"])
    assert output_of(bundle)["text"] == choice.message.content
    assert got.usage is not None
    assert claim["outputCount"] == str(got.usage.completion_tokens)
    assert claim["inputCount"] == str(got.usage.prompt_tokens)
    verify(credence, server, got.credence["bundle"], tmp_path)


def test_the_same_seed_says_the_same(client: openai.OpenAI) -> None:
    def ask(seed: int) -> str | None:
        bias = endless()
        got = client.chat.completions.create(
            model=NAME, messages=messages(), max_tokens=20, seed=seed, logit_bias=bias
        )
        return got.choices[0].message.content

    assert ask(1) == ask(1)
    assert len({ask(seed) for seed in range(4)}) > 1


def H(purpose: str, content: bytes) -> bytes:
    return blake3(content, derive_key_context=f"credence/{purpose}/v1").digest()


def u32(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in numbers)


def first_head(stream: dict) -> bytes:
    nonce = b"\1" + bytes.fromhex(stream["nonce"]) if "nonce" in stream else b"\0"
    digests = b"".join(bytes.fromhex(stream[name]) for name in ("model", "input", "params"))
    return H("stream", u32(1) + b"\1" + digests + nonce + bytes.fromhex(stream["operator"]))


def test_streamed_chat_is_a_chain_of_signed_heads(
    client: openai.OpenAI, server: Server, credence: Credence, tmp_path: Path
) -> None:
    """A second implementation of docs/spec/receipt.md, section 12."""
    chunks = list(
        client.chat.completions.create(
            model=NAME,
            messages=messages(),
            max_tokens=24,
            seed=3,
            logit_bias=endless(),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    usage = chunks.pop()
    assert usage.usage is not None
    assert (usage.choices, usage.usage.completion_tokens) == ([], 24)
    head, key, tokens, text = b"", None, [], ""
    for number, chunk in enumerate(chunks):
        signed = chunk.credence
        content = chunk.choices[0].delta.content or ""
        if number == 0:
            stream = signed["stream"]
            head = first_head(stream)
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(stream["operator"]))
            assert chunk.choices[0].delta.role == "assistant"
        else:
            new, said = signed["tokens"], content.encode()
            head = H("stream-link", head + u32(len(new), *new) + u32(len(said)) + said)
        assert signed["head"] == head.hex(), number
        assert key is not None
        key.verify(base64.b64decode(signed["signature"]), b"credence/stream-signature/v1" + head)
        tokens += signed["tokens"]
        text += content
    last = chunks[-1]
    assert last.choices[0].finish_reason == "length"
    bundle = bundle_of(server, last.credence["bundle"])
    assert output_of(bundle) == {"text": text, "tokens": tokens, "version": 1}
    claim = claim_of(bundle)
    assert (claim["input"], claim["params"]) == (stream["input"], stream["params"])
    verify(credence, server, last.credence["bundle"], tmp_path)


def test_choices_and_logprobs(client: openai.OpenAI) -> None:
    got = client.chat.completions.create(
        model=NAME,
        messages=messages(),
        n=3,
        max_tokens=6,
        seed=5,
        logit_bias=endless(),
        logprobs=True,
        top_logprobs=2,
    )
    assert [choice.index for choice in got.choices] == [0, 1, 2]
    for choice in got.choices:
        assert choice.logprobs is not None
        content = choice.logprobs.content
        assert content is not None
        assert len(content) == 6
        for token in content:
            assert token.logprob <= 0
            assert bytes(token.bytes or []).decode(errors="replace") == token.token
            assert len(token.top_logprobs) == 2


def test_completions(client: openai.OpenAI) -> None:
    got = client.completions.create(model=NAME, prompt=["the", "in"], max_tokens=5, seed=1, logprobs=1)
    assert [choice.index for choice in got.choices] == [0, 1]
    assert got.choices[0].logprobs is not None
    stream = client.completions.create(model=NAME, prompt="the", max_tokens=5, seed=1, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == got.choices[0].text


def test_one_completion_alone_and_in_chunks(
    client: openai.OpenAI, server: Server, credence: Credence, tmp_path: Path
) -> None:
    ask = {"model": NAME, "prompt": "the thing", "max_tokens": 12, "seed": 2, "logprobs": 2, "logit_bias": endless()}
    (whole,) = client.completions.create(**ask, n=1).choices
    assert whole.finish_reason == "length"
    chunks = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    usage = chunks.pop().usage
    assert usage is not None and usage.completion_tokens == 12
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.text
    # The same tokens stand at the same places, however they come.
    offsets = [place for chunk in chunks if chunk.choices[0].logprobs for place in chunk.choices[0].logprobs.text_offset or []]
    assert whole.logprobs is not None
    assert offsets == whole.logprobs.text_offset
    assert chunks[-1].choices[0].finish_reason == "length"
    verify(credence, server, chunks[-1].credence["bundle"], tmp_path)


def test_refusals_are_the_sdks_own_errors(client: openai.OpenAI) -> None:
    refusals = [
        ({"temperature": 3}, "temperature"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}},
            "response_format",
        ),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"extra_body": {"mirostat": 1}}, "mirostat"),
        ({"store": True}, "store"),
        ({"tools": [openai.pydantic_function_tool(Part)]}, "tools[0].function.strict"),
        ({"extra_body": {"chat_template_kwargs": {"enable_thinking": True}}}, "chat_template_kwargs.enable_thinking"),
        ({"extra_body": {"credence": {"date": "2025-01-31"}}}, "credence.date"),
        ({"max_tokens": 10**6}, "max_tokens"),
    ]
    for more, param in refusals:
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model=NAME, messages=messages(), **more)
        assert refused.value.param == param
        body = {"model": NAME, "messages": messages(), **more.pop("extra_body", {}), **more}
        # Which keywords a schema may have, how much a server gives and what a model's template reads is not said there.
        beyond = param in ("response_format", "max_tokens", "chat_template_kwargs.enable_thinking", "credence.date")
        assert REQUESTS["/v1/chat/completions"].is_valid(body) == beyond, param
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=NAME, messages=messages("long " * CONTEXT))
    assert refused.value.code == "context_length_exceeded"


class Part(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=4)
    size: float | None


class Pair(pydantic.BaseModel):
    """Members in another order than the alphabet's."""

    zeta: int = pydantic.Field(ge=0, le=99)
    parts: list[Part] = pydantic.Field(max_length=2)
    alpha: Literal["x", "y"]


# White space, of which a model that says noise says much.
LITTLE = {str(byte): -100 for byte in b"\t\n "}


@pytest.mark.parametrize("temperature", [0, 1])
def test_structured_outputs(
    client: openai.OpenAI, server: Server, credence: Credence, tmp_path: Path, temperature: int
) -> None:
    got = client.chat.completions.parse(
        model=NAME,
        messages=messages(),
        response_format=Pair,
        temperature=temperature,
        seed=5,
        logit_bias=LITTLE,
        max_completion_tokens=200,
    )
    (choice,) = got.choices
    assert choice.finish_reason == "stop"
    pair = choice.message.parsed
    assert isinstance(pair, Pair)
    assert choice.message.content is not None
    jsonschema.validate(json.loads(choice.message.content), Pair.model_json_schema())
    assert list(json.loads(choice.message.content)) == ["zeta", "parts", "alpha"]
    claim = claim_of(bundle_of(server, got.credence["bundle"]))
    assert claim["constrained"] == {"engine": "credence-grammar", "version": "1"}
    verify(credence, server, got.credence["bundle"], tmp_path)


def test_structured_outputs_in_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=NAME, messages=messages(), response_format=Pair, seed=6, logit_bias=LITTLE, max_completion_tokens=200
    ) as stream:
        got = stream.get_final_completion()
    assert isinstance(got.choices[0].message.parsed, Pair)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "Pair"}}])
def test_a_forced_call(
    client: openai.OpenAI, server: Server, credence: Credence, tmp_path: Path, choice: str | dict
) -> None:
    got = client.chat.completions.parse(
        model=NAME,
        messages=messages(),
        tools=[openai.pydantic_function_tool(Pair)],
        tool_choice=choice,
        seed=7,
        logit_bias=LITTLE | {"32": 0},
        max_completion_tokens=220,
    )
    assert got.choices[0].message.tool_calls is not None
    (call,) = got.choices[0].message.tool_calls
    assert call.function.name == "Pair"
    assert isinstance(call.function.parsed_arguments, Pair)
    verify(credence, server, got.credence["bundle"], tmp_path)


def test_a_forced_call_in_a_stream(client: openai.OpenAI, server: Server, credence: Credence, tmp_path: Path) -> None:
    with client.chat.completions.stream(
        model=NAME,
        messages=messages(),
        tools=[openai.pydantic_function_tool(Pair)],
        tool_choice="required",
        seed=7,
        logit_bias=LITTLE | {"32": 0},
        max_completion_tokens=220,
    ) as stream:
        done = [event for event in stream if event.type == "tool_calls.function.arguments.done"]
        got = stream.get_final_completion()
    (choice,) = got.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert isinstance(call.function.parsed_arguments, Pair)
    assert [event.name for event in done] == ["Pair"]


@tool
def weigh(stones: int) -> str:
    """Weighs so many stones."""
    return f"{stones} kg"


def test_langchain_binds_tools(server: Server) -> None:
    where = {"base_url": f"http://127.0.0.1:{server.port}/v1", "api_key": "none"}
    chat = ChatOpenAI(model=NAME, temperature=0, max_tokens=100, logit_bias=LITTLE | {"32": 0, "125": 100}, **where)
    bound = chat.bind_tools([weigh], tool_choice="weigh")
    asked: list = [HumanMessage("the thing")]
    said = bound.invoke(asked)
    assert isinstance(said, AIMessage)
    (call,) = said.tool_calls
    assert call["name"] == "weigh" and isinstance(call["args"]["stones"], int)
    streamed = None
    for chunk in bound.stream(asked):
        streamed = chunk if streamed is None else streamed + chunk
    assert streamed is not None
    assert [(one["name"], one["args"]) for one in streamed.tool_calls] == [("weigh", call["args"])]


def test_chat_in_the_terminal_fits_a_schema(server: Server, credence: Credence, tmp_path: Path) -> None:
    schema, bundle = tmp_path / "schema.json", tmp_path / "bundle.json"
    schema.write_text('{"enum": ["yes", "no"]}')
    said = credence.run("chat", NAME, "the?", "--json-schema", schema, "--receipt", bundle, "--json")
    assert said.returncode == 0, said.stderr
    validator("cli-chat.v1.json").validate(json.loads(said.stdout))
    assert json.loads(said.stdout)["content"] in ('"yes"', '"no"')
    assert credence.run("verify", bundle, "--model", NAME).returncode == 0
    schema.write_text('{"pattern": "a"}')
    refused = credence.run("chat", NAME, "the?", "--json-schema", schema)
    assert refused.returncode == 3 and "`pattern`" in refused.stderr


def test_the_demo_of_a_chat(credence: Credence, tmp_path: Path) -> None:
    """With the model of noise under the name of the catalogue's."""
    write_gguf(tmp_path / "tiny.gguf")
    other = Credence(credence.binary, tmp_path / "home")
    other.succeed("model", "import", tmp_path / "tiny.gguf", "--name", "smollm2-135m", "--allow-error")
    shown = other.run("demo", "--chat", "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    view = json.loads(shown.stdout)
    validator("cli-demo-chat.v1.json").validate(view)
    assert [one["exit_code"] for one in view["verifications"]] == [0, 5, 8]
    validator("bundle.v1.json").validate(json.loads((tmp_path / view["bundle"]).read_bytes()))


# A public key that signed nothing here: RFC 8032, section 7.1, test 1.
OTHER_KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def saved(server: Server, path: Path, **more: object) -> dict:
    """A stream as `curl -N` saves it; gives its last chunk's `credence`."""
    body = json.dumps({"model": NAME, "messages": messages(), "stream": True, "max_tokens": 9, **more})
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/v1/chat/completions", body.encode())
    with urllib.request.urlopen(request) as answer:
        path.write_bytes(answer.read())
    chunks = [line[6:] for line in path.read_text().splitlines() if line.startswith("data: {")]
    return json.loads(chunks[-1])["credence"]


def test_a_saved_stream_is_checked(server: Server, credence: Credence, tmp_path: Path) -> None:
    path = tmp_path / "answer.sse"
    last = saved(server, path, seed=4)
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(server.get(last["bundle"]).body)
    assert credence.run("verify", "--stream", path).returncode == 6, "a stream alone shows no method but the signature"
    alone = credence.run("verify", "--stream", path, "--require", "signed", "--json")
    assert alone.returncode == 0, alone.stderr
    view = json.loads(alone.stdout)
    validator("cli-verify-stream.v1.json").validate(view)
    assert view["bundle_fits"] is None and view["not_checked"]
    assert view["choices"][0]["receipt"] == last["receipt"]
    both = credence.run("verify", "--stream", path, bundle, "--model", NAME)
    assert both.returncode == 0 and "these very words" in both.stdout, both.stderr
    # Another answer's bundle, another key, an edited word, a token left out, and no stream at all.
    other = tmp_path / "other.sse"
    alone = ("--require", "signed", "--stream")
    saved(server, other, seed=5)
    assert credence.run("verify", "--stream", other, bundle, "--model", NAME).returncode == 5
    assert credence.run("verify", *alone, path, "--operator", OTHER_KEY).returncode == 6
    assert credence.run("verify", *alone, path, "--nonce", "ab" * 32).returncode == 6
    assert credence.run("verify", *alone, path, "--max-age", "9999999").returncode == 6
    assert credence.run("verify", *alone, path, "--model", NAME).returncode == 0
    lines = path.read_text().split("\n\n")
    for edited in ([*lines[:2], *lines[3:]], [lines[0], lines[2], lines[1], *lines[3:]]):
        other.write_text("\n\n".join(edited))
        assert credence.run("verify", *alone, other).returncode == 5
    other.write_text("\n\n".join(['data: {"choices":[{}]}', *lines]))
    assert credence.run("verify", *alone, other).returncode == 3
    other.write_text("nothing")
    assert credence.run("verify", *alone, other).returncode == 3


def test_a_client_that_leaves_does_not_keep_the_model(client: openai.OpenAI) -> None:
    for _ in range(100):
        stream = client.chat.completions.create(
            model=NAME, messages=messages(), logit_bias=endless(), stream=True
        )
        next(iter(stream))
        stream.close()
    got = client.chat.completions.create(model=NAME, messages=messages(), max_tokens=2)
    assert got.choices


def test_many_at_once(client: openai.OpenAI) -> None:
    def ask() -> str | None:
        got = client.with_options(max_retries=10).chat.completions.create(
            model=NAME, messages=messages(), max_tokens=20, seed=8, logit_bias=endless()
        )
        return got.choices[0].message.content

    expected = ask()
    answers: list[str | None] = []
    threads = [threading.Thread(target=lambda: answers.append(ask())) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 24


def test_langchain(server: Server) -> None:
    where = {"base_url": f"http://127.0.0.1:{server.port}/v1", "api_key": "none"}
    chat = ChatOpenAI(model=NAME, temperature=0, max_tokens=8, logit_bias=endless(), **where)
    asked = [SystemMessage("Be brief."), HumanMessage("the thing")]
    whole = chat.invoke(asked)
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == 8
    assert "".join(str(chunk.content) for chunk in chat.stream(asked)) == whole.content
    plain = OpenAI(model=NAME, temperature=0, max_tokens=4, **where)
    assert plain.invoke("the") == "".join(plain.stream("the"))
