"""How wide the prior of an array is, drawn exactly from the inverse gamma that it has."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .block import AbstractBlock, Place
from .linear_parameters import scale_name


class PriorScale(AbstractBlock[tuple]):
    """`λ ~ InverseGamma(shape + ½ q, rate + ½ |f|²)`, `f ~ N(0, λ)` the `q` free coordinates of the
    array `name`, under the prior `InverseGamma(shape, rate)`.

    The chain's values must have `scale_name(name)` from the start; only `LinearParameters` takes
    account of it.
    """

    name: str = eqx.field(static=True)
    shape: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    rate: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def start(self, world, place):
        if scale_name(self.name) not in place.values:
            raise ValueError(
                f"Chains must start with a value of {scale_name(self.name)!r}; they have "
                f"{sorted(place.values)}."
            )
        return ()

    def move(self, key, world, place, tuning, warming):
        free = world.joint.priors[self.name].free(place.values[self.name])
        shape = self.shape + 0.5 * free.size
        scale = (self.rate + 0.5 * jnp.sum(free**2)) / jax.random.gamma(key, shape)
        name = scale_name(self.name)
        values = {**place.values, name: scale.astype(place.values[name].dtype)}
        return Place(values, place.scaled), tuning, {}
