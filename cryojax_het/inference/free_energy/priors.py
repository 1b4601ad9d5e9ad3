"""What is known of a free-energy profile, or of the weights of an ensemble, before any image.

A profile `G` `[m]`, in k_BT, is of sum zero: populations `p_m = e^(-G_m) / Σ e^(-G)` fix no more.
Densities are over `m - 1` orthonormal coordinates of such profiles, up to a constant.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class AbstractProfilePrior(eqx.Module):
    """A density over profiles of sum zero."""

    @abc.abstractmethod
    def log_prob(self, profile: Float[Array, " m"]) -> Float[Array, ""]:
        """Log density of a profile inside the support, up to a constant."""

    @abc.abstractmethod
    def inside(
        self, coordinates: Float[Array, " c"]
    ) -> tuple[Float[Array, " c"], Float[Array, ""]]:
        """Any real coordinates to those of the support, one to one, and the logarithm of the
        determinant of that map; the identity where all profiles are allowed."""

    @abc.abstractmethod
    def without(self, node: int) -> "AbstractProfilePrior":
        """Of the same path with one node left out."""

    @abc.abstractmethod
    def check(self, nodes: int) -> None:
        """`ValueError` where the prior is not one of profiles of so many nodes."""


class AbstractEverywhere(AbstractProfilePrior):
    """A prior that no profile is beyond."""

    def inside(self, coordinates):
        return coordinates, jnp.zeros((), coordinates.dtype)


class AbstractEnsemblePrior(AbstractEverywhere):
    """A prior of the weights of structures that a simulation visited `counts` times."""

    counts: eqx.AbstractVar[Float[Array, " m"]]

    def without(self, node):
        return eqx.tree_at(lambda p: p.counts, self, jnp.delete(self.counts, node))

    def check(self, nodes):
        _counted(nodes, self.counts)


class RandomWalkPrior(AbstractEverywhere):
    """`G_(m+1) - G_m ~ N(0, 1/λ)`, `λ ~ Gamma(shape, rate)` integrated out:

        log p(G) = -(shape + (m - 1)/2) log(rate + ½ Σ (G_(m+1) - G_m)²)

    Neighbours on the path are alike, by how much the images say. Proper for any number of nodes.
    """

    shape: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=1.0)
    rate: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=0.05)

    def log_prob(self, profile):
        steps = jnp.diff(profile)
        power = self.shape + len(steps) / 2
        return -power * jnp.log(self.rate + 0.5 * jnp.sum(steps**2))

    def without(self, node):
        del node
        return self

    def check(self, nodes):
        _at_least(nodes, 2, self)


class PublishedPrior(AbstractProfilePrior):
    """`p(G) ∝ (Σ (G_(m+1) - G_m)²)^(-2)` within `|G_m| <= bound`, as public cryo-BIFE has it.

    Without the bound the posterior is none: a node without images has a likelihood that does not
    fall as `G_m` grows, and the power law falls too slowly. Nor is it one for 5 nodes or fewer, by
    its pole at the constant profile.
    """

    bound: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=10.0)

    def log_prob(self, profile):
        return -2 * jnp.log(jnp.sum(jnp.diff(profile) ** 2))

    def inside(self, coordinates):
        # Along each ray from the origin, whose wall is at q = 1: q becomes tanh q.
        q = jnp.max(jnp.abs(profile_of(coordinates))) / self.bound
        q = jnp.maximum(q, jnp.finfo(q.dtype).tiny)
        scale = jnp.tanh(q) / q
        slope = -2 * (jnp.logaddexp(q, -q) - jnp.log(2.0))  # log of 1/cosh²
        return coordinates * scale, (len(coordinates) - 1) * jnp.log(scale) + slope

    def without(self, node):
        del node
        return self

    def check(self, nodes):
        _at_least(nodes, 6, self)


class DirichletPrior(AbstractEnsemblePrior):
    """Weights `w ~ Dirichlet(concentration, ...)` of structures that a simulation visited `counts`
    times: `p_m = w_m N_m / Σ w N`. (Tang et al. 2023, J. Phys. Chem. B 127, 5410.)"""

    counts: Float[Array, " m"]
    concentration: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=1.0)

    def log_prob(self, profile):
        # The determinant of softmax on its simplex is the product of the weights.
        return self.concentration * jnp.sum(log_weights(profile, self.counts))


class EntropicPrior(AbstractEnsemblePrior):
    """`p(w) ∝ exp(-θ KL(p ‖ p⁰))`, `p⁰ = N_m / Σ N` the simulation's own populations.

    - `strength`: θ, in nats: the number of images that the simulation is worth.
    """

    counts: Float[Array, " m"]
    strength: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def log_prob(self, profile):
        log_p = jax.nn.log_softmax(-profile)
        log_ratio = log_p - jnp.log(self.counts / jnp.sum(self.counts))
        divergence = jnp.sum(jnp.exp(log_p) * log_ratio)
        return jnp.sum(log_weights(profile, self.counts)) - self.strength * divergence


def log_weights(profile: Float[Array, " m"], counts: Float[Array, " m"]) -> Float[Array, " m"]:
    """`log w` of `w_m ∝ p_m / N_m`, of sum 1."""
    return jax.nn.log_softmax(-profile - jnp.log(counts))


def profile_of(coordinates: Float[Array, " c"]) -> Float[Array, " m"]:
    """The profile of sum zero with these coordinates: `B c`, `B` `[c + 1, c]` orthonormal."""
    return jnp.asarray(_helmert(len(coordinates) + 1), coordinates.dtype) @ coordinates


def coordinates_of(profile: Float[Array, " m"]) -> Float[Array, " c"]:
    """Of a profile, whatever its sum."""
    return jnp.asarray(_helmert(len(profile)), profile.dtype).T @ profile


def _helmert(nodes: int) -> Float[np.ndarray, "m c"]:
    """Column k compares node k + 1 with the mean of those before it."""
    k = np.arange(1, nodes)
    rows = np.arange(nodes)[:, None]
    basis = np.where(rows < k, 1.0, np.where(rows == k, -1.0 * k, 0.0))
    return basis / np.sqrt(k * (k + 1))


def _at_least(nodes, fewest, prior):
    if nodes < fewest:
        raise ValueError(f"A `{type(prior).__name__}` is over {fewest} nodes or more. Got {nodes}.")


def _counted(nodes, counts):
    if counts.shape != (nodes,) or not bool(jnp.all(counts > 0)):
        raise ValueError(
            f"`counts` must be {nodes} positive numbers, one to a node. Got shape {counts.shape}, "
            f"smallest {float(jnp.min(counts)):g}."
        )
