"""Occupancy by a neural network: parts of a molecule that come and go."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..imaging.grid import FourierGrid
from . import normal_modes
from .anchors import anchor_weights
from .displaced import DisplacedMixture
from .displacement import AbstractDisplacement
from .mixture import Change
from .neural_perceptron import SmallPerceptron


class NeuralAmplitudes(AbstractDisplacement):
    """`log a_j(z) = log a_j + Σ_a w_ja f_a(z)`, beside what `displacement` changes: a network's
    outputs at anchors, blended between them as `Anchors` blends motions.

    - `centres`, `reach`: of the anchors, Å.
    """

    displacement: AbstractDisplacement
    centres: Float[Array, "a 3"]
    reach: Float[Array, ""]
    parameters: dict[str, Any]
    network: SmallPerceptron = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)

    def change(self, latent, positions):
        own = self.displacement.change(latent, positions)
        out = jnp.asarray(self.network.apply({"params": self.parameters}, latent))
        weights = anchor_weights(positions, self.centres, self.reach)
        logs = jnp.matmul(weights, out.astype(positions.dtype), precision="highest")
        logs = logs if own.amplitude is None else own.amplitude + logs
        return Change(own.displacement, logs, own.width)


def neural_amplitudes(
    key: PRNGKeyArray,
    displacement: AbstractDisplacement,
    centres: Float[Array, "a 3"],
    reach: Float[Array, ""],
    layers: tuple[int, int] = (64, 2),
) -> NeuralAmplitudes:
    """One that changes nothing until it is trained. `layers`: width and number of the hidden."""
    network, size = SmallPerceptron(*layers, outputs=len(centres)), displacement.latent_size
    parameters = dict(network.init(key, jnp.zeros(size, centres.dtype))["params"])
    return NeuralAmplitudes(
        displacement=displacement,
        centres=centres,
        reach=reach,
        parameters=parameters,
        network=network,
        latent_size=size,
    )


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Modes, and a network of occupancies past its start; found by the law tests."""
    moved = normal_modes.example(key, grid)
    centres, reach = moved.reference.positions[:3], jnp.asarray(0.15 * grid.length)
    both = neural_amplitudes(key, moved.displacement, centres, reach, (8, 1))
    shaken = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(key, x.shape), both.parameters)
    both = eqx.tree_at(lambda b: b.parameters, both, shaken)
    return DisplacedMixture(moved.reference, both)
