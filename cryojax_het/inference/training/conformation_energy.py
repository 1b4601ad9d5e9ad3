"""What is known of a conformation beside its latent's prior, as training asks for it."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...volumes.displaced import DisplacedMixture
from ..structural.restraint import AbstractRestraint


class AbstractConformationEnergy(eqx.Module):
    """A density over the conformations of a displaced mixture, up to a constant.

    A restraint sees where atoms are; a field that fills space is held by how it stretches, between
    them too. Every number is an array: another value does not compile again.
    """

    @abc.abstractmethod
    def energy(self, volume: DisplacedMixture, latent: Float[Array, " d"]) -> Float[Array, ""]:
        """`-log p` of the conformation `latent`, at least 0, with finite gradients."""


class OfPositions(AbstractConformationEnergy):
    """That of a restraint, at the places of the Gaussians."""

    restraint: AbstractRestraint

    def energy(self, volume, latent):
        return self.restraint.energy(volume.at(latent).positions)


class Together(AbstractConformationEnergy):
    """The sum of several."""

    parts: tuple[AbstractConformationEnergy, ...]

    def energy(self, volume, latent):
        total = jnp.zeros((), latent.dtype)
        for part in self.parts:
            total = total + part.energy(volume, latent)
        return total
