"""How close exact programs come to onnxruntime's f32 on models people use, on real inputs: writes docs/fidelity-tensors.md.

    python bench/peers/tensor_fidelity.py FOLDER [MODEL]...

FOLDER holds what tensor_models.py fetched (it is fetched if it is not there) and all that is made here. Needs numpy, onnxruntime and Pillow, and the program
`cargo build --release -p credence-format-onnx --example tensor_fidelity` (CREDENCE_TENSOR_FIDELITY names it, if it is elsewhere).

Inputs are real: files of this system for magika, lines and pages of public-domain text in real fonts for OCR. No file or line is in both the
calibration set and what is measured.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import onnxruntime

import tensor_models

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("CREDENCE_TENSOR_FIDELITY", str(ROOT / "target/release/examples/tensor_fidelity"))
THREADS = int(os.environ.get("THREADS", "2"))
FONTS = sorted(pathlib.Path("/usr/share/fonts/truetype/dejavu").glob("DejaVu*.ttf"))
FILES = ["/usr", "/etc", "/var/lib"]


# ---- magika: bytes of files -------------------------------------------------------------------------------------------------


def file_features(content):
    """As magika reads a file: 1,024 bytes from either end without white space around, 256 where there are none."""
    block, size, padding = 4096, 1024, 256
    if len(content) <= block:
        begin = end = content.strip()
    else:
        begin, end = content[:block].lstrip(), content[-block:].rstrip()
    begin, end = list(begin[:size]), list(end[-size:])
    return begin + [padding] * (size - len(begin)) + [padding] * (size - len(end)) + end


def system_files(count):
    """Files of this system: few of each extension in turn, so that no kind outweighs the others."""
    by_kind = {}
    for top in FILES:
        for folder, folders, names in os.walk(top):
            folders.sort()
            for name in sorted(names):
                path = pathlib.Path(folder) / name
                if path.is_symlink() or not path.is_file() or path.stat().st_size < 16:
                    continue
                by_kind.setdefault(path.suffix.lower(), []).append(path)
    for paths in by_kind.values():
        paths.sort(key=lambda path: hashlib.sha256(str(path).encode()).digest())
    chosen, seen, turn = [], set(), 0
    while len(chosen) < count:
        before = len(chosen)
        for kind in sorted(by_kind):
            if turn < len(by_kind[kind]) and len(chosen) < count:
                try:
                    content = by_kind[kind][turn].read_bytes()
                except OSError:
                    continue
                features = file_features(content)
                if tuple(features) not in seen:
                    seen.add(tuple(features))
                    chosen.append(features)
        turn += 1
        if len(chosen) == before and all(turn >= len(paths) for paths in by_kind.values()):
            raise SystemExit(f"tensor_fidelity: this system has {len(chosen)} different files, {count} are wanted")
    return np.array(chosen, dtype=np.int32)


def magika():
    files = system_files(96 + 1200)
    order = np.random.default_rng(7).permutation(len(files))
    return {"bytes": files[order[:96]]}, {"bytes": files[order[96:]]}


# ---- OCR: text in real fonts ------------------------------------------------------------------------------------------------


def prose():
    """Lines of public-domain prose, cut to what a line of 320 pixels holds."""
    words = []
    for name in sorted((ROOT / "bench/texts").glob("fiction.*.txt")) + [ROOT / "bench/texts/encyclopaedic.articles.txt"]:
        words += name.read_text(encoding="utf-8").split()
    return words


def lines(count, seed):
    """`count` runs of a few words."""
    rng, words = np.random.default_rng(seed), prose()
    half = len(words) // 2
    low, high = (0, half) if seed == 0 else (half, len(words) - 8)
    for _ in range(count):
        start = int(rng.integers(low, high - 8))
        yield " ".join(words[start:start + int(rng.integers(1, 5))])[:26], rng


def drawn(text, rng, size):
    """A line of text as a picture of this height and width, dark on light or light on dark, somewhat noisy."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = size
    font = ImageFont.truetype(str(FONTS[int(rng.integers(len(FONTS)))]), int(rng.integers(24, 36)))
    left, top, right, bottom = font.getbbox(text)
    paper, ink = rng.integers(170, 256, 3), rng.integers(0, 90, 3)
    if rng.random() < 0.2:
        paper, ink = ink, paper
    picture = Image.new("RGB", (right - left + 12, bottom - top + 12), tuple(int(c) for c in paper))
    ImageDraw.Draw(picture).text((6 - left, 6 - top), text, fill=tuple(int(c) for c in ink), font=font)
    ratio = picture.width / picture.height
    fitted = picture.resize((min(width, max(1, int(height * ratio))), height), Image.BILINEAR)
    pixels = np.asarray(fitted, dtype=np.float32)
    pixels = pixels + rng.normal(0, rng.uniform(0, 6), pixels.shape)
    full = np.zeros((height, width, 3), dtype=np.float32)
    full[:, : fitted.width] = (np.clip(pixels, 0, 255) / 255 - 0.5) / 0.5
    return full.transpose(2, 0, 1)


def recogniser():
    make = lambda count, seed: {"x": np.array([drawn(t, rng, (48, 320)) for t, rng in lines(count, seed)], dtype=np.float32)}
    return make(48, 0), make(300, 1)


def classifier():
    def make(count, seed):
        pictures = []
        for text, rng in lines(count, seed):
            picture = drawn(text, rng, (48, 192))
            pictures.append(picture[:, ::-1, ::-1] if rng.random() < 0.5 else picture)
        return {"x": np.array(pictures, dtype=np.float32)}

    return make(128, 0), make(1000, 1)


def detector():
    from PIL import Image, ImageDraw, ImageFont

    mean = np.array([0.485, 0.456, 0.406], dtype=np.float32)
    deviation = np.array([0.229, 0.224, 0.225], dtype=np.float32)

    def make(count, seed):
        pages, source = [], lines(count * 12, seed)
        for _ in range(count):
            text, rng = next(source)
            paper, ink = rng.integers(170, 256, 3), rng.integers(0, 90, 3)
            page = Image.new("RGB", (320, 320), tuple(int(c) for c in paper))
            draw = ImageDraw.Draw(page)
            down = int(rng.integers(4, 30))
            for _ in range(11):
                size = int(rng.integers(11, 26))
                font = ImageFont.truetype(str(FONTS[int(rng.integers(len(FONTS)))]), size)
                draw.text((int(rng.integers(2, 60)), down), text, fill=tuple(int(c) for c in ink), font=font)
                down += int(size * rng.uniform(1.1, 2.2))
                text, _ = next(source)
                if down > 300:
                    break
            pixels = np.asarray(page, dtype=np.float32) + rng.normal(0, rng.uniform(0, 6), (320, 320, 3))
            pages.append(((np.clip(pixels, 0, 255) / 255 - mean) / deviation).transpose(2, 0, 1))
        return {"x": np.array(pages, dtype=np.float32)}

    return make(12, 0), make(60, 1)


# ---- comparisons ------------------------------------------------------------------------------------------------------------


def top_1(exact, reference):
    """The share of rows whose likeliest class is the same."""
    return float((exact.argmax(-1) == reference.argmax(-1)).mean())


def decoded(scores):
    """What a recogniser reads: the likeliest class at each step, repeats joined, blanks (class 0) dropped."""
    read = []
    for row in scores.argmax(-1):
        kept = [int(k) for k, before in zip(row, [-1, *row[:-1]]) if k != before and k != 0]
        read.append(tuple(kept))
    return read


def same_text(exact, reference):
    return float(np.mean([a == b for a, b in zip(decoded(exact), decoded(reference))]))


def same_mask(exact, reference):
    """Intersection over union of what is taken for text (above 0.3, as the pipeline has it)."""
    a, b = exact > 0.3, reference > 0.3
    return float((a & b).sum() / max(1, (a | b).sum()))


MODELS = {
    "magika": ("magika.onnx", magika, [], "file type", top_1, 0.995),
    "ocr-classifier": ("ocr-classifier.onnx", classifier, ["x.2=48", "x.3=192"], "upright or not", top_1, 0.995),
    "ocr-recogniser": ("ocr-recogniser.onnx", recogniser, ["x.2=48", "x.3=320"], "same text", same_text, 1.0),
    "ocr-detector": ("ocr-detector.onnx", detector, ["x.2=320", "x.3=320"], "text mask, intersection over union", same_mask, None),
}


def cosine(a, b):
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def reference(path, inputs):
    """onnxruntime's f32 outputs one input at a time, and its best time for one, in milliseconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    count = len(next(iter(inputs.values())))
    one = lambda k: session.run(names, {name: values[k:k + 1] for name, values in inputs.items()})
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        one(0)
        best = min(best, (time.perf_counter() - start) * 1e3)
    outputs = [one(k) for k in range(count)]
    return {name: np.concatenate([o[k] for o in outputs]) for k, name in enumerate(names)}, best


def measure(folder, name, clipping):
    file, make, dims, _, compare, _ = MODELS[name]
    path = folder / file
    prepared = [folder / f"{name}.{part}.npz" for part in ("calibrate", "inputs", "outputs", "times")]
    if not all(part.exists() for part in prepared):
        calibration, inputs = make()
        outputs, best = reference(path, inputs)
        for part, arrays in zip(prepared, (calibration, inputs, outputs, {"ms": np.array([best], dtype=np.float32)})):
            np.savez(part, **arrays)
    written = folder / f"{name}.exact.npz"
    command = [PROGRAM, str(path), *map(str, prepared[:3]), "--clipping", clipping, "--threads", str(THREADS), "--write", str(written)]
    for dim in dims:
        command += ["--dim", dim]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"tensor_fidelity: {name}: {run.stdout}{run.stderr}")
    told = json.loads(run.stdout)
    exact, outputs = np.load(written), np.load(prepared[2])
    output = outputs.files[0]
    _, best = reference(path, {k: v[:1] for k, v in np.load(prepared[1]).items()})
    told.update(
        agreement=compare(exact[output], outputs[output]),
        cosine=cosine(exact[output], outputs[output]),
        mean=float(np.abs(exact[output] - outputs[output]).mean()),
        largest=float(np.abs(exact[output] - outputs[output]).max()),
        inputs=len(outputs[output]),
        reference_ms=best,
        file_bytes=path.stat().st_size,
    )
    return told


def page(results):
    rows = []
    for name, told in results.items():
        _, _, dims, what, _, aim = MODELS[name]
        reached = "" if aim is None else (" (aim reached)" if told["agreement"] >= aim else f" (aim {100 * aim:.1f} % **missed**)")
        rows.append(
            f"| {name} | {', '.join(dims) or '–'} | {told['inputs']} | {what}: {100 * told['agreement']:.2f} %{reached} | {told['cosine']:.5f} | "
            f"{told['mean']:.2e} | {told['largest']:.3f} | {told['ms']:.1f} / {told['reference_ms']:.1f} = {told['ms'] / told['reference_ms']:.2f} | "
            f"{told['file_bytes'] / 1e6:.1f} → {told['bytes'] / 1e6:.1f} | {told['import_s']:.0f} |"
        )
    return "\n".join(rows)


def main(arguments):
    if not arguments:
        raise SystemExit(__doc__)
    folder = tensor_models.fetch(arguments[0])
    clipping = os.environ.get("CLIPPING", "least-error")
    kept = folder / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    for name in arguments[1:] or MODELS:
        results[name] = measure(folder, name, clipping)
        kept.write_text(json.dumps(results, indent=1))
        print(name, {k: v for k, v in results[name].items() if k not in ("clamped", "outputs")}, flush=True)
    template = (ROOT / "bench/peers/fidelity-tensors.md").read_text(encoding="utf-8")
    ordered = {name: results[name] for name in MODELS if name in results}
    (ROOT / "docs/fidelity-tensors.md").write_text(template.replace("{rows}", page(ordered)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
