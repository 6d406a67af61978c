"""The second implementation gives every value in `vectors/commit` and `vectors/receipt`."""

import blake3
import pytest
from conftest import VECTORS, vector
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from second import Refused, canonical, ed25519, receipt, tree


def content(length: int) -> bytes:
    """The content that the tree's vectors are over: byte i is i mod 251."""
    return bytes(i % 251 for i in range(length))


def public_bytes(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def test_roots() -> None:
    file = vector("commit/roots.json")
    assert len(file["cases"]) > 10
    for case in file["cases"]:
        assert tree.root(file["domain"], content(case["len"])).hex() == case["root"], case["len"]


def test_openings() -> None:
    file = vector("commit/openings.json")
    for case in file["cases"]:
        whole = content(case["len"])
        root, opening = bytes.fromhex(case["root"]), bytes.fromhex(case["opening"])
        ranges = [tuple(pair) for pair in case["ranges"]]
        shown = tree.verify_opening(file["domain"], root, len(whole), ranges, opening)
        assert shown == [whole[start:end] for start, end in ranges]
        for wrong in (opening[:-1], opening + b"\0", opening[:-1] + bytes([opening[-1] ^ 1]), b""):
            with pytest.raises(Refused):
                tree.verify_opening(file["domain"], root, len(whole), ranges, wrong)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3073, 5000, 8192])
def test_our_compression_function_is_blake3(length: int) -> None:
    """An opening of everything holds the content alone, so its root is the package's."""
    whole = content(length)
    root = blake3.blake3(whole, derive_key_context="credence/input/v1").digest()
    opening = length.to_bytes(4, "little") + whole + bytes(4)
    assert tree.verify_opening("credence/input/v1", root, length, [(0, length)], opening) == [whole]


def test_keys() -> None:
    for case in vector("receipt/keys.json")["cases"]:
        seed = bytes.fromhex(case["seed"])
        public = public_bytes(seed)
        assert public.hex() == case["publicKey"]
        assert receipt.key_id(public).hex() == case["keyId"]
        key = load_pem_private_key(case["pkcs8Pem"].encode(), None)
        assert key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()) == seed


def test_commitments() -> None:
    file = vector("receipt/commitments.json")
    operator, master = bytes.fromhex(file["operator"]), bytes.fromhex(file["master"])
    for field in ("input", "params", "output", "trace"):
        case = file[field]
        salt, root = receipt.salt(master, field), bytes.fromhex(case["root"])
        assert salt.hex() == case["salt"]
        if case["content"] is not None:
            assert receipt.root(field, bytes.fromhex(case["content"])) == root
        assert receipt.commitment(field, operator, salt, root).hex() == case["commitment"]


def test_seeds() -> None:
    case = vector("receipt/seeds.json")
    parts = (bytes.fromhex(case[name]) for name in ("nonce", "model", "inputRoot", "paramsRoot"))
    assert receipt.derived_seed(*parts).hex() == case["seed"]


def test_claims() -> None:
    for case in vector("receipt/claims.json")["cases"]:
        assert receipt.encode_claim(case["claim"]).hex() == case["encoding"]
        assert receipt.claim_digest(case["claim"]).hex() == case["digest"]


def test_statements_and_envelopes() -> None:
    file = vector("receipt/statements.json")
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(file["seed"]))
    for case in file["cases"]:
        statement = case["statement"].encode()
        receipt.read_statement(statement)
        assert receipt.pae(statement).decode() == case["pae"]
        envelope = canonical.decode(case["envelope"].encode())
        assert receipt.open_envelope(envelope) == (statement, key.public_key().public_bytes_raw())
        assert canonical.unbase64(envelope["signatures"][0]["sig"]) == key.sign(case["pae"].encode())
        assert receipt.receipt_digest(envelope).hex() == case["receiptDigest"]


def test_a_bundle_and_every_flipped_byte_of_it() -> None:
    data = (VECTORS / "receipt/bundle.json").read_bytes()
    found = receipt.check(data)
    assert found.opened == {"input": b"an input", "params": b"the parameters", "output": b"an output"}
    # Evidence and the salt of the trace are for a method to check, so there another byte may be well formed.
    evidence = range(data.index(b'"evidence"'), data.index(b'"mediaType"'))
    trace_salt = range(data.index(b'"traceSalt"'), data.index(b'"receipt"'))
    for at in range(len(data)):
        try:
            receipt.check(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        except Refused:
            continue
        assert at in evidence or at in trace_salt, at


@pytest.mark.parametrize(
    "edit",
    [lambda d: d + b"\n", lambda d: b" " + d, lambda d: d[:-1], lambda d: d.replace(b":", b": ", 1), lambda d: b""],
)
def test_other_spellings_are_refused(edit) -> None:
    with pytest.raises(Refused):
        receipt.check(edit((VECTORS / "receipt/bundle.json").read_bytes()))


def test_strict_signatures() -> None:
    """What lenient libraries take and receipts must not: small order, a scalar past the group's, another encoding."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public, signature = private.public_key().public_bytes_raw(), private.sign(b"message")
    assert ed25519.verify(public, b"message", signature)
    assert not ed25519.verify(public, b"messagf", signature)
    assert not ed25519.verify(public, b"message", signature[:63])
    scalar = int.from_bytes(signature[32:], "little") + ed25519.ORDER
    assert not ed25519.verify(public, b"message", signature[:32] + scalar.to_bytes(32, "little"))
    for weak in (1, 0, ed25519.P - 1, ed25519.P, ed25519.P + 1):
        assert ed25519.strict_point(weak.to_bytes(32, "little")) is None
        assert not ed25519.verify(weak.to_bytes(32, "little"), b"message", bytes([1]) + bytes(63))
