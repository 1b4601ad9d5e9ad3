"""How the displacement of a mixture is kept in a file: one class for each kind."""

import abc
from collections.abc import Mapping
from typing import Any, final

import jax.numpy as jnp
import numpy as np

from ..volumes.displacement import AbstractDisplacement
from ..volumes.normal_modes import NormalModes


class AbstractMovement(abc.ABC):
    """How one kind of displacement is kept."""

    @abc.abstractmethod
    def arrays(self, displacement: Any) -> dict[str, np.ndarray]:
        """All arrays that it holds, by name."""

    @abc.abstractmethod
    def about(self, displacement: Any) -> dict[str, Any]:
        """All else that it holds, as JSON."""

    @abc.abstractmethod
    def restored(
        self, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]
    ) -> AbstractDisplacement:
        """From what `arrays` and `about` gave."""


@final
class ByModes(AbstractMovement):
    """Fixed directions."""

    def arrays(self, displacement):
        return {"vectors": np.asarray(displacement.vectors)}

    def about(self, displacement):
        return {}

    def restored(self, arrays, about):
        return NormalModes(jnp.asarray(arrays["vectors"]))
