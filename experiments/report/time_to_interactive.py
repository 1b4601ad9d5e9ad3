"""How long a page of a hundred thousand images takes until it can be used.

    python time_to_interactive.py OUT [--count 100000]

A run folder made by formulas (latents of 10 coordinates with posteriors, poses, a mean and ten
components of 64 voxels, a particle file, an embedding, clusters) becomes a page by
`cryojax-het report`; headless Chromium opens it, with WebGL in software: a graphics card is faster.
Times are the browser's own, from the start of navigation.
"""

import argparse
import os
import shutil
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from cryojax_het.commands.report import ReportConfig, run_report
from cryojax_het.particles.mrc import MrcVolume
from cryojax_het.results.run import RunRecord, open_run

FLAGS = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--use-gl=angle"]
FLAGS += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
STAR = """data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnAmplitudeContrast #4
_rlnImagePixelSize #5
_rlnImageSize #6
1 300 2.7 0.1 2.0 64

data_particles

loop_
_rlnImageName #1
_rlnAngleRot #2
_rlnAngleTilt #3
_rlnAnglePsi #4
_rlnOriginXAngst #5
_rlnOriginYAngst #6
_rlnDefocusU #7
_rlnDefocusV #8
_rlnDefocusAngle #9
_rlnOpticsGroup #10
"""


def write_particles(path: Path, rng, count: int) -> None:
    """A STAR file of images that are not there: the page needs their table alone."""
    angles = rng.uniform([-180, 0, -180], [180, 180, 180], (count, 3))
    defocus = rng.uniform(8000, 25000, count)
    shift = rng.normal(0, 3, (count, 2))
    with open(path, "w") as file:
        file.write(STAR)
        for i in range(count):
            a, d, s = angles[i], defocus[i], shift[i]
            file.write(
                f"{i + 1:06d}@Extract/job012/movies/FoilHole_{i // 300:05d}.mrcs {a[0]:.6f} "
                f"{a[1]:.6f} {a[2]:.6f} {s[0]:.6f} {s[1]:.6f} {d:.4f} {d - 200:.4f} 31.25 1\n"
            )


def write_run(folder: Path, count: int) -> Path:
    """The run folder."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    write_particles(folder / "particles.star", rng, count)
    config = {"particles": str(folder / "particles.star"), "volume": "linear"}
    record = RunRecord(command=["cryojax-het", "fit"], seed=0, inputs=[folder / "particles.star"])
    run = open_run(folder / "run", config, record)
    r = np.arange(64) - 32
    blob = lambda c, w: np.einsum("z,y,x->zyx", *(np.exp(-((r - a) ** 2) / w**2) for a in c))
    mean = sum(blob(rng.normal(0, 8, 3), 4) for _ in range(30))
    maps = {"mean": mean, "mask": (mean > 0.02).astype(float)}
    for k in range(10):
        change = blob(rng.normal(0, 8, 3), 4) - blob(rng.normal(0, 8, 3), 4)
        maps[f"component_{k + 1:02d}"] = 0.3 * change
    for name, data in maps.items():
        run.write_volume(name, MrcVolume(data.astype(np.float32), (2.0, 2.0, 2.0)))
    wells = rng.integers(0, 4, count)
    latent = rng.normal(size=(count, 10))
    latent[:, :2] = 0.3 * latent[:, :2] + np.stack([wells % 2, wells // 2], axis=1) * 2 - 1
    tables = {"conformation": latent, "contrast": rng.normal(1, 0.1, count)}
    tables["conformation_covariance"] = np.tile(0.05 * np.eye(10), (count, 1, 1))
    tables |= {"log_likelihood": rng.normal(size=count), "log_likelihood_mean": np.zeros(count)}
    for name, rows in tables.items():
        run.latents().create(name, rows.shape)
        run.latents().write(name, np.arange(count), rows)
    for sub in ("embeddings", "clusters"):
        (run.folder("analysis") / sub).mkdir()
    np.save(run.path / "analysis" / "embeddings" / "umap.npy", latent[:, :2])
    np.save(run.path / "analysis" / "clusters" / "labels.npy", wells)
    run.finish({"images": count})
    return run.path


def processor_seconds() -> float:
    """CPU time that the descendants of this process have taken: what a busy machine does not
    lengthen. Linux alone."""
    children: dict[int, list[int]] = {}
    spent = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, tail = stat.read_text().rsplit(")", 1)
        except OSError:  # it has ended meanwhile
            continue
        values = tail.split()
        number = int(head.split()[0])
        children.setdefault(int(values[1]), []).append(number)
        spent[number] = (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    waiting, total = list(children.get(os.getpid(), [])), 0.0
    while waiting:
        number = waiting.pop()
        total += spent[number]
        waiting += children.get(number, [])
    return total


def measure(page: Path, picture: Path) -> dict[str, float]:
    """Milliseconds: until usable; to show another image, to colour anew, to select by a lasso."""
    with sync_playwright() as running:
        browser = running.chromium.launch(args=FLAGS, executable_path=shutil.which("chromium"))
        window = browser.new_page(viewport={"width": 1440, "height": 900})
        window.set_default_timeout(300_000)
        window.goto(page.as_uri())
        window.wait_for_function("document.documentElement.dataset.ready")
        found = {"usable": float(window.evaluate("document.documentElement.dataset.ready"))}
        found["usable, CPU time of all the browser's processes"] = 1000 * processor_seconds()
        timed = (
            "async () => {{ const e = window.report.explorer, t = performance.now(); {}; "
            "return performance.now() - t; }}"
        )
        steps = {
            "nearest image": "e.scatter.nearest(0.3, 0.2, 30)",
            "volume of an image": "e.maps.mixed((await e.mixAt(77, 0.3, 0.2)).mix)",
            "colour by another column": "await e.recolour('gain')",
            "other axes": "e.axes = ['umap_1', 'umap_2']; await e.redraw()",
            "select a quarter": "await e.selection.ofClass('cluster', 1)",
        }
        for name, code in steps.items():
            found[name] = float(window.evaluate(timed.format(code)))
        window.screenshot(path=picture)
        browser.close()
    return found


def main() -> None:
    """Make, write, open, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=100_000)
    given = parser.parse_args()
    run = given.out / "run"
    if not run.is_dir():
        run = write_run(given.out, given.count)
    start = time.perf_counter()
    page = run_report(ReportConfig(run=run, images=0))
    print(f"| write the page | {time.perf_counter() - start:.1f} s |")
    print(f"| size | {page.stat().st_size / 1e6:.1f} MB |")
    for name, took in measure(page, given.out / "page.png").items():
        print(f"| {name} | {took / 1000:.2f} s |")


if __name__ == "__main__":
    main()
