"""`credence serve` over a socket: the Open Inference Protocol v2 in JSON, and the receipt that each answer has."""

import http.client
import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from conftest import Credence, rows
from second import receipt, replay, tensors
from test_schemas import validator
from test_second_verifier import load

START_LIMIT_S = 30
STOP_LIMIT_S = 30


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    port: int

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
            sent = {"content-type": "application/json"} if data is not None else {}
            connection.request(method, path, data, {**sent, **(headers or {})})
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def infer(self, model: str, body: object, headers: dict[str, str] | None = None) -> Answer:
        return self.ask("POST", f"/v2/models/{model}/infer", body, headers)


def port_of(talk: IO[str]) -> int:
    """The port in the first line that names the address."""
    for line in talk:
        if found := re.search(r"127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise AssertionError("the server ended without naming its address")


@contextmanager
def serving(credence: Credence, *models: str) -> Iterator[Server]:
    """`credence serve` on a free port, stopped by SIGTERM."""
    command = credence.command("serve", "--listen", "127.0.0.1:0", *models)
    # A server that neither speaks nor ends must not hold the tests.
    with subprocess.Popen(
        command, env=credence.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(START_LIMIT_S, process.kill)
        watchdog.start()
        try:
            assert process.stderr is not None
            port = port_of(process.stderr)
            watchdog.cancel()
            # The rest of its talk is drained, so that the server never blocks on a full pipe.
            drain = threading.Thread(target=process.stderr.read)
            drain.start()
            yield Server(port)
            process.send_signal(signal.SIGTERM)
            assert process.wait(STOP_LIMIT_S) == 0, "SIGTERM stops the server gracefully"
            drain.join()
        finally:
            watchdog.cancel()
            process.kill()


@pytest.fixture(scope="module")
def server(credence: Credence, cnn: str) -> Iterator[Server]:
    with serving(credence, cnn) as running:
        yield running


def request(count: int = 3, **changes: object) -> dict:
    """A request for the CNN over its first held-out rows."""
    name, images = rows("digits-cnn", "inputs")
    data = images[:count].reshape(-1).tolist()
    tensor = {"name": name, "shape": [count, 1, 8, 8], "datatype": "FP32", "data": data}
    return {"inputs": [{**tensor, **changes}]}


def test_health_and_metadata(server: Server, cnn: str) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", f"/v2/models/{cnn}/ready"):
        assert server.get(path).status == 200, path
    assert server.get("/v2").json()["name"]
    metadata = server.get(f"/v2/models/{cnn}").json()
    assert metadata["name"] == cnn
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}]
    assert metadata["outputs"] == [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}]


def test_an_answer_and_its_receipt(server: Server, credence: Credence, cnn: str, tmp_path: Path) -> None:
    nonce = "5a" * 32
    answer = server.infer(cnn, {"id": "request-7", **request()}, {"credence-nonce": nonce})
    assert answer.status == 200, answer.body
    validator("http-infer-request.v1.json").validate({"id": "request-7", **request()})
    body = answer.json()
    validator("http-infer-response.v1.json").validate(body)
    assert (body["id"], body["model_name"]) == ("request-7", cnn)
    (output,) = body["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("logits", "FP32", [3, 10])

    digest = answer.headers["credence-receipt"]
    kept = server.get(answer.headers["credence-bundle"])
    assert kept.status == 200
    found = receipt.check(kept.body)
    assert found.digest.hex() == digest
    assert found.claim["nonce"] == nonce
    committed = tensors.decode(found.opened["output"])["logits"]
    assert np.array(output["data"], np.float32).tobytes() == committed.tobytes(), (
        "the JSON holds every bit of what was committed to"
    )
    replay.check(found, load(credence, found.claim["model"]))

    path = tmp_path / "served.bundle.json"
    path.write_bytes(kept.body)
    done = credence.run("verify", path, "--model", cnn)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nested_data_is_the_same_request(server: Server, cnn: str) -> None:
    flat = server.infer(cnn, request(2)).json()["outputs"][0]["data"]
    _, images = rows("digits-cnn", "inputs")
    nested = request(2, data=images[:2].tolist())
    validator("http-infer-request.v1.json").validate(nested)
    assert server.infer(cnn, nested).json()["outputs"][0]["data"] == flat


def test_outputs_can_be_chosen(server: Server, cnn: str) -> None:
    body = server.infer(cnn, {**request(1), "outputs": [{"name": "logits"}]}).json()
    assert [output["name"] for output in body["outputs"]] == ["logits"]


def test_every_answer_has_its_own_salts(server: Server, cnn: str) -> None:
    """Two equal requests: one output, two commitments that a stranger cannot match."""
    claims = []
    for _ in range(2):
        path = server.infer(cnn, request(1)).headers["credence-bundle"]
        claims.append(receipt.check(server.get(path).body))
    assert claims[0].opened["output"] == claims[1].opened["output"]
    for field in ("input", "params", "output", "trace"):
        assert claims[0].claim[field] != claims[1].claim[field], field


def test_requests_side_by_side(server: Server, cnn: str) -> None:
    expected = server.infer(cnn, request(4)).json()["outputs"]
    answers: list[object] = []

    def ask() -> None:
        for _ in range(5):
            answer = server.infer(cnn, request(4))
            answers.append(answer.json()["outputs"] if answer.status == 200 else answer.status)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Past its limit of work in hand a server says so; it never answers wrongly.
    assert all(answer in (expected, 429) for answer in answers)
    assert answers.count(expected) > 0


BAD = {
    "not JSON": (b"{", "JSON"),
    "no inputs": ({}, "inputs"),
    "an absent input": ({"inputs": []}, "image"),
    "another name": (request(1, name="picture"), "picture"),
    "another type": (request(1, datatype="INT64"), "image"),
    "a type that is none": (request(1, datatype="FP33"), "FP33"),
    "another shape": (request(1, shape=[1, 8, 8]), "shape"),
    "a huge shape": (request(1, shape=[2**62, 1, 8, 8]), ""),
    "a negative dimension": (request(1, shape=[-1, 1, 8, 8]), ""),
    "too few elements": (request(1, data=[0.0] * 63), "63"),
    "a string for a number": (request(1, data=["0"] * 64), ""),
    "NaN, which JSON has not": (request(1, data=[float("nan")] * 64), ""),
    "infinite in FP32": (request(1, data=[1e39] * 64), ""),
    "an input twice": ({"inputs": request(1)["inputs"] * 2}, "image"),
    "an unknown output": ({**request(1), "outputs": [{"name": "answer"}]}, "answer"),
    "an unknown parameter": ({**request(1), "parameters": {"temperature": 1}}, "temperature"),
}


# Those that are refused whatever the model.
MISFITS = {"no inputs", "a type that is none", "a negative dimension", "a string for a number", "an unknown parameter"}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_refused_by_name(server: Server, cnn: str, case: str) -> None:
    body, named = BAD[case]
    if not isinstance(body, bytes):
        assert validator("http-infer-request.v1.json").is_valid(body) == (case not in MISFITS)
    answer = server.infer(cnn, body)
    assert 400 <= answer.status < 500, answer.body
    assert list(answer.json()) == ["error"]
    assert named in answer.json()["error"], answer.json()["error"]
    assert "credence-receipt" not in answer.headers


@pytest.mark.parametrize("nonce", ["", "5a", "5A" * 32, "zz" * 32, "5a" * 33])
def test_a_bad_nonce_is_refused(server: Server, cnn: str, nonce: str) -> None:
    answer = server.infer(cnn, request(1), {"credence-nonce": nonce})
    assert answer.status == 400
    assert "nonce" in answer.json()["error"]


@pytest.mark.parametrize(
    "path",
    ["/v2/models/absent", "/v2/models/absent/ready", "/v1/receipts/" + "0" * 64, "/v1/receipts/../keys/operator.pem"],
)
def test_what_is_absent_is_not_found(server: Server, path: str) -> None:
    answer = server.get(path)
    assert answer.status in (400, 404), answer.body
    assert b"PRIVATE" not in answer.body


def test_an_absent_model_is_named(server: Server) -> None:
    answer = server.infer("absent", request(1))
    assert answer.status == 404
    assert "absent" in answer.json()["error"]


def test_the_server_still_answers(server: Server, cnn: str) -> None:
    assert server.infer(cnn, request(1)).status == 200
