"""What every way to make a map at a latent gives."""

import abc

import numpy as np
from jaxtyping import Float32

from .volume_run import FittedRun, Wanted


class AbstractMaker(abc.ABC):
    """Maps at latents."""

    @classmethod
    @abc.abstractmethod
    def of_run(cls, run: FittedRun) -> "AbstractMaker":
        """All that is the same for every map."""

    @abc.abstractmethod
    def volume(self, wanted: Wanted) -> Float32[np.ndarray, "n n n"]:
        """One map."""
