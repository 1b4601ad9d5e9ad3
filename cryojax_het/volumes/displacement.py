"""The interface of whatever moves the Gaussians of a mixture."""

import abc

import equinox as eqx
from equinox import AbstractVar
from jaxtyping import Array, Float

from .mixture import Change


class AbstractDisplacement(eqx.Module):
    """A differentiable family of changes of a reference mixture, indexed by a latent `z`."""

    latent_size: AbstractVar[int]

    @abc.abstractmethod
    def change(self, latent: Float[Array, " d"], positions: Float[Array, "j 3"]) -> Change:
        """What conformation `latent` changes of Gaussians at `positions` (Å) of the reference."""
