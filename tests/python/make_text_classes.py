"""Writes crates/text/src/classes/tables.rs: where the general categories L, N, M and P of Unicode 15.1 begin and end.

Needs `unicodedata2==15.1.0`, which carries that version of Unicode whatever the interpreter has. The tables are pinned because a model's identity
covers how its text becomes tokens: a library whose tables follow each Unicode release would change that under a model.

    python tests/python/make_text_classes.py > crates/text/src/classes/tables.rs
"""

import unicodedata2 as unicodedata

assert unicodedata.unidata_version == "15.1.0"

HEADER = """//! Boundaries of four general categories of Unicode 15.1.0, written by `tests/python/make_text_classes.py`; do not edit.
//!
//! Each list is sorted and alternates: a code point where the category begins, then the first one after the run. Membership
//! is therefore whether an odd number of boundaries are at or below the code point. Nothing else of Unicode is here.
"""


def boundaries(letter: str) -> list[int]:
    inside, found = False, []
    for code in range(0x110001):
        now = code < 0x110000 and unicodedata.category(chr(code))[0] == letter
        if now != inside:
            found.append(code)
            inside = now
    return found


print(HEADER)
for name, letter in [("LETTER", "L"), ("NUMBER", "N"), ("MARK", "M"), ("PUNCTUATION", "P")]:
    values = boundaries(letter)
    print(f"/// General category {letter}.")
    print(f"pub(super) const {name}: [u32; {len(values)}] = [{', '.join(map(str, values))}];")
