"""Writes crates/text/src/classes/bert.rs: what Hugging Face's BertNormalizer and BertPreTokenizer do to each character.

Needs `tokenizers` (0.23), whose tables of Unicode are older than those of this workspace and differ by class. They are asked character by character, so
that the ids are theirs, and pinned because a model's identity covers how its text becomes tokens.

    python tests/python/make_bert_classes.py > crates/text/src/classes/bert.rs
"""

from tokenizers import normalizers, pre_tokenizers

HEADER = """//! What Hugging Face's `BertNormalizer` and `BertPreTokenizer` do to each character, written by `tests/python/make_bert_classes.py`; do not edit.
//!
//! Classes are sorted boundaries that alternate, as in `tables`. Decompositions are sorted by character: what is left of the canonical one when marks
//! that take no room are gone. Hangul syllables are not among them, since theirs are computed.
"""

CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
FLAGS = {"clean_text": False, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}


def normaliser(**flags: bool) -> normalizers.BertNormalizer:
    return normalizers.BertNormalizer(**{**FLAGS, **flags})


def boundaries(inside) -> list[int]:
    before, found = False, []
    for code in range(0x110001):
        surrogate = 0xD800 <= code < 0xE000
        now = code < 0x110000 and not surrogate and inside(chr(code))
        if now != before:
            found.append(code)
            before = now
    return found


clean, chinese = normaliser(clean_text=True), normaliser(handle_chinese_chars=True)
strip, split = normaliser(strip_accents=True), pre_tokenizers.BertPreTokenizer()


def decomposed(c: str) -> str:
    return strip.normalize_str("x" + c)[1:]


def hangul(c: str) -> str:
    index = ord(c) - 0xAC00
    parts = [0x1100 + index // 588, 0x1161 + index % 588 // 28]
    return "".join(map(chr, parts + ([0x11A7 + index % 28] if index % 28 else [])))


print(HEADER)
for name, what, inside in [
    ("DROPPED", "Left out of a text.", lambda c: clean.normalize_str("x" + c + "x") == "xx"),
    ("IDEOGRAPH", "A word by itself.", lambda c: chinese.normalize_str("x" + c + "x") != "x" + c + "x"),
    ("PUNCTUATION", "A word by itself, too.", lambda c: len(split.pre_tokenize_str("x" + c + "x")) == 3),
]:
    values = boundaries(inside)
    print(f"/// {what}")
    print(f"pub(super) const {name}: [u32; {len(values)}] = [{', '.join(map(str, values))}];\n")

single, other, marks = [], [], []
for c in CHARACTERS:
    to = decomposed(c)
    if "\uac00" <= c <= "\ud7a3":
        assert to == hangul(c), c
    elif to == "":
        marks.append(c)
    elif to != c:
        (single if len(to) == 1 else other).append((ord(c), [ord(d) for d in to]))

values = boundaries(set(marks).__contains__)
print("/// Leaves nothing.")
print(f"pub(super) const MARK: [u32; {len(values)}] = [{', '.join(map(str, values))}];\n")
print("/// Leaves another character: pairs, one behind the other.")
pairs = ", ".join(f"{c}, {to[0]}" for c, to in single)
print(f"pub(super) const SINGLE: [u32; {2 * len(single)}] = [{pairs}];\n")
print("/// Leaves several.")
rows = ", ".join(f"({c}, &{to})" for c, to in other)
print(f"pub(super) const SEVERAL: [(u32, &[u32]); {len(other)}] = [{rows}];")
