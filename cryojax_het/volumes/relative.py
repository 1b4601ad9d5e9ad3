"""Displacement as seen from one of its conformations."""

import equinox as eqx
import jax
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from .displaced import DisplacedMixture, example_reference
from .displacement import AbstractDisplacement
from .mixture import Change
from .neural_displacement import example as moved_by_network


class Relative(AbstractDisplacement):
    """`u(z) - u(z₀)` of Gaussians that are at `r + u(z₀)`: conformation `origin` becomes the
    reference.

    - `positions`: `r`, of the reference that `displacement` is of; `here`: its change at `origin`,
      made once. Logarithms of amplitudes and widths are differences likewise.
    """

    displacement: AbstractDisplacement
    positions: Float[Array, "j 3"]
    here: Change
    latent_size: int = eqx.field(static=True)

    def __init__(self, displacement: AbstractDisplacement, positions, origin):
        self.displacement, self.positions = displacement, positions
        self.here = displacement.change(origin, positions)
        self.latent_size = displacement.latent_size

    def change(self, latent, positions):
        del positions
        there = self.displacement.change(latent, self.positions)
        return jax.tree.map(lambda a, b: a - b, there, self.here)


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """A network seen from another conformation; found by the law tests."""
    volume = moved_by_network(key, grid)
    reference = example_reference(key, grid)
    origin = 0.5 * jax.random.normal(key, (volume.latent_size,))
    positions = volume.reference.positions
    return DisplacedMixture(reference, Relative(volume.displacement, positions, origin))
