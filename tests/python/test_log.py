"""The second implementation gives every value in `vectors/log`, and refuses what was changed."""

import pytest
from conftest import vector
from second import Refused, log


def entry(index: int) -> bytes:
    return index.to_bytes(8, "little") + b"\x5a" * 24


LEAVES = [log.leaf(entry(index)) for index in range(600)]


def test_roots() -> None:
    file = vector("log/trees.json")
    assert entry(0).hex() == file["entry0"]
    for case in file["roots"]:
        assert log.root(LEAVES[: case["size"]]) == log.unbase64(case["root"]), case["size"]


def test_inclusions() -> None:
    for case in vector("log/trees.json")["inclusions"]:
        index, size = case["index"], case["size"]
        proof = [log.unbase64(text) for text in case["proof"]]
        assert proof == log.path(index, LEAVES[:size])
        root = log.root(LEAVES[:size])
        log.verify_inclusion(entry(index), index, size, root, proof)
        for wrong in ([*proof, root], proof[:-1] if proof else [root]):
            with pytest.raises(Refused):
                log.verify_inclusion(entry(index), index, size, root, wrong)


def test_consistencies() -> None:
    for case in vector("log/trees.json")["consistencies"]:
        proof = [log.unbase64(text) for text in case["proof"]]
        assert proof == log.consistency(case["old"], LEAVES[: case["new"]])


def tile_path(level: int, index: int, width: int) -> str:
    digits = f"{index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    named = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{level}/{named}" + (f".p/{width}" if width < 256 else "")


def test_tiles() -> None:
    for case in vector("log/tiles.json")["appends"]:
        paths = []
        for level in range(8):
            old, new = case["old"] >> 8 * level, case["new"] >> 8 * level
            if new > old:
                spans = range(old // 256, -(-new // 256))
                paths += [tile_path(level, at, min(256, new - 256 * at)) for at in spans]
        assert len(paths) == case["count"]
        assert (paths[:4], paths[-4:]) == (case["first"], case["last"])


def test_proof_that_travels() -> None:
    file = vector("log/notes.json")
    proof, key = file["proof"], file["log"]["verifierKey"]
    witnesses = [witness["verifierKey"] for witness in file["witnesses"]]
    of = bytes.fromhex(proof["entry"])
    index, by = log.verify_proof(proof["text"], of, key, witnesses, proof["quorum"])
    assert (index, str(by)) == (77, proof["byUnixS"])
    text = proof["text"]
    for wrong in (text.replace("index 77", "index 76"), text.replace("\n300\n", "\n301\n"), text[:-1], text + "\n"):
        with pytest.raises(Refused):
            log.verify_proof(wrong, of, key, witnesses, proof["quorum"])
    with pytest.raises(Refused):
        log.verify_proof(text, entry(76), key, witnesses, proof["quorum"])
    with pytest.raises(Refused):
        log.verify_proof(text, of, key, witnesses[:1], 2)


def test_witness() -> None:
    file = vector("log/notes.json")
    asked = file["addCheckpoint"]
    head, _, note = asked["request"].partition("\n\n")
    first, *hashes = head.split("\n")
    old = log.decimal(first.removeprefix("old "))
    assert old == log.read_checkpoint(log.read_note(asked["record"])[0])[1]
    _, size, root = log.read_checkpoint(log.read_note(note)[0])
    assert root == log.root(LEAVES[:size])
    assert [log.unbase64(text) for text in hashes] == log.consistency(old, LEAVES[:size])
    (witness, _) = (witness["verifierKey"] for witness in file["witnesses"])
    assert log.signed(note + asked["response"], witness) == [int(asked["timeUnixS"])]
    assert log.signed(asked["record"], witness) and log.signed(asked["record"], file["log"]["verifierKey"])
