"""The E-step: from images to what is believed of their latents."""

import abc
from typing import Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..imaging import rotation as so3
from ..imaging.grid import FourierGrid
from ..imaging.image import Batch, Latents
from ..imaging.noise import AbstractNoise
from ..volumes.base import AbstractVolume
from .prior import AbstractPrior
from .symmetric_eigen import symmetric_eigen


class Point(eqx.Module):
    """All belief on one value of the latents of each image `[b]`."""

    latents: Latents

    def mean(self) -> Latents:
        """The value."""
        return self.latents

    def sample(self, key: PRNGKeyArray) -> Latents:
        """The value."""
        del key
        return self.latents

    def log_prob(self) -> Float[Array, " b"]:
        """0: as in EM with a maximum for E-step, the point has no entropy to account for."""
        return jnp.zeros(self.latents.contrast.shape)


class Gaussian(eqx.Module):
    """Normal belief on each image's conformation, `[b, d]` and `[b, d, d]`; the rest a point."""

    latents: Latents
    covariance: Float[Array, "b d d"]

    def mean(self) -> Latents:
        """Latents at the mean conformation."""
        return self.latents

    def sample(self, key: PRNGKeyArray) -> Latents:
        """One draw of each image's conformation."""
        draws = jax.random.normal(key, self.latents.conformation.shape)
        factor = jnp.linalg.cholesky(self.covariance)
        moved = self.latents.conformation + jnp.einsum("bij,bj->bi", factor, draws)
        return eqx.tree_at(lambda t: t.conformation, self.latents, moved)

    def log_prob(self, conformation: Float[Array, "b d"]) -> Float[Array, " b"]:
        """Log density of each image's `conformation`."""
        density = jax.scipy.stats.multivariate_normal.logpdf
        means = self.latents.conformation
        return jnp.asarray(jax.vmap(density)(conformation, means, self.covariance))


class LinearGaussian(eqx.Module):
    """Normal belief on the conformation of a linear volume, its contrast integrated over.

    - `covariance`: of the conformation; `log_likelihood`: `log p(y) - log p(y | no particle)`;
    - `first`, `second`: `E[c h]` and `E[c² h hᵀ]` of contrast `c` and `h = (1, z)`, all that least
      squares for the mean and the components need.
    """

    latents: Latents
    covariance: Float[Array, "b d d"]
    first: Float[Array, "b q"]
    second: Float[Array, "b q q"]
    log_likelihood: Float[Array, " b"]

    def normal(self) -> Gaussian:
        """The belief on the conformation alone."""
        return Gaussian(self.latents, self.covariance)

    def mean(self) -> Latents:
        """Latents at the mean conformation and contrast."""
        return self.latents

    def sample(self, key: PRNGKeyArray) -> Latents:
        """One draw of each image's conformation."""
        return self.normal().sample(key)

    def log_prob(self, conformation: Float[Array, "b d"]) -> Float[Array, " b"]:
        """Log density of each image's `conformation`."""
        return self.normal().log_prob(conformation)


class Hypotheses(eqx.Module):
    """Weighted alternatives for the latents of each image: `latents` `[b, h]`.

    `covariance`: of the conformation about each alternative, which is then a normal belief; None:
    a point.
    """

    latents: Latents
    log_weight: Float[Array, "b h"]  # normalised over h
    covariance: Float[Array, "b h d d"] | None = None

    def mean(self) -> Latents:
        """The most probable alternative of each image: poses have no mean in their own space."""
        best = jnp.argmax(self.log_weight, axis=1)
        return jax.tree.map(lambda x: x[jnp.arange(len(best)), best], self.latents)

    def sample(self, key: PRNGKeyArray) -> Latents:
        """One alternative of each image, drawn by weight, and a conformation about it."""
        chosen = jax.random.categorical(key, self.log_weight, axis=1)
        pick = lambda x: x[jnp.arange(len(chosen)), chosen]
        latents = jax.tree.map(pick, self.latents)
        if self.covariance is None:
            return latents
        return Gaussian(latents, pick(self.covariance)).sample(jax.random.fold_in(key, 1))

    def log_prob(self) -> Float[Array, "b h"]:
        """Log weight of each alternative."""
        return self.log_weight

    def moments(self) -> tuple[Float[Array, "b d"], Float[Array, "b d d"]]:
        """Mean and covariance of each image's conformation over all alternatives."""
        weight, each = jnp.exp(self.log_weight), self.latents.conformation
        mean = jnp.einsum("bh,bhd->bd", weight, each)
        away = each - mean[:, None]
        spread = jnp.einsum("bh,bhi,bhj->bij", weight, away, away)
        if self.covariance is None:
            return mean, spread
        return mean, spread + jnp.einsum("bh,bhij->bij", weight, self.covariance)


class OnNodes(eqx.Module):
    """Belief on nodes of the conformation's whole range, its contrast integrated over.

    - `latents`, `covariance`: moments of the conformation, contrast, and the pose as given;
    - `nodes`, `log_weight`: the same for all images, and normalised over them;
    - `first`, `second`: `E[c h]` and `E[c² h hᵀ]` of contrast `c` and the functions `h` that the
      volume is expanded in; `log_likelihood`: `log p(y) - log p(y | no particle)`.
    """

    latents: Latents
    covariance: Float[Array, "b d d"]
    nodes: Float[Array, "g d"]
    log_weight: Float[Array, "b g"]
    first: Float[Array, "b p"]
    second: Float[Array, "b p p"]
    log_likelihood: Float[Array, " b"]

    def mean(self) -> Latents:
        """Latents at the mean conformation and contrast."""
        return self.latents

    def sample(self, key: PRNGKeyArray) -> Latents:
        """A node of each image, drawn by weight."""
        chosen = jax.random.categorical(key, self.log_weight, axis=1)
        return eqx.tree_at(lambda t: t.conformation, self.latents, self.nodes[chosen])

    def log_prob(self) -> Float[Array, "b g"]:
        """Log weight of each node."""
        return self.log_weight


class Draws(eqx.Module):
    """Belief by draws of equal weight, such as those of a Markov chain: `latents` `[b, s]`."""

    latents: Latents

    def mean(self) -> Latents:
        """The mean of each image's draws; of rotations the one nearest to all, in the sum of
        squared distances of matrices (Markley et al. 2007, J. Guid. Control Dyn. 30)."""
        turned = jax.vmap(_mean_rotation)(self.latents.rotation)
        plain = jax.tree.map(lambda x: x.mean(axis=1), self.latents)
        return eqx.tree_at(lambda t: t.rotation, plain, turned)

    def sample(self, key: PRNGKeyArray) -> Latents:
        """One of the draws of each image."""
        count, size = self.latents.contrast.shape
        chosen = jax.random.randint(key, (count,), 0, size)
        return jax.tree.map(lambda x: x[jnp.arange(count), chosen], self.latents)

    def log_prob(self) -> Float[Array, "b s"]:
        """Log weight of each draw."""
        return jnp.full_like(self.latents.contrast, -jnp.log(self.latents.contrast.shape[1]))

    def moments(self) -> tuple[Float[Array, "b d"], Float[Array, "b d d"]]:
        """Mean and covariance of each image's conformation."""
        each = self.latents.conformation
        mean = each.mean(axis=1)
        away = each - mean[:, None]
        return mean, jnp.einsum("bsi,bsj->bij", away, away) / each.shape[1]


class ClassBelief(eqx.Module):
    """Belief on the class of each image and on its pose: `p` poses, `k` classes at each of them.

    - `latents`: the poses, with the shift and contrast that all classes share at each;
    - `log_weight`: normalised over both axes; `log_likelihood`: `log p(y)`, both summed over.
    """

    latents: Latents  # [b, p]
    log_weight: Float[Array, "b p k"]
    log_likelihood: Float[Array, " b"]

    def probability(self) -> Float[Array, "b k"]:
        """Of each class, whatever the pose."""
        return jnp.exp(jax.nn.logsumexp(self.log_weight, axis=1))

    def hypotheses(self) -> Hypotheses:
        """Every class at every pose as an alternative of its own, one-hot conformations."""
        count, poses, classes = self.log_weight.shape
        d = self.latents.conformation.shape[-1]
        repeated = jax.tree.map(lambda x: jnp.repeat(x, classes, axis=1), self.latents)
        chosen = jnp.tile(jnp.eye(classes, d, dtype=self.log_weight.dtype), (count, poses, 1))
        latents = eqx.tree_at(lambda t: t.conformation, repeated, chosen)
        return Hypotheses(latents, self.log_weight.reshape(count, -1))

    def mean(self) -> Latents:
        """The most probable class and pose."""
        return self.hypotheses().mean()

    def sample(self, key: PRNGKeyArray) -> Latents:
        """A class and a pose of each image, drawn by weight."""
        return self.hypotheses().sample(key)

    def log_prob(self) -> Float[Array, "b h"]:
        """Log weight of each alternative, pose by pose."""
        return self.hypotheses().log_prob()


def _mean_rotation(rotations: Float[Array, "s 3 3"]) -> Float[Array, "3 3"]:
    quaternions = jax.vmap(so3.to_quaternion)(rotations)
    values, vectors = symmetric_eigen(
        jnp.einsum("si,sj->ij", quaternions, quaternions, precision="highest")
    )
    return so3.from_quaternion(vectors[:, jnp.argmax(values)])


Posterior = TypeVar(
    "Posterior", Point, Gaussian, LinearGaussian, Hypotheses, OnNodes, Draws, ClassBelief
)


class AbstractPosterior(eqx.Module, Generic[Posterior]):
    """A method of inferring latents; what it returns says which updates can use it."""

    @abc.abstractmethod
    def infer(
        self,
        key: PRNGKeyArray,
        volume: AbstractVolume,
        noise: AbstractNoise,
        prior: AbstractPrior,
        batch: Batch,
        grid: FourierGrid,
    ) -> Posterior:
        """Belief on the latents of each image of `batch`."""
