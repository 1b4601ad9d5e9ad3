"""Markov chains by gradients of minibatches: for many images, where a pass per move is too dear.

`dU(f) = ∇prior(f) + Σ_i g_i(f)` is estimated from a minibatch `B` of `m` of the `N` images with
control variates at a reference `f*` near the mode (Baker, Fearnhead, Fox & Nemeth 2019, Stat.
Comput. 29):

    dU(f) ≈ ∇prior(f) + Σ_i g_i(f*) + (N/m) Σ_{i∈B} (g_i(f) - g_i(f*))

No move is refused: variances are biased by the step, which calibration must judge.
"""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

Gradients = Callable[[Float[Array, " q"], Int[Array, " m"]], Float[Array, " q"]]


class Subsampled(eqx.Module):
    """The gradient of a potential `prior(f) + Σ_i image(f, i)`, estimated.

    - `prior`, `image`: of one set of parameters `[q]`, nats; `count` N; `size` m;
    - `reference` f*; `whole`: `Σ_i ∇image(f*, i)`.
    """

    prior: Callable[[Float[Array, " q"]], Float[Array, ""]]
    image: Callable[[Float[Array, " q"], Int[Array, ""]], Float[Array, ""]]
    reference: Float[Array, " q"]
    whole: Float[Array, " q"]
    count: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    @classmethod
    def about(cls, prior, image, reference, count: int, size: int) -> "Subsampled":
        """Control variates at `reference`: one pass over all images."""
        each = jax.lax.map(lambda i: jax.grad(image)(reference, i), jnp.arange(count))
        return cls(prior, image, reference, each.sum(axis=0), count, size)

    def gradient(self, key: PRNGKeyArray, f: Float[Array, " q"]) -> Float[Array, " q"]:
        """An unbiased estimate at `f`."""
        rows = jax.random.randint(key, (self.size,), 0, self.count)
        slope = jax.grad(self.image)
        away = jax.vmap(lambda i: slope(f, i) - slope(self.reference, i))(rows)
        correction = self.count / self.size * away.sum(axis=0)
        return jax.grad(self.prior)(f) + self.whole + correction


class AbstractStochasticGradient(eqx.Module):
    """Steps along estimated gradients with noise that makes the posterior of them.

    - `variance`: diagonal preconditioner, best the posterior's variances;
    - `scale` a, `delay` b: the size of step `t` is `a (b + t)^-0.55`, in units of `variance`;
      `delay` of many times the number of steps keeps it even.
    """

    @abc.abstractmethod
    def chain(
        self, key: PRNGKeyArray, target: Subsampled, start: Float[Array, " q"], steps: int
    ) -> Float[Array, "t q"]:
        """All points of one chain; batch with `jax.vmap`."""


class Langevin(AbstractStochasticGradient):
    """`f ← f - ½ ε V dU(f) + √(ε V) ξ`. (Welling & Teh 2011, Proc. ICML.)"""

    variance: Float[Array, " q"]
    scale: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    delay: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def chain(self, key, target, start, steps):
        def step(f, given):
            key, t = given
            draw, noise = jax.random.split(key)
            size = _size(self, t) * self.variance
            unit = jax.random.normal(noise, f.shape, f.dtype)
            f = f - 0.5 * size * target.gradient(draw, f) + jnp.sqrt(size) * unit
            return f, f

        given = jax.random.split(key, steps), jnp.arange(steps)
        return jax.lax.scan(step, start, given)[1]


class UnderdampedLangevin(AbstractStochasticGradient):
    """`m ← (1 - α) m - ε V dU(f) + √(2 α ε V) ξ`, `f ← f + m`: momentum evens out the noise of
    minibatches. (Chen, Fox & Guestrin 2014, Proc. ICML: SGHMC.)

    - `friction`: α, between 0 and 1.
    """

    variance: Float[Array, " q"]
    scale: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    delay: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    friction: float = eqx.field(static=True, default=0.1)

    def chain(self, key, target, start, steps):
        def step(held, given):
            (f, momentum), (key, t) = held, given
            draw, noise = jax.random.split(key)
            size = _size(self, t) * self.variance
            unit = jax.random.normal(noise, f.shape, f.dtype)
            momentum = (1 - self.friction) * momentum - size * target.gradient(draw, f)
            momentum = momentum + jnp.sqrt(2 * self.friction * size) * unit
            return (f + momentum, momentum), f + momentum

        given = jax.random.split(key, steps), jnp.arange(steps)
        return jax.lax.scan(step, (start, jnp.zeros_like(start)), given)[1]


def _size(method, t):
    return method.scale * (method.delay + t) ** -0.55
