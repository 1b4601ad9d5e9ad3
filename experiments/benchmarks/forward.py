"""Forward model and its gradients: cryojax_het and cryojax 0.6.0 on the same work, in alternation.

    python forward.py --cryojax-python ENV/bin/python [--rounds 7] [--output forward.md]

Each program runs under its own interpreter in its own process; the two take turns call by call.
Float32, compiled, compilation and set-up excluded, medians over the rounds. CPU time counts all
threads of a process. Errors are relative L2 against the closed form in float64 (see truth.py):
inside the Nyquist circle for images, over the batch for gradients.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import report
from closed_form import relative_error
from protocol import Worker, alternate
from truth import Truth
from work import make_work, write_work

HERE = Path(__file__).parent
VOXEL_WORKS = ("image", "volume-gradient", "voxel-gradient", "pose-gradient")
LINEAR_WORKS = ("linear", "linear-gradient")
GAUSSIAN_WORKS = ("gaussians", "gaussians-gradient")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--cryojax-python", required=True, help="interpreter that has cryojax 0.6.0"
    )
    parser.add_argument("--python", default=sys.executable, help="interpreter that has cryojax_het")
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--full-box", type=int, default=128, help="box of all other works")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="least length of one turn")
    parser.add_argument("--radius", type=float, default=0.42, help="of the molecule, per box side")
    parser.add_argument("--works", nargs="+", default=None, help="only these works")
    parser.add_argument("--output", type=Path, default=HERE / "forward.md")
    return parser.parse_args()


def works_of(box: int, options: argparse.Namespace) -> list[str]:
    if box == options.full_box:
        works = [*VOXEL_WORKS, *LINEAR_WORKS, *GAUSSIAN_WORKS]
    else:
        works = ["image"]
    return [w for w in works if options.works is None or w in options.works]


class Judge:
    """Errors of both programs' outputs on one box against the closed form."""

    def __init__(self, work: dict[str, np.ndarray], folder: Path):
        self.truth, self.folder = Truth(work), folder
        self.known: dict[tuple[str, str], str] = {}

    def error(self, worker: Worker, name: str) -> str:
        """Text for the column `error`: of slices for voxels, of the result itself otherwise."""
        work, configuration = name.split(":")
        if work in ("image", "volume-gradient", "voxel-gradient"):
            name = f"slice:{configuration}"
        key = (worker.name, name)
        if key not in self.known:
            self.known[key] = self._measure(worker, name)
            worker.ask("drop", name)
        return self.known[key]

    def _measure(self, worker, name):
        kind = name.split(":")[0]
        got = worker.output(name, self.folder)
        if kind == "pose-gradient":
            truth = self.truth.pose_gradient()
            parts = [relative_error(got[:, c], truth[:, c]) for c in (slice(0, 3), slice(3, 5))]
            return " / ".join(f"{p:.2%}" for p in parts)
        if kind in ("linear-gradient", "gaussians-gradient"):
            return f"{relative_error(got, getattr(self.truth, kind.replace('-', '_'))()):.3%}"
        expected = {"slice": self.truth.slices, "linear": self.truth.linear}.get(
            kind, self.truth.gaussians
        )()
        if worker.name == "worker_cryojax":  # its units, phase origin, and sign of the CTF
            plane = self.truth.plane
            sign = 1 if kind == "slice" else -1
            got = sign * got * plane.centring() * plane.pixel_size**2
        return f"{relative_error(got, expected, self.truth.plane.weights()):.3%}"


def entries_of(workers: list[Worker], work: str) -> list[tuple[Worker, str]]:
    """All configurations of both programs for one work, ours first."""
    return [
        (worker, name)
        for worker in workers
        for name in worker.ask("names")
        if name.split(":")[0] == work
    ]


def run_box(box: int, options: argparse.Namespace) -> list[report.Row]:
    """All works of one box."""
    rows: list[report.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "work.npz"
        work = make_work(box, options.batch, options.radius)
        write_work(path, work)
        judge = Judge(work, Path(folder))
        workers = [
            Worker(options.python, HERE / "worker_ours.py", str(path)),
            Worker(options.cryojax_python, HERE / "worker_cryojax.py", str(path)),
        ]
        for name in works_of(box, options):
            entries = entries_of(workers, name)
            times = alternate(entries, options.rounds, options.seconds)
            for (worker, entry), (cpu, wall) in zip(entries, times, strict=True):
                per_image = (1e3 * cpu / options.batch, 1e3 * wall / options.batch)
                error = judge.error(worker, entry)
                rows.append(
                    report.Row(name, box, worker.name, entry.split(":")[1], *per_image, error)
                )
                print(rows[-1], flush=True)
            for worker, entry in entries:
                worker.ask("drop", entry)
        for worker in workers:
            worker.close()
    return rows


def main() -> None:
    options = arguments()
    rows = []
    for box in options.boxes:
        rows += run_box(box, options)
        raw = json.dumps([vars(row) for row in rows], indent=1)
        options.output.with_suffix(".json").write_text(raw, encoding="utf-8")
    options.output.write_text(report.forward_page(rows, options), encoding="utf-8")
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
