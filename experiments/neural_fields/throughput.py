"""Training steps and maps of neural fields: cryojax_het and cryoDRGN 4.3.1 in alternation.

    python throughput.py --cryodrgn-python ENV/bin/python [--rounds 5] [--output throughput.json]

Each program runs under its own interpreter in its own process, one thread on one core; the two take
turns call by call. Same box, batch of 16, networks (encoder and decoder of the same width and
depth, latent of 8), Gaussian features; float32, and ours with bfloat16 products as well. Medians
of CPU seconds of a process over the rounds; compilation and set-up are not counted, nor is reading
images. Before any timing the networks are compared with the same weights at the same points.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))

from protocol import Worker, alternate  # noqa: E402

BATCH, LATENT = 16, 8
OURS = ("train-full", "train-half", "volume-full", "volume-half")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cryodrgn-python", required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 1024])
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--works", nargs="+", default=list(OURS))
    parser.add_argument("--output", type=Path, default=HERE / "throughput.json")
    return parser.parse_args()


def weights_of(box: int, width: int, depth: int) -> dict[str, np.ndarray]:
    """Of a decoder of two outputs, and points that it is evaluated at."""
    rng, count = np.random.default_rng(0), 3 * (box // 2)
    draw = lambda *shape: rng.uniform(-1, 1, shape).astype(np.float32)
    scale = width**-0.5
    return {
        "pitches": (box / 4 * rng.normal(size=(count, 3))).astype(np.float32),
        "points": 0.5 * draw(500, 3),
        "z": draw(LATENT),
        "first": draw(2 * count, width) * count**-0.5,
        "latent": draw(LATENT, width) * count**-0.5,
        "offset": draw(width) * scale,
        "hidden": draw(depth, width, width) * scale,
        "offsets": draw(depth, width) * scale,
        "last": draw(width, 2) * scale,
        "end": draw(2),
    }


def compare(box: int, width: int, options: argparse.Namespace, folder: Path) -> dict:
    """Rates of one box and one width, images or maps per CPU second."""
    path = folder / "weights.npz"
    np.savez(path, **weights_of(box, width, options.depth))
    words = tuple(map(str, (box, width, options.depth, BATCH, path)))
    where = {"threads": 1}
    ours = Worker(options.python, HERE / "worker_ours.py", *words, **where)
    theirs = Worker(options.cryodrgn_python, HERE / "worker_cryodrgn.py", *words, **where)
    out, peer = ours.output("outputs", folder), theirs.output("outputs", folder)
    error = float(np.linalg.norm(out - peer) / np.linalg.norm(peer))
    found = {"box": box, "width": width, "network_error": error}
    for kind in ("train", "volume"):
        names = [name for name in options.works if name.startswith(kind)]
        if not names:
            continue
        entries = [(theirs, kind), *((ours, name) for name in names)]
        times = alternate(entries, options.rounds, options.seconds)
        for name, (cpu, _) in zip((f"cryodrgn-{kind}", *names), times, strict=True):
            found[name] = (BATCH if kind == "train" else 1) / cpu
    for worker in (ours, theirs):
        worker.close()
    return found


def main():
    """All boxes and widths; the file is written after each."""
    options, rows = arguments(), []
    with tempfile.TemporaryDirectory() as folder:
        for width in options.widths:
            for box in options.boxes:
                rows.append(compare(box, width, options, Path(folder)))
                print(json.dumps(rows[-1]), flush=True)
                options.output.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
