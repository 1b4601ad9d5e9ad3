"""Draws of conformation, pose and contrast of each image by the no-U-turn sampler of NumPyro."""

import equinox as eqx
import jax

from ..sampling.kernels import Move, Walker
from ..sampling.mixture import Jump
from .draws import AbstractSampler, Path
from .gauss_newton import GaussNewton

_FIRST_STEP = 0.5  # in widths of the posterior


class NoUTurn(AbstractSampler):
    """Trajectories that end where they would turn back, and after each a jump between modes.

    Needs no length to be chosen, but mapped over images all wait for the longest trajectory, at
    most `2^depth - 1` steps: where many images are inferred at once, `Hamiltonian` is faster. Each
    chain has its own step size, set in `warmup` moves; masses are the inverse variances of the
    image's modes. (Hoffman & Gelman 2014, J. Mach. Learn. Res. 15; Phan et al. 2019,
    arXiv:1912.11554.)

    - `modes`: finds where chains begin and jump, and says what is inferred.
    """

    modes: GaussNewton = GaussNewton()
    chains: int = eqx.field(static=True, default=4)
    warmup: int = eqx.field(static=True, default=150)
    draws: int = eqx.field(static=True, default=250)
    depth: int = eqx.field(static=True, default=6)
    acceptance: float = eqx.field(static=True, default=0.8)

    def walk(self, key, potential, begin, inverse_mass, mixture):
        from numpyro.infer.hmc import hmc

        initial, trajectory = hmc(potential, algo="NUTS")
        jump = Jump(mixture)

        def started(key, point):
            return initial(
                point,
                self.warmup,
                step_size=_FIRST_STEP,
                inverse_mass_matrix=inverse_mass,
                adapt_mass_matrix=False,
                target_accept_prob=self.acceptance,
                max_tree_depth=self.depth,
                rng_key=key,
            )

        def turn(states, key):
            states = jax.vmap(trajectory)(states)
            walkers = Walker(states.z, states.potential_energy, states.z_grad)
            keys = jax.random.split(key, len(begin))
            walkers, jumped = jax.vmap(lambda k, w: jump.move(k, potential, w))(keys, walkers)
            point, value, gradient = walkers
            states_after = states._replace(z=point, potential_energy=value, z_grad=gradient)
            return states_after, (point, Move(states.accept_prob, states.diverging), jumped)

        first, then = jax.random.split(key)
        states = jax.vmap(started)(jax.random.split(first, len(begin)), begin)
        keys = jax.random.split(then, self.warmup + self.draws)
        states, kept = jax.lax.scan(turn, states, keys)
        points, moves, jumps = jax.tree.map(lambda x: x[self.warmup :], kept)
        return Path.of(points, moves, jumps, states.adapt_state.step_size)
