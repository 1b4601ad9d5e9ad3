"""Displacement by rigid motions of anchors in space, blended between them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from .displaced import DisplacedMixture, example_reference
from .displacement import AbstractDisplacement
from .mixture import Change
from .skinning import AbstractMotions, blended, free_motions


class Anchors(AbstractDisplacement):
    """`u_j = Σ_a w_ja ((R_a - I)(r_j - c_a) + t_a)`, `w_ja ∝ exp(-½|r_j - c_a|²/ℓ²)`.

    Rows of weights add up to 1, so that one rigid motion of all anchors moves the molecule
    rigidly. (Chen, Toader & Lederman 2023, J. Mol. Biol. 435, with weights so normalised.)

    - `centres`: of the anchors, Å; `reach`: `ℓ`, Å; `motion`: of as many bodies.
    """

    centres: Float[Array, "a 3"]
    reach: Float[Array, ""]
    motion: AbstractMotions
    latent_size: int = eqx.field(static=True)

    def __init__(self, centres, reach, motion: AbstractMotions):
        self.centres, self.reach = centres, jnp.asarray(reach, centres.dtype)
        self.motion, self.latent_size = motion, motion.latent_size

    def weights(self, positions: Float[Array, "j 3"]) -> Float[Array, "j a"]:
        """How much each atom follows each anchor."""
        return anchor_weights(positions, self.centres, self.reach)

    def change(self, latent, positions):
        motions = self.motion.motions(latent)
        return Change(blended(self.weights(positions), self.centres, motions, positions))


def anchor_weights(
    positions: Float[Array, "j 3"], centres: Float[Array, "a 3"], reach: Float[Array, ""]
) -> Float[Array, "j a"]:
    """`w_ja ∝ exp(-½|r_j - c_a|²/ℓ²)`, rows of which add up to 1."""
    # |r|² is the same for all anchors of an atom, and cancels.
    near = jnp.matmul(positions, centres.T, precision="highest")
    near = near - 0.5 * jnp.sum(centres**2, axis=1)
    return jax.nn.softmax(near / reach**2, axis=1)


def anchor_centres(positions: Float[np.ndarray, "j 3"], count: int) -> Float[np.ndarray, "a 3"]:
    """Means of `count` clusters of atoms, started from atoms far from each other.

    Raises `ValueError` for more anchors than atoms.
    """
    from scipy.cluster.vq import kmeans2

    if not 1 <= count <= len(positions):
        raise ValueError(f"{len(positions)} atoms have 1 to as many anchors. Got {count}.")
    chosen = [int(np.argmin(((positions - positions.mean(axis=0)) ** 2).sum(axis=1)))]
    distance = np.full(len(positions), np.inf)
    while len(chosen) < count:
        latest = ((positions - positions[chosen[-1]]) ** 2).sum(axis=1)
        distance = np.minimum(distance, latest)
        chosen.append(int(np.argmax(distance)))
    return kmeans2(positions, positions[chosen], minit="matrix")[0]


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Three anchors that move on their own; found by the law tests."""
    reference = example_reference(key, grid)
    centres = 0.1 * grid.length * jax.random.normal(key, (3, 3))
    motion = free_motions(3, 0.2, 0.5)
    return DisplacedMixture(reference, Anchors(centres, 0.15 * grid.length, motion))
