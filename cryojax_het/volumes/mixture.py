"""Sums of isotropic Gaussians whose places, weights and widths another part may change."""

import abc

import equinox as eqx
from equinox import AbstractVar
from jaxtyping import Array, Float

from .base import AbstractVolume


class Change(eqx.Module):
    """Of each Gaussian of a mixture, what a conformation changes.

    - `displacement`: added to positions, Å;
    - `amplitude`, `width`: logarithms of factors, so that no sign or width can flip; None: as
      they are.
    """

    displacement: Float[Array, "j 3"]
    amplitude: Float[Array, " j"] | None = None
    width: Float[Array, " j"] | None = None


class AbstractMixture(AbstractVolume):
    """`V(r) = Σ_j a_j N(r; c_j, s_j²)`, `N` of unit mass. Has no latent.

    Positions in Å from the box centre, amplitudes in density·Å³.
    """

    positions: AbstractVar[Float[Array, "j 3"]]
    amplitudes: AbstractVar[Float[Array, " j"]]

    @abc.abstractmethod
    def changed(self, change: Change) -> "AbstractMixture":
        """The mixture after `change`."""
