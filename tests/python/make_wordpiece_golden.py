"""Writes crates/text/tests/golden/wordpiece.json: ids that Hugging Face's `tokenizers` gives for BERT's WordPiece.

Needs `tokenizers` (0.23). The vocabulary is made here: small, but with what tells one way of reading a text from another.

    python tests/python/make_wordpiece_golden.py > crates/text/tests/golden/wordpiece.json
"""

import json
import pathlib
import random

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789éßωσς中国の한" + "\u1112\u1161\u11ab\u1100\u09c7\u09be\u0930"
SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~—…€、"
PIECES = "the of and ing er re un en in on at th he an ABC Ab É able verify embed ##ding ##s ##ed ##ing ##er ##able ##tion ##. [ ##[ cls".split()
vocabulary = list(SPECIALS)
for piece in [*CHARACTERS, *("##" + c for c in CHARACTERS[:-1]), *SIGNS, *"AEIOU", *PIECES]:
    if piece not in vocabulary:
        vocabulary.append(piece)

smollm2 = pathlib.Path(__file__).parents[2] / "crates/text/tests/golden/smollm2.json"
texts = json.loads(smollm2.read_text())["texts"]
texts += [
    "", " ", "\t\r\n", "The verifying embedder, re-embeddings!", "Éclair ÉCLAIR eclair e\u0301clair", "İstanbul ẞ ß ΌΣΟΣ ς",
    "中国x中", "한글 가각", "a\u200bb a\u00adb a\u0085b a\u2028b a\u00a0b a\u3000b", "x\u0000y\ufffdz", "zzz☃zzz ☃ a☃", "a" * 100, "a" * 101,
    "a" * 99 + "☃", "[CLS] the [SEP]", "##ing the##ing", "🥰 a🥰b \u0378 a\u0378b", "x⹝y x\u2043y", "ॵ क़ ো", "don't -- stop... 3.14 $5",
    "Ⓐ Ⅷ ǅ ﬁ", "e\u0301\u0301\u0301", "\u0301", "\U000e0001", "\U0002f800", "ABC abc Abc AB", "\ue000 \U0010fffd",
]
random.seed(4)
alphabet = list("abeéÉ .,'中\u0301\u200b\t🥰ßẞΣ-한\ufffdA1$\u00a0")
texts += ["".join(random.choices(alphabet, k=random.randint(1, 30))) for _ in range(120)]


def tokenizer(lower: bool) -> Tokenizer:
    made = Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocabulary)}, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


ids = {name: [tokenizer(lower).encode(t, add_special_tokens=False).ids for t in texts] for name, lower in [("bert-cased", False), ("bert-uncased", True)]}
print(json.dumps({"tokens": vocabulary, "texts": texts, "ids": ids}, ensure_ascii=True))
