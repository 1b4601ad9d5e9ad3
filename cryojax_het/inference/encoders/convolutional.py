"""An encoder of pixels."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import PRNGKeyArray

from .encoder import AbstractEncoder
from .perceptron import Perceptron, perceptron
from .prepared_image import prepared_image


class _Convolutions(nn.Module):
    """Halves the image and widens its channels until 4 pixels are left."""

    channels: int
    halvings: int
    dtype: Any

    @nn.compact
    def __call__(self, pixels):
        hidden = pixels[..., None]
        for level in range(self.halvings):
            channels = self.channels * 2 ** min(level, 3)
            convolution = nn.Conv(channels, (5, 5), (2, 2), param_dtype=self.dtype)
            hidden = nn.silu(convolution(hidden))
            hidden = nn.LayerNorm(param_dtype=self.dtype)(hidden)
        return hidden.ravel()


class ConvolutionalEncoder(AbstractEncoder):
    """Strided convolutions of `prepared_image`, then a perceptron that is told the view."""

    parameters: dict[str, Any]
    network: _Convolutions = eqx.field(static=True)
    head: Perceptron
    size: int = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)

    def encode(self, view, grid):
        pixels = prepared_image(view, grid, self.size)
        features = jnp.asarray(self.network.apply({"params": self.parameters}, pixels))
        return self.head.code(features, view.start.rotation)

    def trained(self):
        return [self.parameters, self.head.parameters]


def convolutional_encoder(
    key: PRNGKeyArray,
    size: int,
    latent_size: int,
    channels: int = 16,
    layers: tuple[int, int] = (128, 2),
    dtype: Any = jnp.float32,
) -> ConvolutionalEncoder:
    """One for images cropped to `size` pixels; `channels` of the first layer; `layers`: width and
    number of the perceptron's. Raises `ValueError` for a size that is odd or below 8.
    """
    if size < 8 or size % 2:
        raise ValueError(f"`size` must be even, from 8. Got {size}.")
    halvings = max(1, (size // 4).bit_length() - 1)
    network = _Convolutions(channels, halvings, dtype)
    parameters = dict(network.init(key, jnp.zeros((size, size), dtype))["params"])
    features = network.apply({"params": parameters}, jnp.zeros((size, size), dtype))
    head = perceptron(key, jnp.asarray(features).size, latent_size, layers, dtype)
    return ConvolutionalEncoder(
        parameters=parameters, network=network, head=head, size=size, latent_size=latent_size
    )
