"""The noise predictor of a latent diffusion, as a neural network."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, PRNGKeyArray

from .diffusion import AbstractDiffusion, mixing

_WAVES = 8  # of the level that the network is told
_FINEST = 0.1  # of the latents' width
_SPAN = 5.0  # levels go from about -5 to 5


class _Network(nn.Module):
    """Residual perceptron of (latents, level), last layer of 0."""

    width: int
    blocks: int
    outputs: int

    @nn.compact
    def __call__(self, x, level):
        dense = lambda size, **options: nn.Dense(size, param_dtype=x.dtype, **options)
        angle = jnp.pi * jnp.arange(1, _WAVES + 1) * level / (2 * _SPAN)
        told = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)])
        told = nn.silu(dense(self.width)(told))
        hidden = dense(self.width)(x)
        for _ in range(self.blocks):
            inner = dense(self.width)(nn.silu(hidden)) + dense(self.width)(told)
            hidden = hidden + dense(self.width)(nn.silu(inner))
        return dense(self.outputs, kernel_init=nn.initializers.zeros)(nn.silu(hidden))


class ScoreNetwork(AbstractDiffusion):
    """`ε̂(x, t) = σ x + α σ/√(σ² + w²) f(x, log(σ/α))`: the standard normal density where `f` is 0.

    With `w` of a tenth of the latents' width, an error of `f` is at most `1/w` times as large in
    the score `-ε̂/σ`, however little noise is left.
    """

    parameters: dict[str, Any]
    network: _Network = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def noise(self, x, level):
        stay, noise = mixing(level)
        found = jnp.asarray(self.network.apply({"params": self.parameters}, x, level))
        return noise * x + stay * noise / jnp.sqrt(noise**2 + _FINEST**2) * found


def score_network(
    key: PRNGKeyArray, size: int, layers: tuple[int, int] = (256, 4), dtype: Any = jnp.float32
) -> ScoreNetwork:
    """The standard normal density of `size` latents until it is trained.

    `layers`: width, and number of residual blocks.
    """
    network = _Network(*layers, outputs=size)
    zero: Array = jnp.zeros(size, dtype)
    parameters = dict(network.init(key, zero, jnp.zeros((), dtype))["params"])
    return ScoreNetwork(parameters=parameters, network=network, size=size)
