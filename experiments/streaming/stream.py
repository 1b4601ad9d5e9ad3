"""A stack far larger than the memory allowed, streamed through `cryojax-het reconstruct`.

    python experiments/streaming/stream.py --folder /somewhere/large --gigabytes 6

Writes a stack of box 256 (few distinct images in turn, white noise, random poses and defoci), runs
the command on it in a process of its own, samples that process's resident memory, prints one row of
the table in `stream.md`, and removes the stack.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from cryojax_het.particles.new_star import new_star
from cryojax_het.particles.source import make_particles
from cryojax_het.particles.stack_writer import StackWriter

DISTINCT = 256


def write_stack(folder: Path, count: int, size: int, pixel_size: float) -> Path:
    """`count` images in a stack with its STAR file; returns the path of the latter."""
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(0)
    axis = np.arange(size) - size // 2
    blob = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * (size / 8) ** 2))
    block = (rng.standard_normal((DISTINCT, size, size)) + blob).astype(np.float32)
    with StackWriter(folder / "images.mrcs", size, pixel_size) as stack:
        for start in range(0, count, DISTINCT):
            stack.append(block[: min(DISTINCT, count - start)])
    defocus = rng.uniform(8e3, 2e4, count)
    particles = make_particles(
        count,
        rotation=Rotation.random(count, rng).as_matrix(),
        shift=rng.normal(size=(count, 2)),
        defocus_u=defocus,
        defocus_v=defocus,
        voltage=300.0,
        spherical_aberration=2.7,
        amplitude_contrast=0.1,
        pixel_size=pixel_size,
        size=size,
        half=np.arange(count) % 2 + 1,
    )
    star = folder / "particles.star"
    new_star(star, particles, [f"{i + 1}@images.mrcs" for i in range(count)])
    return star


def resident(process_id: int) -> int:
    """Bytes of memory that the process holds now; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


def forget(path: Path) -> None:
    """Drop the file from the page cache, so that it is read from the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(star: Path, output: Path, options: list[str]) -> tuple[dict, int, float]:
    """Run record, peak resident bytes, seconds in all."""
    line = "import sys; from cryojax_het.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", line, "reconstruct", str(star), "-o", str(output), *options]
    began = time.monotonic()
    peak = 0
    with open(output.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.05)
    seconds = time.monotonic() - began
    if process.returncode:
        sys.exit(output.with_suffix(".log").read_text())
    return json.loads((output / "run.json").read_text()), peak, seconds


def main() -> None:
    """Write, run, report, clean up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the stack may lie")
    parser.add_argument("--gigabytes", type=float, default=6.0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--keep", action="store_true", help="leave stack and run where they are")
    arguments, options = parser.parse_known_args()
    folder = arguments.folder / "stream"
    folder.mkdir(parents=True)
    try:
        count = int(arguments.gigabytes * 1e9 / (4 * arguments.size**2)) + 1
        star = write_stack(folder, count, arguments.size, 1.5)
        size = (folder / "images.mrcs").stat().st_size
        forget(folder / "images.mrcs")
        record, peak, seconds = measure(star, folder / "run", options)
        summary = record["summary"]
        print("| stack GB | box | images | peak GB | images/s | wait % | seconds |")
        print(
            f"| {size / 1e9:.2f} | {arguments.size} | {count} | {peak / 1e9:.2f} "
            f"| {summary['images_per_second']:.0f} "
            f"| {100 * summary['loader_wait_share']:.1f} | {seconds:.0f} |"
        )
    finally:
        if not arguments.keep:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
