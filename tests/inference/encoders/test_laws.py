"""What holds for every encoder."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.encoders.convolutional import convolutional_encoder
from cryojax_het.inference.encoders.encoded import Encoded
from cryojax_het.inference.encoders.pixels import pixel_encoder
from cryojax_het.inference.encoders.score_gradient import measured, score_gradient_encoder
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.anchors import Anchors
from cryojax_het.volumes.skinning import free_motions

KEY = jax.random.key(0)
PRIOR = LocalPrior(0.1, 1.0, 1.0, 0.1)


def by_pixels(rod_images):
    return convolutional_encoder(KEY, 16, 2, channels=4, layers=(16, 2), dtype=jnp.float64)


def by_every_pixel(rod_images):
    return pixel_encoder(KEY, 16, 2, layers=(16, 2), dtype=jnp.float64)


def by_score(rod_images):
    reference = rod_images.reference()
    centres = reference.positions[::6]
    weights = Anchors(centres, 8.0, free_motions(4, 0.1, 1.0)).weights(reference.positions)
    contrast = (jnp.asarray(1.0), jnp.asarray(0.1))
    encoder = score_gradient_encoder(KEY, reference, weights, 2, contrast, layers=(16, 2))
    return measured(encoder, rod_images.noise, [rod_images.take(np.arange(64))], rod_images.grid)


@pytest.fixture(scope="module", params=[by_pixels, by_every_pixel, by_score])
def infer(request, rod_images):
    encoded = Encoded(request.param(rod_images))
    reference = rod_images.reference()
    grid = rod_images.grid
    return eqx.filter_jit(lambda b: encoded.infer(KEY, reference, rod_images.noise, PRIOR, b, grid))


def test_beliefs_are_finite_and_start_near_the_prior(infer, shifted):
    belief = infer(shifted)
    assert np.isfinite(belief.latents.conformation).all()
    np.testing.assert_allclose(belief.covariance, np.broadcast_to(np.eye(2), (8, 2, 2)), atol=0.7)
    assert belief.sample(KEY).conformation.shape == (8, 2)


def test_images_are_read_each_on_its_own(infer, shifted):
    found = infer(shifted).latents.conformation
    turned = infer(jax.tree.map(lambda x: jnp.roll(x, 3, axis=0), shifted)).latents.conformation
    np.testing.assert_allclose(turned, jnp.roll(found, 3, axis=0), atol=1e-9)


def test_a_shift_that_is_known_does_not_matter(infer, shifted, rod_images):
    still = infer(rod_images.take(np.arange(8))).latents.conformation
    np.testing.assert_allclose(infer(shifted).latents.conformation, still, atol=1e-6)


def test_units_of_density_do_not_matter_to_pixels(rod_images, shifted):
    encoded = Encoded(by_pixels(rod_images))
    louder = eqx.tree_at(lambda b: b.images, shifted, 3 * shifted.images)
    noise = eqx.tree_at(lambda n: n.power, rod_images.noise, 9 * rod_images.noise.power)
    grid, volume = rod_images.grid, rod_images.reference()
    first = encoded.infer(KEY, volume, rod_images.noise, PRIOR, shifted, grid)
    second = encoded.infer(KEY, volume, noise, PRIOR, louder, grid)
    np.testing.assert_allclose(first.latents.conformation, second.latents.conformation, atol=1e-9)


def test_gradients_pass_through(rod_images, shifted):
    for make in (by_pixels, by_every_pixel, by_score):
        encoded = Encoded(make(rod_images))

        def total(encoded):
            grid, volume = rod_images.grid, rod_images.reference()
            belief = encoded.infer(KEY, volume, rod_images.noise, PRIOR, shifted, grid)
            return jnp.sum(belief.latents.conformation**2)

        slope = eqx.filter_grad(total)(encoded).encoder.head.parameters
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope))
        assert any(np.any(x != 0) for x in jax.tree.leaves(slope))


def test_the_window_says_how_many_pixels_are_seen():
    sizes = {
        window: pixel_encoder(KEY, 16, 2, window).head.parameters["Dense_0"]["kernel"].shape[0]
        for window in (0.4, 0.85, 2.0)
    }
    assert sizes[0.4] < sizes[0.85] < sizes[2.0] == 16**2 + 9  # the view's rotation beside them
    with pytest.raises(ValueError, match=r"`window` must be a positive share"):
        pixel_encoder(KEY, 16, 2, window=0.0)
    with pytest.raises(ValueError, match=r"`size` must be even, from 4\. Got 5"):
        pixel_encoder(KEY, 5, 2)
