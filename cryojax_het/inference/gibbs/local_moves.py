"""Moves of the latents of every image, all at once: they are independent given the parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..joint import log_likelihood
from ..sampling.dual_averaging import StepSize
from ..sampling.kernels import Trajectory, Walker
from ..sampling.mixture import Jump, StudentMixture
from .block import AbstractBlock, Place

_FIRST_STEP = 0.5  # in widths of the posterior


class LocalMoves(AbstractBlock[StepSize]):
    """A Hamiltonian trajectory of each image's unknowns, then a jump to a draw of its mixture.

    Trajectories are along tangents of the chart about the pose given; one that ends beyond half a
    turn is refused. Jumps are from anywhere to anywhere (`Jump`). Step sizes are of each image and
    chain, tuned such that trajectories are accepted with probability `acceptance`. Randomness
    belongs to the image (`batch.index`).

    - `mixture`: of each image, what jumps are drawn from; any is right, a near one is fast;
    - `inverse_mass`: of each image, best the variances of its unknowns;
    - `chunk`: images moved at a time, as memory allows; None: all.
    """

    mixture: StudentMixture
    inverse_mass: Float[Array, "n p"]
    leapfrogs: int = eqx.field(static=True, default=8)
    acceptance: float = eqx.field(static=True, default=0.8)
    chunk: int | None = eqx.field(static=True, default=None)

    def start(self, world, place):
        first = jnp.full(len(place.scaled), _FIRST_STEP, place.scaled.dtype)
        return jax.vmap(StepSize.starting)(first)

    def move(self, key, world, place, tuning, warming):
        model, batch = world.joint.prepared(place.values, world.grid), world.batch

        def image(index, data, widths, v, tuning, about):
            mixture, inverse_mass = about
            objective = world.joint.image(model, data, widths, world.grid)
            potential = lambda v: objective.penalty(v) - log_likelihood(objective, v)
            first, second = jax.random.split(jax.random.fold_in(key, index))
            trajectory = Trajectory(tuning.now(warming), inverse_mass, self.leapfrogs)
            walker, moved = trajectory.move(first, potential, Walker.at(potential, v))
            walker, jumped = Jump(mixture).move(second, potential, walker)
            tuned = tuning.learnt(moved.acceptance, self.acceptance, warming)
            return walker.point, tuned, (moved.acceptance, moved.diverged, jumped.acceptance)

        data = batch.images, batch.latents, batch.optics
        about = self.mixture, self.inverse_mass
        every = (batch.index, data, world.widths, place.scaled, tuning, about)
        size = self.chunk or len(batch.index)
        scaled, tuning, said = jax.lax.map(lambda one: image(*one), every, batch_size=size)
        words = dict(zip(("acceptance", "diverging", "jumped"), said, strict=True))
        return Place(place.values, scaled), tuning, words
