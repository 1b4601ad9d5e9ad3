"""The demonstration molecules: a body with a horn and an arm on a hinge, made by formula.

About 150 Å long, of 300 Gaussians, without any symmetry, and chiral at every angle. The arm turns
about an axis through the hinge at the body's end: z, or x for the ring.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.rotation import exp
from ..volumes.gaussians import Gaussians
from .base import AbstractMolecule
from .motions.base import Conformer

_HINGE = np.array([36.0, 6.0, 0.0])
_WIDTH = 3.0  # standard deviation of each Gaussian, Å


class AbstractFormula(AbstractMolecule):
    """Gaussians of one width whose places are a formula of the latent."""

    @abc.abstractmethod
    def positions(self, latent: Float[Array, "1"]) -> Float[Array, "j 3"]:
        """Centres of the Gaussians (x, y, z), Å."""

    def at(self, latent: Float[Array, "1"]) -> Gaussians:
        """The molecule with its arm turned by `latent[0]` radians."""
        positions = self.positions(latent)
        ones = jnp.ones(len(positions), positions.dtype)
        return Gaussians(positions=positions, amplitudes=ones, widths=_WIDTH * ones)

    def conformer(self, latent):
        positions = self.positions(latent)
        return Conformer(positions, jnp.ones(len(positions), positions.dtype))

    def slice(self, latent, rotation, grid):
        return self.at(latent).slice(latent[:0], rotation, grid)

    def density(self, latent, grid):
        return self.at(latent).density(latent[:0], grid)

    def prepare(self, grid):
        return self


class HingedMolecule(AbstractFormula):
    """`V(r; θ)`: 220 Gaussians at rest and 80 that turn by the latent `θ`, radians."""

    latent_size: int = eqx.field(static=True, default=1)

    def positions(self, latent):
        return hinge_positions(latent[0])


class RingMolecule(AbstractFormula):
    """`V(r; θ)`: the same body with another arm, a crank about the x axis. It is free to turn all
    the way round: states lie on a circle."""

    latent_size: int = eqx.field(static=True, default=1)

    def positions(self, latent):
        return ring_positions(latent[0])


def hinge_positions(angle: Float[Array, ""] | float) -> Float[Array, "j 3"]:
    """Centres (x, y, z) in Å with the arm turned by `angle` radians; at 0 their mean is 0."""
    return _with_arm(_arm(), angle * jnp.array([0.0, 0.0, 1.0]))


def ring_positions(angle: Float[Array, ""] | float) -> Float[Array, "j 3"]:
    """Centres (x, y, z) in Å with the crank turned by `angle` radians; at 0 their mean is 0."""
    return _with_arm(_crank(), angle * jnp.array([1.0, 0.0, 0.0]))


def _with_arm(arm: np.ndarray, turn: Float[Array, "3"]) -> Float[Array, "j 3"]:
    """Body, horn and an arm turned about the hinge by a rotation vector."""
    fixed = np.concatenate([_body(), _horn()])
    centre = np.concatenate([fixed, arm]).mean(axis=0)
    place = lambda values: jnp.asarray(values, turn.dtype)
    turned = jnp.matmul(place(arm - _HINGE), exp(turn).T, precision="highest")
    return jnp.concatenate([place(fixed - centre), turned + place(_HINGE - centre)])


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


def _crank():
    """A bent rod from the hinge: 20 Å along x, then 42 Å across."""
    u, v, w = _spread(80).T
    radius = (8 - 4 * u) * np.sqrt(v)
    along, across = np.minimum(62 * u, 20.0), np.maximum(62 * u - 20.0, 0.0)
    bent = across > 0
    side = radius * np.cos(2 * np.pi * w)
    x = along + np.where(bent, side, 0.0)
    y = across + np.where(bent, 0.0, side)
    return _HINGE + np.stack([x, y, radius * np.sin(2 * np.pi * w)], axis=-1)
