"""Displacement of any points in space by what moves the Gaussians near them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..imaging.grid import FourierGrid
from .displaced import DisplacedMixture, example_reference
from .displacement import AbstractDisplacement
from .mixture import Change
from .rigid_segments import RigidSegments
from .segments import even_segments
from .skinning import free_motions

# Of the weights' second moments: points whose neighbours lie in a plane must not be extrapolated.
_RIDGE = 1e-4


class Carried(AbstractDisplacement):
    """`u(r_j) = Σ_m w_jm u(c_n(j,m))`: points follow `displacement` of a few near `carriers`.

    It makes a displacement of Gaussians, by modes, segments or a network, one of other points such
    as the voxels of a map, and costs the network no more than its Gaussians. Of Gaussians that
    change their amplitudes too, the logarithms are carried likewise; widths are not.

    - `carriers`: the Gaussians' places in the reference, Å;
    - `nearest`: `n(j, m)`, rows of them; `weights`: rows add up to 1.
    """

    displacement: AbstractDisplacement
    carriers: Float[Array, "a 3"]
    nearest: Int[Array, "j m"]
    weights: Float[Array, "j m"]
    latent_size: int = eqx.field(static=True)

    def __init__(self, displacement: AbstractDisplacement, carriers, nearest, weights):
        self.displacement, self.carriers = displacement, carriers
        self.nearest, self.weights = nearest, weights
        self.latent_size = displacement.latent_size

    def change(self, latent, positions):
        del positions
        own = self.displacement.change(latent, self.carriers)
        amplitude = None if own.amplitude is None else self._carry(own.amplitude[:, None])[:, 0]
        return Change(self._carry(own.displacement), amplitude)

    def _carry(self, values: Float[Array, "a q"]) -> Float[Array, "j q"]:
        # Carrier by carrier, so that the gathers fuse and no [j, m, q] array exists.
        pairs = zip(self.nearest.T, self.weights.T, strict=True)
        return jnp.asarray(sum(weight[:, None] * values[rows] for rows, weight in pairs))


def carried(
    displacement: AbstractDisplacement,
    carriers: Float[np.ndarray, "a 3"],
    points: Float[np.ndarray, "j 3"],
    reach: float,
    count: int = 8,
) -> Carried:
    """`points` (Å) that follow their `count` nearest carriers by moving least squares.

    Weights fall as `exp(-½d²/reach²)` and are corrected to first order, so that a rigid or affine
    motion of the carriers moves the points by the same motion, also beside them (Lancaster &
    Salkauskas 1981, Math. Comput. 37). Raises `ValueError` where there are fewer carriers.
    """
    from scipy.spatial import KDTree

    if not 1 <= count <= len(carriers):
        raise ValueError(f"{len(carriers)} carriers have 1 to as many neighbours. Got {count}.")
    distance, nearest = KDTree(carriers).query(points, k=count)
    distance, nearest = (np.reshape(part, (len(points), count)) for part in (distance, nearest))
    # Relative to the nearest: far away from all carriers no weight may vanish.
    fall = np.exp(-0.5 * (distance**2 - distance[:, :1] ** 2) / reach**2)
    fall /= fall.sum(axis=1, keepdims=True)
    offset = carriers[nearest] - points[:, None]
    middle = np.einsum("jm,jma->ja", fall, offset)
    spread = offset - middle[:, None]
    moments = np.einsum("jm,jma,jmb->jab", fall, spread, spread)
    size = np.trace(moments, axis1=1, axis2=2)[:, None, None] + 1e-6 * reach**2
    slope = np.linalg.solve(moments + _RIDGE * size * np.eye(3), middle[..., None])[..., 0]
    weights = fall * (1 - np.einsum("jma,ja->jm", spread, slope))
    real = jnp.result_type(float)
    return Carried(
        displacement, jnp.asarray(carriers, real), jnp.asarray(nearest), jnp.asarray(weights, real)
    )


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Gaussians that follow others of two soft segments; found by the law tests."""
    reference = example_reference(key, grid)
    rng = np.random.default_rng(0)
    carriers = 0.1 * float(grid.length) * rng.normal(size=(30, 3))
    segments = even_segments(jnp.arange(30.0), 2, temperature=0.5)
    field = RigidSegments(segments, free_motions(2, 0.2, 0.5))
    places = np.asarray(jax.device_get(reference.positions))
    return DisplacedMixture(reference, carried(field, carriers, places, float(grid.pixel_size)))
