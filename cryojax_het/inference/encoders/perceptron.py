"""The last layers of an encoder: from features to a normal belief."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from .encoder import Code

_WIDEST = 3.0  # of the logarithm of a width, either way: beyond, the exponential runs away


class _Residual(nn.Module):
    """Dense layers with a skip connection around each hidden one, and small outputs at first."""

    width: int
    depth: int
    outputs: int
    dtype: Any

    @nn.compact
    def __call__(self, features):
        dense = lambda size, **options: nn.Dense(size, param_dtype=self.dtype, **options)
        hidden = nn.silu(dense(self.width)(features))
        for _ in range(self.depth - 1):
            normal = nn.LayerNorm(param_dtype=self.dtype)(hidden)
            hidden = hidden + nn.silu(dense(self.width)(normal))
        small = nn.initializers.variance_scaling(0.01, "fan_in", "normal")
        return dense(self.outputs, kernel_init=small)(hidden)


class Perceptron(eqx.Module):
    """A residual multilayer perceptron of features and of the rotation's nine entries.

    The same motion shows in other places of the image in another view, so the network is told the
    view. It starts near the standard normal of the prior.
    """

    parameters: dict[str, Any]
    network: _Residual = eqx.field(static=True)

    def code(self, features: Float[Array, " f"], rotation: Float[Array, "3 3"]) -> Code:
        """The belief."""
        known = jnp.concatenate([features, rotation.ravel().astype(features.dtype)])
        out = jnp.asarray(self.network.apply({"params": self.parameters}, known))
        mean, log_width = jnp.split(out, 2)
        return Code(mean, _WIDEST * jnp.tanh(log_width / _WIDEST))


def perceptron(
    key: PRNGKeyArray, features: int, latent_size: int, layers: Sequence[int], dtype: Any
) -> Perceptron:
    """One for `features` features; `layers`: width and number of the hidden ones."""
    width, depth = layers
    network = _Residual(width, depth, 2 * latent_size, dtype)
    parameters = network.init(key, jnp.zeros(features + 9, dtype))["params"]
    return Perceptron(dict(parameters), network)
