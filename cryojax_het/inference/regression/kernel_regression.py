"""Volumes at any latent, by weighting the normal equations of groups of images near it.

One pass over the images gathers the equations of fine clusters of each half-set; then a volume is

    V_h(z*) = (Σ_g w_g(h) L_g + 1/τ²)⁻¹ Σ_g w_g(h) B_g,   w_g = mean of w(d_i²/h) over the group

for every bandwidth `h`, up to one where all images weigh alike. Each Fourier band takes, place by
place, the one that cross-validation between the half-sets finds best (`choice.py`); shells are
Wiener-filtered by the FSC of the half-sets' maps, and a soft mask leaves out what is only noise
around the molecule (`presence.py`). After Gilles & Singer 2025 (RECOVAR), which makes a pass per
target.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from ..group_tables import GroupTables
from ..known_signal import signal_from_fsc, solve_for_signal
from ..updates import wiener
from ..updates.normal_equations import NormalEquations
from .choice import best_bandwidths, share
from .cloud import LatentCloud, Target
from .distances import AbstractDistance, PairCovariance
from .presence import presence
from .profiles import AbstractProfile, Epanechnikov, bandwidths
from .shells import correlation, transforms

_REFERENCE = 2  # of the bandwidths, from 0: its maps stand for those without bias


@final
@dataclass(frozen=True, kw_only=True)
class RegressionMap:
    """A volume at a latent.

    - `map`: of both half-sets, Wiener-filtered, under the soft mask `presence`; `halves`: of one
      each, neither filtered nor masked.
    - `bandwidth`: of each band (see `bands.py`), the median over the mask; `fsc`: of the halves,
      shell by shell, under the mask of the run.
    - `images`: sum of the weights over the largest, at the least of these bandwidths.
    """

    map: Float32[np.ndarray, "n n n"]
    halves: Float32[np.ndarray, "2 n n n"]
    presence: Float32[np.ndarray, "n n n"]
    bandwidth: Float[np.ndarray, " b"]
    fsc: Float[np.ndarray, " s"]
    images: float


@final
@dataclass(frozen=True, kw_only=True)
class KernelRegression:
    """What a pass over the images left, ready for any target.

    - `tables`: of G groups; `groups`: that of each image, or -1; `half`: 0 or 1, of each group.
    - `mask`: where the molecule is; `signal`: `τ²` per shell, see `consensus_signal`.
    """

    tables: GroupTables
    groups: Int[np.ndarray, " i"]
    half: Int[np.ndarray, " g"]
    cloud: LatentCloud
    mask: Float32[np.ndarray, "n n n"]
    signal: Float[np.ndarray, " s"]
    distance: AbstractDistance = field(default_factory=PairCovariance)
    profile: AbstractProfile = field(default_factory=Epanechnikov)

    def volume(self, target: Target) -> RegressionMap:
        """The map at `target`, each band and place at its best bandwidth."""
        squared = self.distance.squared(self.cloud, target)
        tried = bandwidths(squared, self._half_of_images())
        sums = [self.tables.sums(self._weights(squared, tried, half)) for half in (0, 1)]
        none = jnp.zeros(self.tables.size // 2 + 1, jnp.float32)
        maps = jnp.stack([self._transforms(pair, none) for pair in zip(*sums, strict=True)])
        pick = _best_bandwidths(maps[_REFERENCE], maps)
        numbers = np.unique(np.asarray(pick))
        halves = jnp.asarray(sum(_shares(maps[h], pick, h) for h in numbers))
        fsc = _correlation(halves, jnp.asarray(self.mask, halves.dtype))
        ratio = wiener.noise_to_signal(fsc)
        whole = (self._transforms([sums[0][h] + sums[1][h]], ratio) for h in numbers)
        found = sum(_shares(one, pick, h)[0] for one, h in zip(whole, numbers, strict=True))
        present = _presence(halves, fsc)
        bandwidth = tried[_medians(np.asarray(pick), np.asarray(present))]
        weights = self.profile.weights(squared, float(bandwidth.min()))[self.groups >= 0]
        return RegressionMap(
            map=np.asarray(found * present, np.float32),
            halves=np.asarray(halves, np.float32),
            presence=np.asarray(present, np.float32),
            bandwidth=bandwidth,
            fsc=np.asarray(fsc, np.float64),
            images=float(weights.sum() / max(weights.max(), 1e-30)),
        )

    def single(self, target: Target, h: float) -> Float32[np.ndarray, "n n n"]:
        """The map at one bandwidth, of all images, for the signal `τ²`."""
        squared = self.distance.squared(self.cloud, target)
        parts = [self.tables.sums(self._weights(squared, np.array([h]), a))[0] for a in (0, 1)]
        whole = parts[0] + parts[1]
        return np.asarray(self._solved(solve_for_signal, whole, self._prior()), np.float32)

    def _weights(self, squared, tried, half):
        """Mean weight over each group of one half-set, `[h, g]`."""
        real = self.groups >= 0
        count = np.maximum(self.tables.counts, 1)
        totals = [
            np.bincount(self.groups[real], self.profile.weights(squared, h)[real], len(count))
            for h in tried
        ]
        return np.stack(totals) / count * (self.half == half)

    def _half_of_images(self):
        return np.where(self.groups >= 0, self.half[self.groups] + 1, 0)

    def _prior(self):
        return jnp.asarray(self.signal, jnp.float32)

    def _solved(self, rule: Callable, table: np.ndarray, prior: Array) -> Array:
        shape = self.tables.size, self.tables.pixel_size, self.tables.kernel
        return _solve(table, prior, rule=rule, shape=shape)

    def _transforms(self, tables, ratio):
        """Of the maps that solve each table, `rfftn`."""
        return _transforms(jnp.stack([self._solved(wiener.solve, one, ratio) for one in tables]))


def consensus_signal(
    tables: GroupTables, half: Int[np.ndarray, " g"], mask: Float32[np.ndarray, "n n n"]
) -> Float[np.ndarray, " s"]:
    """`τ²` per shell 0 to n//2, in (density·Å³)², by the FSC of two half-maps of all images.

    `F/(1 - F)` is `τ²⟨L⟩` of a half. What moves is blurred there: a lower bound.
    """
    sums = tables.sums(np.stack([half == 0, half == 1]).astype(float))
    shape = tables.size, tables.pixel_size, tables.kernel
    none = jnp.zeros(tables.size // 2 + 1, jnp.float32)
    halves = [_solve(table, none, rule=wiener.solve, shape=shape) for table in sums]
    found = [transforms(one * jnp.asarray(mask, one.dtype)) for one in halves]
    every = tables.as_equations(sums[0] + sums[1])
    return np.asarray(signal_from_fsc(every, correlation(*found)), np.float64)


@functools.partial(jax.jit, static_argnames=("rule", "shape"))
def _solve(table: Array, prior: Array, *, rule: Callable, shape: tuple) -> Array:
    size, pixel_size, kernel = shape
    table = jnp.asarray(table)
    return rule(NormalEquations(table, jnp.asarray(pixel_size, table.dtype), size, kernel), prior)


_transforms = jax.jit(transforms)
_best_bandwidths = jax.jit(best_bandwidths)
_shares = jax.jit(jax.vmap(share, in_axes=(0, None, None)))
_presence = jax.jit(presence)


@jax.jit
def _correlation(halves, mask):
    return correlation(*transforms(halves * mask))


def _medians(pick, mask):
    """Of the numbers picked in each band, the median over the mask; over all, if it is empty."""
    inside = mask > 0.5 if (mask > 0.5).any() else np.ones(mask.shape, bool)
    return np.median(pick[:, inside], axis=1).astype(int)
