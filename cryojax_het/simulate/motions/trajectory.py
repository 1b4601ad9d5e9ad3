"""The frames of a trajectory, each as it is."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..states import Coordinate
from .base import AbstractMotion


class Trajectory(AbstractMotion):
    """`r(t) = r + Δ_t` at frame number `t`, from 0; a number between two means the nearest.

    - `steps`: positions of the frames less those of the first, Å.

    Nothing lies between frames, so that the derivative in `t` is zero; `Morph` interpolates.
    """

    steps: Float[Array, "f j 3"]
    coordinates: tuple[Coordinate, ...] = eqx.field(static=True)

    def __call__(self, conformer, values):
        number = jnp.clip(jnp.round(values[0]), 0, len(self.steps) - 1).astype(jnp.int32)
        step = jax.lax.dynamic_index_in_dim(self.steps, number, keepdims=False)
        return conformer._replace(positions=conformer.positions + step)


def trajectory(frames: Float[np.ndarray, "f j 3"], name: str = "frame") -> Trajectory:
    """These positions, in order."""
    steps = jnp.asarray(frames - frames[0], jnp.result_type(float))
    return Trajectory(steps=steps, coordinates=(Coordinate(name=name),))
