"""Several displacements at once."""

import equinox as eqx
import jax.numpy as jnp

from ..imaging.grid import FourierGrid
from . import normal_modes, rigid_segments
from .displaced import DisplacedMixture
from .displacement import AbstractDisplacement
from .mixture import Change


class Composed(AbstractDisplacement):
    """`u(z) = Σ_p u_p(z_p)`: each part has its own stretch of the latent, in order; logarithms of
    amplitudes and widths add up too. Global modes with local motions, for one."""

    parts: tuple[AbstractDisplacement, ...]
    latent_size: int = eqx.field(static=True)

    def __init__(self, *parts: AbstractDisplacement):
        self.parts = parts
        self.latent_size = sum(part.latent_size for part in parts)

    def change(self, latent, positions):
        total, first = Change(jnp.zeros_like(positions)), 0
        for part in self.parts:
            mine = latent[first : first + part.latent_size]
            total = _both(total, part.change(mine, positions))
            first += part.latent_size
        return total


def _both(a: Change, b: Change) -> Change:
    add = lambda x, y: y if x is None else x if y is None else x + y
    displacement = a.displacement + b.displacement
    return Change(displacement, add(a.amplitude, b.amplitude), add(a.width, b.width))


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Two modes and two segments; found by the law tests."""
    modes, segments = normal_modes.example(key, grid), rigid_segments.example(key, grid)
    both = Composed(modes.displacement, segments.displacement)
    return DisplacedMixture(modes.reference, both)
