"""Noise spectra: a start from the background of images, then from what a model leaves over."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch, Latents, render
from ..imaging.noise import ColouredNoise
from ..imaging.spectrum import background_spectrum, shell_counts, shell_sum
from ..particles.loader import Pixels
from ..particles.source import AbstractImageSource
from .model import Model

SAMPLE = 400  # images per optics group: their spectrum is then known within a percent per shell
FEWEST = 20  # a group with fewer images shares the spectrum of all
FLOOR = 1e-3  # of the images' power: a simulation without noise has an empty background


def background_noise(
    source: AbstractImageSource,
    pixels: Pixels,
    background: Float[np.ndarray, "n n"],
    seed: int,
) -> ColouredNoise:
    """Spectrum per optics group from the pixels where `background` is 1, over a random sample.

    Shells 0 to half of `pixels.size`. A group of fewer than `FEWEST` images gets the mean; no
    shell gets less than `FLOOR` of the mean power of all pixels. `ValueError` where that is 0.
    """
    groups = source.table().group
    rng = np.random.default_rng(seed)
    mask = jnp.asarray(background)

    @jax.jit
    @jax.vmap
    def spectrum(image):
        for step in pixels.steps:
            image = step(image)
        power = jnp.var(image) * pixels.grid.pixel_size**2
        return jnp.append(background_spectrum(image, mask, pixels.grid), power)

    spectra, counts = [], []
    for group in range(int(groups.max()) + 1):
        rows = np.flatnonzero(groups == group)
        rows = np.sort(rng.permutation(rows)[:SAMPLE])
        spectra.append(_mean_over(lambda part: spectrum(source.read(part)), rows))
        counts.append(len(rows))
    known = [(s, c) for s, c in zip(spectra, counts, strict=True) if s is not None]
    if not known:
        raise ValueError("Every image is constant or left out: there is nothing to work on.")
    mean = np.average([s for s, _ in known], axis=0, weights=[c for _, c in known])
    filled = [
        s if s is not None and c >= FEWEST else mean for s, c in zip(spectra, counts, strict=True)
    ]
    table, power = np.stack(filled)[:, :-1], mean[-1]
    if not power > 0:
        raise ValueError("The images are constant: there is nothing to reconstruct from.")
    table = np.maximum(table[:, : pixels.size // 2 + 1], FLOOR * power)
    return ColouredNoise(jnp.asarray(table, jnp.float32))


def _mean_over(spectra, rows: Int[np.ndarray, " r"]) -> np.ndarray | None:
    """Of the `spectra` of these rows, those that are NaN left out, as the source leaves out images;
    None where nothing is left."""
    # One shape for every group: one compilation.
    parts = [np.resize(part, 50) for part in np.split(rows, range(50, len(rows), 50))]
    found = [np.asarray(spectra(part)) for part in parts if len(part)]
    kept = [s[~np.isnan(s[:, -1])] for s in found]
    means = [np.mean(s, axis=0) for s in kept if len(s)]
    return np.mean(means, axis=0) if means else None


def residual_power(
    model: Model, batch: Batch, latents: Latents, grid: FourierGrid, groups: int
) -> tuple[Float[Array, "g s"], Float[Array, " g"]]:
    """Sums over a batch, per optics group: `Σ |y - A V|²` over each shell in units of spectral
    density times degrees of freedom, and the number of images. The noise is their ratio by
    `noise_from_residuals`."""
    volume = model.volume.prepare(grid)

    def one(image, latent, optics):
        left = image - render(volume, latent, optics, grid)
        return shell_sum(left.real**2 + left.imag**2, grid) / grid.length**2

    power = jax.vmap(one)(batch.images, latents, batch.optics)
    members = jax.nn.one_hot(batch.optics.group, groups) * batch.weight[:, None]
    return jnp.matmul(members.T, power, precision="highest"), members.sum(axis=0)


def noise_from_residuals(
    power: Float[np.ndarray, "g s"],
    images: Float[np.ndarray, " g"],
    grid: FourierGrid,
    before: ColouredNoise,
) -> ColouredNoise:
    """The spectra that sums of `residual_power` imply; groups of few images share the mean."""
    freedom = np.maximum(shell_counts(grid), 1)
    mean = power.sum(axis=0) / freedom / max(images.sum(), 1)
    own = power / freedom / np.maximum(images, 1)[:, None]
    spectra = np.where((images >= FEWEST)[:, None], own, mean)
    # The shell that the Nyquist circle cuts may have no frequency at all: keep what it had.
    empty = shell_counts(grid) == 0
    spectra = np.where(empty, np.asarray(before.power), spectra)
    floor = 1e-6 * spectra.max(axis=1, keepdims=True)
    return ColouredNoise(jnp.asarray(np.maximum(spectra, floor), jnp.float32))


def group_count(groups: Int[np.ndarray, " n"]) -> int:
    """Number of optics groups that a noise model must know."""
    return int(groups.max()) + 1
