"""A smooth deformation field, expanded in Zernike functions of a ball, or of one ball for each of
several regions.

    u(r) = Σ_m w_m(r) Σ_k Z_k((r - c_m) / R_m) α_mk(z),   w_m ∝ exp(-½|r - c_m|²/ℓ²),   Σ_m w_m = 1
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from .anchors import anchor_centres, anchor_weights
from .displaced import DisplacedMixture, example_reference
from .flow import AbstractFlow
from .latent_modes import AbstractLatentModes, network_modes
from .zernike_basis import ZernikeOrder, zernike_functions

_SPARE = 1.02  # of a ball over its farthest point
_LEAST = 1e-2  # weight of a region at the points that its ball must hold


class ZernikeRegions(eqx.Module):
    """Balls with windows between them; functions are counted by region, then as in `Z`.

    `centres` (Å) and `radii` (Å) of the balls; `reach`: `ℓ`, Å. Beyond a ball its functions keep
    the values of its surface.
    """

    centres: Float[Array, "m 3"]
    radii: Float[Array, " m"]
    reach: Float[Array, ""]
    order: ZernikeOrder = eqx.field(static=True)

    @property
    def size(self) -> int:
        """Number of functions of all regions."""
        return len(self.radii) * self.order.size

    def functions(self, points: Float[Array, "p 3"]) -> Float[Array, "p k"]:
        """`w_m Z_k` at points, Å."""
        windows = anchor_weights(points, self.centres, self.reach)

        def region(centre, radius, window):
            place = (points - centre) / radius
            square = jnp.sum(place**2, axis=1, keepdims=True)
            place = place * jax.lax.rsqrt(jnp.maximum(square, 1))
            return window[:, None] * zernike_functions(place, self.order)

        each = jax.vmap(region, out_axes=1)(self.centres, self.radii, windows.T)
        return each.reshape(len(points), -1)

    def slopes(self, points: Float[Array, "p 3"]) -> Float[Array, "p k 3"]:
        """`∂/∂r` of the functions, 1/Å."""
        return jax.vmap(jax.jacfwd(lambda r: self.functions(r[None])[0]))(points)


class ZernikeFlow(AbstractFlow):
    """`u(r_j) = Σ_k T_jk m_k(z)`: `table` holds the functions at `points` (Å), `motion` gives the
    coefficients, Å. (Herreros et al. 2023, Nat. Commun. 14, with functions that are orthonormal.)
    """

    regions: ZernikeRegions
    points: Float[Array, "j 3"]
    table: Float[Array, "j k"]
    motion: AbstractLatentModes
    latent_size: int = eqx.field(static=True)

    def __init__(self, regions, points, table, motion: AbstractLatentModes):
        self.regions, self.points, self.table = regions, points, table
        self.motion, self.latent_size = motion, motion.latent_size

    def point_modes(self):
        modes = self.motion.modes
        product = jnp.matmul(self.table, modes.reshape(len(modes), -1), precision="highest")
        return product.reshape(-1, *modes.shape[1:])

    def at(self, points):
        place = jnp.asarray(points, self.table.dtype)
        return ZernikeFlow(self.regions, place, self.regions.functions(place), self.motion)

    def stretches(self, latent):
        """At its points."""
        return self.point_stretches(latent)

    def point_stretches(self, latent):
        coefficients = self.motion.vectors(latent)
        slopes = self.regions.slopes(self.points)
        change = jnp.einsum("jkb,ka->jab", slopes, coefficients, precision="highest")
        return jnp.eye(3, dtype=change.dtype) + change


def zernike_regions(
    points: Float[np.ndarray, "j 3"], order: ZernikeOrder, count: int = 1
) -> ZernikeRegions:
    """Balls about clusters of `points` (Å), as large as these need; one about the middle of all
    where `count` is 1. Raises `ValueError` for more regions than points."""
    centres = anchor_centres(points, count)
    away = np.linalg.norm(centres[:, None] - centres, axis=2)
    np.fill_diagonal(away, np.inf)
    distance = np.linalg.norm(points[:, None] - centres, axis=2)
    reach = float(away.min(axis=1).mean()) * 2 / 3 if count > 1 else float(distance.max())
    windows = anchor_weights(jnp.asarray(points), jnp.asarray(centres), jnp.asarray(reach))
    held = np.asarray(jax.device_get(windows))
    radii = _SPARE * np.where(held > _LEAST, distance, 0).max(axis=0)
    real = lambda values: jnp.asarray(values, jnp.result_type(float))
    return ZernikeRegions(real(centres), real(radii), real(reach), order)


def zernike_flow(
    regions: ZernikeRegions, points: Float[np.ndarray, "j 3"], motion: AbstractLatentModes
) -> ZernikeFlow:
    """Of `points`, Å. Raises `ValueError` where `motion` is not of as many vectors as there are
    functions."""
    if len(motion.modes) != regions.size:
        raise ValueError(
            f"There are {regions.size} Zernike functions. Got motion of {len(motion.modes)}."
        )
    place = jnp.asarray(points, regions.radii.dtype)
    return ZernikeFlow(regions, place, regions.functions(place), motion)


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Gaussians in two regions, with a network past its start; found by the law tests."""
    reference = example_reference(key, grid)
    points = np.asarray(jax.device_get(reference.positions))
    regions = zernike_regions(points, ZernikeOrder(3, 2), 2)
    motion = network_modes(key, regions.size, 2, (8, 2))
    moved = 0.5 * jax.random.normal(key, motion.weights.shape)
    motion = eqx.tree_at(lambda m: m.weights, motion, moved)
    return DisplacedMixture(reference, zernike_flow(regions, points, motion))
