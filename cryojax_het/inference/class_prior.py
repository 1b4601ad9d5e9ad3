"""What is known of the class of an image before it is seen: the populations."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .prior import AbstractPrior

EVEN = 0.01  # weight of equal populations beside those found: α = 1 + EVEN N/K


class ClassPrior(AbstractPrior):
    """`log p = log Σ_k z_k π_k + log p(pose, contrast)` with populations `π` of sum 1.

    A class of population 0 is out for good.
    """

    population: Float[Array, " k"]
    rest: AbstractPrior  # of rotation, shift and contrast

    def log_prob(self, latents, start):
        log_rest = self.rest.log_prob(_without_class(latents), _without_class(start))
        return jnp.log(latents.conformation @ self.population) + log_rest

    def updated(self, members: Float[Array, " k"]) -> "ClassPrior":
        """With the populations that `members`, the sums of responsibilities, imply.

        `π_k = (N_k + α - 1) / (N + K (α - 1))`, the mode under a Dirichlet density of `α = 1 + EVEN
        N/K`, over the classes that are left.
        """
        left = self.population > 0
        even = EVEN * members.sum() / left.sum()
        counts = jnp.where(left, members + even, 0)
        # Without any image everything stays as it is.
        found = counts / jnp.where(members.sum() > 0, counts.sum(), 1)
        found = jnp.where(members.sum() > 0, found, self.population)
        return ClassPrior(found, self.rest)


def class_prior(prior: AbstractPrior, count: int) -> ClassPrior:
    """`prior` itself where it knows of `count` classes, else with equal populations.

    `ValueError` where it knows of another number.
    """
    if not isinstance(prior, ClassPrior):
        return ClassPrior(jnp.full(count, 1 / count), prior)
    if prior.population.shape != (count,):
        raise ValueError(f"The prior is of {len(prior.population)} classes, the volume of {count}.")
    return prior


def class_count(latent_size: int) -> int:
    """Classes of a volume with a latent of `latent_size`; without one it is a single class."""
    return max(1, latent_size)


def _without_class(latents):
    return eqx.tree_at(lambda t: t.conformation, latents, latents.conformation[:0])
