#!/usr/bin/env python3
"""Our witness, its client and a served log, each against a partner that others made (the package aics-witness 0.1.0).

    pip install aics-witness==0.1.0         # its metadata ask for Python 3.12; 3.11 does with --ignore-requires-python
    cargo build --release -p credence-witness -p credence-watch --examples
    python3 scripts/witness-interop.py target/release/examples

It is no part of the test suite, which needs nothing from the network. What the partner says is compared word for word; the
script ends with 0 when all is as expected.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from aics_tlog.checkpoint import Checkpoint, sign_checkpoint
from aics_tlog.tree import MerkleTree
from aics_witness.feeder import WitnessAhead, WitnessClient, WitnessRejected
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "toy.example/log"
PORT = 17380


def start(command, **options):
    return subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def finish(process):
    process.stdin.close()
    process.terminate()
    process.wait(10)


def our_client(examples, folder, partner):
    """Our client asks their witness."""
    config = folder / "witness.json"
    run = lambda *words: subprocess.run([partner, *map(str, words)], check=True, text=True, capture_output=True).stdout
    run("init", "-c", config, "--name", "other.example/w", "--listen", f"127.0.0.1:{PORT}")
    log = subprocess.run([examples / "ask"], check=True, text=True, capture_output=True).stdout.strip()
    run("add-log", "-c", config, "--origin", ORIGIN, "--vkey", log)
    status = json.loads(run("status", "-c", config, "--json"))
    key = status.get("vkey") or status["witness"]["vkey"]
    server = start([partner, "serve", "-c", config], stderr=subprocess.DEVNULL)
    prefix = f"http://127.0.0.1:{PORT}"
    for _ in range(100):
        try:
            urllib.request.urlopen(f"{prefix}/healthz").read()
            break
        except OSError:
            time.sleep(0.1)
    try:
        asked = subprocess.run([examples / "ask", prefix, key], check=True, text=True, capture_output=True).stdout
    finally:
        finish(server)
    said = [line.split(": ", 1)[1].split(" {")[0] for line in asked.splitlines()]
    assert said == ["Cosigned"] * 6 + ["Ahead", "SplitView", "Refused", "Cosigned"], asked
    print("their witness, our client: as expected")


def our_witness(examples, folder):
    """Their client asks our witness."""
    signing = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
    log = subprocess.run([examples / "ask"], check=True, text=True, capture_output=True).stdout.strip()
    config = folder / "w.toml"
    lines = {"name": "ours.example/w", "key": "w.pem", "state": "state", "listen": "127.0.0.1:0", "prefix": "/w"}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    config.write_text(f"{text}logs = [{json.dumps(log)}]\n")
    server = start([examples / "witness", config])
    key = server.stdout.readline().strip()
    address = server.stdout.readline().split()[-1]
    true, forked = MerkleTree(), MerkleTree()
    for at in range(700):
        true.append(at.to_bytes(8, "big"))
        forked.append((at if at < 5 else 9999).to_bytes(8, "big"))

    def note(tree, size):
        checkpoint = Checkpoint(origin=ORIGIN, size=size, root=tree.root(size))
        return sign_checkpoint(checkpoint, signing, ORIGIN).serialise()

    def ask(tree, size, client):
        return client.submit(note(tree, size), tree.consistency_proof)

    refused = []
    try:
        with WitnessClient(f"http://{address}/w", key, max_attempts=1) as client:
            for size in (0, 1, 7, 300, 300, 513):
                assert ask(true, size, client).startswith("\u2014 ours.example/w "), size
            for tree, size in ((forked, 513), (forked, 600), (true, 100)):
                try:
                    ask(tree, size, client)
                except WitnessRejected as error:
                    refused.append(error.status)
                except WitnessAhead as error:
                    refused.append(error.known_size)
        # One that starts anew is told the size.
        with WitnessClient(f"http://{address}/w", key, max_attempts=1) as client:
            assert ask(true, 700, client)
    finally:
        finish(server)
    assert refused == [422, 422, 513], refused
    print("our witness, their client: as expected")


def our_log(examples, folder, reader):
    """Their reader checks entries and growth in a log that we serve."""
    server = start([examples / "serve_log", folder / "log", 70_000])
    key = server.stdout.readline().strip()
    prefix = "http://" + server.stdout.readline().split()[-1]
    try:
        for index in (0, 255, 256, 65_535, 65_536, 69_999):
            (folder / "leaf").write_bytes(index.to_bytes(8, "big") + bytes(24))
            words = [reader, "verify-inclusion", "--tiles", prefix, "--log-key", key, "--leaf", folder / "leaf", "--index", index]
            checked = subprocess.run(list(map(str, words)), text=True, capture_output=True)
            assert checked.returncode == 0, checked
    finally:
        finish(server)
    print("our log, their reader: as expected")


def main():
    examples, tools = Path(sys.argv[1]).resolve(), Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        our_client(examples, folder, tools / "aics-witness")
        our_witness(examples, folder)
        our_log(examples, folder, tools / "aics-tlog")


main()
