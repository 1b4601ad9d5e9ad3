"""What is known of the parameters of a model before an image is seen: a density for each array."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jax.scipy.stats import norm
from jaxtyping import Array, Float, PRNGKeyArray


class AbstractParameterPrior(eqx.Module):
    """A density of one array, in free coordinates `f` that may take any value.

    Samplers move `f`; the density is over `f`, the Jacobian of `value` included.
    """

    @abc.abstractmethod
    def value(self, free: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """The parameter at `free`."""

    @abc.abstractmethod
    def free(self, value: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """The inverse of `value`."""

    @abc.abstractmethod
    def log_prob(self, free: Float[Array, "*s"]) -> Float[Array, ""]:
        """Log density of `free`, summed over its entries."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """A draw of `free`."""


class NormalParameters(AbstractParameterPrior):
    """`x ~ N(mean, scale²)`, entry by entry; `f = (x - mean) / scale`."""

    mean: Float[Array, "..."] = eqx.field(converter=jnp.asarray)
    scale: Float[Array, "..."] = eqx.field(converter=jnp.asarray)

    def value(self, free):
        return self.mean + self.scale * free

    def free(self, value):
        return (value - self.mean) / self.scale

    def log_prob(self, free):
        return norm.logpdf(free).sum()

    def sample(self, key, shape):
        return jax.random.normal(key, shape, self.scale.dtype)


class InverseGammaPower(AbstractParameterPrior):
    """`P ~ InverseGamma(shape, rate)`, `p(P) ∝ P^(-shape - 1) exp(-rate / P)`; `f = log P`.

    Conjugate to the spectral density of Gaussian noise. `shape` above 2 has a variance; the mean is
    `rate / (shape - 1)`.
    """

    shape: Float[Array, "..."] = eqx.field(converter=jnp.asarray)
    rate: Float[Array, "..."] = eqx.field(converter=jnp.asarray)

    def value(self, free):
        return jnp.exp(free)

    def free(self, value):
        return jnp.log(value)

    def log_prob(self, free):
        constant = self.shape * jnp.log(self.rate) - gammaln(self.shape)
        return jnp.sum(constant - self.shape * free - self.rate * jnp.exp(-free))

    def sample(self, key, shape):
        gamma = jax.random.gamma(key, self.shape, shape, self.rate.dtype)
        return jnp.log(self.rate) - jnp.log(gamma)


class HalfNormalDeviation(AbstractParameterPrior):
    """`√P ~ |N(0, scale²)|` of a spectral density `P`; `f = log P`."""

    scale: Float[Array, "..."] = eqx.field(converter=jnp.asarray)

    def value(self, free):
        return jnp.exp(free)

    def free(self, value):
        return jnp.log(value)

    def log_prob(self, free):
        deviation = jnp.exp(free / 2)
        return jnp.sum(norm.logpdf(deviation, scale=self.scale) + free / 2)

    def sample(self, key, shape):
        unit = jnp.abs(jax.random.normal(key, shape, self.scale.dtype))
        return 2 * jnp.log(self.scale * unit)
