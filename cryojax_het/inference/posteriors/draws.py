"""What every sampler of the latents of single images shares: starts, chains, what they leave."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from equinox import AbstractVar
from jaxtyping import Array, Float, Int, PRNGKeyArray

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch, Latents
from ...imaging.noise import AbstractNoise
from ...volumes.base import AbstractVolume
from ..posterior import AbstractPosterior, Draws
from ..prior import AbstractPrior
from ..requirements import gaussian_noise
from ..sampling.kernels import Move, Potential
from ..sampling.mixture import StudentMixture
from ..symmetric_eigen import symmetric_eigen
from .gauss_newton import GaussNewton
from .laplace_modes import Modes
from .scaled_objective import ScaledObjective

_BROAD = 0.1  # share of the prior in what is proposed: modes that no descent found are seen too


class Path(NamedTuple):
    """What chains of one image leave: `points` after warm-up, and how their moves went.

    - `acceptance`: of trajectories, their mean; `jumped`: the same of jumps between modes;
    - `divergences`: trajectories after warm-up that ran away; `step_size`: the one settled on.
    """

    points: Float[Array, "c n q"]
    acceptance: Float[Array, " c"]
    jumped: Float[Array, " c"]
    divergences: Int[Array, " c"]
    step_size: Float[Array, " c"]

    @classmethod
    def of(cls, points, trajectories: Move, jumps: Move, step_size) -> "Path":
        """From points and moves in the order they were made, `[n, c]`."""
        return cls(
            points=jnp.swapaxes(points, 0, 1),
            acceptance=trajectories.acceptance.mean(axis=0),
            jumped=jumps.acceptance.mean(axis=0),
            divergences=trajectories.diverged.sum(axis=0),
            step_size=step_size,
        )


class Chains(eqx.Module):
    """Markov chains of each image, `c` of `n` draws.

    - `latents` `[b, c, n]`;
    - `unknowns`: steps from the batch's latents in their own units and order (conformation,
      rotation vector, shift, contrast, as far as inferred): what to judge convergence by;
    - the rest as in `Path`.
    """

    latents: Latents
    unknowns: Float[Array, "*b c n p"]
    acceptance: Float[Array, "*b c"]
    jumped: Float[Array, "*b c"]
    divergences: Int[Array, "*b c"]
    step_size: Float[Array, "*b c"]

    @classmethod
    def of(cls, objective: ScaledObjective, path: Path) -> "Chains":
        """Those of one image, without the axis `b`; further coordinates of the path are left."""
        scaled = path.points[..., : len(objective.scale)]
        return cls(
            jax.vmap(jax.vmap(objective.latents))(scaled), scaled * objective.scale, *path[1:]
        )

    def draws(self) -> Draws:
        """All draws of each image, chain after chain."""
        count, chains, draws = self.latents.contrast.shape
        flat = lambda x: x.reshape(count, chains * draws, *x.shape[3:])
        return Draws(jax.tree.map(flat, self.latents))


class Start(NamedTuple):
    """Where chains of one image begin, what they may jump to, and how wide its modes are."""

    begin: Float[Array, "c p"]
    mixture: StudentMixture
    variance: Float[Array, " p"]

    @classmethod
    def of(cls, key: PRNGKeyArray, objective: ScaledObjective, modes: Modes, chains: int):
        """From the modes of one image, in the scaled unknowns of `objective`.

        A tenth of the mixture is as broad as the prior, the rest Laplace's approximation of each
        mode by its weight, no wider than the prior. Chains begin at draws from it.
        """
        start, scale = objective.data[1], objective.scale
        place = jax.vmap(lambda end: objective.unknowns.between(start, end))(modes.latents) / scale
        narrow = jax.vmap(_no_wider)(modes.covariance / (scale * scale[:, None]))
        log_weight = jax.nn.log_softmax(modes.log_evidence)
        mixture = StudentMixture.of(
            jnp.append(log_weight + jnp.log1p(-_BROAD), jnp.log(_BROAD)),
            jnp.concatenate([place, objective.centre[None]]),
            jnp.concatenate([narrow, jnp.eye(len(scale), dtype=scale.dtype)[None]]),
        )
        begin = jax.vmap(mixture.sample)(jax.random.split(key, chains))
        variance = jnp.exp(log_weight) @ jnp.diagonal(narrow, axis1=1, axis2=2)
        return cls(begin, mixture, variance)


class AbstractSampler(AbstractPosterior[Draws]):
    """Markov chains over the unknowns of `modes`, each in units of the prior's widths.

    The density is over those unknowns: the prior on rotations is one on rotation vectors about the
    pose given, of widths far below π. Chains of an image begin at, and jump between, the modes
    that damped Gauss-Newton finds. Randomness belongs to the image (`batch.index`), not to its
    place in the batch. Gradients do not pass through. `TypeError` for noise that is not Gaussian.
    """

    modes: AbstractVar[GaussNewton]
    chains: AbstractVar[int]

    @abc.abstractmethod
    def walk(
        self,
        key: PRNGKeyArray,
        potential: Potential,
        begin: Float[Array, "c q"],
        inverse_mass: Float[Array, " q"],
        mixture: StudentMixture,
    ) -> Path:
        """Chains of one image in `exp(-potential)`, from `begin`.

        - `inverse_mass`: diagonal of the inverse of the mass matrix;
        - `mixture`: over the first unknowns, from which jumps are proposed.
        """

    def infer(self, key, volume, noise, prior, batch, grid):
        return self.run(key, volume, noise, prior, batch, grid).draws()

    def run(
        self,
        key: PRNGKeyArray,
        volume: AbstractVolume,
        noise: AbstractNoise,
        prior: AbstractPrior,
        batch: Batch,
        grid: FourierGrid,
    ) -> Chains:
        """The chains with all that is known of them."""

        def one(key, objective, start):
            path = self.walk(key, objective.objective, start.begin, start.variance, start.mixture)
            return Chains.of(objective, path)

        return each_image(self, one, key, (volume, noise, prior), batch, grid)


def each_image(sampler: AbstractSampler, one, key: PRNGKeyArray, model, batch: Batch, grid):
    """`one(key, objective, start)` of each image of `batch`, under `model`: volume, noise, prior.

    Both its arguments are in the scaled unknowns of the sampler.
    """
    volume, noise, prior = model
    known = gaussian_noise(noise, type(sampler).__name__), prior, volume.prepare(grid)
    modes = sampler.modes.modes(known[2], noise, prior, batch, grid)

    def image(index, data, modes):
        objective = ScaledObjective.of(sampler.modes.unknowns, known, data, grid)
        begin, walk = jax.random.split(jax.random.fold_in(key, index))
        return one(walk, objective, Start.of(begin, objective, modes, sampler.chains))

    data = batch.images, batch.latents, batch.optics
    return jax.lax.stop_gradient(jax.vmap(image)(batch.index, data, modes))


def _no_wider(covariance: Float[Array, "p p"]) -> Float[Array, "p p"]:
    """With eigenvalues of at most 1: an end on a slope has no width, and a mode seldom more than
    the prior."""
    values, vectors = symmetric_eigen(covariance)
    return (vectors * jnp.minimum(values, 1)) @ vectors.T
