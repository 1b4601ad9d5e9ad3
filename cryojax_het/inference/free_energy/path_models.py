"""What images are of: conformations of a path, or something else now and then."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox import AbstractVar
from jaxtyping import Array, Float

from .priors import AbstractProfilePrior, profile_of


def centred(log_likelihood: Float[Array, "n m"]) -> tuple[Float[Array, "n m"], Float[Array, " n"]]:
    """`e^ℓ_im` over its mean along the path, and the logarithm of that mean.

    Of order 1 whatever the image: sums over many images keep their digits in single precision.
    """
    level = jax.nn.logsumexp(log_likelihood, axis=1) - jnp.log(log_likelihood.shape[1])
    return jnp.exp(log_likelihood - level[:, None]), level


class AbstractPathModel(eqx.Module):
    """A density over real `unknowns`, given the images: what is sampled."""

    ratio: AbstractVar[Float[Array, "n m"]]
    nodes: AbstractVar[int]
    size: AbstractVar[int]

    @abc.abstractmethod
    def log_posterior(self, unknowns: Float[Array, " u"]) -> Float[Array, ""]:
        """Up to a constant."""

    @abc.abstractmethod
    def profile(self, unknowns: Float[Array, " u"]) -> Float[Array, " m"]:
        """The free energy, k_BT, of sum zero."""

    @abc.abstractmethod
    def off_path_share(self, unknowns: Float[Array, " u"]) -> Float[Array, ""]:
        """Share of the images that are of no conformation of the path."""


class OnPath(AbstractPathModel):
    """Every image is of a conformation of the path:

        log p(G | y) = Σ_i log Σ_m p_m e^ℓ_im + log p(G)

    (Giraldo-Barreto et al. 2021, Sci. Rep. 11, 13657.) `ratio` as from `centred`.
    """

    ratio: Float[Array, "n m"]
    prior: AbstractProfilePrior
    nodes: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    @classmethod
    def of(cls, log_likelihood: Float[Array, "n m"], prior: AbstractProfilePrior) -> "OnPath":
        """From the likelihood of each image at each node."""
        nodes = log_likelihood.shape[1]
        ratio = centred(log_likelihood)[0]
        return cls(ratio=ratio, prior=prior, nodes=nodes, size=nodes - 1)

    def log_posterior(self, unknowns):
        coordinates, log_det = self.prior.inside(unknowns)
        profile = profile_of(coordinates)
        mixed = self.ratio @ jax.nn.softmax(-profile)
        return jnp.sum(jnp.log(mixed)) + self.prior.log_prob(profile) + log_det

    def profile(self, unknowns):
        return profile_of(self.prior.inside(unknowns)[0])

    def off_path_share(self, unknowns):
        return jnp.zeros((), unknowns.dtype)


class WithOffPath(AbstractPathModel):
    """A share ε of the images, uniform in 0 to 1 and unknown, is of something else:

        log p(G, ε | y) = Σ_i log((1 - ε) Σ_m p_m e^ℓ_im + ε e^ℓ_i0) + log p(G)

    - `null`: `e^ℓ_i0` over the same mean along the path that `ratio` is over.

    The last of the unknowns is `log ε/(1 - ε)`.
    """

    ratio: Float[Array, "n m"]
    null: Float[Array, " n"]
    prior: AbstractProfilePrior
    nodes: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        log_likelihood: Float[Array, "n m"],
        off_path: Float[Array, " n"],
        prior: AbstractProfilePrior,
    ) -> "WithOffPath":
        """`off_path`: `ℓ_i0`, the likelihood of each image as one of something else: of the
        consensus, or a mean over a broad ensemble."""
        nodes = log_likelihood.shape[1]
        ratio, level = centred(log_likelihood)
        # What is e^80 times likelier off the path is off it; more would overflow.
        null = jnp.exp(jnp.minimum(off_path - level, 80.0))
        return cls(ratio=ratio, null=null, prior=prior, nodes=nodes, size=nodes)

    def log_posterior(self, unknowns):
        coordinates, log_det = self.prior.inside(unknowns[:-1])
        profile, odds = profile_of(coordinates), unknowns[-1]
        share = jax.nn.sigmoid(odds)
        mixed = (1 - share) * (self.ratio @ jax.nn.softmax(-profile)) + share * self.null
        uniform = jax.nn.log_sigmoid(odds) + jax.nn.log_sigmoid(-odds)
        return jnp.sum(jnp.log(mixed)) + self.prior.log_prob(profile) + log_det + uniform

    def profile(self, unknowns):
        return profile_of(self.prior.inside(unknowns[:-1])[0])

    def off_path_share(self, unknowns):
        return jax.nn.sigmoid(unknowns[-1])
