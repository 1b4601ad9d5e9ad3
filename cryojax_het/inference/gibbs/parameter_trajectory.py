"""A Hamiltonian trajectory of parameters that images are not linear in."""

import equinox as eqx
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ..sampling.dual_averaging import StepSize
from ..sampling.kernels import Trajectory, Walker
from .block import AbstractBlock, Place
from .sampler import log_likelihoods

_FIRST_STEP = 0.1  # in widths of the prior


class ParameterTrajectory(AbstractBlock[StepSize]):
    """Of the arrays `names` together in their free coordinates, the latents held.

    The step size is each chain's own, tuned to `acceptance`; masses are those of free coordinates.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    leapfrogs: int = eqx.field(static=True, default=16)
    acceptance: float = eqx.field(static=True, default=0.8)

    def start(self, world, place):
        unknown = [name for name in self.names if name not in world.joint.priors]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not unknown: {sorted(world.joint.priors)} are.")
        return StepSize.starting(jnp.asarray(_FIRST_STEP, place.scaled.dtype))

    def move(self, key, world, place, tuning, warming):
        priors = {name: world.joint.priors[name] for name in self.names}
        free = {name: prior.free(place.values[name]) for name, prior in priors.items()}
        flat, restore = ravel_pytree(free)

        def values_at(flat):
            return {name: priors[name].value(part) for name, part in restore(flat).items()}

        def potential(flat):
            at = Place({**place.values, **values_at(flat)}, place.scaled)
            prior = sum(priors[name].log_prob(part) for name, part in restore(flat).items())
            return -log_likelihoods(world, at).sum() - prior

        trajectory = Trajectory(tuning.now(warming), jnp.ones_like(flat), self.leapfrogs)
        walker, moved = trajectory.move(key, potential, Walker.at(potential, flat))
        tuned = tuning.learnt(moved.acceptance, self.acceptance, warming)
        said = {"parameter acceptance": moved.acceptance}
        return Place({**place.values, **values_at(walker.point)}, place.scaled), tuned, said
