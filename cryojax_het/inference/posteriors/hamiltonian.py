"""Draws of conformation, pose and contrast of each image by Hamiltonian Monte Carlo."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ..sampling.dual_averaging import StepSize
from ..sampling.kernels import Trajectory, Walker
from ..sampling.mixture import Jump
from .draws import AbstractSampler, Path
from .gauss_newton import GaussNewton

_FIRST_STEP = 0.5  # in widths of the posterior


class Hamiltonian(AbstractSampler):
    """Trajectories of `leapfrogs` steps, and after each a jump between modes.

    All images and chains take the same number of steps, which is what maps well over images; each
    image has its own step size, the same for its chains, set in `warmup` moves such that
    trajectories are accepted with probability `acceptance`, and its own masses, the inverse
    variances of its modes. `draws` are kept of each of `chains`. (Hoffman & Gelman 2014, J. Mach.
    Learn. Res. 15, for the step size.)

    - `modes`: finds where chains begin and jump, and says what is inferred.
    """

    modes: GaussNewton = GaussNewton()
    chains: int = eqx.field(static=True, default=4)
    warmup: int = eqx.field(static=True, default=150)
    draws: int = eqx.field(static=True, default=250)
    leapfrogs: int = eqx.field(static=True, default=16)
    acceptance: float = eqx.field(static=True, default=0.8)

    def walk(self, key, potential, begin, inverse_mass, mixture):
        jump = Jump(mixture)

        def chain(key, walker, step):
            first, second = jax.random.split(key)
            trajectory = Trajectory(step, inverse_mass, self.leapfrogs)
            walker, move = trajectory.move(first, potential, walker)
            walker, jumped = jump.move(second, potential, walker)
            return walker, (walker.point, move, jumped)

        def turn(held, given):
            (walkers, tuning), (key, warming) = held, given
            step = tuning.now(warming)
            keys = jax.random.split(key, len(begin))
            walkers, kept = jax.vmap(chain, (0, 0, None))(keys, walkers, step)
            tuning = tuning.learnt(kept[1].acceptance.mean(), self.acceptance, warming)
            return (walkers, tuning), kept

        # One loop for warm-up and draws: its body is compiled once.
        total = self.warmup + self.draws
        walkers = jax.vmap(lambda point: Walker.at(potential, point))(begin)
        tuning = StepSize.starting(jnp.asarray(_FIRST_STEP, begin.dtype))
        given = jax.random.split(key, total), jnp.arange(total) < self.warmup
        (_, tuning), kept = jax.lax.scan(turn, (walkers, tuning), given)
        step = jnp.full(len(begin), jnp.exp(tuning.log_average))
        points, moves, jumps = jax.tree.map(lambda x: x[self.warmup :], kept)
        return Path.of(points, moves, jumps, step)
