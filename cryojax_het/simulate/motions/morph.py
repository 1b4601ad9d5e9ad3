"""A path through given frames."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..states import Coordinate
from .base import AbstractMotion


class Morph(AbstractMotion):
    """`r(t) = r + Δ(t)`: piecewise linear through F frames, evenly spaced over `t` in 0 to 1.

    - `steps`: `Δ` at the frames, their positions less those of the first, Å.

    Beyond 0 and 1 the first and the last frame are kept.
    """

    steps: Float[Array, "f j 3"]
    coordinates: tuple[Coordinate, ...] = eqx.field(static=True)

    def __call__(self, conformer, values):
        last = len(self.steps) - 1
        place = jnp.clip(values[0], 0, 1) * last
        before = jnp.clip(jnp.floor(place), 0, last - 1)
        share = place - before
        row = before.astype(jnp.int32)
        low, high = jax.lax.dynamic_slice_in_dim(self.steps, row, 2)
        return conformer._replace(positions=conformer.positions + low + share * (high - low))


def morph(frames: Float[np.ndarray, "f j 3"], name: str = "morph") -> Morph:
    """The path through these positions. Raises `ValueError` for fewer than two frames."""
    if len(frames) < 2:
        raise ValueError(f"A morph goes through at least two frames. Got {len(frames)}.")
    steps = jnp.asarray(frames - frames[0], jnp.result_type(float))
    return Morph(steps=steps, coordinates=(Coordinate(name=name),))
