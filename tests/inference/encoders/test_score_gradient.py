"""The gradient that the encoder sees, against differences; and that it is of the molecule."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.image import render
from cryojax_het.imaging.marginal import log_marginal_contrast
from cryojax_het.inference.encoders.encoder import View
from cryojax_het.inference.encoders.score_gradient import measured, score_gradient_encoder
from cryojax_het.volumes.mixture import Change

KEY = jax.random.key(0)
CONTRAST = (jnp.asarray(1.0), jnp.asarray(0.1))


@pytest.fixture(scope="module")
def encoder(rod_images):
    reference = rod_images.reference()
    weights = jax.nn.softmax(jax.random.normal(KEY, (len(reference.positions), 3)), axis=1)
    return score_gradient_encoder(KEY, reference, weights, 2, CONTRAST, layers=(8, 1))


def view(rod_images, row):
    batch = rod_images.batch
    pick = lambda tree: jax.tree.map(lambda x: x[row], tree)
    optics = pick(batch.optics)
    noise = rod_images.noise.of_group(optics.group)
    return View(batch.images[row], pick(batch.latents), optics, noise)


def test_it_is_the_derivative_of_the_likelihood(rod_images, encoder):
    seen = view(rod_images, 3)
    gradient = encoder.gradient(seen, rod_images.grid)
    step = 1e-4
    for anchor, entry in [(0, 0), (1, 2), (2, 3)]:
        values = []
        for sign in (-1, 1):
            theta = jnp.zeros((3, 4)).at[anchor, entry].set(sign * step)
            each = encoder.weights @ theta
            moved = encoder.reference.changed(Change(each[:, :3], each[:, 3]))
            mean = render(moved, seen.start, seen.optics, rod_images.grid)
            args = (seen.noise, seen.image, mean, CONTRAST, rod_images.grid)
            values.append(log_marginal_contrast(*args))
        slope = (values[1] - values[0]) / (2 * step)
        assert float(gradient[anchor, entry]) == pytest.approx(float(slope), rel=1e-5)


def test_a_view_turned_about_the_beam_pulls_alike(rod_images, encoder):
    """By a right angle, where the turned pixels are known: in the molecule's frame all is equal."""
    seen = view(rod_images, 5)
    quarter = jnp.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    pixels = rod_images.grid.to_image(seen.image)
    row = jnp.arange(16)
    turned = pixels[(16 - row[None, :]) % 16, row[:, None]].T
    places = lambda v: (v.image, v.start.rotation)
    image = rod_images.grid.from_image(turned.T)
    other = eqx.tree_at(places, seen, (image, quarter @ seen.start.rotation))
    # Neither picture may differ by what a rotation about the centre pixel cannot keep.
    np.testing.assert_allclose(
        encoder.gradient(other, rod_images.grid),
        encoder.gradient(seen, rod_images.grid),
        rtol=1e-6,
        atol=1e-6 * float(jnp.abs(encoder.gradient(seen, rod_images.grid)).max()),
    )


def test_units_make_entries_of_size_1(rod_images, encoder):
    batches = [rod_images.take(np.arange(100)), rod_images.take(np.arange(100, 200))]
    found = measured(encoder, rod_images.noise, batches, rod_images.grid)
    of = jax.vmap(lambda row: found.gradient(view(rod_images, row), rod_images.grid))
    square = jnp.mean((of(jnp.arange(200)) / found.unit) ** 2, axis=0)
    np.testing.assert_allclose(square, 1, rtol=1e-9)
