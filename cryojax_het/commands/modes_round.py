"""One round of a fit of normal modes over its images, and what the next one learns from it."""

import logging
import sys
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from ..imaging.image import render
from ..inference.devices import to_host
from ..inference.population import Beliefs, beliefs_under, fitted_width
from ..inference.requirements import gaussian_noise
from ..particles.loader import split_rows
from ..results.latents import LatentTable
from ..results.run import RunFolder
from ..structures.envelope import ShellSums, fitted_envelope
from .modes_setting import ModesSetting
from .modes_state import State, no_sums, save, volume_of

LOG = logging.getLogger("cryojax_het")
_LEAST = 0.25  # Å: no Gaussian becomes narrower
_FEWEST_TOLD = 3  # images from which a width is told


def hypothesis_tables(setting: ModesSetting, folder: RunFolder) -> LatentTable:
    """Made where missing: `hypothesis_...`, `kept` to an image, amplitudes in Å; `log_evidence` is
    over that of no particle."""
    count, d = len(setting.data.particles), setting.config.modes
    shapes = {"log_evidence": (), "amplitude": (d,), "covariance": (d, d)}
    shapes |= {"rotation": (3, 3), "shift": (2,), "contrast": ()}
    table = folder.latents()
    for name, shape in shapes.items():
        table.create(f"hypothesis_{name}", (count, setting.kept, *shape))
    return table


def run_round(setting: ModesSetting, folder: RunFolder, state: State) -> dict[str, Any]:
    """What is left of the round that `state` stands in; what there is to say of it."""
    rows, loader, grid = setting.rounds[state.number], setting.images, setting.grid(setting.box)
    plan = split_rows(rows, loader.batch_size)
    table = hypothesis_tables(setting, folder)
    known = (volume_of(setting, state, np.ones(setting.config.modes)), setting.noise)
    known = (*known, setting.prior(state.softest), setting.posterior)
    done = sum(map(len, plan[: state.batches]))
    began, fresh = time.monotonic(), len(rows) - done
    name = f"round {state.number + 1}/{len(setting.rounds)}"
    with tqdm(total=len(rows), initial=done, desc=name, unit=" images", file=sys.stderr) as bar:
        left = plan[state.batches :]
        for part, batch in zip(left, loader.batches(left), strict=True):
            found = to_host((_infer(known, batch, grid), batch.index, batch.weight))
            _keep(table, state, *found)
            state.batches += 1
            bar.update(len(part))
            if state.batches % setting.config.checkpoint_batches == 0:
                save(folder, state)
    images = max(1, state.sums.images)  # all may have been left out
    return {
        "images": state.sums.images,
        "log_evidence": state.sums.evidence / images,
        "contrast": state.sums.contrast / images,
        "softest": state.softest,
        # A round that was done already, and is only closed, has no speed.
        "images_per_second": fresh / (time.monotonic() - began) if fresh else None,
    }


@eqx.filter_jit
def _infer(known, batch, grid):
    """Hypotheses of each image, and sums over the images at the best of each."""
    volume, noise, prior, posterior = known
    noise = gaussian_noise(noise, "fit --volume modes")
    modes = posterior.modes(volume, noise, prior, batch, grid)
    size = (grid.size // 2) ** 2 + 1
    squared = np.rint(np.asarray(_radius_squared(grid.size))).astype(np.int32)
    place = jnp.asarray(np.minimum(squared, size - 1).ravel())

    def one(image, latents, optics):
        own = noise.of_group(optics.group)
        model = render(volume, latents, optics, grid)
        weight = own.precision(grid)
        gathered = lambda x: jax.ops.segment_sum((weight * x).ravel(), place, size)
        nothing = own.log_prob(image, jnp.zeros_like(image), grid)
        cross = (image.conj() * model).real
        return gathered(cross), gathered(model.real**2 + model.imag**2), nothing

    best = jax.tree.map(lambda x: x[:, 0], modes.latents)
    cross, power, nothing = jax.vmap(one)(batch.images, best, batch.optics)
    weigh = lambda x: jnp.tensordot(batch.weight, x, axes=1)
    d = modes.latents.conformation.shape[-1]
    return {
        "log_evidence": modes.log_evidence - nothing[:, None],
        "amplitude": modes.latents.conformation,
        "covariance": modes.covariance[..., :d, :d],
        "rotation": modes.latents.rotation,
        "shift": modes.latents.shift,
        "contrast": modes.latents.contrast,
    }, (weigh(cross), weigh(power))


def _radius_squared(size):
    rows = np.fft.fftfreq(size, 1 / size)
    return rows[:, None] ** 2 + np.arange(size // 2 + 1) ** 2


def _keep(table: LatentTable, state: State, found, index, weight) -> None:
    hypotheses, (cross, power) = found
    real = weight > 0
    for name, values in hypotheses.items():
        table.write(f"hypothesis_{name}", index[real], values[real])
    sums = state.sums
    sums.cross, sums.power = sums.cross + cross, sums.power + power
    sums.contrast += float(hypotheses["contrast"][real, 0].sum())
    sums.evidence += float(np.logaddexp.reduce(hypotheses["log_evidence"][real], axis=1).sum())
    sums.images += int(real.sum())


def told_rows(table: LatentTable, rows: Int[np.ndarray, " r"]) -> Int[np.ndarray, " t"]:
    """Those of `rows` that have a hypothesis: images that were left out have none."""
    evidence = np.asarray(table.read("hypothesis_log_evidence")[rows])
    return rows[np.isfinite(evidence).any(axis=1)]


def beliefs_of(setting: ModesSetting, folder: RunFolder, state: State, rows) -> Beliefs:
    """Likelihoods of the amplitudes (Å) of these images, from the tables of this round. Raises
    `ValueError` where there is no image."""
    if not len(rows):
        raise ValueError("No image has a conformation: all were left out.")
    table = folder.latents()
    read = lambda name: np.array(table.read(f"hypothesis_{name}")[rows], np.float64)
    prior = np.diag((state.softest * setting.shape) ** 2)
    return beliefs_under(prior, read("log_evidence"), read("amplitude"), read("covariance"))


def next_round(setting: ModesSetting, folder: RunFolder, state: State) -> None:
    """Scale and blur that the images want of the mixture, the width of the prior that they imply,
    and the next round's place."""
    rows, grid = setting.rounds[state.number], setting.grid(setting.box)
    told = told_rows(folder.latents(), rows)
    if len(told) >= _FEWEST_TOLD:
        beliefs = beliefs_of(setting, folder, state, told)
        state.softest = fitted_width(beliefs, np.diag(setting.shape**2), state.softest)
    square = np.arange(len(state.sums.cross)) / float(grid.length) ** 2
    sums = ShellSums(state.sums.cross, state.sums.power, square)
    envelope = fitted_envelope(sums, _LEAST**2 - float(state.widths.min()) ** 2)
    contrast = state.sums.contrast / state.sums.images
    state.amplitudes = state.amplitudes * np.float32(envelope.scale * contrast)
    state.widths = np.sqrt(state.widths**2 + np.float32(envelope.variance))
    LOG.info(
        "Round %d: scale %.3f, blur %+.2f Å², softest mode %.2f Å.",
        state.number + 1,
        envelope.scale * contrast,
        envelope.variance,
        state.softest,
    )
    state.number, state.batches, state.sums = state.number + 1, 0, no_sums(setting)
    save(folder, state)
