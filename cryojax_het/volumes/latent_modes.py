"""Vectors that follow a latent: a few modes, mixed by functions of it.

    m_v(z) = Σ_h M_v,h φ_h(z)

`v` counts what moves: vertices of a mesh, or functions that a field is expanded in. Only `φ` is of
an image. What is linear in the modes, their values at the voxels of a map, is made once for all.
"""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from equinox import AbstractVar
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray


class AbstractLatentModes(eqx.Module):
    """`modes` is `M`, `[v, 3, h]`, in Å."""

    latent_size: AbstractVar[int]
    modes: AbstractVar[Float[Array, "v 3 h"]]

    @abc.abstractmethod
    def features(self, latent: Float[Array, " d"]) -> Float[Array, " h"]:
        """`φ(z)`."""

    def vectors(self, latent: Float[Array, " d"]) -> Float[Array, "v 3"]:
        """`m(z)`, Å."""
        return mixed(self.modes, self.features(latent))


def mixed(modes: Float[Array, "v 3 h"], features: Float[Array, " h"]) -> Float[Array, "v 3"]:
    """`Σ_h M_v,h φ_h`. As one matrix product where images are many."""
    flat = modes.reshape(-1, modes.shape[2])
    return jnp.matmul(flat, features, precision="highest").reshape(-1, 3)


class LinearModes(AbstractLatentModes):
    """`φ(z) = z`: the vectors are linear in the latent."""

    modes: Float[Array, "v 3 h"]
    latent_size: int = eqx.field(static=True)

    def __init__(self, modes: Float[Array, "v 3 h"]):
        self.modes, self.latent_size = modes, modes.shape[2]

    def features(self, latent):
        return latent


def free_modes(count: int, unit: float) -> LinearModes:
    """The latent is the `count` vectors themselves, x, y and z of each in turn, in units of
    `unit` Å."""
    return LinearModes(unit * jnp.eye(3 * count).reshape(count, 3, 3 * count))


class _Features(nn.Module):
    """A multilayer perceptron with smooth activations, after the last layer too."""

    width: int
    depth: int

    @nn.compact
    def __call__(self, hidden):
        for _ in range(self.depth):
            # Of twice the usual variance, or what differs between latents fades with depth.
            how = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")
            dense = nn.Dense(self.width, param_dtype=hidden.dtype, kernel_init=how)
            hidden = nn.silu(dense(hidden))
        return hidden


class NetworkModes(AbstractLatentModes):
    """`φ(z)` is the last hidden layer of a multilayer perceptron, the modes its last linear one.

    `unit`: Å of an output of 1, by which the modes are stored divided.
    """

    parameters: dict[str, Any]
    weights: Float[Array, "v 3 h"]
    network: _Features = eqx.field(static=True)
    unit: float = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)

    @property
    def modes(self) -> Float[Array, "v 3 h"]:
        """In Å."""
        return self.unit * self.weights

    def features(self, latent):
        return jnp.asarray(self.network.apply({"params": self.parameters}, latent))


def network_modes(
    key: PRNGKeyArray,
    count: int,
    latent_size: int,
    layers: tuple[int, int] = (64, 6),
    unit: float = 1.0,
) -> NetworkModes:
    """`count` vectors that are zero for every latent until they are trained.

    `layers`: width and number of the hidden ones. (Punjani & Fleet 2023, Nat. Methods 20, with
    smooth activations.)
    """
    network = _Features(*layers)
    parameters = dict(network.init(key, jnp.zeros(latent_size))["params"])
    weights = jnp.zeros((count, 3, layers[0]))
    return NetworkModes(  # pyright: ignore[reportCallIssue]
        parameters=parameters,
        weights=weights,
        network=network,
        unit=unit,
        latent_size=latent_size,
    )
