"""What a method of inference needs of a model, checked with the remedy in the error."""

from ..imaging.noise import AbstractGaussianNoise, AbstractNoise
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
