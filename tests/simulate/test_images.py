import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.particles.source import make_particles
from cryojax_het.simulate import draws
from cryojax_het.simulate.images import (
    Scene,
    image_batches,
    noise_spectrum,
    signal_statistics,
)
from cryojax_het.simulate.molecule import HingedMolecule, hinge_positions
from cryojax_het.simulate.settings import NoiseShape
from cryojax_het.simulate.truth import Truth

COUNT = 200


@pytest.fixture(scope="module")
def scene():
    return Scene(HingedMolecule(), FourierGrid(24, 9.0))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(2)
    truth = Truth(
        conformation=np.zeros((COUNT, 1)),
        state=np.zeros(COUNT, np.int64),
        rotation=draws.haar_rotations(rng, COUNT),
        shift=np.zeros((COUNT, 2)),
        contrast=np.ones(COUNT),
    )
    ctf = draws.draw_ctf(rng, COUNT, draws.CtfDistribution())
    return make_particles(COUNT, pixel_size=9.0, size=24, **ctf), truth


def make(scene, table, power, seed=0, batch=64):
    noise = ColouredNoise(jnp.asarray(power))
    return np.concatenate(list(image_batches(scene, *table, noise, seed, batch)))


def test_noise_is_independent_between_pixels_and_images(scene, table):
    power = noise_spectrum(NoiseShape(), scene.grid, 2.0)
    noise = make(scene, table, power) - make(scene, table, 0 * power)
    assert noise.std() == pytest.approx(2, rel=0.01)
    flipped = np.roll(noise[:, ::-1, ::-1], 1, axis=(1, 2))  # r -> -r
    off = np.ones((24, 24), bool)
    off[np.ix_([0, 12], [0, 12])] = False  # those are their own opposites
    tolerance = 5 / np.sqrt(noise[:, off].size)
    for other in (flipped, np.roll(noise, 1, axis=0), np.roll(noise, 1, axis=2)):
        assert abs(np.corrcoef(noise[:, off].ravel(), other[:, off].ravel())[0, 1]) < tolerance


def test_images_depend_on_seed_and_place_not_on_batch(scene, table):
    power = noise_spectrum(NoiseShape(), scene.grid, 1.0)
    first = make(scene, table, power, batch=64)
    assert first.shape == (COUNT, 24, 24)
    np.testing.assert_allclose(make(scene, table, power, batch=17), first, atol=1e-6)
    assert np.abs(make(scene, table, power, seed=1) - first).std() > 0.5


def test_coloured_noise_has_the_asked_spectrum_and_variance(scene, table):
    shape = NoiseShape(excess=8.0, length=15.0)
    power = noise_spectrum(shape, scene.grid, 3.0)
    noise = make(scene, table, power) - make(scene, table, 0 * power)
    assert noise.var() == pytest.approx(9, rel=0.02)
    density = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0) * 81 / 24**2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(24, 9.0), np.fft.fftfreq(24, 9.0)))
    for shell in (1, 4, 9):
        ring = np.rint(k * 24 * 9.0) == shell
        assert density[ring].mean() == pytest.approx(power[shell], rel=0.1)
    model = 1 + 8 / (1 + (2 * np.pi * 15 * np.array([1, 9]) / (24 * 9.0)) ** 2)
    assert power[1] / power[9] == pytest.approx(model[0] / model[1])


def test_signal_statistics_are_those_of_the_clean_pixels(scene, table):
    clean = make(scene, table, np.zeros(13)).astype(np.float64)
    found = signal_statistics(scene, *table, COUNT, 33)
    assert found.variance == pytest.approx(clean.var(), rel=1e-5)
    energy = (np.abs(np.fft.fft2(clean)) ** 2).mean(axis=0) * 81 / 24**2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(24, 1 / 24), np.fft.fftfreq(24, 1 / 24)))
    np.testing.assert_allclose(found.power[5], energy[np.rint(k) == 5].mean(), rtol=1e-4)


def test_footprint_is_where_the_projected_gaussians_are(scene, table):
    _, truth = table
    clean = make(scene, table, np.zeros(13)).astype(np.float64)
    centres = np.asarray(hinge_positions(0.0))
    pixel = (np.arange(24) - 12) * 9.0
    inside = np.zeros(clean.shape, bool)
    for image, rotation in zip(inside, truth.rotation, strict=True):
        x, y, _ = rotation @ centres.T
        waves = [np.exp(-((pixel[:, None] - c) ** 2) / (2 * 9)) for c in (x, y)]
        drawn = waves[1] @ waves[0].T
        image[:] = drawn > 0.05 * drawn.max()
    found = signal_statistics(scene, *table, COUNT, 33)
    # Pixels three sigma wide: what is drawn here has the frequencies beyond Nyquist too.
    assert found.footprint_variance == pytest.approx(clean[inside].var(), rel=0.1)
    assert found.footprint_variance > 2 * found.variance
