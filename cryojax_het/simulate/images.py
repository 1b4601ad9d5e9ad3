"""Images of a volume: clean ones, noisy ones, and the noise level that a ratio asks for."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, Integer, Key

from ..imaging.grid import FourierGrid
from ..imaging.image import Latents, render
from ..imaging.noise import ColouredNoise
from ..imaging.optics import Optics
from ..imaging.spectrum import power_spectrum
from ..particles.source import Particles
from ..volumes.base import AbstractVolume
from .settings import NoiseShape
from .truth import Truth

_FOOTPRINT = 0.05
_WORKERS = 2  # batches in the making: one is drawn while another is transformed or written


class Scene(eqx.Module):
    """A volume as it is seen on a grid: all that images have in common."""

    volume: AbstractVolume
    grid: FourierGrid


class SignalStatistics(NamedTuple):
    """Variance of the clean pixels of images, everywhere and under the molecule, and their
    spectral density per shell."""

    variance: float
    footprint_variance: float
    power: Float[np.ndarray, " s"]


@eqx.filter_jit
def clean_images(scene: Scene, latents: Latents, optics: Optics) -> Float[Array, "b n n"]:
    """Noiseless images `[b, y, x]`, in the density's unit times Å."""

    def one(pair):
        latent, transfer = pair
        return scene.grid.to_image(render(scene.volume, latent, transfer, scene.grid))

    # One image at a time: its tables stay in the cache, where those of a batch would not.
    return jax.lax.map(one, (latents, optics))


@eqx.filter_jit
def noisy_images(
    scene: Scene, latents: Latents, optics: Optics, noise: ColouredNoise, keys: Key[Array, " b"]
) -> Float[Array, "b n n"]:
    """Images with a sample of `noise`, each from its own key."""

    def one(row):
        latent, transfer, key = row
        mean = render(scene.volume, latent, transfer, scene.grid)
        return scene.grid.to_image(noise.sample(key, mean, scene.grid))

    return jax.lax.map(one, (latents, optics, keys))


def rows_to_device(
    particles: Particles, truth: Truth, rows: Integer[np.ndarray, " b"]
) -> tuple[Latents, Optics]:
    """Latents and optics of some images."""
    real = lambda column: jnp.asarray(column[rows], jnp.result_type(float))
    latents = Latents(
        conformation=real(truth.conformation),
        rotation=real(truth.rotation),
        shift=real(truth.shift),
        contrast=real(truth.contrast),
    )
    return latents, Optics.from_columns(particles.take(rows).optics())


@eqx.filter_jit
def footprints(scene: Scene, latents: Latents) -> Bool[Array, "b n n"]:
    """Pixels under the molecule: its projection, seen without a microscope, exceeds a twentieth of
    its maximum."""

    def one(latent):
        image = scene.grid.to_image(render(scene.volume, latent, Optics.ideal(), scene.grid))
        return image > _FOOTPRINT * image.max()

    return jax.lax.map(one, latents)


def signal_statistics(
    scene: Scene, particles: Particles, truth: Truth, sample: int, batch: int
) -> SignalStatistics:
    """Variances and spectrum of clean pixels over at most `sample` images spread evenly over the
    data set."""
    count = min(sample, len(particles))
    chosen = np.unique(np.linspace(0, len(particles) - 1, count).astype(np.int64))
    everywhere, inside, spectrum = np.zeros(3), np.zeros(3), 0.0
    shells = eqx.filter_jit(
        lambda images: jax.vmap(lambda i: power_spectrum(scene.grid.from_image(i), scene.grid))(
            images
        )
    )
    for first in range(0, len(chosen), batch):
        rows = _padded(chosen[first : first + batch], batch)
        latents, optics = rows_to_device(particles, truth, rows)
        used = min(batch, len(chosen) - first)
        images = clean_images(scene, latents, optics)
        pixels = np.asarray(images, np.float64)[:used]
        everywhere += _moments(pixels)
        inside += _moments(pixels[np.asarray(footprints(scene, latents))[:used]])
        spectrum = spectrum + np.asarray(shells(images))[:used].sum(axis=0)
    return SignalStatistics(
        variance=_variance(everywhere),
        footprint_variance=_variance(inside),
        power=np.asarray(spectrum / len(chosen)),
    )


def _moments(pixels: Float[np.ndarray, "..."]) -> Float[np.ndarray, "3"]:
    return np.array([pixels.size, pixels.sum(), np.square(pixels).sum()])


def _variance(moments: Float[np.ndarray, "3"]) -> float:
    count, total, squares = moments
    return float(squares / count - (total / count) ** 2)


def image_batches(
    scene: Scene,
    particles: Particles,
    truth: Truth,
    noise: ColouredNoise,
    seed: int,
    batch: int = 64,
) -> Iterator[Float32[np.ndarray, "b n n"]]:
    """All images in order, `batch` at a time. The noise of image `i` depends on `seed` and `i`
    alone, whatever the batch."""
    key = jax.random.key(seed)

    def make(first: int) -> np.ndarray:
        rows = np.arange(first, min(first + batch, len(particles)))
        full = _padded(rows, batch)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.asarray(full))
        images = noisy_images(scene, *rows_to_device(particles, truth, full), noise, keys)
        return np.asarray(images, np.float32)[: len(rows)]

    # Threads, since one program does not fill the cores; a bounded queue, since a disk may be slow.
    with ThreadPoolExecutor(_WORKERS) as pool:
        starts = iter(range(0, len(particles), batch))
        waiting = [pool.submit(make, first) for first in islice(starts, 2 * _WORKERS)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(make, first) for first in islice(starts, 1)]


def _padded(rows: Int[np.ndarray, " m"], size: int) -> Int[np.ndarray, " b"]:
    """Rows repeated cyclically up to `size`, so that every batch has one shape."""
    return np.resize(rows, size)


def noise_spectrum(shape: NoiseShape, grid: FourierGrid, sigma: float) -> Float[np.ndarray, " s"]:
    """Spectral density per shell 0 to n//2 of noise of that shape and a pixel variance `sigma²`."""
    k = np.arange(grid.size // 2 + 1) / float(grid.length)
    relative = 1 + shape.excess / (1 + (2 * np.pi * k * shape.length) ** 2)
    shells = np.minimum(grid.shells(), grid.size // 2)
    # The mean density over all n² frequencies is that of white noise of the same variance.
    mean = np.average(relative[shells], weights=np.asarray(grid.weights()))
    return relative / mean * (sigma * float(grid.pixel_size)) ** 2
