"""Inner products of images with volumes that are uncertain, against draws of such volumes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.inference.linear_statistics import linear_statistics
from cryojax_het.inference.posteriors.linear_gaussian import LinearGaussianPosterior
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.linear import FourierLinear, linear_of

COUNT, DRAWS = 2, 400
KEY = jax.random.key(4)


@pytest.fixture(scope="module")
def uncertain(tiny):
    """Mean and one component whose voxels have errors, correlated 0.6; images, noise."""
    v = tiny.volume.density(jnp.zeros(0), tiny.grid)
    volumes = jnp.stack([v, 0.3 * jnp.roll(v, 2, axis=0)])
    level = 0.3 * jnp.std(volumes, axis=(1, 2, 3))
    errors = level[:, None] * jnp.asarray([[1, 0.6], [0.6, 1]]) * level
    batch = tiny.batch(COUNT)
    noise = WhiteNoise.per_pixel(
        0.3 * jnp.abs(tiny.grid.to_image(batch.images[0])).max(), tiny.grid
    )
    return volumes, errors, batch, noise


def statistics(tiny, uncertain, volumes, covariance=None):
    _, _, batch, noise = uncertain
    return linear_statistics(prepared(tiny, volumes, covariance), noise, batch, tiny.grid)


def prepared(tiny, volumes, covariance) -> FourierLinear:
    volume = linear_of(volumes, tiny.grid.pixel_size, quadratic(), covariance).prepare(tiny.grid)
    assert isinstance(volume, FourierLinear)
    return volume


def spectrum(tiny):
    """Of the errors, per shell: less in the last, half of which is beyond the band limit."""
    return np.exp(-(np.arange(tiny.grid.size // 2 + 1) ** 2) / 20.0)


def covariance_of(tiny, errors):
    """Of one Fourier coefficient of voxels that were white before the spectrum: `n³ a⁶ Σ S`."""
    scale = tiny.grid.size**3 * tiny.grid.pixel_size**6
    return jnp.asarray(spectrum(tiny))[:, None, None] * scale * errors


def coloured(tiny, white):
    """Voxels of these spectra."""
    size = tiny.grid.size
    k = np.fft.fftfreq(size, 1 / size)
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int)
    amplitude = np.sqrt(np.append(spectrum(tiny), np.zeros(size))[shell])
    return np.fft.ifftn(np.fft.fftn(white, axes=(-3, -2, -1)) * amplitude, axes=(-3, -2, -1)).real


def test_the_gram_matrix_grows_by_the_mean_of_that_of_the_errors(tiny, uncertain):
    """Products are quadratic, and errors have mean 0."""
    volumes, errors, *_ = uncertain
    run = eqx.filter_jit(lambda v: statistics(tiny, uncertain, v).gram)
    factor = np.linalg.cholesky(np.asarray(errors))
    white = np.random.default_rng(0).normal(size=(DRAWS, 2, *volumes.shape[1:]))
    drawn = [run(jnp.asarray(np.tensordot(factor, w, axes=1))) for w in coloured(tiny, white)]
    drawn = np.asarray(drawn)
    known = covariance_of(tiny, errors)
    added = statistics(tiny, uncertain, volumes, known).gram - run(volumes)
    error = drawn.std(axis=0) / np.sqrt(DRAWS)
    own = np.diagonal(added, axis1=1, axis2=2)
    size = np.sqrt(own[:, :, None] * own[:, None])
    assert np.all(error < 0.05 * size)
    # The 3 taps of a slice lose 5 % of white errors, most in the corners of the box, and mix
    # neighbouring shells: `C` is taken per shell, and holds to 10 %.
    assert np.all(np.abs(drawn.mean(axis=0) - added) < 4 * error + 0.1 * size)


def test_latents_through_volumes_that_are_little_known_are_drawn_to_zero(tiny, uncertain):
    volumes, errors, batch, noise = uncertain
    latents = Latents(
        jnp.zeros((COUNT, 1)), batch.latents.rotation, batch.latents.shift, jnp.ones(COUNT)
    )
    batch = eqx.tree_at(lambda b: b.latents, batch, latents)
    prior, method = LocalPrior(1.0, 1.0, 1.0, 0.0), LinearGaussianPosterior()

    def width(covariance):
        volume = prepared(tiny, volumes, covariance)
        infer = eqx.filter_jit(lambda b: method.infer(KEY, volume, noise, prior, b, tiny.grid))
        return np.asarray(infer(batch).covariance)[:, 0, 0]

    certain, zero = width(None), width(0 * covariance_of(tiny, errors))
    np.testing.assert_allclose(zero, certain, rtol=1e-12)
    # Σ w C is added to the precision, and not to the products with the image.
    more = np.asarray(
        statistics(tiny, uncertain, volumes, covariance_of(tiny, errors)).gram
        - statistics(tiny, uncertain, volumes).gram
    )[:, 1, 1]
    np.testing.assert_allclose(
        1 / width(covariance_of(tiny, errors)), 1 / certain + more, rtol=1e-6
    )


def test_the_leading_components_keep_their_covariance(tiny, uncertain):
    volumes, errors, *_ = uncertain
    covariance = covariance_of(tiny, errors)
    volume = prepared(tiny, volumes, covariance)
    np.testing.assert_array_equal(volume.leading(0).covariance, covariance[:, :1, :1])
    np.testing.assert_array_equal(volume.leading(1).covariance, covariance)


def test_the_image_itself_is_not_changed_by_what_is_uncertain(tiny, uncertain):
    volumes, errors, batch, _ = uncertain
    at = Latents(jnp.ones(1), batch.latents.rotation[0], batch.latents.shift[0], jnp.ones(()))
    optics = jax.tree.map(lambda x: x[0], batch.optics)

    def image(covariance):
        return render(prepared(tiny, volumes, covariance), at, optics, tiny.grid)

    np.testing.assert_array_equal(image(None), image(covariance_of(tiny, errors)))
