"""Make `smollm2_chats.json` again: what SmolLM2 answers when no token is drawn, with its token ids and trace roots.

To be run when the importer's version, and so the model's id, changes; a difference for any other reason is a fault.
From the repository's root, with a home that `credence pull smollm2-135m` has filled:

    cargo build --release -p credence-cli && cargo build --release -p credence-generate --example trace_root
    CREDENCE_HOME=… .venv/bin/python tests/python/golden/make_smollm2_chats.py target/release/credence target/release/examples/trace_root
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from second import receipt  # noqa: E402

PATH = Path(__file__).parent / "smollm2_chats.json"
BUNDLE = Path("smollm2_chats.bundle.json")


def main(credence: str, trace_root: str) -> None:
    golden = json.loads(PATH.read_text())

    def run(*arguments: object) -> str:
        words = [str(argument) for argument in arguments]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    for answer in golden["answers"]:
        limits = ("--max-tokens", golden["max_tokens"], "--receipt", BUNDLE)
        said = json.loads(run(credence, "--json", "chat", golden["model"], answer["question"], *limits))
        opened = receipt.check(BUNDLE.read_bytes()).opened
        prompt, answered = json.loads(opened["input"]), json.loads(opened["output"])
        golden["model_id"] = said["model"]
        model = Path(os.environ["CREDENCE_HOME"]) / "models" / f"{said['model']}.safetensors"
        root = run(trace_root, model, json.dumps(prompt["tokens"]), json.dumps(answered["tokens"]))
        answer.update(text=said["content"], tokens=answered["tokens"], trace_root=root.strip())
    BUNDLE.unlink()
    PATH.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


main(*sys.argv[1:])
