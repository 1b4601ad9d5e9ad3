"""Homogeneous reconstruction with known poses: the whole command of each program, in alternation.

    python reconstruct.py --cryodrgn ENV/bin/cryodrgn --recovar ENV/bin/recovar

Each program reads the same simulated stack (stacks.py) from disk and writes its maps. Two stack
sizes separate the time per image from start-up, compilation and finishing. Every run is pinned to
the given number of cores. The maps are compared with the truth inside a soft sphere.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import report
from agreement import fsc, resolution, soft_sphere
from stacks import simulate

HERE = Path(__file__).parent
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
INNER, OUTER, EDGE = 0.14, 0.34, 0.10  # radii of the masks and their edge, as parts of the box


@dataclass(frozen=True)
class Program:
    """A command to time. `magnified`: its map shows the molecule at twice its size."""

    name: str
    command: Callable[[Path, Path], list[str]]
    map: str
    magnified: bool = False


@dataclass(frozen=True)
class Run:
    wall: float
    cpu: float
    memory: float  # GB


def cryodrgn(executable: str) -> Program:
    def command(stack: Path, out: Path) -> list[str]:
        poses = ["--poses", str(stack / "poses.pkl"), "--ctf", str(stack / "ctf.pkl")]
        return [
            executable,
            "backproject_voxel",
            str(stack / "particles.mrcs"),
            *poses,
            "-o",
            str(out),
        ]

    return Program("cryodrgn backproject_voxel", command, "backproject.mrc")


def recovar(executable: str, gigabytes: float) -> Program:
    def command(stack: Path, out: Path) -> list[str]:
        poses = ["--poses", str(stack / "poses.pkl"), "--ctf", str(stack / "ctf.pkl")]
        options = ["--mask", "sphere", "--only-mean", "--accept-cpu", "--no-downsample"]
        options += ["--gpu-budget-gb", str(gigabytes)]  # sets its batch size, also without a GPU
        return [
            executable,
            "pipeline",
            str(stack / "particles.mrcs"),
            *poses,
            "-o",
            str(out),
            *options,
        ]

    return Program("recovar pipeline --only-mean", command, "output/volumes/mean.mrc", True)


def ours(python: str) -> Program:
    def command(stack: Path, out: Path) -> list[str]:
        entry = [python, "-c", "from cryojax_het.cli import main; main()", "reconstruct"]
        return [*entry, str(stack / "particles.star"), "--output", str(out)]

    return Program("cryojax-het reconstruct", command, "volumes/mean.mrc")


def timed(command: list[str], threads: int, log: Path) -> Run:
    """Run to the end on `threads` cores; CPU and peak memory include the children it waited for.

    Raises `RuntimeError` with the end of the log if the program fails.
    """
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))
    environment = os.environ | dict.fromkeys(THREADS, str(threads))
    environment["PYTHONPATH"] = str(HERE.parents[1])
    # Nothing compiled before: every run is a first run.
    environment["XDG_CACHE_HOME"] = tempfile.mkdtemp(dir=log.parent)
    with open(log, "w", encoding="utf-8") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            ["taskset", "-c", cores, *command], stdout=output, stderr=output, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    if status:
        raise RuntimeError(f"{command[0]} failed ({status}):\n{log.read_text()[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6)


def median_run(runs: list[Run]) -> Run:
    columns = zip(*((r.wall, r.cpu, r.memory) for r in runs), strict=True)
    return Run(*(statistics.median(c) for c in columns))


def quality(program: Program, out: Path, truth: np.ndarray, pixel_size: float) -> tuple[str, str]:
    """Resolution (Å) where the FSC to the truth falls to 0.5, in the outer and the inner sphere.

    A map magnified by two shows only the inner half of the box. It is compared with the truth
    magnified likewise, inside the same part of the molecule; its shell s is the frequency 2s.
    """
    with mrcfile.open(out / program.map, permissive=True) as file:
        density = np.asarray(file.data, np.float64)
    size = truth.shape[0]
    if program.magnified:
        curve = fsc(density, magnify(truth), soft_sphere(size, 2 * INNER * size, 2 * EDGE * size))
        return "-", f"{resolution(curve, size, pixel_size) / 2:.1f}"
    masks = [soft_sphere(size, radius * size, EDGE * size) for radius in (OUTER, INNER)]
    return tuple(f"{resolution(fsc(density, truth, m), size, pixel_size):.1f}" for m in masks)


def magnify(density: np.ndarray) -> np.ndarray:
    """The inner half of a map at twice its size, by Fourier padding: exact if band-limited."""
    size = density.shape[0]
    transform = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(density)))
    fine = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(np.pad(transform, size // 2)))).real
    inner = slice(size - size // 2, size + size // 2)
    return fine[inner, inner, inner] * 8


def run_box(
    box: int, count: int, options: argparse.Namespace, programs: list[Program]
) -> list[list[str]]:
    """Table rows of one box: every program on every number of threads."""
    pixel_size, rows = 256.0 / box, []
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        stacks = {n: Path(folder) / f"stack{n}" for n in (count // 4, count)}
        truths = {n: simulate(path, box, n, pixel_size) for n, path in stacks.items()}
        for threads in options.threads:
            runs: dict[tuple[str, int], list[Run]] = {}
            for turn in range(options.rounds):
                for program in programs:
                    for n, stack in stacks.items():
                        out = Path(folder) / f"{program.name.split()[0]}-{threads}-{turn}-{n}"
                        run = timed(program.command(stack, out), threads, Path(folder) / "log.txt")
                        print(program.name, box, threads, n, run, flush=True)
                        runs.setdefault((program.name, n), []).append(run)
            for program in programs:
                out = Path(folder) / f"{program.name.split()[0]}-{threads}-0-{count}"
                good = quality(program, out, truths[count], pixel_size)
                rows.append(row(program, box, threads, runs, good))
    return rows


def row(program, box: int, threads: int, runs, good: tuple[str, str]) -> list[str]:
    counts = sorted(count for name, count in runs if name == program.name)
    small, large = (median_run(runs[program.name, count]) for count in counts)
    more = counts[1] - counts[0]
    return [
        program.name,
        str(box),
        str(threads),
        f"{large.wall:.1f}",
        f"{counts[1] / large.wall:.0f}",
        f"{more / max(large.wall - small.wall, 1e-9):.0f}",
        f"{1e3 * (large.cpu - small.cpu) / more:.2f}",
        f"{large.memory:.2f}",
        *good,
    ]


def peers(options: argparse.Namespace) -> list[str]:
    """Versions of the other programs, from the interpreters beside their executables."""
    given = {"cryodrgn": (options.cryodrgn, "torch"), "recovar": (options.recovar, "jax")}
    return [
        "- " + report.versions(str(Path(executable).with_name("python")), (name, library))
        for name, (executable, library) in given.items()
        if executable
    ]


def page(rows: list[list[str]], options: argparse.Namespace) -> str:
    header = ["program", "box", "threads", "whole command s", "images/s, whole command"]
    header += ["images/s without start-up", "CPU ms/image without start-up", "peak GB"]
    header += ["FSC 0.5 to truth, Å", "the same, inner sphere, Å"]
    return "\n\n".join(
        [
            "# Reconstruction with known poses",
            f"Written by reconstruct.py: {' / '.join(map(str, options.counts))} images at box "
            f"{' / '.join(map(str, options.boxes))} (and a quarter of them, to take start-up out), "
            f"256 Å boxes, signal-to-noise 0.05, medians of {options.rounds} rounds "
            "in alternation, each run pinned to its cores. Whole command: reading the stack from "
            "disk, half-maps, writing maps. RECOVAR's also makes a local-resolution map: the only "
            "public way to its mean.",
            f"RECOVAR has a memory budget of {options.recovar_gb} GB: not slower than its default, "
            "half the memory, which took 14 GB for 2,000 images at box 64. "
            "RECOVAR 1.0.5 on CPUs writes maps magnified by two about the centre. They hold the "
            f"inner half of the box only, so they are compared, in a sphere of {INNER} of the box, "
            "with the truth magnified likewise; their shells stand for twice the frequency. The "
            "other programs' maps are compared in the same inner sphere beside the whole one.",
            "\n".join(
                [f"- {report.hardware()}; ours at commit {report.commit()}", *peers(options)]
            ),
            report.table(header, rows),
            "",
        ]
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cryodrgn", help="its executable; left out if not given")
    parser.add_argument("--recovar", help="its executable; left out if not given")
    parser.add_argument("--recovar-gb", type=float, default=3.0, help="RECOVAR's memory budget")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has cryojax_het")
    parser.add_argument("--without-ours", action="store_true")
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--counts", type=int, nargs="+", default=[10000, 4000], help="per box")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", default=None, help="folder for the stacks; default: temporary")
    parser.add_argument("--output", type=Path, default=HERE / "reconstruct.md")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    programs = [] if options.without_ours else [ours(options.python)]
    programs += [cryodrgn(options.cryodrgn)] if options.cryodrgn else []
    programs += [recovar(options.recovar, options.recovar_gb)] if options.recovar else []
    rows: list[list[str]] = []
    for box, count in zip(options.boxes, options.counts, strict=True):
        rows += run_box(box, count, options, programs)
        options.output.write_text(page(rows, options), encoding="utf-8")
    print(f"written: {options.output}")


if __name__ == "__main__":
    main()
