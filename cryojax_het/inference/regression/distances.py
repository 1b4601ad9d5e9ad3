"""How far the latent of each image is from a target, in units of what is uncertain."""

import abc
from typing import final

import numpy as np
from jaxtyping import Float

from .cloud import LatentCloud, Target


class AbstractDistance(abc.ABC):
    """A squared distance between images and a target."""

    @abc.abstractmethod
    def squared(self, cloud: LatentCloud, target: Target) -> Float[np.ndarray, " n"]:
        """`d_i²` of every image."""


@final
class SharedPrecision(AbstractDistance):
    """`d_i² = (z_i - z*)ᵀ P (z_i - z*)` with `P` the inverse of the typical covariance."""

    def squared(self, cloud, target):
        apart = cloud.mean - target.latent
        return np.einsum("ni,ij,nj->n", apart, np.linalg.inv(cloud.typical()), apart)


@final
class PairCovariance(AbstractDistance):
    """`d_i² = (z_i - z*)ᵀ (C_i + C*)⁻¹ (z_i - z*)`: χ² of d degrees where both are of one state."""

    def squared(self, cloud, target):
        apart = cloud.mean - target.latent
        both = cloud.covariance + target.covariance
        return np.einsum("ni,ni->n", apart, np.linalg.solve(both, apart[..., None])[..., 0])
