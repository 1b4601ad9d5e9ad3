"""HMC with energy-conserving subsampling: many images, few global unknowns."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree
from numpyro.infer import HMCECS, NUTS

from .chains import KernelDraws, Positions, kept


class SubsampledChains(eqx.Module):
    """NUTS on a likelihood estimated from a subsample of the images, which moves as well.

    The estimate is that of a Taylor expansion about `reference` of the log-likelihood of every
    image, corrected on the subsample; close to the mode, and for up to a few hundred unknowns (the
    expansion has a Hessian), its error is small. (Dang, Quiroz, Kohn, Tran & Villani 2019, J. Mach.
    Learn. Res. 20.) Chains run one after another, in one compiled program.

    - `model`: with a plate that subsamples, and no latents of images (`marginal_model`);
    - `reference`: unconstrained values of its sites, best the maximum of the posterior;
    - `blocks`: parts of the subsample of which one is drawn anew at a time.
    """

    kernel: HMCECS = eqx.field(static=True)
    given: tuple
    warmup: int = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        model: Callable,
        given: tuple,
        reference: Positions,
        blocks: int = 10,
        warmup: int = 500,
    ) -> "SubsampledChains":
        """Chains of `model(*given)`."""
        proxy = HMCECS.taylor_proxy(reference)
        return cls(HMCECS(NUTS(model), num_blocks=blocks, proxy=proxy), given, warmup)

    def begin(self, key: PRNGKeyArray, start: Positions) -> PyTree:
        """Chains at `start`, unconstrained values of the sites with a leading axis of chains."""
        count = len(jax.tree.leaves(start)[0])
        one = lambda key, i: self.kernel.init(
            key, self.warmup, jax.tree.map(lambda x: x[i], start), self.given, {}
        )
        states = [one(k, i) for i, k in enumerate(jax.random.split(key, count))]
        return jax.tree.map(lambda *each: jnp.stack(each), *states)

    def advance(self, state: PyTree, steps: int) -> tuple[PyTree, KernelDraws]:
        """`steps` more of every chain."""

        def step(state, _):
            state = self.kernel.sample(state, self.given, {})
            hmc = state.hmc_state
            return state, kept(hmc)

        chain = lambda state: jax.lax.scan(step, state, None, length=steps)
        state, draws = jax.lax.map(chain, state)
        return state, jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), draws)


def maximum(
    potential: Callable[[Float[Array, " q"]], Float[Array, ""]],
    start: Float[Array, " q"],
    steps: int = 30,
) -> Float[Array, " q"]:
    """Where `potential`, smooth and of few unknowns, is least near `start`: Newton steps, damped
    until they descend."""

    def step(x, _):
        value, slope, bend = potential(x), jax.grad(potential)(x), jax.hessian(potential)(x)
        values, vectors = jnp.linalg.eigh(bend)
        stiff = jnp.maximum(jnp.abs(values), 1e-6 * jnp.max(jnp.abs(values)))
        full = -vectors @ ((vectors.T @ slope) / stiff)
        shares = 0.5 ** jnp.arange(12.0).astype(x.dtype)
        found = jax.vmap(lambda share: potential(x + share * full))(shares)
        best = jnp.nanargmin(found)
        return jnp.where(found[best] < value, x + shares[best] * full, x), None

    return jax.lax.scan(step, start, None, length=steps)[0]
