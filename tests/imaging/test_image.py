"""`translate` and `render` against moved pixels and linearity."""

import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render, translate
from cryojax_het.imaging.optics import Optics
from cryojax_het.imaging.rotation import random
from cryojax_het.volumes.gaussians import Gaussians, example

GRID = FourierGrid(16, 1.3)


def test_whole_pixels_are_rolled():
    image = jax.random.normal(jax.random.key(0), (16, 16))
    moved = translate(GRID.from_image(image), jnp.array([3 * 1.3, -5 * 1.3]), GRID)
    np.testing.assert_allclose(
        GRID.to_image(moved), np.roll(image, (-5, 3), axis=(0, 1)), atol=1e-13
    )


def test_half_a_pixel_is_the_moved_molecule():
    volume = example(jax.random.key(0), GRID)
    shift = jnp.array([0.41, -0.73])
    moved = Gaussians(volume.positions + jnp.append(shift, 5.0), volume.amplitudes, volume.widths)
    slice_of = lambda v: v.slice(jnp.zeros(0), jnp.eye(3), GRID)
    np.testing.assert_allclose(
        translate(slice_of(volume), shift, GRID), slice_of(moved), atol=1e-12
    )


def test_render_is_linear_in_contrast_and_batches():
    volume = example(jax.random.key(0), GRID)
    keys = jax.random.split(jax.random.key(1), 3)
    latents = Latents(
        jnp.zeros((3, 0)),
        jax.vmap(random)(keys),
        jnp.array([[0.0, 0.0], [1.0, 2.0], [-3.0, 0.5]]),
        jnp.array([1.0, 2.0, -0.5]),
    )
    optics = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), Optics.ideal())
    images = jax.vmap(lambda l, o: render(volume, l, o, GRID))(latents, optics)
    for i in range(3):
        view = volume.slice(jnp.zeros(0), latents.rotation[i], GRID)
        expected = latents.contrast[i] * translate(view, latents.shift[i], GRID)
        np.testing.assert_allclose(images[i], expected, atol=1e-12)
