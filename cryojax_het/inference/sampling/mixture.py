"""A mixture of broad densities about known modes, and jumps between modes drawn from it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from ..symmetric_eigen import symmetric_eigen
from .kernels import AbstractKernel, Move, Walker, accepted

_FREEDOM = 4  # degrees of freedom: tails that no target has, and two exponentials make its χ²


class StudentMixture(eqx.Module):
    """`q(v) = Σ_h w_h t₄(v; m_h, Σ_h)`, `t₄` Student's density of 4 degrees of freedom.

    - `log_weight`: normalised; `mean` `m`;
    - `root`: `A` with `A Aᵀ = Σ`; `inverse`: `A⁻¹`; `log_volume`: `log |det A|`.
    """

    log_weight: Float[Array, " h"]
    mean: Float[Array, "h p"]
    root: Float[Array, "h p p"]
    inverse: Float[Array, "h p p"]
    log_volume: Float[Array, " h"]

    @classmethod
    def of(
        cls,
        log_weight: Float[Array, " h"],
        mean: Float[Array, "h p"],
        covariance: Float[Array, "h p p"],
    ) -> "StudentMixture":
        """From weights (of any sum), means and positive definite scale matrices `Σ`."""
        values, vectors = jax.vmap(symmetric_eigen)(covariance)
        width = jnp.sqrt(jnp.maximum(values, jnp.finfo(values.dtype).tiny))
        return cls(
            jax.nn.log_softmax(log_weight),
            mean,
            vectors * width[:, None],
            vectors.mT / width[..., None],
            jnp.sum(jnp.log(width), axis=1),
        )

    @property
    def size(self) -> int:
        """How many unknowns it is over."""
        return self.mean.shape[1]

    def sample(self, key: PRNGKeyArray) -> Float[Array, " p"]:
        """One draw."""
        keys, dtype = jax.random.split(key, 3), self.mean.dtype
        chosen = jax.random.categorical(keys[0], self.log_weight)
        unit = jax.random.normal(keys[1], (self.size,), dtype)
        square = 2 * jnp.sum(jax.random.exponential(keys[2], (_FREEDOM // 2,), dtype))
        stretched = unit * jnp.sqrt(_FREEDOM / square)
        return self.mean[chosen] + jnp.matmul(self.root[chosen], stretched, precision="highest")

    def log_prob(self, v: Float[Array, " p"]) -> Float[Array, ""]:
        """Log density at `v`."""
        p = self.size
        away = jnp.einsum("hij,hj->hi", self.inverse, v - self.mean, precision="highest")
        distance = jnp.sum(away**2, axis=1)
        constant = gammaln((_FREEDOM + p) / 2) - gammaln(_FREEDOM / 2)
        constant = constant - 0.5 * p * jnp.log(_FREEDOM * jnp.pi)
        each = constant - self.log_volume - 0.5 * (_FREEDOM + p) * jnp.log1p(distance / _FREEDOM)
        return jax.nn.logsumexp(self.log_weight + each).astype(v.dtype)


class Jump(AbstractKernel):
    """An independent proposal of the first unknowns from a mixture, others staying.

    From `v` to `v' ~ q` with probability `min(1, exp(U(v) - U(v')) q(v) / q(v'))`: detailed
    balance whatever `q`, and the weights of modes that no trajectory connects come out right, as
    far as `q` knows of the modes. (Tierney 1994, Ann. Stat. 22.)
    """

    mixture: StudentMixture

    def move(self, key, potential, walker):
        draw, choose = jax.random.split(key)
        size = self.mixture.size
        proposed = Walker.at(potential, walker.point.at[:size].set(self.mixture.sample(draw)))
        log_q = lambda w: self.mixture.log_prob(w.point[:size])
        log_ratio = walker.value - proposed.value + log_q(walker) - log_q(proposed)
        walker, acceptance = accepted(choose, log_ratio, proposed, walker)
        return walker, Move(acceptance, jnp.asarray(False))
