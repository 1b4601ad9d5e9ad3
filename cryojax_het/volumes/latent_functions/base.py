"""Functions of a latent that a volume is expanded in."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from equinox import AbstractVar
from jaxtyping import Array, Float


class AbstractLatentFunctions(eqx.Module):
    """`T_0 = 1, T_1, ...` of a latent of a known range, over which it is even.

    - `latent_size`: of the latent; `count`: of functions, the constant one included.
    """

    latent_size: AbstractVar[int]
    count: AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, latent: Float[Array, " d"]) -> Float[Array, " p"]:
        """Values at one latent."""

    @abc.abstractmethod
    def orders(self) -> np.ndarray:
        """How fast each function varies, `[count]` whole numbers, 0 for the constant."""

    @abc.abstractmethod
    def nodes(self, count: int) -> Float[np.ndarray, "g d"]:
        """Latents spread evenly over the range, `count` along each axis, each standing for as much
        of the range as any other."""

    @abc.abstractmethod
    def difference(self, a: Float[Array, " d"], b: Float[Array, " d"]) -> Float[Array, " d"]:
        """The shortest way from `b` to `a`: around a circle, it may cross the cut."""

    @abc.abstractmethod
    def of_normal(self, latent: Float[Array, " d"]) -> Float[Array, " d"]:
        """Of standard normal numbers, latents even over the range."""


def mean_and_covariance(
    functions: AbstractLatentFunctions, weight: Float[Array, " g"], latents: Float[Array, "g d"]
) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
    """Of weighted latents, about the most probable: on an interval the usual mean."""
    middle = latents[jnp.argmax(weight)]
    away = jax.vmap(lambda z: functions.difference(z, middle))(latents)
    shift = jnp.matmul(weight, away, precision="highest")
    spread = away - shift
    covariance = jnp.einsum("g,gi,gj->ij", weight, spread, spread)
    return functions.difference(middle + shift, jnp.zeros_like(shift)), covariance


def checked_order(order: int) -> int:
    """`ValueError` for an order below 0."""
    if order < 0:
        raise ValueError(f"The largest order of latent functions must be at least 0. Got {order}.")
    return order


def even_of_normal(latent: Float[Array, " d"]) -> Float[Array, " d"]:
    """`erf(z/√2)`: of standard normal numbers, even ones in [-1, 1]."""
    return jax.scipy.special.erf(latent * 0.5**0.5)


def cells(count: int) -> Float[np.ndarray, " g"]:
    """Middles of `count` equal parts of [-1, 1]."""
    return (2 * np.arange(count) + 1) / count - 1
