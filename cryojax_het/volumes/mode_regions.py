"""Regions that each follow a mode of the whole as a rigid body does."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..imaging.grid import FourierGrid
from .displaced import DisplacedMixture, example_reference
from .rigid_segments import RigidSegments
from .segments import HardSegments
from .skinning import LinearMotions

_FLAT = 1e-6  # of the largest moment of inertia: a region with less does not resist a turn


def mode_regions(
    positions: Float[np.ndarray, "j 3"],
    region: Int[np.ndarray, " j"],
    vectors: Float[np.ndarray, "k j 3"],
) -> RigidSegments:
    """Each region by the rigid motion nearest to each mode on it, in least squares: Gaussians keep
    their distances within a region, however far the amplitudes go.

    - `region`: number of each Gaussian's, from 0, none empty; `vectors`: modes, Å per unit of
      latent. The latent are the amplitudes.

    (Regions driven by modes: as in WarpCraft, by our reading.)
    """
    count = int(region.max()) + 1
    turns, shifts = np.zeros((2, len(vectors), count, 3))
    for number in range(count):
        own = np.flatnonzero(region == number)
        about = positions[own] - positions[own].mean(axis=0)
        field = vectors[:, own]
        shifts[:, number] = field.mean(axis=1)
        torque = np.cross(about[None], field).sum(axis=1)
        inertia = np.sum(about**2) * np.eye(3) - about.T @ about
        turns[:, number] = torque @ np.linalg.pinv(inertia, rcond=_FLAT, hermitian=True)
    real = lambda values: jnp.asarray(values, jnp.asarray(positions).dtype)
    segments = HardSegments(jnp.asarray(region), count)
    return RigidSegments(segments, LinearMotions(real(turns), real(shifts)))


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Two regions that follow two modes; found by the law tests."""
    reference = example_reference(key, grid)
    places = np.asarray(reference.positions)
    rng = np.random.default_rng(0)
    vectors = 0.3 * float(grid.pixel_size) * rng.normal(size=(2, *places.shape))
    region = (places[:, 0] > np.median(places[:, 0])).astype(np.int64)
    return DisplacedMixture(reference, mode_regions(places, region, vectors))
