"""What a method of inference needs of a model, checked with the remedy in the error."""

import equinox as eqx
import jax.numpy as jnp

from ..imaging.noise import AbstractGaussianNoise, AbstractNoise
from ..volumes.base import AbstractVolume
from ..volumes.classes import ClassVolumes
from ..volumes.expanded import Expanded
from ..volumes.linear import FourierLinear, LinearVolume
from ..volumes.voxels import FourierVoxels, Voxels
from .prior import AbstractPrior, LocalPrior


def gaussian_noise(noise: AbstractNoise, who: str) -> AbstractGaussianNoise:
    """`noise`, known to be Gaussian. `TypeError` where it is not."""
    if not isinstance(noise, AbstractGaussianNoise):
        raise TypeError(
            f"`{who}` needs Gaussian noise (`WhiteNoise`, `ColouredNoise`). "
            f"Got {type(noise).__name__}."
        )
    return noise


def local_prior(prior: AbstractPrior, who: str) -> LocalPrior:
    """`prior`, known to be a `LocalPrior`. `TypeError` where it is not."""
    if not isinstance(prior, LocalPrior):
        raise TypeError(f"`{who}` needs a `LocalPrior`. Got {type(prior).__name__}.")
    return prior


def linear_volume(volume: AbstractVolume, who: str) -> LinearVolume | FourierLinear:
    """`volume`, known to be linear in its latent; a rigid one is linear without components.

    `TypeError` where it is not."""
    if isinstance(volume, FourierVoxels):
        volume = volume.source
    if isinstance(volume, Voxels):
        none = jnp.zeros((0, *volume.voxels.shape), volume.voxels.dtype)
        components = eqx.tree_at(
            lambda v: (v.voxels, v.spacing), volume, (none, jnp.zeros(0, volume.spacing.dtype))
        )
        return LinearVolume(mean=volume, components=components, latent_size=0)
    if not isinstance(volume, LinearVolume | FourierLinear):
        raise TypeError(f"`{who}` needs a `LinearVolume`. Got {type(volume).__name__}.")
    return volume


def expanded_volume(volume: AbstractVolume, who: str) -> Expanded:
    """`volume`, known to be expanded in functions of the latent. `TypeError` where it is not."""
    if not isinstance(volume, Expanded):
        raise TypeError(f"`{who}` needs an `Expanded` volume. Got {type(volume).__name__}.")
    return volume


def class_volumes(volume: AbstractVolume, who: str) -> ClassVolumes:
    """`volume`, known to be of classes. `TypeError` where it is not."""
    if not isinstance(volume, ClassVolumes):
        raise TypeError(f"`{who}` needs `ClassVolumes`. Got {type(volume).__name__}.")
    return volume
