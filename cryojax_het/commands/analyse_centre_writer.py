"""The centres of an analysis's clusters, and what writes something of the kernel regression there.

A model that was fitted to all images has no half-maps; kernel regression at a latent has. Each
centre is reconstructed once, whatever is made of it.
"""

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from ..inference.regression.kernel_regression import RegressionMap


@final
@dataclass(frozen=True, kw_only=True)
class Centres:
    """`latent` of the image (`row`) nearest to each cluster's centre, and `size` of the cluster."""

    latent: Float[np.ndarray, "m d"]
    row: Int[np.ndarray, " m"]
    size: Int[np.ndarray, " m"]

    def columns(self) -> dict[str, np.ndarray]:
        """Those that every table of centres begins with."""
        return {"map": np.arange(len(self.row)), "image": self.row, "cluster_images": self.size}


class AbstractCentreWriter(abc.ABC):
    """Takes the centres one by one, in order, then finishes."""

    @abc.abstractmethod
    def take(self, number: int, found: "RegressionMap") -> None:
        """What is found at centre `number`."""

    @abc.abstractmethod
    def finish(self) -> None:
        """Write what needs all of them."""
