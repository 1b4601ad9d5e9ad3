"""Displacement, and changes of amplitude and width, by a neural network."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray

from ..imaging.grid import FourierGrid
from .atom_codes import AbstractAtomCode, PositionalEncoding
from .displaced import DisplacedMixture, example_reference
from .displacement import AbstractDisplacement
from .mixture import Change


class _Network(nn.Module):
    """A multilayer perceptron of (atom, latent) with smooth activations and a last layer of 0."""

    width: int
    depth: int
    outputs: int
    dtype: Any

    @nn.compact
    def __call__(self, code, latent):
        dense = lambda size, **options: nn.Dense(size, param_dtype=self.dtype, **options)
        # Two products in place of one of (code, latent): the atoms' is shared by all images.
        hidden = dense(self.width)(code) + dense(self.width, use_bias=False)(latent)
        for _ in range(self.depth - 1):
            hidden = dense(self.width)(nn.silu(hidden))
        last = dense(self.outputs, use_bias=False, kernel_init=nn.initializers.zeros)
        return last(nn.silu(hidden))


class NeuralDisplacement(AbstractDisplacement):
    """`(u, log a, log s)_j = scale · f(γ(r_j), z)`, `f` a multilayer perceptron.

    - `code`: `γ`, what the network knows of an atom.
    - `scale`: units of what it gives: of x, y and z (Å), of the logarithm of the amplitude where
      there are 4, and of the width where there are 5.

    (Chen & Ludtke 2021, Nat. Methods 18; Schwab et al. 2024, Nat. Methods 21: DynaMight.)
    """

    code: AbstractAtomCode
    parameters: dict[str, Any]
    network: _Network = eqx.field(static=True)
    scale: tuple[float, ...] = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)

    def change(self, latent, positions):
        out = self.network.apply({"params": self.parameters}, self.code.encode(positions), latent)
        columns = (jnp.asarray(out) * jnp.asarray(self.scale, positions.dtype)).T
        amplitude, width, *_ = [*columns[3:], None, None]
        return Change(columns[:3].T, amplitude, width)


def neural_displacement(
    key: PRNGKeyArray,
    code: AbstractAtomCode,
    positions: Float[Array, "j 3"],
    latent_size: int,
    layers: tuple[int, int] = (64, 4),
    scale: tuple[float, ...] = (1.0, 1.0, 1.0),
) -> NeuralDisplacement:
    """One whose last layer is zero: every latent gives the reference until it is trained.

    `layers`: width and number of the hidden ones; `scale` as there. Raises `ValueError` where
    `scale` has not 3, 4 or 5 entries.
    """
    if not 3 <= len(scale) <= 5:
        raise ValueError(f"`scale` has 3 entries, or 4 or 5 for more than places. Got {scale}.")
    network = _Network(*layers, outputs=len(scale), dtype=positions.dtype)
    latent = jnp.zeros(latent_size, positions.dtype)
    parameters = dict(network.init(key, code.encode(positions), latent)["params"])
    return NeuralDisplacement(
        code=code, parameters=parameters, network=network, scale=scale, latent_size=latent_size
    )


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """A network past its start, that changes all there is; found by the law tests."""
    reference = example_reference(key, grid)
    code, scale = PositionalEncoding(30.0, 3), (1.0, 1.0, 1.0, 0.3, 0.1)
    field = neural_displacement(key, code, reference.positions, 2, (8, 2), scale)
    moved = jax.tree.map(lambda x: x + 0.2 * jax.random.normal(key, x.shape), field.parameters)
    return DisplacedMixture(reference, eqx.tree_at(lambda f: f.parameters, field, moved))
