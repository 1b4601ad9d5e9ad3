"""What a structure should look like, whatever the images say."""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class AbstractRestraint(eqx.Module):
    """A density over positions of atoms, up to a constant.

    Every number in one is an array: another value does not compile again. A module of a concrete
    one has a function `example(positions)` that the law tests find by themselves.
    """

    @abc.abstractmethod
    def energy(self, positions: Float[Array, "j 3"]) -> Float[Array, ""]:
        """`-log p` of positions in Å, at least 0; differentiable, with finite gradients wherever
        the atoms are, even in one place. Turning and moving the whole changes nothing."""

    @abc.abstractmethod
    def adapted(self, conformations: Float[Array | np.ndarray, "m j 3"]) -> "AbstractRestraint":
        """The same for structures about `conformations`, to be asked for every few hundred steps:
        of the same shapes where they suffice. Computed on the host. Most return `self`."""


class Restraints(AbstractRestraint):
    """`Σ_t w_t E_t`: terms by name, each with its weight, 1 for terms that mean what they say."""

    terms: dict[str, AbstractRestraint]
    weights: dict[str, Float[Array, ""]]

    def __check_init__(self):
        if self.terms.keys() != self.weights.keys():
            raise ValueError(
                "Every term needs a weight. Got terms "
                f"{', '.join(self.terms)} and weights of {', '.join(self.weights)}."
            )

    def energies(self, positions: Float[Array, "j 3"]) -> dict[str, Float[Array, ""]]:
        """Each term before its weight, so that one of weight 0 can be watched."""
        return {name: term.energy(positions) for name, term in self.terms.items()}

    def energy(self, positions):
        total = jnp.zeros((), positions.dtype)
        for name, energy in self.energies(positions).items():
            total = total + self.weights[name].astype(positions.dtype) * energy
        return total

    def adapted(self, conformations) -> "Restraints":
        terms = {name: term.adapted(conformations) for name, term in self.terms.items()}
        return Restraints(terms, self.weights)
