"""Supply-chain tools take our envelopes: securesystemslib the signature, in-toto-attestation the statement."""

import copy
import hashlib
import json

import pytest
from conftest import SHIPPED, VECTORS, vector
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@pytest.fixture(scope="module", params=["vector", *SHIPPED])
def envelope(request: pytest.FixtureRequest) -> dict:
    """The envelope of a bundle: of the committed vector, and of a run of each shipped model."""
    if request.param == "vector":
        path = VECTORS / "receipt/bundle.json"
    else:
        path = request.getfixturevalue("bundles")(request.param)
    return json.loads(path.read_bytes())["receipt"]


def operator_key(envelope: dict) -> SSlibKey:
    """The key that the signed statement names, under the envelope's own key id."""
    payload = json.loads(Envelope.from_dict(copy.deepcopy(envelope)).payload)
    return key_of(envelope["signatures"][0]["keyid"], payload["predicate"]["operator"])


def key_of(keyid: str, public: str) -> SSlibKey:
    return SSlibKey(keyid, "ed25519", "ed25519", {"public": public})


def verify(envelope: dict, key: SSlibKey) -> None:
    accepted = Envelope.from_dict(copy.deepcopy(envelope)).verify([key], threshold=1)
    assert list(accepted) == [key.keyid]


def test_the_signature_verifies(envelope: dict) -> None:
    verify(envelope, operator_key(envelope))


def test_the_signed_bytes_are_ours(envelope: dict) -> None:
    read = Envelope.from_dict(copy.deepcopy(envelope))
    assert read.payload_type == PAYLOAD_TYPE
    assert read.pae() == b"DSSEv1 %d %b %d %b" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
        len(read.payload),
        read.payload,
    )


def test_any_flipped_byte_of_the_payload_fails(envelope: dict) -> None:
    key, read = operator_key(envelope), Envelope.from_dict(copy.deepcopy(envelope))
    payload = read.payload
    for at in range(len(payload)):
        read.payload = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
        with pytest.raises(VerificationError):
            read.verify([key], threshold=1)


def test_another_key_or_signature_fails(envelope: dict) -> None:
    key = operator_key(envelope)
    other = key_of(key.keyid, vector("receipt/keys.json")["cases"][1]["publicKey"])
    with pytest.raises(VerificationError):
        verify(envelope, other)
    edited = copy.deepcopy(envelope)
    signature = edited["signatures"][0]["sig"]
    edited["signatures"][0]["sig"] = ("B" if signature[0] == "A" else "A") + signature[1:]
    with pytest.raises(VerificationError):
        verify(edited, key)


def test_the_statement_is_an_in_toto_statement(envelope: dict) -> None:
    payload = Envelope.from_dict(copy.deepcopy(envelope)).payload
    parsed = json_format.Parse(payload, statement_pb2.Statement())
    statement = Statement.copy_from_pb(parsed)
    statement.validate()
    assert statement.pb.type == "https://in-toto.io/Statement/v1"
    assert statement.pb.predicate_type == "https://credence.network/inference/v1"
    (subject,) = statement.pb.subject
    output = bytes.fromhex(statement.pb.predicate["claim"]["output"])
    assert subject.name == "output"
    assert dict(subject.digest) == {"sha256": hashlib.sha256(output).hexdigest()}
