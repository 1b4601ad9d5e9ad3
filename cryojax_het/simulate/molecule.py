"""The demonstration molecule: a body with a horn and an arm on a hinge, made by formula.

About 150 Å long, of 300 Gaussians, without any symmetry, and chiral at every angle. The arm turns
about the z axis through the hinge at the body's end.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..volumes.base import AbstractVolume
from ..volumes.gaussians import Gaussians

_HINGE = np.array([36.0, 6.0, 0.0])
_WIDTH = 3.0  # standard deviation of each Gaussian, Å


class HingedMolecule(AbstractVolume):
    """`V(r; θ)`: 220 Gaussians at rest and 80 that turn by the latent `θ`, radians."""

    latent_size: int = eqx.field(static=True, default=1)

    def at(self, latent: Float[Array, "1"]) -> Gaussians:
        """The molecule with its arm turned by `latent[0]` radians."""
        positions = hinge_positions(latent[0])
        ones = jnp.ones(len(positions), positions.dtype)
        return Gaussians(positions=positions, amplitudes=ones, widths=_WIDTH * ones)

    def slice(self, latent, rotation, grid):
        return self.at(latent).slice(latent[:0], rotation, grid)

    def density(self, latent, grid):
        return self.at(latent).density(latent[:0], grid)

    def prepare(self, grid):
        return self


def hinge_positions(angle: Float[Array, ""] | float) -> Float[Array, "j 3"]:
    """Centres (x, y, z) in Å with the arm turned by `angle` radians; at 0 their mean is 0."""
    fixed = np.concatenate([_body(), _horn()])
    centre = np.concatenate([fixed, _arm()]).mean(axis=0)
    real = jnp.result_type(float)
    c, s = jnp.cos(angle), jnp.sin(angle)
    zero, one = jnp.zeros_like(c), jnp.ones_like(c)
    turn = jnp.stack(
        [jnp.stack([c, -s, zero]), jnp.stack([s, c, zero]), jnp.stack([zero, zero, one])]
    )
    arm = jnp.asarray(_arm() - _HINGE, real) @ turn.T + jnp.asarray(_HINGE - centre, real)
    return jnp.concatenate([jnp.asarray(fixed - centre, real), arm])


def _spread(count):
    """`count` evenly spread points of the unit cube: Kronecker's sequence with the powers of the
    root of `x⁴ = x + 1`."""
    return (0.5 + np.arange(1, count + 1)[:, None] * 1.2207440846057596 ** -np.arange(1.0, 4.0)) % 1


def _body():
    """An ellipsoid of semi-axes 42, 28 and 20 Å."""
    u, v, w = _spread(180).T
    radius, z = u ** (1 / 3), 2 * v - 1
    ring = np.sqrt(1 - z**2)
    unit = np.stack([ring * np.cos(2 * np.pi * w), ring * np.sin(2 * np.pi * w), z], axis=-1)
    return radius[:, None] * unit * np.array([42.0, 28.0, 20.0])


def _horn():
    """A rising right-handed curl at the far end: it makes the molecule chiral."""
    t = np.linspace(0, 1, 40)
    turn = 2.2 * np.pi * t
    return np.stack([-26 + 12 * np.cos(turn), 10 + 12 * np.sin(turn), 16 + 34 * t], axis=-1)


def _arm():
    """A tapered rod of 60 Å from the hinge, bent down and ending in a hook along z."""
    u, v, w = _spread(80).T
    radius = (9 - 5 * u) * np.sqrt(v)
    x = 60 * u
    y = 14 * u**2 + radius * np.cos(2 * np.pi * w)
    z = -18 * np.maximum(u - 0.6, 0) / 0.4 + radius * np.sin(2 * np.pi * w)
    return _HINGE + np.stack([x, y, z], axis=-1)
