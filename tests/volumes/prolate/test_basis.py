"""Three-dimensional prolates against quadrature over the ball, a fine FFT and each other."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid, inside_circle
from cryojax_het.volumes.prolate.basis import prolate_basis
from cryojax_het.volumes.prolate.harmonics import real_harmonics
from cryojax_het.volumes.prolate.radial import radial_prolates
from cryojax_het.volumes.prolate.slicing import AtEveryPoint, AtTurnedPlane
from cryojax_het.volumes.prolate.voxels import voxels_of

RADIUS, FREQUENCY = 40.0, 1 / 14
RNG = np.random.default_rng(3)


@eqx.filter_jit
def transform(basis, coefficients, points):
    return basis.transform(coefficients, points)


@eqx.filter_jit
def sliced(slicing, basis, coefficients, rotation, grid):
    return slicing.values(basis, coefficients, rotation, grid)


@pytest.fixture(scope="module")
def basis():
    return prolate_basis(RADIUS, FREQUENCY)


def in_ball(basis, coefficients, points):
    """`Σ a ψ(r)` from the radial functions themselves; 0 outside."""
    length = np.linalg.norm(points, axis=1) / RADIUS
    inside = length <= 1
    points, length = points[inside], length[inside]
    directions = points / np.maximum(length * RADIUS, 1e-12)[:, None]
    harmonics = np.asarray(jax.jit(real_harmonics, static_argnums=1)(directions, basis.degree))
    total = np.zeros(len(points))
    for l, own in enumerate(basis.split(jnp.asarray(coefficients))):
        radial = radial_prolates(l, basis.bandlimit).leading(len(own)).values(length)
        total += np.einsum(
            "nr,rm,nm->r", radial, harmonics[:, l**2 : (l + 1) ** 2], own, optimize=True
        )
    density = np.zeros(len(inside))
    density[inside] = RADIUS**-1.5 * total
    return density


def test_transform_against_quadrature_over_the_ball(basis):
    coefficients = RNG.normal(size=basis.size)
    nodes, w = np.polynomial.legendre.leggauss(40)
    s, phi = 0.5 * (nodes + 1), 2 * np.pi * np.arange(80) / 80
    grid = np.stack([x.ravel() for x in np.meshgrid(s, nodes, phi, indexing="ij")])
    rho = np.sqrt(1 - grid[1] ** 2)
    direction = np.stack([rho * np.cos(grid[2]), rho * np.sin(grid[2]), grid[1]], axis=1)
    points = RADIUS * grid[0][:, None] * direction
    weight = (0.5 * w[:, None, None] * w[:, None] * np.full(80, 2 * np.pi / 80)).ravel()
    weight = weight * grid[0] ** 2 * RADIUS**3
    density = in_ball(basis, coefficients, points)
    np.testing.assert_allclose(np.sum(weight * density**2), np.sum(coefficients**2), rtol=1e-11)
    wanted = Rotation.random(12, rng=RNG).as_matrix()[:, 0] * RNG.uniform(0, FREQUENCY, (12, 1))
    direct = np.exp(-2j * np.pi * wanted @ points.T) @ (weight * density)
    found = transform(basis, jnp.asarray(coefficients)[:, None], jnp.asarray(wanted))[:, 0]
    np.testing.assert_allclose(found, direct, atol=1e-8 * np.abs(direct).max())
    even, odd = eqx.filter_jit(lambda b, k: b.functions(k))(basis, jnp.asarray(wanted))
    parity = basis.degrees() % 2
    apart = even @ coefficients[parity == 0] + 1j * (odd @ coefficients[parity == 1])
    np.testing.assert_allclose(apart, found, atol=1e-10 * np.abs(direct).max())


def test_transform_against_a_fine_fft(basis):
    """Functions that are smooth at the ball's surface: those that the band holds whole."""
    whole = np.concatenate(
        [
            np.repeat(radial_prolates(l, basis.bandlimit).share[:n] > 0.99999, 2 * l + 1)
            for l, n in enumerate(basis.counts)
        ]
    )
    coefficients = whole * np.random.default_rng(4).normal(size=basis.size)
    n, spacing = 48, 3.0
    axis = (np.arange(n) - n // 2) * spacing
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    voxels = in_ball(basis, coefficients, points).reshape(n, n, n)
    fine = np.fft.fftn(np.fft.ifftshift(voxels)) * spacing**3
    k = np.fft.fftfreq(n, spacing)
    kz, ky, kx = (a.ravel() for a in np.meshgrid(k, k, k, indexing="ij"))
    band = kx**2 + ky**2 + kz**2 < (0.99 * FREQUENCY) ** 2
    wanted = jnp.asarray(np.stack([kx, ky, kz], axis=1)[band])
    found = np.asarray(transform(basis, jnp.asarray(coefficients)[:, None], wanted))[:, 0]
    direct = fine.ravel()[band]
    assert np.linalg.norm(found - direct) < 1e-3 * np.linalg.norm(direct)


def test_ways_of_slicing_agree(basis):
    grid = FourierGrid(16, 5.0)
    coefficients = jnp.asarray(RNG.normal(size=basis.size))
    turned = AtTurnedPlane.of(basis)
    for rotation in Rotation.random(3, rng=RNG).as_matrix():
        stretched = rotation.copy()
        stretched[:2] = np.array([[1.03, 0.02], [0.01, 0.98]]) @ rotation[:2]
        for frame in (rotation, stretched):
            exact = sliced(AtEveryPoint(), basis, coefficients, jnp.asarray(frame), grid)
            other = sliced(turned, basis, coefficients, jnp.asarray(frame), grid)
            np.testing.assert_allclose(other, exact, atol=1e-10 * np.abs(exact).max())
    assert len(exact) == inside_circle(16).sum()


def test_voxels_are_the_functions(basis):
    coefficients = jnp.asarray(RNG.normal(size=(basis.size, 2)))
    shares = np.concatenate(
        [
            np.repeat(radial_prolates(l, basis.bandlimit).share[:n], 2 * l + 1)
            for l, n in enumerate(basis.counts)
        ]
    )
    smooth = coefficients * (shares > 0.999)[:, None]
    grid = FourierGrid(32, 6.0)
    voxels = np.asarray(eqx.filter_jit(voxels_of)(basis, smooth, grid))
    axis = (np.arange(32) - 16) * 6.0
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    points = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    for found, own in zip(voxels, np.asarray(smooth).T, strict=True):
        direct = in_ball(basis, own, points)
        assert np.linalg.norm(found.ravel() - direct) < 0.03 * np.linalg.norm(direct)


def test_zero_beyond_the_band(basis):
    far = jnp.array([[0.0, 0.0, 1.001 * FREQUENCY], [0.0, 0.0, 0.999 * FREQUENCY]])
    found = transform(basis, jnp.ones((basis.size, 1)), far)[:, 0]
    assert found[0] == 0
    assert found[1] != 0


def test_bad_arguments_are_told():
    with pytest.raises(ValueError, match="between 0 and 1"):
        prolate_basis(10.0, 0.1, 1.5)
    with pytest.raises(ValueError, match="take a larger radius"):
        prolate_basis(1.0, 0.01, 0.9)
