"""What functions of several latents have in common."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .base import AbstractLatentFunctions


class AbstractSeveralLatents(AbstractLatentFunctions):
    """Functions made of those of each latent, `axes`; the latent is theirs, one after the other."""

    axes: eqx.AbstractVar[tuple[AbstractLatentFunctions, ...]]

    def parts(self, latent: Float[Array, " d"]) -> list[Float[Array, " _"]]:
        """The latent of each axis."""
        return jnp.split(latent, np.cumsum([axis.latent_size for axis in self.axes])[:-1])

    def nodes(self, count):
        each = [axis.nodes(count) for axis in self.axes]
        grids = np.meshgrid(*(np.arange(len(x)) for x in each), indexing="ij")
        return np.concatenate([x[g.ravel()] for x, g in zip(each, grids, strict=True)], axis=1)

    def difference(self, a, b):
        pairs = zip(self.axes, self.parts(a), self.parts(b), strict=True)
        return jnp.concatenate([axis.difference(x, y) for axis, x, y in pairs])

    def of_normal(self, latent):
        own = zip(self.axes, self.parts(latent), strict=True)
        return jnp.concatenate([axis.of_normal(part) for axis, part in own])


def checked_axes(
    axes: tuple[AbstractLatentFunctions, ...],
) -> tuple[AbstractLatentFunctions, ...]:
    """`ValueError` for none."""
    if not axes:
        raise ValueError("Functions of several latents need at least one latent. Got none.")
    return axes
