"""Volumes that are made of atoms in every state."""

import abc

from jaxtyping import Array, Float

from ..volumes.base import AbstractVolume
from .motions.base import Conformer


class AbstractMolecule(AbstractVolume):
    """A volume that knows its atoms in every state, and projects them exactly."""

    @abc.abstractmethod
    def conformer(self, latent: Float[Array, " d"]) -> Conformer:
        """Atoms, in one order for all states, in the state `latent`."""
