"""Bundles, envelopes, statements, claims and commitments (`docs/spec/receipt.md`).

`check` takes a bundle's bytes through section 9 up to the openings, for inference receipts, without logs and statements
about keys; `replay` adds the method.
"""

import hashlib
import re
import struct
from dataclasses import dataclass

from . import canonical, ed25519, require, tree

BUNDLE_MEDIA_TYPE = "application/vnd.credence.bundle.v1+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATES = "https://credence.network/"
FINISH = {"complete": 1, "stop": 2, "length": 3, "cancelled": 4}
SEED = {"nothing": 1, "derived": 2, "client": 3, "operator": 4}
CLAIM_MEMBERS = {
    *("protocolVersion", "profile", "model", "input", "params", "output", "trace"),
    *("inputCount", "outputCount", "finish", "seed"),
}


@dataclass(frozen=True)
class Receipt:
    """An inference that passed all steps but the methods."""

    digest: bytes
    statement: dict
    operator: bytes
    opened: dict[str, bytes]
    trace_salt: bytes | None

    @property
    def claim(self) -> dict:
        return self.statement["predicate"]["claim"]


def check(data: bytes, limit: int = 64 << 20) -> Receipt:
    """The receipt in a bundle, if signature, form, subject and openings are right."""
    require(len(data) <= limit, "the bundle is longer than the limit")
    optional = frozenset({"openings", "log"})
    bundle = canonical.members(canonical.decode(data), {"mediaType", "receipt", "evidence"}, optional)
    require(bundle["mediaType"] == BUNDLE_MEDIA_TYPE, "another media type")
    _check_evidence(bundle["evidence"])
    require("log" not in bundle or _is_text(bundle["log"], 1, 147_456), "`log` is no text of the length of a proof")
    openings = _openings(bundle["openings"]) if "openings" in bundle else {}
    payload, signer = open_envelope(bundle["receipt"])
    statement = read_statement(payload)
    require(statement["predicateType"] == f"{PREDICATES}inference/v1", "not an inference")
    operator = canonical.hex32(statement["predicate"]["operator"])
    require(operator == signer, "the statement names another key than the one that signed it")
    opened = {}
    for field, (salt, content) in openings.items():
        if field != "traceSalt":
            expected = statement["predicate"]["claim"][field]
            require(
                commitment(field, operator, salt, root(field, content)).hex() == expected,
                f"the opened {field} is another",
            )
            opened[field] = content
    trace_salt = openings["traceSalt"][0] if "traceSalt" in openings else None
    return Receipt(receipt_digest(bundle["receipt"]), statement, operator, opened, trace_salt)


def _check_evidence(evidence: object) -> None:
    require(isinstance(evidence, list), "evidence is not a list")
    order = []
    for entry in evidence:
        canonical.members(entry, {"method", "version", "bytes"})
        canonical.unbase64(entry["bytes"])
        require(_is_name(entry["method"]), "evidence names no method")
        require(_is_int(entry["version"]) and 0 <= entry["version"] < 2**32, "evidence has no version")
        order.append((entry["method"].encode(), entry["version"]))
    require(order == sorted(set(order)), "evidence is not in strictly ascending order")


def _openings(value: object) -> dict[str, tuple[bytes, bytes]]:
    canonical.members(value, set(), frozenset({"input", "params", "output", "traceSalt"}))
    require(value, "openings that open nothing")
    opened = {}
    for field, entry in value.items():
        if field == "traceSalt":
            opened[field] = (canonical.hex32(entry), b"")
        else:
            canonical.members(entry, {"content", "salt"})
            opened[field] = (canonical.hex32(entry["salt"]), canonical.unbase64(entry["content"]))
    return opened


def open_envelope(envelope: object) -> tuple[bytes, bytes]:
    """The signed bytes and the key that signed them (section 7)."""
    canonical.members(envelope, {"payload", "payloadType", "signatures"})
    require(envelope["payloadType"] == PAYLOAD_TYPE, "another payload type")
    signatures = envelope["signatures"]
    require(isinstance(signatures, list) and len(signatures) == 1, "not exactly one signature")
    canonical.members(signatures[0], {"keyid", "sig"})
    key, signature = canonical.hex32(signatures[0]["keyid"]), canonical.unbase64(signatures[0]["sig"])
    require(ed25519.strict_point(key) is not None and len(signature) == 64, "no public key, or no signature")
    payload = canonical.unbase64(envelope["payload"])
    require(ed25519.verify(key, pae(payload), signature), "the signature is wrong")
    return payload, key


def pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload)


def receipt_digest(envelope: dict) -> bytes:
    """What names a receipt."""
    return tree.root("credence/receipt/v1", canonical.encode(envelope))


def key_id(public_key: bytes) -> bytes:
    """What names an operator's key."""
    return tree.root("credence/key-id/v1", public_key)


def read_statement(payload: bytes) -> dict:
    """A statement that agrees with itself (section 6)."""
    require(len(payload) <= 16_384, "the statement is too long")
    statement = canonical.members(canonical.decode(payload), {"_type", "subject", "predicateType", "predicate"})
    require(statement["_type"] == STATEMENT_TYPE, "another type of statement")
    predicate = statement["predicate"]
    if statement["predicateType"] == f"{PREDICATES}inference/v1":
        canonical.members(predicate, {"claim", "operator", "timeUnixS"})
        encode_claim(predicate["claim"])
        name, subject = "output", canonical.hex32(predicate["claim"]["output"])
    elif statement["predicateType"] == f"{PREDICATES}key-statement/v1":
        canonical.members(predicate, {"action", "operator", "timeUnixS"})
        _check_action(predicate["action"], predicate["operator"])
        name, subject = "key", canonical.hex32(predicate["operator"])
    else:
        name, subject = _check_other(statement["predicateType"], predicate)
    canonical.u64(predicate["timeUnixS"])
    sha256 = hashlib.sha256(subject).hexdigest()
    require(statement["subject"] == [{"name": name, "digest": {"sha256": sha256}}], "the subject is of something else")
    require(ed25519.strict_point(canonical.hex32(predicate["operator"])) is not None, "the operator is no public key")
    return statement


def _check_other(predicate_type: object, predicate: object) -> tuple[str, bytes]:
    """The kinds that are neither an inference nor about a key; gives name and bytes of the subject."""
    common = {"operator", "timeUnixS"}
    if predicate_type == f"{PREDICATES}equivocation/v1":
        canonical.members(predicate, common | {"log", "first", "second"})
        for member, longest in (("log", 512), ("first", 4096), ("second", 4096)):
            require(_is_text(predicate[member], 1, longest), f"`{member}` is no text of its length")
        return "log", predicate["log"].encode()
    if predicate_type == f"{PREDICATES}audit/v1":
        return _check_audit(predicate, common)
    if predicate_type == f"{PREDICATES}verdict/v1":
        return _check_verdict(predicate, common)
    if predicate_type == f"{PREDICATES}weights-binding/v1":
        canonical.members(predicate, common | {"model", "scheme", "root", "derivation"})
        require(_is_name(predicate["scheme"]), "the scheme has no name")
        canonical.hex32(predicate["root"])
        tool = predicate["derivation"]
    else:
        require(predicate_type == f"{PREDICATES}imported/v1", "a kind that cannot be read")
        members = common | {"model", "file", "importer", "options"}
        canonical.members(predicate, members, frozenset({"calibration"}))
        canonical.hex32(predicate["file"])
        canonical.hex32(predicate.get("calibration", "0" * 64))
        require(_is_text(predicate["options"], 0, 4096), "`options` is no text of its length")
        tool = predicate["importer"]
    canonical.members(tool, {"name", "version"})
    require(_is_name(tool["name"]) and _is_name(tool["version"]), "no name, or no version")
    return "model", canonical.hex32(predicate["model"])


def _check_audit(predicate: object, common: set[str]) -> tuple[str, bytes]:
    canonical.members(predicate, common | {"receipt", "method", "methodVersion", "outcome", "numbers"})
    require(_is_name(predicate["method"]), "the method has no name")
    version = predicate["methodVersion"]
    require(_is_int(version) and 0 <= version < 2**32, "the method's version is no number of 32 bits")
    require(predicate["outcome"] in ("passed", "refuted", "failed"), "an outcome that cannot be read")
    numbers = predicate["numbers"]
    require(isinstance(numbers, list) and len(numbers) <= 16, "more than 16 numbers")
    for number in numbers:
        canonical.members(number, {"name", "value"})
        require(_is_name(number["name"]), "a number without a name")
        canonical.u64(number["value"])
    names = [number["name"] for number in numbers]
    require(all(a < b for a, b in zip(names, names[1:])), "numbers are not ascending by name")
    return "receipt", canonical.hex32(predicate["receipt"])


def _check_verdict(predicate: object, common: set[str]) -> tuple[str, bytes]:
    parties = {"accused", "challenger"}
    canonical.members(predicate, common | parties | {"claim", "loser", "reason", "startedUnixS", "transcript", "turnS"})
    for party in sorted(parties):
        require(ed25519.strict_point(canonical.hex32(predicate[party])) is not None, f"the {party} is no public key")
    require(predicate["accused"] != predicate["challenger"], "a dispute with oneself")
    canonical.u64(predicate["startedUnixS"])
    turn = predicate["turnS"]
    require(_is_int(turn) and 0 <= turn < 2**32, "a turn is no number of 32 bits")
    canonical.hex32(predicate["transcript"])
    require(predicate["loser"] in ("operator", "challenger", "nobody"), "a loser that cannot be read")
    require(_is_name(predicate["reason"]), "the reason has no name")
    return "claim", canonical.hex32(predicate["claim"])


def _is_text(value: object, shortest: int, longest: int) -> bool:
    return isinstance(value, str) and shortest <= len(value.encode()) <= longest


def _check_action(action: object, operator: str) -> None:
    canonical.members(action, set(), frozenset({"rotate", "expire", "revoke"}))
    require(len(action) == 1, "not exactly one action")
    ((what, how),) = action.items()
    if what == "rotate":
        successor = canonical.members(how, {"successor"})["successor"]
        require(ed25519.strict_point(canonical.hex32(successor)) is not None, "the successor is no public key")
        require(successor != operator, "a key that follows itself")
    else:
        member = {"expire": "notAfterUnixS", "revoke": "sinceUnixS"}[what]
        canonical.u64(canonical.members(how, {member})[member])


def encode_claim(claim: object) -> bytes:
    """The canonical bytes of a claim in JSON (section 4), once all its words are known to be right."""
    canonical.members(claim, CLAIM_MEMBERS, frozenset({"nonce", "constrained"}))
    require(_is_int(claim["protocolVersion"]) and claim["protocolVersion"] == 1, "another protocol version")
    require(claim["profile"] == "exact-1", "another profile")
    require(claim["finish"] in FINISH and claim["seed"] in SEED, "an unknown finish reason or seed source")
    require(claim["seed"] != "derived" or "nonce" in claim, "a seed derived from no nonce")
    digests = b"".join(canonical.hex32(claim[name]) for name in ("model", "input", "params", "output", "trace"))
    counts = struct.pack("<QQ", canonical.u64(claim["inputCount"]), canonical.u64(claim["outputCount"]))
    nonce = b"\1" + canonical.hex32(claim["nonce"]) if "nonce" in claim else b"\0"
    constrained = b"\0"
    if "constrained" in claim:
        engine = canonical.members(claim["constrained"], {"engine", "version"})
        constrained = b"\1" + _name(engine["engine"]) + _name(engine["version"])
    head = struct.pack("<IB", 1, 1)
    return (
        head + digests + counts + bytes([FINISH[claim["finish"]]]) + nonce + bytes([SEED[claim["seed"]]]) + constrained
    )


def claim_digest(claim: dict) -> bytes:
    return tree.root("credence/claim/v1", encode_claim(claim))


def _is_name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[a-z0-9._-]{1,64}", value) is not None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _name(value: object) -> bytes:
    require(_is_name(value), "not a name")
    return bytes([len(value)]) + value.encode()


def root(field: str, content: bytes) -> bytes:
    """The root of a content: input, params or output."""
    return tree.root(f"credence/{field}/v1", content)


def salt(master: bytes, label: str) -> bytes:
    """A field's salt (section 3)."""
    return tree.root("credence/salt/v1", master + label.encode())


def commitment(field: str, operator: bytes, salt: bytes, root: bytes) -> bytes:
    """The salted commitment to a root (section 3)."""
    return tree.root(f"credence/commit-{field}/v1", operator + salt + root)


def derived_seed(nonce: bytes, model: bytes, input_root: bytes, params_root: bytes) -> bytes:
    """The seed that neither side can choose alone (section 3)."""
    return tree.root("credence/seed/v1", nonce + model + input_root + params_root)
