"""Volumes at any latent, by weighting the normal equations of groups of images near it.

One pass over the images gathers the equations of fine clusters of each half-set; then a volume is

    V_h(z*) = (Σ_g w_g(h) L_g + 1/τ²)⁻¹ Σ_g w_g(h) B_g,   w_g = mean of w(d_i²/h) over the group

for every bandwidth `h`, of which each Fourier shell takes the one that cross-validation between the
half-sets finds best (`choice.py`). After Gilles & Singer 2025 (RECOVAR), which makes a pass per
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
from .choice import best_bandwidths, moving_weight
from .cloud import LatentCloud, Target
from .distances import AbstractDistance, PairCovariance
from .profiles import AbstractProfile, Epanechnikov, bandwidths
from .shells import correlation, only_shells, transforms

_SHARP = 4.0  # times the smallest bandwidth: there, maps tell what moves


@final
@dataclass(frozen=True, kw_only=True)
class RegressionMap:
    """A volume at a latent.

    - `map`: Wiener-filtered, of both half-sets; `halves`: of one each, unregularised.
    - `bandwidth`: per shell 0 to n//2; `fsc`: of the halves, under the mask.
    - `images`: sum of the weights over the largest, at the median bandwidth of shells 1 to n/2 - 1.
    """

    map: Float32[np.ndarray, "n n n"]
    halves: Float32[np.ndarray, "2 n n n"]
    bandwidth: Float[np.ndarray, " s"]
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
        """The map at `target`, each shell at its best bandwidth."""
        squared = self.distance.squared(self.cloud, target)
        tried = bandwidths(squared, self._half_of_images())
        sums = [self.tables.sums(self._weights(squared, tried, half)) for half in (0, 1)]
        pick = np.asarray(self._choice(sums, tried))
        whole, halves, fsc = self._filtered(sums, pick)
        middle = float(np.median(tried[pick[1:-1]]))
        weights = self.profile.weights(squared, middle)[self.groups >= 0]
        return RegressionMap(
            map=np.asarray(whole, np.float32),
            halves=np.asarray(halves, np.float32),
            bandwidth=tried[pick],
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

    def _choice(self, sums, tried):
        none = jnp.zeros_like(self._prior())
        reference = jnp.stack([self._solved(wiener.solve, s[0], none) for s in sums])
        each = lambda s: [self._solved(solve_for_signal, one, self._prior()) for one in s]
        maps = jnp.stack([jnp.stack(each(s)) for s in sums])
        sharp = min(int(np.searchsorted(tried, _SHARP * tried[0])), len(tried) - 1)
        return _choose(reference, maps, sharp, jnp.asarray(self.mask, maps.dtype))

    def _filtered(self, sums, pick):
        """The whole map, filtered by the FSC of its halves; the halves; their FSC."""
        none = jnp.zeros_like(self._prior())
        halves = [self._blended(s, pick, none) for s in sums]
        mask = jnp.asarray(self.mask, halves[0].dtype)
        fsc = correlation(*(transforms(half * mask) for half in halves))
        whole = self._blended(sums[0] + sums[1], pick, wiener.noise_to_signal(fsc))
        return whole, jnp.stack(halves), fsc

    def _blended(self, tables, pick, ratio):
        """Each shell from the bandwidth that was picked for it."""
        blend = jnp.zeros((self.tables.size,) * 3, jnp.float32)
        for h in np.unique(pick):
            found = self._solved(wiener.solve, tables[h], ratio)
            blend = blend + _only_shells(found, jnp.asarray(pick == h))
        return blend


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


_only_shells = jax.jit(only_shells)


@jax.jit
def _choose(reference, maps, sharp, mask):
    weight = moving_weight(maps[:, sharp], maps[:, -1], mask)
    return best_bandwidths(reference, maps, weight)
