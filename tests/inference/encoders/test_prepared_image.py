"""What encoders see: pure noise is 1 in every pixel; the sign of the CTF is taken out."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.encoders.convolutional import convolutional_encoder
from cryojax_het.inference.encoders.encoder import View
from cryojax_het.inference.encoders.prepared_image import prepared_image


def views(rod_images, images, rows):
    batch = rod_images.take(rows)
    make = lambda image, start, optics: View(
        image, start, optics, rod_images.noise.of_group(optics.group)
    )
    return jax.vmap(make)(images, batch.latents, batch.optics)


@pytest.mark.parametrize("size", [16, 8])
def test_noise_is_of_unit_variance(rod_images, size):
    grid, noise = rod_images.grid, rod_images.noise.of_group(0)
    keys = jax.random.split(jax.random.key(1), 200)
    empty = jnp.zeros((16, 9), complex)
    images = jax.vmap(lambda key: noise.sample(key, empty, grid))(keys)
    seen = views(rod_images, images, np.arange(200))
    pixels = jax.vmap(lambda view: prepared_image(view, grid, size))(seen)
    # What lies in the circle is kept and, of a crop's square, all but its Nyquist lines.
    small = grid.crop(size)
    ones = jnp.asarray(grid.inside(), complex)
    kept = jnp.sum(small.weights() * grid.crop_transform(ones, size).real) / size**2
    assert float(jnp.mean(pixels**2)) == pytest.approx(float(kept), rel=0.03)


def test_a_dark_image_through_a_flipped_ctf_is_bright(rod_images):
    rows = np.arange(4)
    batch = rod_images.take(rows)
    seen = views(rod_images, batch.images, rows)
    ctf = jax.vmap(lambda o: o.ctf(rod_images.grid))(batch.optics)
    flipped = eqx.tree_at(lambda v: v.image, seen, batch.images * jnp.sign(ctf))
    plain = jax.vmap(lambda view: prepared_image(view, rod_images.grid, 16))
    # Twice flipped is not flipped.
    inside = rod_images.grid.inside() * (ctf != 0)
    amplitude = jnp.sqrt(rod_images.noise.of_group(0).variance(rod_images.grid))
    expected = jax.vmap(rod_images.grid.to_image)(batch.images * inside / amplitude)
    np.testing.assert_allclose(plain(flipped) * 16 / rod_images.grid.length**2, expected, atol=1e-9)


def test_a_size_without_convolutions_is_refused():
    with pytest.raises(ValueError, match=r"`size` must be even, from 8\. Got 6"):
        convolutional_encoder(jax.random.key(0), 6, 2)
