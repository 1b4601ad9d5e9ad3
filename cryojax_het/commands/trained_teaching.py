"""The encoder's lessons before training: posteriors of a few images by Gauss-Newton."""

import logging

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..inference.devices import replicated, to_host
from ..inference.encoders.encoded import Encoded
from ..inference.model import Model
from ..inference.posterior import Hypotheses
from ..inference.posteriors.gauss_newton import GaussNewton
from ..inference.posteriors.unknowns import ConformationContrast
from ..inference.training.taught import Teaching
from ..particles.loader import shuffled, split_rows
from .image_pass import image_pass
from .trained_settings import TrainedSettings
from .training_setting import TrainingSetting

LOG = logging.getLogger("cryojax_het")


def taught_model(setting: TrainingSetting, config: TrainedSettings, model: Model) -> Model:
    """With an encoder that was taught `lesson_images` images over `lesson_epochs` epochs."""
    rows = np.random.default_rng(config.seed).permutation(len(setting.data.particles))
    rows = np.sort(rows[: config.lesson_images])
    lessons = _posteriors(setting, model, rows, config.lesson_starts)
    encoded = model.posterior
    assert isinstance(encoded, Encoded)
    none = jax.tree.map(lambda _: False, encoded)
    own = lambda e: e.encoder.trained()
    trainable = eqx.tree_at(own, none, jax.tree.map(lambda _: True, own(encoded)))
    steps = config.lesson_epochs * -(-len(rows) // setting.loader(setting.box).batch_size)
    schedule = optax.cosine_decay_schedule(config.rate, max(steps, 1))
    teaching = Teaching(optax.adam(schedule), trainable)
    encoded = replicated(setting.mesh, encoded)
    state = replicated(setting.mesh, teaching.init(encoded))
    for epoch in range(config.lesson_epochs):
        encoded, state, loss = _epoch(setting, teaching, (encoded, state), (rows, lessons), epoch)
    LOG.info("Taught by %d images: loss %.4f.", len(rows), loss)
    return eqx.tree_at(lambda m: m.posterior, model, encoded)


def _posteriors(setting: TrainingSetting, model: Model, rows, starts: int) -> Hypotheses:
    """Of the images `rows`, on the host, in their order."""
    loader, grid = setting.loader(setting.box), setting.grid(setting.box)
    loader.latents = setting.rest_latents()
    search = GaussNewton(ConformationContrast(), starts)
    infer = eqx.filter_jit(
        lambda model, batch: search.infer(
            jax.random.key(0), model.volume, model.noise, model.prior, batch, grid
        )
    )
    model, found = replicated(setting.mesh, model), []
    for batch in image_pass(loader, split_rows(rows, loader.batch_size), "lessons"):
        found.append(to_host(infer(model, batch)))
    # The last batch is padded at its end.
    return jax.tree.map(lambda *x: np.concatenate(x)[: len(rows)], *found)


def _epoch(setting: TrainingSetting, teaching: Teaching, start, known, epoch: int):
    (encoded, state), (rows, lessons) = start, known
    loader, grid = setting.loader(setting.box), setting.grid(setting.box)
    order = shuffled(np.arange(len(rows)), setting.config.seed, epoch)
    parts = split_rows(order, loader.batch_size)
    losses = []
    for part, batch in zip(parts, loader.batches([rows[p] for p in parts]), strict=True):
        padded = np.pad(part, (0, loader.batch_size - len(part)), mode="edge")
        own = jax.tree.map(lambda x, padded=padded: jnp.asarray(x[padded]), lessons)
        data = (setting.noise, batch, own)
        encoded, state, loss = _step(teaching, encoded, state, (data, grid))
        losses.append(loss)
    return encoded, state, float(np.mean(to_host(losses)))


@eqx.filter_jit
def _step(teaching: Teaching, encoded, state, others):
    data, grid = others
    return teaching.step(encoded, state, data, grid)
