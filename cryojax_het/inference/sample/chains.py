"""HMC and NUTS of a NumPyro model as a chain of states that can be put away and taken up."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree
from numpyro.infer.mcmc import MCMCKernel

Positions = dict[str, Float[Array, "..."]]


class KernelDraws(NamedTuple):
    """What steps leave, `[draw, chain, ...]`: values of all sites, and how steps went."""

    sites: Positions
    energy: Float[Array, "d c"]
    diverging: Bool[Array, "d c"]
    acceptance: Float[Array, "d c"]
    leapfrogs: Int[Array, "d c"]


class KernelChains(eqx.Module):
    """Chains of one NumPyro kernel, all in one compiled program.

    The state has everything, momenta's masses, step sizes and keys included: going on from one that
    was put away gives what would have come without the stop. Chains are mapped; where the state is
    sharded over its leading axis, so is the work.

    - `kernel`: made by this program alone, and of a model; its warm-up lasts `warmup` steps;
    - `given`: arguments of the model.
    """

    kernel: MCMCKernel = eqx.field(static=True)
    given: tuple
    warmup: int = eqx.field(static=True, default=500)

    def begin(self, key: PRNGKeyArray, start: Positions) -> PyTree:
        """Chains at `start`, unconstrained values of the sites with a leading axis of chains."""
        count = len(jax.tree.leaves(start)[0])
        return self.kernel.init(jax.random.split(key, count), self.warmup, start, self.given, {})

    def advance(self, state: PyTree, steps: int) -> tuple[PyTree, KernelDraws]:
        """`steps` more, those of the warm-up among them where it is not over. `begin` must have
        been called by this process, be it for the shape of a state read from disk."""

        def step(state, _):
            state = self.kernel.sample(state, self.given, {})
            return state, kept(state)

        return jax.lax.scan(step, state, None, length=steps)


def kept(state: Any) -> KernelDraws:
    """What is kept of a state of HMC."""
    said = (state.energy, state.diverging, state.accept_prob, state.num_steps)
    return KernelDraws(state.z, *said)


def scattered(key: PRNGKeyArray, start: Positions, chains: int, width: float = 1.0) -> Positions:
    """Starts of `chains`, about `start` by `width` times a standard normal in each coordinate."""
    leaves, structure = jax.tree.flatten(start)
    keys = jax.random.split(key, len(leaves))
    moved = [
        leaf + width * jax.random.normal(k, (chains, *jnp.shape(leaf)), jnp.result_type(leaf))
        for leaf, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(structure, moved)


Advance = Callable[[PyTree, int], tuple[PyTree, Any]]
