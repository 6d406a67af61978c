"""Trees, notes, checkpoints, cosignatures and proofs that travel (`docs/spec/log.md`).

Proofs are checked as RFC 9162 words it; trees and proofs are made as RFC 6962 words it, by recursion.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence

from . import ed25519, require

DASH = "\u2014 "
SIZE_MAX = 2**63 - 1
EMPTY = hashlib.sha256(b"").digest()


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def root(leaves: Sequence[bytes]) -> bytes:
    if len(leaves) <= 1:
        return leaves[0] if leaves else EMPTY
    half = _split(len(leaves))
    return node(root(leaves[:half]), root(leaves[half:]))


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.1."""
    if len(leaves) <= 1:
        return []
    half = _split(len(leaves))
    if index < half:
        return [*path(index, leaves[:half]), root(leaves[half:])]
    return [*path(index - half, leaves[half:]), root(leaves[:half])]


def consistency(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, section 2.1.2; empty from size 0 as well."""
    return _subproof(old, leaves, True) if old else []


def _subproof(old: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    half = _split(len(leaves))
    if old <= half:
        return [*_subproof(old, leaves[:half], whole), root(leaves[half:])]
    return [*_subproof(old - half, leaves[half:], False), root(leaves[:half])]


def verify_inclusion(entry: bytes, index: int, size: int, expected: bytes, proof: Sequence[bytes]) -> None:
    """RFC 9162, section 2.1.3.2."""
    require(index < size, "the entry is not in the tree")
    fn, sn, found = index, size - 1, leaf(entry)
    for sibling in proof:
        require(sn, "too many hashes")
        if fn & 1 or fn == sn:
            found = node(sibling, found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = node(found, sibling)
        fn, sn = fn >> 1, sn >> 1
    require(sn == 0, "too few hashes")
    require(found == expected, "another root")


def unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    require(base64.b64encode(data).decode() == text, "not base64 in its one spelling")
    return data


def read_key(text: str) -> tuple[str, int, bytes, int]:
    """Name, type, public key and key id of a verifier key."""
    match = re.fullmatch(r"([^+\s]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", text)
    require(match, "not a verifier key")
    name, key_id, data = match[1], int(match[2], 16), unbase64(match[3])
    kind, public = data[0], data[1:]
    require(kind in (1, 4) and ed25519.strict_point(public) is not None, "no Ed25519 key of a known type")
    hashed = hashlib.sha256(name.encode() + b"\n" + data).digest()
    require(int.from_bytes(hashed[:4]) == key_id, "another key id")
    return name, kind, public, key_id


def read_note(text: str) -> tuple[str, list[tuple[str, int, bytes]]]:
    """The text, and each signature's name, key id and bytes."""
    require(len(text.encode()) <= 131_072, "too long a note")
    require(not any(char < " " and char != "\n" for char in text), "a control character")
    body, gap, lines = text.rpartition("\n\n")
    require(gap and lines.endswith("\n"), "no signatures")
    signatures = []
    for line in lines[:-1].split("\n"):
        match = re.fullmatch(DASH + r"([^+\s]+) ([A-Za-z0-9+/=]+)", line)
        require(match, "not a signature line")
        data = unbase64(match[2])
        require(len(data) > 4, "no signature")
        signatures.append((match[1], int.from_bytes(data[:4]), data[4:]))
    require(len(signatures) <= 64, "too many signatures")
    return body + "\n", signatures


def signed(note: str, key: str) -> list[int]:
    """One number for each signature of the key: the time of a cosignature, 0 for a log's. A bad one spoils the note."""
    text, signatures = read_note(note)
    name, kind, public, key_id = read_key(key)
    times = []
    for of, by, data in signatures:
        if (of, by) != (name, key_id):
            continue
        time, message = 0, text
        if kind == 4:
            time, data = int.from_bytes(data[:8]), data[8:]
            require(0 < time < 2**63, "no time")
            message = f"cosignature/v1\ntime {time}\n{text}"
        require(len(data) == 64 and ed25519.verify(public, message.encode(), data), "a bad signature")
        times.append(time)
    return times


def decimal(text: str) -> int:
    require(re.fullmatch("0|[1-9][0-9]*", text) and int(text) <= SIZE_MAX, "not a number")
    return int(text)


def read_checkpoint(text: str) -> tuple[str, int, bytes]:
    """Origin, size and root."""
    require(text.endswith("\n"), "no newline at the end")
    origin, size, hashed, *extensions = text[:-1].split("\n")
    require(origin and all(extensions), "an empty line")
    found = unbase64(hashed)
    require(len(found) == 32, "no root")
    return origin, decimal(size), found


def verify_proof(text: str, entry: bytes, log: str, witnesses: Sequence[str], quorum: int) -> tuple[int, int | None]:
    """The entry's index, and the time by which it was logged, if witnesses were asked for."""
    head, gap, note = text.partition("\n\n")
    require(gap, "no checkpoint")
    first, *lines = head.split("\n")
    require(first == "c2sp.org/tlog-proof@v1" and lines, "not a proof")
    if lines[0].startswith("extra "):
        require(unbase64(lines.pop(0).removeprefix("extra ")) and lines, "no index")
    require(lines[0].startswith("index "), "no index")
    index, hashes = decimal(lines[0].removeprefix("index ")), [unbase64(line) for line in lines[1:]]
    require(len(hashes) <= 63 and all(len(found) == 32 for found in hashes), "not a list of hashes")
    origin, size, expected = read_checkpoint(read_note(note)[0])
    require(origin == read_key(log)[0] and signed(note, log), "not the log's")
    firsts: dict[str, int] = {}
    for witness in witnesses:
        for time in signed(note, witness):
            name = read_key(witness)[0]
            firsts[name] = min(time, firsts.get(name, time))
    require(len(firsts) >= quorum, "too few witnesses")
    verify_inclusion(entry, index, size, expected, hashes)
    return index, sorted(firsts.values())[quorum - 1] if quorum else None
