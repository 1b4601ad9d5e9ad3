"""Numbers that any implementation must reproduce, from closed forms and other public programs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.noise import ColouredNoise, WhiteNoise
from cryojax_het.imaging.optics import Optics, electron_wavelength
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.voxels import Voxels

HUNDRED = FourierGrid(64, 100 / 64)  # frequencies are multiples of 0.01 1/Å
BOX = FourierGrid(64, 1.5)


def optics(**changes):
    columns = {
        "defocus_u": 15000.0,
        "defocus_v": 15000.0,
        "astigmatism_angle": 0.0,
        "voltage": 300.0,
        "spherical_aberration": 2.7,
        "amplitude_contrast": 0.1,
        "phase_shift": 0.0,
        "b_factor": 0.0,
        "scale": 1.0,
        "group": 0,
    }
    return Optics.from_columns({k: np.asarray(v) for k, v in (columns | changes).items()})


def at(plane, kx, ky):
    """Value of an even real half-plane of `HUNDRED` at a frequency in 1/Å."""
    if kx < 0:
        kx, ky = -kx, -ky
    return float(plane[round(100 * ky), round(100 * kx)])


@pytest.mark.parametrize(
    ("voltage", "wavelength"), [(100, 0.0370133238), (200, 0.0250786587), (300, 0.0196869701)]
)
def test_electron_wavelength(voltage, wavelength):
    assert electron_wavelength(voltage) == pytest.approx(wavelength, abs=5e-11)


@pytest.mark.parametrize(
    ("k", "value"),
    [
        (0.0, 0.1),
        (0.01, 0.1917420715),
        (0.02, 0.4539614430),
        (0.1, 0.0796209655),
        (0.2, -0.8455818340),
    ],
)
def test_ctf(k, value):
    ctf = optics().ctf(HUNDRED)
    assert at(ctf, k, 0.0) == pytest.approx(value, abs=1e-9)
    assert at(ctf, 0.0, k) == pytest.approx(value, abs=1e-9)


def test_phase_plate():
    ctf = optics(phase_shift=np.pi / 2).ctf(HUNDRED)
    assert at(ctf, 0.1, 0.0) == pytest.approx(-0.9968252113, abs=1e-9)


@pytest.mark.parametrize(
    ("kx", "ky", "value"),
    [
        (0.05, 0.0, 0.995689),
        (0.1, 0.0, 0.046759),
        (0.0, 0.1, -0.107636),
        (0.08, 0.06, 0.119377),
        (-0.08, 0.06, -0.137005),
    ],
)
def test_astigmatism_turns_from_x_towards_y(kx, ky, value):
    degrees_30 = optics(defocus_u=10250.0, defocus_v=9750.0, astigmatism_angle=np.pi / 6)
    assert at(degrees_30.ctf(HUNDRED), kx, ky) == pytest.approx(value, abs=1e-6)


def test_envelope():
    ratio = optics(b_factor=50.0).ctf(HUNDRED) / optics().ctf(HUNDRED)
    assert at(ratio, 0.2, 0.0) == pytest.approx(0.6065306597, abs=1e-9)


def test_euler_matrix_is_relions():
    matrix = so3.from_euler(*jnp.deg2rad(jnp.array([20.0, 80.0, -10.0])))
    expected = [
        [0.2200881, -0.1046870, -0.9698463],
        [-0.3084889, 0.9357297, -0.1710101],
        [0.9254166, 0.3368241, 0.1736482],
    ]
    np.testing.assert_allclose(matrix, expected, atol=5e-8)


def test_quaternion_and_rotation_vector():
    cyclic = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    np.testing.assert_allclose(so3.from_quaternion(jnp.full(4, 0.5)), cyclic, atol=1e-15)
    quarter = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(so3.exp(jnp.array([0, 0, jnp.pi / 2])), quarter, atol=1e-15)


def one_gaussian():
    return Gaussians(jnp.array([[6.0, -9.0, 12.0]]), jnp.ones(1), jnp.array([2.0]))


def as_voxels():
    return Voxels(one_gaussian().density(jnp.zeros(0), BOX), BOX.pixel_size)


VOLUMES = pytest.mark.parametrize("make", [one_gaussian, as_voxels])
QUARTER = np.pi / 2


def projection(volume, axis=(0.0, 0.0, 0.0), shift=(0.0, 0.0)):
    rotation = so3.exp(jnp.array(axis))
    latents = Latents(jnp.zeros(0), rotation, jnp.array(shift), jnp.array(1.0))
    return np.asarray(_image(volume, latents))


@eqx.filter_jit
def _image(volume, latents):
    return BOX.to_image(render(volume, latents, Optics.ideal(), BOX))


@VOLUMES
@pytest.mark.parametrize(
    ("view", "peak"),
    [
        ({}, (26, 36)),
        ({"shift": (3.0, -4.5)}, (23, 38)),
        ({"axis": (0.0, 0.0, QUARTER)}, (36, 38)),
        ({"axis": (0.0, QUARTER, 0.0)}, (26, 40)),
    ],
)
def test_where_a_gaussian_is_seen(make, view, peak):
    image = projection(make(), **view)
    assert np.unravel_index(image.argmax(), image.shape) == peak


@VOLUMES
def test_where_a_gaussian_is_in_space(make):
    voxels = np.asarray(make().density(jnp.zeros(0), BOX))
    assert np.unravel_index(voxels.argmax(), voxels.shape) == (40, 26, 36)


@VOLUMES
def test_unit_mass(make):
    tolerance = 1e-9 if make is one_gaussian else 1e-2  # the default kernel is within 0.6 %
    assert projection(make()).sum() * 1.5**2 == pytest.approx(1.0, abs=tolerance)


def test_white_log_likelihood_over_all_real_pixels():
    grid, key = FourierGrid(32, 1.7), jax.random.key(0)
    image, mean = jax.random.normal(key, (2, 32, 32))
    noise = WhiteNoise.per_pixel(np.sqrt(2.0), grid)
    got = noise.log_prob(grid.from_image(image), grid.from_image(mean), grid)
    residual = np.asarray(image - mean)
    closed = -np.sum(residual**2) / 4 - 32 * 32 / 2 * np.log(4 * np.pi)
    assert float(got) == pytest.approx(closed, rel=1e-10)
    assert float(got) == pytest.approx(norm.logpdf(residual, 0, np.sqrt(2)).sum(), rel=1e-10)


SPECTRA = {
    "white": lambda scale: WhiteNoise(jnp.asarray(2.0 * scale)),
    "coloured": lambda scale: ColouredNoise(scale * jnp.linspace(3.0, 0.5, 17)),
}


@pytest.mark.parametrize("colour", SPECTRA)
def test_noise_is_not_symmetric_about_the_centre(colour):
    grid = FourierGrid(32, 1.7)
    zero = jnp.zeros((32, 17), complex)
    sample = lambda key: grid.to_image(SPECTRA[colour](1.0).sample(key, zero, grid))
    images = np.asarray(jax.vmap(sample)(jax.random.split(jax.random.key(1), 50)))[:, 1:, 1:]
    opposite = images[:, ::-1, ::-1]
    correlation = (images * opposite).sum() / (images**2).sum()
    # Half of the pixel pairs are independent; neighbours are correlated where noise is coloured.
    assert abs(correlation) < 5 * np.sqrt(2 / images.size) * 1.5


@pytest.mark.parametrize("colour", SPECTRA)
def test_likelihood_is_largest_at_the_true_sigma(colour):
    grid = FourierGrid(32, 1.7)
    zero = jnp.zeros((32, 17), complex)
    keys = jax.random.split(jax.random.key(2), 64)
    images = jax.vmap(lambda key: SPECTRA[colour](1.0).sample(key, zero, grid))(keys)
    total = lambda scale: jnp.sum(
        jax.vmap(lambda image: SPECTRA[colour](scale).log_prob(image, zero, grid))(images)
    )
    # Where the slope in log variance vanishes: known to sqrt(2 / number of pixels).
    scales = jnp.exp(jnp.linspace(-0.1, 0.1, 201))
    best = np.log(scales[np.argmax(jax.vmap(total)(scales))])
    assert abs(best) < 4 * np.sqrt(2 / (64 * 0.75 * 32 * 32))
