"""A language model's answer, run again (`docs/spec/generation.md`; numbers of sections are that page's)."""

from collections import Counter
from dataclasses import dataclass

from . import canonical, language, receipt, require, sampling, text, trace
from .model import Model

INPUT_MAX = OUTPUT_MAX = 16 << 20


@dataclass(frozen=True)
class Answer:
    """What a claim says of an answer, opened."""

    input: bytes
    params: bytes
    output: bytes
    finish: str
    seed_source: str
    nonce: bytes | None
    input_count: int
    output_count: int
    constrained: object = None
    # What the engine allows at each step, as bitmaps. This implementation follows no grammar: it is told.
    allowed: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True)
class Ended:
    """An answer that came about anew."""

    output: bytes
    finish: str


def decode_input(data: bytes) -> dict:
    """Section 1."""
    require(len(data) <= INPUT_MAX, "an input that is too long")
    prompt = canonical.members(canonical.decode(data), {"version", "choice", "tokens"}, frozenset({"chat", "text"}))
    require(prompt["version"] == 1, "another version of an input")
    require(not {"chat", "text"} <= prompt.keys(), "a conversation and a text")
    require(prompt["tokens"], "an input of no token")
    require(all(_is_u32(number) for number in [*prompt["tokens"], prompt["choice"]]), "not a number of 32 bits")
    if "chat" in prompt:
        chat = canonical.members(
            prompt["chat"], {"messages", "add_generation_prompt", "extra"}, frozenset({"tools", "date"})
        )
        require(isinstance(chat["add_generation_prompt"], bool) and isinstance(chat["extra"], dict), "not a conversation")
    return prompt


def _is_u32(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**32


def prompt_ids(prompt: dict, words: text.Text) -> list[int]:
    """Section 1."""
    if "chat" in prompt:
        return words.tokenise_rendered(text.render(words, prompt["chat"]))
    if "text" in prompt:
        return words.tokenise(prompt["text"], parsed=False, begins=True)
    return prompt["tokens"]


def decode_output(data: bytes) -> dict:
    """Section 5."""
    require(len(data) <= OUTPUT_MAX, "an output that is too long")
    output = canonical.members(canonical.decode(data), {"version", "text", "tokens"})
    require(output["version"] == 1, "another version of an output")
    return output


def seed(answer: Answer, parameters: sampling.Parameters, model_id: bytes) -> bytes:
    """Section 2: the seed of all draws."""
    draws, given = parameters.temperature > 0, parameters.seed
    right = {
        "nothing": not draws and given is None,
        "derived": draws and given is None and answer.nonce is not None,
        "client": draws and given is not None,
        "operator": draws and given is not None and answer.nonce is None,
    }
    require(right.get(answer.seed_source), "the seed does not come from where the claim says")
    if answer.seed_source == "derived":
        roots = receipt.root("input", answer.input), receipt.root("params", answer.params)
        return receipt.derived_seed(answer.nonce, model_id, *roots)
    return given or bytes(32)


def small_seed(number: int) -> bytes:
    """Section 2: the seed of an API whose seeds are whole numbers of 64 bits."""
    return number.to_bytes(8, "little", signed=True) + bytes(24)


class Growing:
    """Section 4: an answer as it grows."""

    def __init__(self, words: text.Text, parameters: sampling.Parameters, most: int) -> None:
        self.words, self.stop, self.most = words, parameters.stop, most
        self.decoder, self.shown = words.decoder(), ""
        self.tokens: list[int] = []
        self.finish: str | None = None

    def take(self, token: int) -> None:
        self.tokens.append(token)
        if token in self.words.spec["ends"]:
            self.finish = "stop"
        else:
            if not self.words.is_hidden(token):
                self.shown += self.decoder.decode(self.words.token_bytes(token))
            if self._cut():
                self.finish = "stop"
                return
            if len(self.tokens) >= self.most:
                self.finish = "length"
        if self.finish:
            self._rest()

    def end(self) -> Ended:
        """How it is, or how it is when its client leaves now."""
        if self.finish is None:
            self._rest()
        output = {"version": 1, "text": self.shown, "tokens": self.tokens}
        return Ended(canonical.encode(output), self.finish or "cancelled")

    def _rest(self) -> None:
        self.shown += self.decoder.decode(b"", final=True)
        self._cut()

    def _cut(self) -> bool:
        places = [at for stop in self.stop if (at := self.shown.find(stop)) >= 0]
        self.shown = self.shown[: min(places, default=len(self.shown))]
        return bool(places)


def check(model: Model, answer: Answer) -> bytes:
    """Section 6, but for the trace: its root, which the claim must commit to."""
    program = model.program["language"]
    prompt, parameters = decode_input(answer.input), sampling.decode(answer.params)
    require((answer.constrained is None) == (parameters.grammar is None), "a grammar without an engine, or the reverse")
    require((answer.constrained is None) == (answer.allowed is None), "what the grammar allows is not known")
    output = decode_output(answer.output)
    words = text.read(model.params[program["text"]].tobytes())
    require(len(words.spec["tokens"]) == program["vocabulary"], "a vocabulary of another size")
    require(prompt_ids(prompt, words) == prompt["tokens"], "the prompt has other tokens")
    key = seed(answer, parameters, model.model_id())
    ids, drawn = prompt["tokens"], output["tokens"]
    require(answer.input_count == len(ids), "the input has another number of tokens")
    require(answer.output_count == len(drawn), "the output has another number of tokens")
    require(drawn, "an answer of no token")
    run_over = [*ids, *drawn[:-1]]
    sampled = list(range(len(ids) - 1, len(run_over)))
    run = language.run(model, run_over, sampled)
    logits = run.values[program["logits"]]
    growing = Growing(words, parameters, min(parameters.max_tokens, program["context"] + 1 - len(ids)))
    counts: Counter[int] = Counter()
    for index, (position, token) in enumerate(zip(sampled, drawn, strict=True)):
        require(growing.finish is None, f"the answer ends after {index} tokens")
        require(answer.allowed is None or index < len(answer.allowed), "what the grammar allows is not known")
        allowed = answer.allowed[index] if answer.allowed else None
        step = sampling.Step(logits[position].tolist(), counts, allowed, key, prompt["choice"], index)
        got = sampling.sample(parameters, step).token
        require(got == token, f"token {index} is drawn otherwise")
        counts[got] += 1
        growing.take(got)
    ended = growing.end()
    require(ended.finish == answer.finish, f"the answer ends by {ended.finish}")
    require(ended.output == answer.output, "the draws give another text")
    return trace.language_root(model.program, run)
