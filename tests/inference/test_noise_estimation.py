"""Noise spectra recovered from backgrounds and from residuals, group by group."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.imaging.preparation import Invert, soft_disc
from cryojax_het.imaging.spectrum import shell_counts
from cryojax_het.inference.model import Model
from cryojax_het.inference.noise_estimation import (
    FLOOR,
    background_noise,
    group_count,
    noise_from_residuals,
    residual_power,
)
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.particles.arrays import ArraySource
from cryojax_het.particles.loader import Pixels
from cryojax_het.particles.source import make_particles

SIZE, PIXEL = 32, 3.0
GRID = FourierGrid(SIZE, PIXEL)
GROUPS = np.repeat([0, 1, 2], [300, 300, 8])


@pytest.fixture(scope="module")
def spectra():
    """White; falling by a factor of ten; and one for a group of a few images."""
    s = np.arange(SIZE // 2 + 1)
    return np.stack([np.full(17, 4.0), 20 * np.exp(-s / 7), np.full(17, 4.0)])


@pytest.fixture(scope="module")
def pixels(spectra):
    """Coloured noise drawn in NumPy by filtering white pixels, a particle in the middle."""
    rng = np.random.default_rng(0)
    k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIZE, 1 / SIZE)] * 2))
    shells = np.minimum(np.rint(k), SIZE // 2).astype(int)
    amplitude = np.sqrt(spectra[GROUPS])[:, shells] / PIXEL
    white = np.fft.fft2(rng.standard_normal((len(GROUPS), SIZE, SIZE)))
    particle = 50 * soft_disc(SIZE, 4.0, 4.0)
    return (np.fft.ifft2(amplitude * white).real + particle).astype(np.float32)


def source(pixels, groups=GROUPS):
    columns = {"group": groups, "group_names": tuple("abc")[: groups.max() + 1]}
    table = make_particles(len(pixels), pixel_size=PIXEL, size=SIZE, **columns)
    return ArraySource(pixels, table)


BACKGROUND = 1 - soft_disc(SIZE, 9.0, 0.0)


@pytest.fixture(scope="module")
def estimated(pixels):
    return background_noise(source(pixels), Pixels(GRID, SIZE), BACKGROUND, 0)


def test_background_gives_each_groups_spectrum(estimated, spectra):
    assert estimated.power.shape == (3, 17)
    np.testing.assert_allclose(estimated.power[0, 1:16], spectra[0, 1:16], rtol=0.12)
    np.testing.assert_allclose(estimated.power[1, 2:16], spectra[1, 2:16], rtol=0.2)


def test_a_small_group_takes_the_mean_of_all(estimated):
    mean = (estimated.power[0] + estimated.power[1]) / 2
    np.testing.assert_allclose(estimated.power[2], mean, rtol=0.05)


def test_a_crop_keeps_the_density_of_its_shells(pixels, estimated):
    cropped = background_noise(source(pixels), Pixels(GRID, 20), BACKGROUND, 0)
    np.testing.assert_allclose(cropped.power, estimated.power[:, :11], rtol=1e-5)


def test_the_steps_come_before_the_spectrum(pixels, estimated):
    inverted = background_noise(source(-pixels), Pixels(GRID, SIZE, (Invert(),)), BACKGROUND, 0)
    np.testing.assert_allclose(inverted.power, estimated.power, rtol=1e-4)


def test_images_without_noise_get_a_floor():
    pixels = np.broadcast_to(50 * soft_disc(SIZE, 4.0, 4.0), (30, SIZE, SIZE))
    noise = background_noise(source(pixels, np.zeros(30, int)), Pixels(GRID, SIZE), BACKGROUND, 0)
    expected = FLOOR * pixels[0].var() * PIXEL**2
    np.testing.assert_allclose(noise.power, expected, rtol=1e-3)


def test_constant_images_are_refused():
    flat = source(np.ones((30, SIZE, SIZE), np.float32), np.zeros(30, int))
    with pytest.raises(ValueError, match="The images are constant"):
        background_noise(flat, Pixels(GRID, SIZE), BACKGROUND, 0)


@pytest.fixture(scope="module")
def residuals(world):
    """Sums over 400 images of coloured noise, two groups, the last hundred of weight 0."""
    truth = jnp.stack([jnp.linspace(30.0, 6.0, 17), jnp.full(17, 9.0)])
    noise = ColouredNoise(truth)
    batch = world.batch(400, noise=noise)
    model = Model(world.volume, noise, LocalPrior(0.1, 1.0, 1.0, 0.1), AsGiven())
    weight = jnp.ones(400).at[300:].set(0)
    batch = type(batch)(batch.images, batch.optics, batch.latents, batch.index, weight)
    add = jax.jit(lambda b: residual_power(model, b, b.latents, world.grid, 2))
    power, images = add(batch)
    return np.asarray(power), np.asarray(images), np.asarray(truth)


def test_residuals_give_each_groups_spectrum(world, residuals):
    power, images, truth = residuals
    np.testing.assert_array_equal(images, [150, 150])
    before = ColouredNoise(jnp.full((2, 17), 123.0))
    found = np.asarray(noise_from_residuals(power, images, world.grid, before).power)
    np.testing.assert_allclose(found[:, 1:16], truth[:, 1:16], rtol=0.15)
    # Sums over many degrees of freedom are known better: no factor of two hides in there.
    freedom = shell_counts(world.grid)[4:16]
    ratio = (found / truth)[:, 4:16] @ freedom / freedom.sum()
    np.testing.assert_allclose(ratio, 1, atol=0.01)


def test_few_residuals_share_the_mean(world, residuals):
    power, _, _ = residuals
    before = ColouredNoise(jnp.ones((2, 17)))
    few = np.array([150.0, 3.0])
    found = np.asarray(noise_from_residuals(power, few, world.grid, before).power)
    mean = power.sum(axis=0) / np.maximum(shell_counts(world.grid), 1) / 153
    np.testing.assert_allclose(found[1, 1:16], mean[1:16], rtol=1e-5)
    assert not np.allclose(found[0, 1:16], mean[1:16], rtol=1e-2)


def test_groups_are_counted_to_the_highest_used():
    assert group_count(np.array([0, 3, 1])) == 4
