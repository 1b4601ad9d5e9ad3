"""What a network of frequencies is told of a frequency: sines and cosines of several pitches.

A wave `ω·x` over frequencies `x`, in cycles a pixel, is what an atom `|ω|/2π` pixels from the
centre adds to a transform: the features decide how far out a network sees detail.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .wave_packets import waves


class AbstractFrequencyFeatures(eqx.Module):
    """A vector for each frequency. (Zhong et al. 2021, Nat. Methods 18.)"""

    @abc.abstractmethod
    def phases(self, points: Float[Array, "p 3"]) -> Float[Array, "p f"]:
        """`ω·x`, radians, of `points` `x` in cycles a pixel, -½ to ½ on each axis."""

    def encode(self, points: Float[Array, "p 3"]) -> Float[Array, "p q"]:
        """Sines of all phases, then cosines."""
        cosines, sines = waves(self.phases(points) / (2 * np.pi))
        return jnp.concatenate([sines, cosines], axis=1)


class GaussianFeatures(AbstractFrequencyFeatures):
    """Waves of random directions. (Tancik et al. 2020, NeurIPS; cryoDRGN's `gaussian`.)

    `pitches`: `ω`, radians over a cycle a pixel.
    """

    pitches: Float[Array, "f 3"]

    def phases(self, points):
        return jnp.matmul(points, self.pitches.T, precision="highest")


class AxisFeatures(AbstractFrequencyFeatures):
    """Waves along the three axes, `ω` times each coordinate; `pitches` as there, a constant."""

    pitches: tuple[float, ...] = eqx.field(static=True)

    def phases(self, points):
        each = points[:, :, None] * jnp.asarray(self.pitches, points.dtype)
        return each.reshape(len(points), -1)


def gaussian_features(
    key: PRNGKeyArray, size: int, width: float = 0.5, count: int | None = None
) -> GaussianFeatures:
    """Normal pitches of standard deviation `width · size / 2`.

    - `size`: pixels of the box; `count`: of waves, as many as cryoDRGN's where not given, `3
      size/2`.
    - `width`: its default is cryoDRGN's; see `width_of_radius`.
    """
    shape = (3 * (size // 2) if count is None else count, 3)
    return GaussianFeatures(width * (size / 2) * jax.random.normal(key, shape, jnp.float32))


def width_of_radius(radius: float) -> float:
    """The `width` whose atoms fill a ball of `radius`, a share of the box's side.

    `σ = 4π r/√5`: the random atoms then have the ball's mean square radius.
    """
    return 4 * np.pi * radius / np.sqrt(5)


def linear_features(size: int, count: int | None = None) -> AxisFeatures:
    """Pitches `1 ... size/2`, which reach 0.08 of the box. (cryoDRGN's `linear_lowf`.)"""
    last = size // 2 if count is None else count
    return AxisFeatures(tuple(float(x) for x in range(1, last + 1)))


def geometric_features(size: int, count: int | None = None) -> AxisFeatures:
    """Pitches from `π size` down to `2π`: from half the box to 1 pixel. (cryoDRGN's `geom_ft`.)"""
    return _geometric(np.pi * size, 2 * np.pi, size // 2 if count is None else count)


def geometric_full_features(size: int, count: int | None = None) -> AxisFeatures:
    """Pitches from `π size` down to 1. (cryoDRGN's `geom_full`.)"""
    return _geometric(np.pi * size, 1.0, size // 2 if count is None else count)


def geometric_low_features(size: int, count: int | None = None) -> AxisFeatures:
    """Pitches from `size/2` down to 1. (cryoDRGN's `geom_lowf`.)"""
    return _geometric(size / 2, 1.0, size // 2 if count is None else count)


def geometric_middle_features(size: int, count: int | None = None) -> AxisFeatures:
    """Pitches from `size/2` down to `2π`. (cryoDRGN's `geom_nohighf`.)"""
    return _geometric(size / 2, 2 * np.pi, size // 2 if count is None else count)


def _geometric(first, last, count):
    return AxisFeatures(tuple(np.geomspace(first, last, count).tolist()))
