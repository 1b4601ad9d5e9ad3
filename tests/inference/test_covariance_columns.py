"""Columns of the covariance against sums over the whole plane, noise alone, and planted truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.analysis.mask import spherical_mask
from cryojax_het.imaging.grid import inside_circle, row_numbers
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.inference.covariance_columns import (
    ColumnEquations,
    _cells,
    _tents,
    choose_frequencies,
    leading_directions,
    solve_columns,
)
from cryojax_het.inference.linear_statistics import centred_image
from cryojax_het.inference.updates.principal_volumes import shell_power
from cryojax_het.volumes.interpolation import circle_points
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.linear import linear_of

from .linear_world import captured, planted

POINTS = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]])


def test_half_planes_count_as_whole_ones():
    """`h` and `d` of each column from every frequency and its conjugate, with `β(-k) = β(k)*`."""
    rng, size = np.random.default_rng(0), 8
    rows, columns = np.nonzero(inside_circle(size))
    where = [(int(row_numbers(size)[r]), int(c)) for r, c in zip(rows, columns, strict=True)]
    beta = {k: complex(*rng.normal(size=2)) for k in where}
    weight = {k: float(rng.uniform(1, 2)) for k in where}
    for ky, kx in where:  # both members of a pair of the column kx = 0 are stored
        if kx == 0:
            beta[-ky, 0], weight[-ky, 0] = np.conj(beta[ky, 0]), weight[ky, 0]
    beta[0, 0] = beta[0, 0].real
    counted = np.array([1.0 if kx == 0 else 2.0 for _, kx in where])
    right = counted * np.array([beta[k] for k in where])
    left = counted * np.array([weight[k] for k in where])
    frame = np.linalg.qr(rng.normal(size=(3, 3)))[0][:2]
    points = [x[None] for x in circle_points(jnp.asarray(frame), size)]
    near = _tents(points, jnp.asarray(POINTS), 1.5)
    cells = _cells(jnp.asarray(right)[None], jnp.asarray(left)[None], near)[0]
    whole = {k: (beta[k], weight[k]) for k in where}
    whole |= {(-y, -x): (np.conj(beta[y, x]), weight[y, x]) for y, x in where}
    tent = lambda k, c: np.prod(
        np.maximum(1 - np.abs(k[1] * frame[0] + k[0] * frame[1] - c) / 1.5, 0)
    )
    for column, c in enumerate(POINTS):
        h = sum(tent(k, c) * b for k, (b, _) in whole.items())
        d = sum(tent(k, c) * w for k, (_, w) in whole.items())
        for row, k in enumerate(where):
            even, odd = (tent(k, c) + tent(k, -c)) / 2, (tent(k, c) - tent(k, -c)) / 2
            real = counted[row] * (beta[k] * h.real - even * weight[k])
            imaginary = counted[row] * (beta[k] * h.imag - 1j * odd * weight[k])
            expected = [real.real, real.imag, imaginary.real, imaginary.imag]
            expected += [counted[row] * weight[k] * d]
            np.testing.assert_allclose(cells[row, 5 * column : 5 * column + 5], expected, atol=1e-9)


def test_noise_alone_has_no_covariance(tiny):
    """What noise shares with itself is subtracted, in expectation, for every column."""
    count = 2000
    noise = WhiteNoise.per_pixel(0.7, tiny.grid)
    optics = jax.tree.map(lambda x: jnp.repeat(x, count, axis=0), tiny.optics(1))
    keys = jax.random.split(jax.random.key(0), count)
    empty = jnp.zeros((16, 9), complex)
    rows, columns = np.nonzero(inside_circle(16))
    rotation = tiny.latents(1).rotation[0]

    def one(key, optics):
        image = noise.sample(key, empty, tiny.grid)
        right, left = centred_image(image, jnp.zeros(2), optics, noise, tiny.grid)
        return right[rows, columns], left[rows, columns]

    right, left = jax.jit(jax.vmap(one))(keys, optics)
    points = [x[None] for x in circle_points(rotation[:2], 16)]
    even, odd = _tents(points, jnp.asarray([rotation[0] * 2]), 1.5)
    cells = jax.jit(_cells)(right, left, (even, odd)).mean(axis=0)
    even, odd = even[0, :, 0], odd[0, :, 0]
    share = float(even @ cells[:, 0] / (even**2 @ left[0]))
    assert abs(share) < 0.15  # without the subtraction: 1
    assert abs(float(odd @ cells[:, 3] / (odd**2 @ left[0]))) < 0.15


@pytest.fixture(scope="module")
def columns(tiny):
    """Of a planted set of 800 images, from its half-sets, and the masked components."""
    known = planted(tiny, 800, snr=10.0, contrast=0.15)
    mask = jnp.asarray(spherical_mask(16, 6.5, 1.5))
    volume = linear_of(jnp.asarray(known.voxels[:2]), tiny.grid.pixel_size, quadratic())
    prepared = volume.prepare(tiny.grid)
    power = np.asarray(shell_power(jnp.asarray(known.voxels[:1]), tiny.grid.pixel_size))[0]
    points = jnp.asarray(choose_frequencies(power, 8))
    spacing = tiny.grid.pixel_size
    empty = ColumnEquations.zeros(points, 16, spacing, quadratic(), 2.0)
    contrast = (jnp.asarray(1.0), jnp.asarray(0.15))
    add = jax.jit(lambda e, b: e.add(b, prepared, known.noise, contrast, tiny.grid))
    halves = []
    for start in (0, 400):
        equations = empty
        for first in range(start, start + 400, 100):
            batch = jax.tree.map(lambda x, f=first: x[f : f + 100], known.batch)
            equations = add(equations, batch)
        halves.append(equations)
    found = np.asarray(solve_columns((halves[0], halves[1]), mask))
    return found, known.voxels[1:] * np.asarray(mask)


def test_columns_span_what_was_planted(columns):
    found, truth = columns
    assert found.shape == (2, 16, 16, 16, 16)
    for half in found:
        assert np.all(captured(leading_directions(half, 2), truth) > 0.8)  # 400 images each


def test_directions_are_orthonormal_and_no_more_than_there_are():
    rng = np.random.default_rng(1)
    volumes = rng.normal(size=(3, 4, 4, 4))
    found = leading_directions(np.concatenate([volumes, volumes[:1]]), 9).reshape(3, -1)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(captured(found, volumes), 1)


def test_frequencies_are_strong_apart_and_one_of_each_pair():
    power = np.array([100.0, 50, 40, 30, 20, 10, 5, 1, 0])
    found = choose_frequencies(power, 10, first=2)
    assert len(found) == 10
    assert np.linalg.norm(found, axis=1).min() >= 2
    every = np.concatenate([found, -found])
    away = np.linalg.norm(every[:, None] - every, axis=2) + 9 * np.eye(20)
    assert away.min() > 2


def test_too_many_columns_say_so(tiny):
    points = jnp.zeros((4000, 3))
    with pytest.raises(ValueError, match="fewer components"):
        ColumnEquations.zeros(points, 128, tiny.grid.pixel_size, quadratic(), 2.0)
