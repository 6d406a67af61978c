"""The tree: BLAKE3's own, in derive-key mode (`docs/spec/trace.md`, section 1; openings by `docs/spec/receipt.md`).

Roots come from the `blake3` package. Openings need chaining values, which no stock library gives, so the compression
function stands here as the BLAKE3 paper has it (section 2), checked against the package by the tests.
"""

import struct

import blake3

from . import require

CHUNK = 1024
_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT = 1, 2, 4, 8
_CONTEXT, _MATERIAL = 32, 64
_QUARTERS = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)

Words = tuple[int, ...]


def root(domain: str, content: bytes) -> bytes:
    """`tree(domain, content)`."""
    return blake3.blake3(content, derive_key_context=domain).digest()


def verify_opening(
    domain: str, expected: bytes, total: int, ranges: list[tuple[int, int]], opening: bytes
) -> list[bytes]:
    """The bytes of `ranges` of a content of `total` bytes, if `opening` shows them under the root `expected`."""
    walk = _Walk(domain, total, ranges, opening)
    require(walk.root() == expected, "the opening leads to another root")
    return [walk.cut(start, end) for start, end in ranges]


class _Walk:
    """One descent through the tree, taking content and chaining values from the opening in order."""

    def __init__(self, domain: str, total: int, ranges: list[tuple[int, int]], opening: bytes) -> None:
        require(ranges and all(0 <= start < end <= total for start, end in ranges), "a range is not within the content")
        self.key = _words(_hash(_IV, _CONTEXT, domain.encode()))
        self.total = total
        self.wanted = {chunk for start, end in ranges for chunk in range(start // CHUNK, (end - 1) // CHUNK + 1)}
        self.content, self.siblings = _parts(opening)
        self.taken = 0
        self.shown: dict[int, bytes] = {}

    def root(self) -> bytes:
        words = self._node(0, self.total, _ROOT)
        require(self.taken == len(self.content) and not self.siblings, "the opening has more than the walk takes")
        return _bytes(words)

    def cut(self, start: int, end: int) -> bytes:
        chunks = range(start // CHUNK, (end - 1) // CHUNK + 1)
        joined = b"".join(self.shown[chunk] for chunk in chunks)
        return joined[start - chunks[0] * CHUNK : end - chunks[0] * CHUNK]

    def _node(self, start: int, end: int, flags: int) -> Words:
        chunks = range(start // CHUNK, max(start, end - 1) // CHUNK + 1)
        if not self.wanted.intersection(chunks):
            require(self.siblings, "too few chaining values")
            return _words(self.siblings.pop(0))
        if len(chunks) == 1:
            data = self.content[self.taken : self.taken + end - start]
            require(len(data) == end - start, "too little content")
            self.taken += len(data)
            self.shown[chunks[0]] = data
            return _chunk(self.key, data, chunks[0], _MATERIAL, flags)
        # Section 2.1: the left subtree has the largest power of two of chunks that leaves the right one some.
        middle = start + CHUNK * (1 << ((len(chunks) - 1).bit_length() - 1))
        left, right = self._node(start, middle, 0), self._node(middle, end, 0)
        return _compress(self.key, left + right, 0, 64, _PARENT | _MATERIAL | flags)


def _parts(opening: bytes) -> tuple[bytes, list[bytes]]:
    """`u32` length of the content, the content, `u32` number of chaining values, 32 bytes each."""
    require(len(opening) >= 4, "the opening is truncated")
    length = int.from_bytes(opening[:4], "little")
    content, rest = opening[4 : 4 + length], opening[4 + length :]
    require(len(content) == length and len(rest) >= 4, "the opening is truncated")
    count, values = int.from_bytes(rest[:4], "little"), rest[4:]
    require(len(values) == 32 * count, "the opening has another number of chaining values than it says")
    return content, [values[at : at + 32] for at in range(0, len(values), 32)]


def _hash(key: Words, mode: int, data: bytes) -> bytes:
    """The root of at most one chunk."""
    return _bytes(_chunk(key, data, 0, mode, _ROOT))


def _chunk(key: Words, data: bytes, number: int, mode: int, flags: int) -> Words:
    value = key
    blocks = [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
    for index, block in enumerate(blocks):
        here = mode | (_CHUNK_START if index == 0 else 0)
        if index == len(blocks) - 1:
            here |= _CHUNK_END | flags
        value = _compress(value, _words(block.ljust(64, b"\0")), number, len(block), here)
    return value


def _compress(value: Words, block: Words, counter: int, length: int, flags: int) -> Words:
    """The first 8 output words of the compression function (section 2.2)."""
    state = [*value, *_IV[:4], counter & 0xFFFFFFFF, counter >> 32, length, flags]
    message = list(block)
    for _ in range(7):
        for at, (a, b, c, d) in enumerate(_QUARTERS):
            _quarter(state, a, b, c, d, message[2 * at], message[2 * at + 1])
        message = [message[source] for source in _PERMUTATION]
    return tuple(state[i] ^ state[i + 8] for i in range(8))


def _quarter(s: list[int], a: int, b: int, c: int, d: int, x: int, y: int) -> None:
    s[a] = (s[a] + s[b] + x) & 0xFFFFFFFF
    s[d] = _rotate(s[d] ^ s[a], 16)
    s[c] = (s[c] + s[d]) & 0xFFFFFFFF
    s[b] = _rotate(s[b] ^ s[c], 12)
    s[a] = (s[a] + s[b] + y) & 0xFFFFFFFF
    s[d] = _rotate(s[d] ^ s[a], 8)
    s[c] = (s[c] + s[d]) & 0xFFFFFFFF
    s[b] = _rotate(s[b] ^ s[c], 7)


def _rotate(word: int, by: int) -> int:
    return ((word >> by) | (word << (32 - by))) & 0xFFFFFFFF


def _words(data: bytes) -> Words:
    return struct.unpack(f"<{len(data) // 4}I", data)


def _bytes(words: Words) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)
