"""Lessons: the encoder comes to say what the teacher says."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cryojax_het.imaging.image import Latents
from cryojax_het.inference.encoders.encoded import Encoded
from cryojax_het.inference.encoders.encoder import AbstractEncoder, Code
from cryojax_het.inference.posterior import Hypotheses
from cryojax_het.inference.training.taught import Teaching, teaching_loss


class Told(AbstractEncoder):
    """The same belief for each image."""

    mean: jax.Array
    log_width: jax.Array
    latent_size: int = eqx.field(static=True, default=2)

    def encode(self, view, grid):
        return Code(self.mean, self.log_width)

    def trained(self):
        return [self.mean, self.log_width]


def told(mean, width):
    return Encoded(Told(mean=jnp.asarray(mean), log_width=jnp.log(jnp.asarray(width))))


def lessons(batch, means, weights, variances):
    """The same alternatives for all images."""
    count, h = len(batch.weight), len(weights)
    each = lambda x: jnp.broadcast_to(jnp.asarray(x), (count, h, *np.shape(x)[1:]))
    at = batch.latents
    wide = lambda x: jnp.repeat(x[:, None], h, axis=1)
    latents = Latents(each(np.asarray(means)), *map(wide, (at.rotation, at.shift, at.contrast)))
    covariance = each(np.stack([np.diag(v) for v in variances]))
    return Hypotheses(latents, jnp.log(each(np.asarray(weights))), covariance)


MEANS, WEIGHTS = [[1.0, 0.0], [-1.0, 2.0]], [0.75, 0.25]
VARIANCES = [[0.04, 0.09], [0.01, 0.25]]


def test_the_best_single_density_has_the_mixtures_moments(rod_images):
    batch = rod_images.take(np.arange(4))
    taught = lessons(batch, MEANS, WEIGHTS, VARIANCES)
    mean, covariance = (np.asarray(x)[0] for x in taught.moments())
    width = np.sqrt(np.diag(covariance))
    loss = lambda m, w: float(
        teaching_loss(told(m, w), rod_images.noise, batch, taught, rod_images.grid)
    )
    best = loss(mean, width)
    for shift, factor in [(0.05, 1.0), (-0.05, 1.0), (0.0, 1.05), (0.0, 0.95)]:
        assert loss(mean + shift, width * factor) > best


def test_steps_lead_there(rod_images):
    batch = rod_images.take(np.arange(4))
    taught = lessons(batch, MEANS, WEIGHTS, VARIANCES)
    encoded = told([0.0, 0.0], [1.0, 1.0])
    trainable = jax.tree.map(lambda _: True, encoded)
    teaching = Teaching(optax.adam(0.05), trainable)
    state = teaching.init(encoded)
    data = (rod_images.noise, batch, taught)
    step = eqx.filter_jit(lambda e, s: teaching.step(e, s, data, rod_images.grid))
    for _ in range(200):
        encoded, state, _ = step(encoded, state)
    mean, covariance = taught.moments()
    found = encoded.encoder
    assert isinstance(found, Told)
    np.testing.assert_allclose(found.mean, mean[0], atol=0.02)
    width = np.exp(found.log_width)
    np.testing.assert_allclose(width, np.sqrt(np.diag(covariance[0])), rtol=0.05)


def test_rows_of_weight_0_teach_nothing(rod_images):
    batch = rod_images.take(np.arange(4))
    taught = lessons(batch, MEANS, WEIGHTS, VARIANCES)
    half = eqx.tree_at(lambda b: b.weight, batch, jnp.array([1.0, 1.0, 0.0, 0.0]))
    wrong = eqx.tree_at(
        lambda t: t.latents.conformation, taught, taught.latents.conformation.at[2:].add(9.0)
    )
    of = lambda t: float(
        teaching_loss(told([0.0, 0.0], [1.0, 1.0]), rod_images.noise, half, t, rod_images.grid)
    )
    assert of(wrong) == pytest.approx(of(taught))
