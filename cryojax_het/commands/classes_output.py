"""The last pass of a classification over all images: classes, half-maps, maps."""

import logging
import sys
from typing import Any

import equinox as eqx
import jax
import numpy as np
from tqdm import tqdm

from ..analysis.fsc import resolution
from ..inference.class_halves import ClassHalves
from ..inference.class_rounds import ClassTable, close_pass, run_class_pass
from ..inference.half_maps import plan_batches
from ..inference.model import Model
from ..particles.mrc import MrcVolume
from ..results.run import RunFolder
from .classes_checkpoint import Fitted
from .classes_course import model_of
from .classes_setting import ClassesSetting

LOG = logging.getLogger("cryojax_het")


def write_outputs(setting: ClassesSetting, folder: RunFolder, best: Fitted) -> dict[str, Any]:
    """Classes of all images, those kept apart included, and the maps that they give; the largest
    class first, classes without an image left out. Returns the summary."""
    table, model, halves = _last_pass(setting, best)
    shares = table.shares()
    order = np.argsort(-shares, kind="stable")
    order = order[best.population[order] > 0]
    length = float(setting.grid(setting.data.size).length)
    fsc = np.asarray(halves.fsc)[order]
    if jax.process_index() == 0:
        _write_tables(folder, table, order)
        _write_maps(setting, folder, model, halves, order)
    return {
        "images": len(table.log_likelihood),
        "box": setting.data.size,
        "pixel_size": float(setting.grid(setting.data.size).pixel_size),
        "classes": len(order),
        "seed": best.seed,
        "population": shares[order].tolist(),
        "resolution": [resolution(curve, 0.143, length) for curve in fsc],
        "log_likelihood": table.mean_log_likelihood(),
        "entropy": table.entropy(),
        "reseeded": best.reseeded,
        "dropped": len(best.dropped),
    }


def _last_pass(setting, best) -> tuple[ClassTable, Model, ClassHalves]:
    """Every image under the volumes found; and the maps of the full box that follow."""
    full = setting.data.size
    model = model_of(setting, best.voxels, best.population)
    model = eqx.tree_at(lambda m: m.posterior, model, setting.last_posterior())
    update, loader = setting.last_update, setting.loader(full)
    table = ClassTable.empty(loader.latents, len(best.population))
    states = [update.init(model) for _ in range(2)]
    plan = plan_batches(np.asarray(setting.data.particles.half), loader.batch_size)
    hidden = jax.process_index() != 0
    total = len(table.log_likelihood)
    with tqdm(
        total=total, desc="last pass", unit=" images", disable=hidden, file=sys.stderr
    ) as bar:
        how = setting.how(update, full)
        for done in run_class_pass(how, model, states, loader, plan, table):
            bar.update(done)
    model, _, halves = close_pass(update, model, states, setting.signal_rule(setting.iterations))
    return table, model, halves


def _write_tables(folder, table: ClassTable, order):
    probability = table.probability[:, order]
    arrays = {"class_probability": probability, "labels": np.argmax(probability, axis=1)}
    # Images that are left out have 0, as in the tables of all methods.
    arrays |= {"log_likelihood": np.where(table.seen, table.log_likelihood, 0.0)}
    arrays |= {name: getattr(table.latents, name) for name in ("rotation", "shift", "contrast")}
    latents = folder.latents()
    for name, array in arrays.items():
        latents.create(name, array.shape)
        latents.write(name, np.arange(len(array)), array.astype(np.float32))


def _write_maps(setting, folder, model, halves: ClassHalves, order):
    a = float(setting.grid(setting.data.size).pixel_size)
    voxels, population = np.asarray(model.volume.voxels), np.asarray(model.prior.population)
    named = {"mask": setting.mask, "mean": np.tensordot(population, voxels, axes=1)}
    both = np.asarray(halves.halves)
    for place, number in enumerate(order):
        name = f"class_{place:03d}"
        named |= {name: voxels[number]}
        named |= {f"{name}_half{half + 1}": both[half, number] for half in range(2)}
    for name, data in named.items():
        folder.write_volume(name, MrcVolume(np.asarray(data, np.float32), (a, a, a)))
    curves = np.asarray(halves.fsc)[order]
    shells = np.arange(curves.shape[1])
    rows = np.stack([shells, shells / (a * setting.data.size), *curves], axis=1)
    header = "shell,frequency_1/A," + ",".join(f"class_{k:03d}" for k in range(len(order)))
    path = folder.folder("analysis") / "class_fsc.csv"
    np.savetxt(path, rows, delimiter=",", header=header, comments="", fmt="%.6g")
