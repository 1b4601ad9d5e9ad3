"""What principal volumes cost, against the number of images, the box and the number of components.

    python cost.py FOLDER              make the sets, run what is not there yet
    python cost.py FOLDER --table

One process per line: consensus, covariance estimator (what EM starts from), two passes of EM, the
last pass that writes latents and maps of the full box. CPU seconds of all threads; those of the
second pass of EM are free of compilation, the others contain it. Sets are of the formula-made
hinge; beyond 2,000 images those of the first 2,000 are written again and again, each time to a
stretch of the stack of its own, since what an image shows does not matter for its cost.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

BASE = 2000
CASES = [  # images, box, components
    *((count, 32, 4) for count in (2000, 10000)),
    *((BASE, 32, components) for components in (2, 10, 20)),
    (BASE, 64, 4),
    (50000, 32, 4),
    (BASE, 128, 4),
]


def data_set(folder: Path, count: int, box: int) -> Path:
    """The STAR file of `count` images."""
    from cryojax_het.particles.new_star import new_star
    from cryojax_het.particles.open import open_particles
    from cryojax_het.particles.stack_writer import StackWriter

    base = folder / f"hinge_{box}"
    if not (base / "particles.star").is_file():
        line = ["simulate", "hinge", "-o", str(base), "--count", str(BASE), "--snr", "0.2"]
        line += ["--size", str(box), "--pixel-size", str(256 / box)]
        subprocess.run([sys.executable, "-m", "cryojax_het", *line], check=True)
    if count == BASE:
        return base / "particles.star"
    long = folder / f"hinge_{box}_{count}"
    if not (long / "particles.star").is_file():
        long.mkdir(exist_ok=True)
        source = open_particles(base / "particles.star")
        images, table = source.read(np.arange(BASE)), source.table()
        with StackWriter(long / "particles.mrcs", box, 256 / box) as stack:
            for _ in range(count // BASE):
                stack.append(images)
        rows = np.arange(count) % BASE
        names = [f"{i + 1}@particles.mrcs" for i in range(count)]
        new_star(long / "particles.star", table.take(rows), names)
    return long / "particles.star"


class Clock:
    """CPU seconds of stages, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, name: str, work: Callable):
        """The result of `work`, whose CPU time is noted."""
        began = time.process_time()
        result = work()
        self.seconds[name] = time.process_time() - began
        return result


def one_case(star: Path, output: Path, components: int) -> dict[str, object]:
    """All stages in this process."""
    from cryojax_het.commands.fit_linear import LinearConfig
    from cryojax_het.commands.one_run import in_run_folder

    config = LinearConfig(particles=star, output=output, components=components, devices=1)
    return in_run_folder(config, ["cost"], lambda folder: stages(config, folder))


def stages(config, folder) -> dict[str, object]:
    """CPU seconds of each stage, peak memory."""
    from cryojax_het.commands.linear_basis import volumes_in_bases
    from cryojax_het.commands.linear_columns import ColumnBases
    from cryojax_het.commands.linear_consensus import consensus_of
    from cryojax_het.commands.linear_fit import em_pass
    from cryojax_het.commands.linear_output import write_outputs
    from cryojax_het.commands.linear_setting import LinearSetting
    from cryojax_het.commands.reconstruct_data import load_data
    from cryojax_het.inference.devices import data_mesh

    clock, data = Clock(), load_data(config)
    consensus = clock.time("consensus", lambda: consensus_of(config, ["cost"]))
    setting = LinearSetting(config, data, consensus, data_mesh())
    rows = np.arange(len(data.particles))
    fitted = clock.time("covariance", lambda: volumes_in_bases(setting, ColumnBases()))
    for number in (1, 2):
        again = partial(em_pass, setting, fitted, rows, "pass")
        fitted, _ = clock.time(f"pass {number}", again)
    summary = clock.time("last pass", lambda: write_outputs(setting, folder, fitted))
    folder.finish(summary)
    used = resource.getrusage(resource.RUSAGE_SELF)
    exact = setting.update(setting.latent_box, config.largest).equations.__name__
    found = {"seconds": clock.seconds, "gb": used.ru_maxrss / 2**20, "system": used.ru_stime}
    return found | {"box": setting.latent_box, "solved": exact}


def main() -> None:
    """Every case in a process of its own; or the table; or one case."""
    own = argparse.ArgumentParser(description=__doc__)
    own.add_argument("folder", type=Path)
    own.add_argument("--table", action="store_true")
    own.add_argument("--one", nargs=3, type=int, metavar=("IMAGES", "BOX", "COMPONENTS"))
    options = own.parse_args()
    if options.table:
        print_table(options.folder)
    elif options.one:
        count, box, components = options.one
        name = "_".join(map(str, options.one))
        star = data_set(options.folder, count, box)
        found = one_case(star, options.folder / f"run_{name}", components)
        (options.folder / f"{name}.json").write_text(json.dumps(found))
    else:
        for case in CASES:
            words = list(map(str, case))
            if not (options.folder / f"{'_'.join(words)}.json").is_file():
                data_set(options.folder, *case[:2])
                line = [sys.executable, __file__, str(options.folder), "--one", *words]
                began = time.monotonic()
                subprocess.run(line, check=True)
                print(case, f"{time.monotonic() - began:.0f} s", flush=True)


def print_table(folder: Path) -> None:
    """Markdown of the cases that have been run."""
    stages = ("consensus", "covariance", "pass 1", "pass 2", "last pass")
    print("| images | box | of latents | components | equations | " + " | ".join(stages), end="")
    print(" | images per CPU s, pass of EM | peak GB |")
    print("| --- " * (len(stages) + 7) + "|")
    for case in CASES:
        path = folder / f"{'_'.join(map(str, case))}.json"
        if path.is_file():
            found = json.loads(path.read_text())
            cells = [case[0], case[1], found["box"], case[2], found["solved"]]
            cells += [f"{found['seconds'][name]:.1f}" for name in stages]
            cells += [f"{case[0] / found['seconds']['pass 2']:.0f}", f"{found['gb']:.2f}"]
            print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
