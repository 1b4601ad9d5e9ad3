"""Normal equations of each group of images apart, from one pass over a simulated data set.

With true poses, contrasts, shifts and noise. Any weighting of the groups is then a sum of tables
(`inference/group_tables.py`) and one solution,

    V(ξ) = Σ_g w_g B_g(ξ) / (Σ_g w_g L_g(ξ) + 1/τ²(|ξ|))

where `τ²` is the power of the true maps, shell by shell.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int, Integer

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch
from ..imaging.noise import ColouredNoise
from ..inference.group_tables import GroupTables, gather
from ..inference.known_signal import solve_for_signal
from ..inference.updates import wiener
from ..particles.loader import HostLatents, Loader, Pixels, Placement
from ..particles.source import AbstractImageSource
from ..simulate.truth import GroundTruth
from ..volumes.kernel import quadratic

_QUIETEST = 1e-6  # noise over the largest signal density that noiseless images are taken to have


@final
@dataclass(frozen=True, kw_only=True)
class GroupSums:
    """Normal equations of groups of images, and the power of the signal that they hold.

    - `signal`: `τ²` per shell 0 to n//2, mean of `|V(k)|²` in (density·Å³)².
    """

    groups: GroupTables
    signal: Float[np.ndarray, " k"]

    def __len__(self) -> int:
        return len(self.groups)

    def map(self, weights: Float[np.ndarray, " g"]) -> Float32[np.ndarray, "n n n"]:
        """The map of a weighting of the groups; an image of weight ½ counts as one of twice the
        noise. Zero where no image has a weight."""
        return np.asarray(_solve(self.groups.equations(weights), _real(self.signal)), np.float32)


def accumulate(
    source: AbstractImageSource,
    truth: GroundTruth,
    groups: Int[np.ndarray, " n"],
    count: int,
    batch: int = 16,
) -> GroupSums:
    """The sums of groups 0 to `count` - 1; images of group -1 are left out.

    - `batch`: see `gather`.

    Raises `ValueError` where `source` is not the data set of `truth`.
    """
    if not len(source) == len(truth.images) == len(groups):
        raise ValueError(
            "`source`, `truth` and `groups` must be of the same images. "
            f"Got {len(source)}, {len(truth.images)} and {len(groups)}."
        )
    how = true_noise(source, truth), true_grid(truth), quadratic()
    batches = lambda plan: true_batches(source, truth, plan, batch)
    tables = gather(batches, groups, count, batch, how)
    return GroupSums(groups=tables, signal=signal_power(truth))


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


_solve = jax.jit(solve_for_signal)


def _real(values):
    return jnp.asarray(values, jnp.result_type(float))


def _as_device(values):
    kind = jnp.result_type(float) if np.issubdtype(values.dtype, np.floating) else None
    return jnp.asarray(values, kind)
