"""Normal equations of each group of images apart, from one pass over a simulated data set.

With true poses, contrasts, shifts and noise. Any weighting of the groups is then a sum of tables
and one solution,

    V(ξ) = Σ_g w_g B_g(ξ) / (Σ_g w_g L_g(ξ) + 1/τ²(|ξ|))

where `τ²` is the power of the true maps, shell by shell.
"""

import functools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Integer
from tqdm import tqdm

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch
from ..imaging.noise import ColouredNoise
from ..inference.updates import wiener
from ..inference.updates.normal_equations import NormalEquations
from ..particles.loader import HostLatents, Loader, Pixels, Placement, split_rows
from ..particles.source import AbstractImageSource
from ..simulate.truth import GroundTruth
from ..volumes.kernel import Kernel, quadratic

_LEAST = 1e-4  # weights below this share of the largest are not worth reading their table
_LARGEST = 4e9  # bytes of tables that are held in memory; more go to a file
_QUIETEST = 1e-6  # noise over the largest signal density that noiseless images are taken to have


@final
@dataclass(frozen=True, kw_only=True)
class GroupSums:
    """Normal equations of G groups of images, on the host or in a file that vanishes with them.

    - `tables`: as in `NormalEquations`, `[g, z, y, x, 3]`; `counts`: images in each group.
    - `signal`: `τ²` per shell 0 to n//2, mean of `|V(k)|²` in (density·Å³)².
    """

    tables: Float32[np.ndarray, "g z y x 3"]
    counts: Int[np.ndarray, " g"]
    signal: Float[np.ndarray, " k"]
    size: int
    pixel_size: float
    kernel: Kernel

    def __len__(self) -> int:
        return len(self.counts)

    def equations(self, weights: Float[np.ndarray, " g"]) -> NormalEquations:
        """The weighted sum of the groups' equations. `ValueError` for negative weights."""
        if np.any(weights < 0):
            raise ValueError(f"`weights` must not be negative. Got {weights.min():g}.")
        table = np.zeros(self.tables.shape[1:], np.float32)
        part = np.empty_like(table)
        for group in np.flatnonzero((weights > _LEAST * weights.max()) & (self.counts > 0)):
            table += np.multiply(self.tables[group], np.float32(weights[group]), out=part)
        return NormalEquations(_real(table), _real(self.pixel_size), self.size, self.kernel)

    def map(self, weights: Float[np.ndarray, " g"]) -> Float32[np.ndarray, "n n n"]:
        """The map of a weighting of the groups; an image of weight ½ counts as one of twice the
        noise. Zero where no image has a weight."""
        return np.asarray(_solve(self.equations(weights), _real(self.signal)), np.float32)


def accumulate(
    source: AbstractImageSource,
    truth: GroundTruth,
    groups: Int[np.ndarray, " n"],
    count: int,
    batch: int = 16,
) -> GroupSums:
    """The sums of groups 0 to `count` - 1; images of group -1 are left out.

    - `batch`: images laid down at a time, all of one group: a short last batch costs a whole one.

    Tables of more than 4 GB are written to the folder for temporary files (`TMPDIR`). Raises
    `ValueError` where `source` is not the data set of `truth`.
    """
    if not len(source) == len(truth.images) == len(groups):
        raise ValueError(
            "`source`, `truth` and `groups` must be of the same images. "
            f"Got {len(source)}, {len(truth.images)} and {len(groups)}."
        )
    kernel = quadratic()
    # A spacing of its own each time: it is donated with the table.
    empty = lambda: NormalEquations.zeros(truth.size, _real(truth.pixel_size), kernel)
    tables = _host_tables((count, *jax.eval_shape(empty).table.shape))
    plans = [split_rows(np.flatnonzero(groups == group), batch) for group in range(count)]
    batches = true_batches(source, truth, [rows for plan in plans for rows in plan], batch)
    noise, grid = true_noise(source, truth), true_grid(truth)
    with tqdm(total=int(np.sum(groups >= 0)), unit="image", desc="sums", disable=None) as bar:
        for group, plan in enumerate(plans):
            equations = empty()
            for rows in plan:
                equations = _add(equations, next(batches), noise, grid)
                bar.update(len(rows))
            tables[group] = np.asarray(equations.table, np.float32)
    return GroupSums(
        tables=tables,
        counts=np.array([sum(map(len, plan)) for plan in plans], np.int64),
        signal=signal_power(truth),
        size=truth.size,
        pixel_size=truth.pixel_size,
        kernel=kernel,
    )


def true_grid(truth: GroundTruth) -> FourierGrid:
    """The grid of the images."""
    return FourierGrid(truth.size, _real(truth.pixel_size))


def true_noise(source: AbstractImageSource, truth: GroundTruth) -> ColouredNoise:
    """The noise that the images have, alike in all optics groups. Where they have none: white
    noise of a millionth of the largest signal density, so that weights stay finite."""
    level = truth.level
    power = np.maximum(level.power, _QUIETEST * level.signal_power.max())
    groups = len(source.table().group_names)
    return ColouredNoise(_real(np.broadcast_to(power, (groups, len(power)))))


def true_batches(
    source: AbstractImageSource,
    truth: GroundTruth,
    plan: Sequence[Integer[np.ndarray, " _"]],
    batch: int,
) -> Iterator[Batch]:
    """Batches of these rows with their true latents. The table tells the optics alone: its poses
    may be in error."""
    images = truth.images
    latents = HostLatents(images.conformation, images.rotation, images.shift, images.contrast)
    pixels = Pixels(true_grid(truth), truth.size)
    place = Placement(lambda tree: jax.tree.map(_as_device, tree))
    return Loader(source, latents, pixels, batch, place).batches(plan)


def signal_power(truth: GroundTruth) -> Float[np.ndarray, " k"]:
    """Mean of `|V(k)|²` over each shell 0 to n//2 and over the population, in (density·Å³)²."""
    shells, inside = (np.asarray(x) for x in wiener.shells_inside(truth.size, truth.size))
    # Planes of `rfftn` that stand for their conjugates too: all but kx = 0; Nyquist is outside.
    weights = inside * np.where(np.arange(truth.size // 2 + 1) == 0, 1.0, 2.0)
    mean = np.zeros(shells.shape)
    for state in np.flatnonzero(truth.states.population):
        power = np.abs(np.fft.rfftn(truth.map(int(state)))) ** 2
        mean += truth.states.population[state] * power
    sums = (np.bincount(shells.ravel(), (weights * x).ravel()) for x in (mean, np.ones(())))
    return np.divide(*sums) * truth.pixel_size**6


@functools.partial(jax.jit, donate_argnums=0)
def _add(equations: NormalEquations, batch: Batch, noise: ColouredNoise, grid: FourierGrid):
    return equations.add(batch, batch.latents, noise, grid)


@jax.jit
def _solve(equations: NormalEquations, signal: Float[Array, " k"]):
    """The diagonal solution for a signal of that power."""
    mean = wiener.shell_weights(equations)
    # The table is finer than the frequencies of the box, which alone are independent.
    finer = equations.kernel.padded_size(equations.size) / equations.size
    power = finer**3 * jnp.maximum(signal, 1e-9 * signal.max())
    return wiener.solve(equations, jnp.where(mean > 0, 1 / (power * mean), 0))


def _host_tables(shape: tuple[int, ...]) -> Float32[np.ndarray, "g z y x 3"]:
    if 4.0 * np.prod(shape, dtype=np.float64) <= _LARGEST:
        return np.zeros(shape, np.float32)
    # Without a name: the system removes it with the last array that looks into it.
    with tempfile.TemporaryFile(prefix="cryojax_het_") as file:
        return np.memmap(file, np.float32, "w+", shape=shape)


def _real(values):
    return jnp.asarray(values, jnp.result_type(float))


def _as_device(values):
    kind = jnp.result_type(float) if np.issubdtype(values.dtype, np.floating) else None
    return jnp.asarray(values, kind)
