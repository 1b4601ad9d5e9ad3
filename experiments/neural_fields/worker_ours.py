"""Ours: a step of training as `fit --volume neural-field` takes it, and a map of the field.

worker_ours.py BOX WIDTH DEPTH BATCH WEIGHTS.npz
"""

import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from cryojax_het.commands.neural_field_model import CPU_GROUPS, PRODUCTS
from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch, Latents
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.encoders.encoded import Encoded
from cryojax_het.inference.encoders.pixels import pixel_encoder
from cryojax_het.inference.model import Model
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.training.stochastic_gradient import StochasticGradient
from cryojax_het.volumes.frequency_features import GaussianFeatures, gaussian_features
from cryojax_het.volumes.matrix_products import FullProduct
from cryojax_het.volumes.neural_field import ResidualNetwork, neural_field

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import protocol

LATENT, PIXEL = 8, 3.0
KEY = jax.random.key(0)


def batch_of(grid: FourierGrid, count: int) -> Batch:
    """Random images, poses over all of SO(3)."""
    keys = jax.random.split(KEY, count)
    rotations = jax.vmap(so3.random)(keys)
    pixels = jax.random.normal(KEY, (count, grid.size, grid.size))
    one = {"defocus_u": 15000.0, "defocus_v": 14000.0, "astigmatism_angle": 0.2}
    one |= {"voltage": 300.0, "spherical_aberration": 2.7, "amplitude_contrast": 0.1}
    one |= {"phase_shift": 0.0, "b_factor": 0.0, "scale": 1.0}
    columns = {name: np.full(count, value) for name, value in one.items()}
    optics = Optics.from_columns({**columns, "group": np.zeros(count, int)})
    latents = Latents(jnp.zeros((count, LATENT)), rotations, jnp.zeros((count, 2)), jnp.ones(count))
    images = jax.vmap(grid.from_image)(pixels)
    return Batch(images, optics, latents, jnp.arange(count), jnp.ones(count))


class Work:
    """One box and one size of networks."""

    def __init__(self, box: int, width: int, depth: int, batch: int, weights: str):
        self.grid, self.layers = FourierGrid(box, jnp.float32(PIXEL)), (width, depth)
        self.batch, self.weights = batch_of(self.grid, batch), np.load(weights)

    def field(self, product: str):
        """Not trained; its products and groups of points as `fit --products` has them."""
        profile = jnp.ones(self.grid.size // 2 + 1, jnp.float32)
        features = gaussian_features(KEY, self.grid.size)
        chosen = PRODUCTS[product], CPU_GROUPS[product](len(self.batch.weight))
        about = (profile, self.grid.pixel_size, features, LATENT, self.layers, *chosen)
        return neural_field(KEY, *about)

    def train(self, product: str):
        """One step: model and state go in and come out as they would in a fit."""
        encoder = pixel_encoder(KEY, self.grid.size, LATENT, 0.85, self.layers)
        noise = ColouredNoise(jnp.ones((1, self.grid.size // 2 + 1), jnp.float32))
        prior = LocalPrior.of_contrast(0.2)
        model = Model(self.field(product), noise, prior, Encoded(encoder))
        parts = lambda m: [m.volume.parameters, m.posterior.encoder.head.parameters]
        none = jax.tree.map(lambda _: False, model)
        trainable = eqx.tree_at(parts, none, jax.tree.map(lambda _: True, parts(model)))
        update = StochasticGradient(optax.adam(1e-4), trainable, divergence_weight=1.0)
        state = update.init(model)

        @eqx.filter_jit
        def step(model, state, batch):
            return update.step(model, state, batch, self.grid, KEY)

        return step, (model, state, self.batch)

    def volume(self, product: str):
        """One map."""
        make = eqx.filter_jit(lambda field, z: field.density(z, self.grid))
        return make, (self.field(product), jnp.zeros(LATENT))

    def outputs(self):
        """The network with given weights at given points and one latent."""
        w = {name: jnp.asarray(value) for name, value in self.weights.items()}
        features = GaussianFeatures(w["pitches"]).encode(w["points"])
        inputs = (features.shape[1], LATENT)
        network = ResidualNetwork(*self.layers, inputs, 2, FullProduct(), jnp.float32)
        names = ("first", "latent", "offset", "hidden", "offsets", "last", "end")
        held = {"params": {name: w[name] for name in names}}

        def out(features):
            shared = network.apply(held, w["z"], method="shared")
            return network.apply(held, features, shared)

        return jax.jit(out), (features,)


def main():
    """Serve."""
    box, width, depth, batch = map(int, sys.argv[1:5])
    work = Work(box, width, depth, batch, sys.argv[5])
    works = {"outputs": work.outputs}
    for product in ("full", "half"):
        for kind in ("train", "volume"):
            make = getattr(work, kind)
            works[f"{kind}-{product}"] = lambda make=make, product=product: make(product)
    protocol.serve(works, jax.block_until_ready)


if __name__ == "__main__":
    main()
