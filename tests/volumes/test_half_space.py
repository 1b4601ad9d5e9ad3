"""Half of all frequencies: each pair once, and the other half by conjugation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid, inside_circle
from cryojax_het.volumes.half_space import (
    canonical,
    half_ball,
    half_circle,
    on_half_plane,
    on_half_space,
)


@pytest.mark.parametrize("size", [8, 20])
def test_half_a_circle_is_half_of_its_weights(size):
    rows, columns = half_circle(size)
    weights = np.asarray(FourierGrid(size, 1.0).weights())[inside_circle(size)].sum()
    assert 2 * len(rows) - 1 == weights  # the centre is its own opposite
    assert len({*zip(rows, columns, strict=True)}) == len(rows)


def test_half_planes_and_half_spaces_are_of_real_arrays():
    """Both ways: from a real array's transform inside the circle or ball, and back to it."""
    size = 12
    image = jax.random.normal(jax.random.key(0), (size, size))
    plane = np.where(inside_circle(size), np.fft.rfft2(image), 0)
    rows, columns = half_circle(size)
    np.testing.assert_allclose(on_half_plane(jnp.asarray(plane[rows, columns]), size), plane)
    voxels = jax.random.normal(jax.random.key(1), (size,) * 3)
    space = np.fft.rfftn(voxels)
    k = np.fft.fftfreq(size, 1 / size)
    radius = k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(size // 2 + 1) ** 2
    space = np.where(radius < (size // 2) ** 2, space, 0)
    x, y, z = half_ball(size).T
    np.testing.assert_allclose(on_half_space(jnp.asarray(space[z, y, x]), size), space, atol=1e-12)


def test_one_of_each_pair_is_canonical():
    k = np.stack(np.meshgrid(*[np.arange(-2.0, 3.0)] * 3), axis=-1).reshape(-1, 3)
    upper, sign = canonical(jnp.asarray(k))
    below, other = canonical(jnp.asarray(-k))
    np.testing.assert_array_equal(upper, below)
    np.testing.assert_array_equal(upper, k * np.asarray(sign)[:, None])
    away = np.any(k != 0, axis=1)
    np.testing.assert_array_equal((sign + other)[away], 0)
