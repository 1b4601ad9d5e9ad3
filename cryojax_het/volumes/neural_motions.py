"""Rigid motions of bodies by a neural network."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ..imaging.grid import FourierGrid
from . import anchors
from .displaced import DisplacedMixture
from .neural_perceptron import SmallPerceptron
from .skinning import AbstractMotions, RigidMotions


class NeuralMotions(AbstractMotions):
    """`(ω, t)_m = (angle, shift) · f(z)_m`, `f` a multilayer perceptron; radians and Å."""

    parameters: dict[str, Any]
    network: SmallPerceptron = eqx.field(static=True)
    angle: float = eqx.field(static=True)
    shift: float = eqx.field(static=True)
    latent_size: int = eqx.field(static=True)

    def motions(self, latent):
        out = jnp.asarray(self.network.apply({"params": self.parameters}, latent)).reshape(-1, 6)
        return RigidMotions(self.angle * out[:, :3], self.shift * out[:, 3:])


def neural_motions(
    key: PRNGKeyArray,
    bodies: int,
    latent_size: int,
    layers: tuple[int, int] = (64, 2),
    units: tuple[float, float] = (0.1, 1.0),
) -> NeuralMotions:
    """Those of `bodies` bodies, at rest for every latent until they are trained.

    `layers`: width and number of the hidden ones; `units`: radians and Å of an output of 1.
    """
    network = SmallPerceptron(*layers, outputs=6 * bodies)
    parameters = dict(network.init(key, jnp.zeros(latent_size))["params"])
    angle, shift = units
    return NeuralMotions(
        parameters=parameters, network=network, angle=angle, shift=shift, latent_size=latent_size
    )


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Anchors that follow a network past its start; found by the law tests."""
    free = anchors.example(key, grid)
    motion = neural_motions(key, 3, 2, (8, 1))
    moved = jax.tree.map(lambda x: x + 0.3 * jax.random.normal(key, x.shape), motion.parameters)
    motion = eqx.tree_at(lambda m: m.parameters, motion, moved)
    held = free.displacement
    assert isinstance(held, anchors.Anchors)
    return DisplacedMixture(free.reference, anchors.Anchors(held.centres, held.reach, motion))
