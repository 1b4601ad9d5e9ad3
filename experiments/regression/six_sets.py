"""Kernel regression on the six small sets (`../six_sets`), on latents of `fit`, against the truth.

    cryojax-het fit SETS/NAME/particles.star -o RUNS/NAME --estimator covariance --devices 1
    python six_sets.py SETS RUNS NAME...

Median over the images of `rows.txt` of the area under the FSC with the true map: in the whole box,
where no mask of the scorer hides noise around the molecule, in the molecule, and where it moves.
"""

import sys
import time
from pathlib import Path

import jax
import numpy as np

from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.analysis.map_scores import areas
from cryojax_het.analysis.regions import find_regions
from cryojax_het.commands.volume_makers import RegressionMaker
from cryojax_het.commands.volume_run import open_fitted
from cryojax_het.commands.volumes import VolumesConfig
from cryojax_het.simulate.truth import open_truth

REGIONS = ("whole box", "molecule", "moving region")
CONSENSUS = 1e9  # bandwidth


def truths(folder, rows):
    """True maps of the rows, and masks by region."""
    truth = open_truth(folder)
    states = range(len(truth.states))
    regions = find_regions(map(truth.map, states), truth.states.population, truth.pixel_size)
    return [truth.map(int(truth.images.state[row])) for row in rows], regions.masks()


def scores(maps, true, masks):
    """Medians of areas, by region; a dash where the set has no such region."""
    for region in REGIONS:
        if region not in masks:
            yield "-"
            continue
        mask = masks[region]
        pairs = zip(maps, true, strict=True)
        curves = np.stack([fourier_shell_correlation(v * mask, t * mask) for v, t in pairs])
        yield f"{np.median(areas(curves)):.4f}"


def report(name, kind, found, seconds):
    print("|", " | ".join([name, kind, *found, seconds]), "|", flush=True)


def one_set(data, run, name):
    """Score the consensus of the run's images, and the regression."""
    rows = [int(row) for row in (data / "rows.txt").read_text().split()]
    true, masks = truths(data, rows)
    fitted = open_fitted(VolumesConfig(run=run, output=run / "maps", particles="0"))
    regression = RegressionMaker.of_run(fitted).regression
    consensus = regression.single(regression.cloud.image(rows[0]), CONSENSUS)
    report(name, "consensus", scores([consensus] * len(rows), true, masks), "-")
    under = consensus * fitted.mask()
    report(name, "consensus, mask of the run", scores([under] * len(rows), true, masks), "-")
    regression.volume(regression.cloud.image(rows[0]))  # compiles
    began = time.process_time()
    maps = [regression.volume(regression.cloud.image(row)).map for row in rows]
    seconds = (time.process_time() - began) / len(rows)
    report(name, f"regression, {len(rows)} maps", scores(maps, true, masks), f"{seconds:.2f}")


def main(sets, runs, names):
    print(f"jax {jax.__version__}, {jax.devices()[0].platform}\n")
    print("| set | maps |", " | ".join(REGIONS), "| CPU s per map |\n|---|---|---|---|---|---|")
    for name in names:
        one_set(sets / name, runs / name, name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
