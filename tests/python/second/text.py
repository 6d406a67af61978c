"""A language model's text: tokens and a chat template (`docs/spec/text.md`; numbers of sections are that page's).

Only what the vectors need: byte-level BPE with the pre-tokeniser `gpt-2`, and templates of `for`, `if` and joined texts. Everything else
is refused by its name. Classes of characters are this Python's; one that it does not know is refused, since the specification may.
"""

import codecs
import re
import unicodedata
from dataclasses import dataclass

from . import Refused, canonical, require

SPECIFICATION_MAX, TEXT_MAX, TOKENS_MAX, MERGES_MAX = 64 << 20, 1 << 20, 1 << 20, 2 << 20
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
ROLES = frozenset({"bos", "eos", "eot", "unk", "pad"})
SPACES = frozenset(map(chr, [*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000]))


def _alphabet() -> list[str]:
    """4.1: the character of each byte."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


ALPHABET = _alphabet()
BYTES = {char: byte for byte, char in enumerate(ALPHABET)}


@dataclass(frozen=True)
class Text:
    """A checked specification."""

    spec: dict
    ids: dict[str, int]
    merges: dict[tuple[int, int], tuple[int, int]]
    """Of a pair of tokens: its place, and the token that it makes."""

    def tokenise(self, text: str, *, parsed: bool, begins: bool) -> list[int]:
        """Section 2."""
        require(len(text.encode()) <= TEXT_MAX, "a text that is too long")
        special = self.spec["special"]
        ids = [special["bos"]] if begins and self.spec["add_bos"] else []
        for part in self._parts(text, {UNKNOWN, CONTROL, USER_DEFINED} if parsed else {USER_DEFINED}):
            ids += [part] if isinstance(part, int) else [token for word in words(part) for token in self._merged(word)]
        return ids + ([special["eos"]] if begins and self.spec["add_eos"] else [])

    def tokenise_rendered(self, text: str) -> list[int]:
        """Section 2, of what a template rendered."""
        ids = self.tokenise(text, parsed=True, begins=False)
        first = [self.spec["special"]["bos"]] if self.spec["add_bos"] else []
        return ids if ids[:1] == first else first + ids

    def _parts(self, text: str, types: set[int]) -> list[str | int]:
        """Section 3: token after token splits every stretch of text that is left."""
        texts, kinds = self.spec["tokens"], self.spec["types"]
        wanted = [token for token, kind in enumerate(kinds) if kind in types]
        parts: list[str | int] = [text]
        for token in sorted(wanted, key=lambda token: (-len(texts[token].encode()), token)):
            split: list[str | int] = []
            for part in parts:
                if isinstance(part, int):
                    split.append(part)
                    continue
                for index, piece in enumerate(part.split(texts[token])):
                    split += [token] * (index > 0) + [piece]
            parts = split
        return [part for part in parts if part != ""]

    def _merged(self, word: str) -> list[int]:
        """4.3. A byte without a token is in no pair."""
        symbols = [self.ids.get(ALPHABET[byte]) for byte in word.encode()]
        while True:
            pairs = [(self.merges[pair], at) for at, pair in enumerate(zip(symbols, symbols[1:])) if pair in self.merges]
            if not pairs:
                return [token for token in symbols if token is not None]
            ((_, joined), at) = min(pairs)
            symbols[at : at + 2] = [joined]

    def token_bytes(self, token: int) -> bytes:
        """Section 1: what a token stands for."""
        text, kind = self.spec["tokens"][token], self.spec["types"][token]
        if kind == UNUSED:
            return b""
        if kind == BYTE:
            return bytes.fromhex(text[3:5])
        inside = kind == NORMAL and all(char in BYTES for char in text)
        return bytes(BYTES[char] for char in text) if inside else text.encode()

    def is_hidden(self, token: int) -> bool:
        return self.spec["types"][token] in (UNKNOWN, CONTROL)

    def decoder(self) -> codecs.IncrementalDecoder:
        """Section 6, over the bytes of tokens that are not hidden: Python replaces maximal parts too."""
        return codecs.getincrementaldecoder("utf-8")("replace")


def read(data: bytes) -> Text:
    """Section 1."""
    require(len(data) <= SPECIFICATION_MAX, "a text specification that is too long")
    required = {"version", "kind", "tokens", "types", "special", "add_bos", "add_eos", "add_space_prefix", "ends"}
    optional = frozenset({"pre", "merges", "scores", "chat_template"})
    spec = canonical.members(canonical.decode(data), required, optional)
    require(spec["version"] == 1, "another version of a text specification")
    require(spec["kind"] == "bpe", f"a kind of tokeniser that is not read here: {spec['kind']}")
    require(spec.get("pre") == "gpt-2", f"a pre-tokeniser that is not read here: {spec.get('pre')}")
    require("merges" in spec and "scores" not in spec and not spec["add_space_prefix"], "not the members of `bpe`")
    tokens, types = spec["tokens"], spec["types"]
    require(1 <= len(tokens) <= TOKENS_MAX and len(types) == len(tokens), "not a type for each token")
    ids = {text: token for token, text in enumerate(tokens)}
    require(len(ids) == len(tokens), "two tokens of one text")
    for text, kind in zip(tokens, types, strict=True):
        require(NORMAL <= kind <= BYTE, "a type of token that there is not")
        require(1 <= len(text.encode()) <= (256 if kind in (UNKNOWN, CONTROL, USER_DEFINED) else 1024), "a token's length")
        require(kind != BYTE or re.fullmatch("<0x[0-9A-F]{2}>", text), "a byte that is not named as one")
    special = canonical.members(spec["special"], set(), ROLES)
    ends = spec["ends"]
    require(all(0 <= token < len(tokens) for token in [*special.values(), *ends]), "an id beyond the vocabulary")
    require(ends == sorted(set(ends)), "the ends do not ascend")
    for flag, role in (("add_bos", "bos"), ("add_eos", "eos")):
        require(not spec[flag] or role in special, f"{flag} without {role}")
    return Text(spec, ids, _merges(spec["merges"], ids))


def _merges(listed: list[str], ids: dict[str, int]) -> dict[tuple[int, int], tuple[int, int]]:
    require(len(listed) <= MERGES_MAX, "too many merges")
    merges = {}
    for place, merge in enumerate(listed):
        parts = merge.split(" ")
        require(len(parts) == 2 and all(parts), "a merge of another form")
        require({*parts, "".join(parts)} <= ids.keys(), "a merge of what is no token")
        pair = (ids[parts[0]], ids[parts[1]])
        require(pair not in merges, "a merge that is there twice")
        merges[pair] = (place, ids["".join(parts)])
    return merges


def _class(char: str) -> str:
    """L, N, a space or anything else."""
    if char in SPACES:
        return " "
    category = unicodedata.category(char)
    require(category != "Cn", f"a character that this Python does not know: {char!r}")
    return category[0] if category[0] in "LN" else "other"


def words(text: str) -> list[str]:
    """4.2, the rule `gpt2`: a scan whose alternatives are tried in the order of the expression."""
    found, at = [], 0
    while at < len(text):
        end = _word_end(text, at)
        found.append(text[at:end])
        at = end
    return found


def _word_end(text: str, at: int) -> int:
    short = re.compile("'s|'t|'re|'ve|'m|'ll|'d").match(text, at)
    if short:
        return short.end()
    body = at + (text[at] == " ")
    if body < len(text) and _class(text[body]) != " ":
        end, kind = body, _class(text[body])
        while end < len(text) and _class(text[end]) == kind:
            end += 1
        return end
    end = at
    while end < len(text) and text[end] in SPACES:
        end += 1
    # `\s+(?!\S)` leaves the last space before a word; a single one is left for `\s+`.
    return end - 1 if end < len(text) and end - at > 1 else end


_PIECE = re.compile(r"\{%\s*(.*?)\s*%\}\n?|\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_TERM = re.compile(r"""'((?:[^'\\]|\\n)*)'|([a-z_]+)(?:\['([a-z_]+)'\])?""")


def render(text: Text, chat: dict) -> str:
    """Section 7, of templates made of `for`, `if` and joined texts."""
    template = text.spec.get("chat_template")
    require(template is not None, "the model has no chat template")
    names = {f"{role}_token": text.spec["tokens"][token] for role, token in text.spec["special"].items() if role != "eot"}
    values = {**chat["extra"], **names, **{name: chat.get(name) for name in ("messages", "tools", "add_generation_prompt")}}
    pieces, at = [], 0
    for match in _PIECE.finditer(template):
        pieces += [("text", template[at : match.start()]), ("tag", match[1]) if match[1] is not None else ("print", match[2])]
        at = match.end()
    pieces.append(("text", template[at:]))
    rendered, rest = _block(pieces, values)
    require(not rest, "a template that ends a block twice")
    require(len(rendered.encode()) <= TEXT_MAX, "a rendered text that is too long")
    return rendered


def _block(pieces: list[tuple[str, str]], values: dict) -> tuple[str, list[tuple[str, str]]]:
    """What pieces give until their block ends, and the pieces behind its end."""
    out = ""
    while pieces:
        (kind, content), pieces = pieces[0], pieces[1:]
        if kind == "text":
            out += content
        elif kind == "print":
            out += _joined(content, values)
        elif content in ("endfor", "endif"):
            return out, pieces
        elif each := re.fullmatch("for ([a-z_]+) in ([a-z_]+)", content):
            inner = [_block(pieces, {**values, each[1]: item})[0] for item in values[each[2]] or []]
            out, pieces = out + "".join(inner), _block(pieces, {**values, each[1]: _Anything()})[1]
        elif condition := re.fullmatch("if ([a-z_]+)", content):
            inner_text, pieces = _block(pieces, values)
            out += inner_text if values.get(condition[1]) else ""
        else:
            raise Refused(f"a template's tag that is not read here: {content}")
    return out, []


class _Anything(dict):
    """Stands for an item where a block is only skipped."""

    def __missing__(self, _: str) -> str:
        return ""


def _joined(expression: str, values: dict) -> str:
    terms, at = [], 0
    while True:
        term = _TERM.match(expression, at)
        require(term, f"a template's expression that is not read here: {expression}")
        literal, name, member = term.groups()
        value = literal.replace("\\n", "\n") if literal is not None else values.get(name, "")
        terms.append(value if literal is not None or member is None else value[member])
        require(isinstance(terms[-1], str), f"a value that is no text: {expression}")
        at = term.end()
        if at == len(expression):
            return "".join(terms)
        require(expression[at : at + 3] == " + ", f"a template's expression that is not read here: {expression}")
        at += 3
