"""Normal equations against inner products with slices, and against every tap laid down by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import inside_circle, row_numbers
from cryojax_het.imaging.image import translate
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.updates.normal_equations import NormalEquations
from cryojax_het.volumes.interpolation import MARGIN, central_slice
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.voxels import table_frame

COUNT = 5
NOISE = ColouredNoise(jnp.stack([jnp.linspace(2.0, 0.5, 9), jnp.linspace(1.0, 3.0, 9)]))


@pytest.fixture(scope="module")
def batch(tiny):
    """Random images, so that nothing cancels, of weights 1, 1, 1, 1 and a half."""
    batch = tiny.batch(COUNT)
    parts = jax.random.normal(jax.random.key(9), (2, *batch.images.shape))
    images = jax.lax.complex(*parts)
    weight = jnp.ones(COUNT).at[-1].set(0.5)
    return eqx.tree_at(lambda b: (b.images, b.weight), batch, (images, weight))


@pytest.fixture(scope="module")
def add(tiny):
    """Empty equations with a batch added; compiled once."""

    @jax.jit
    def added(batch):
        empty = NormalEquations.zeros(tiny.grid.size, tiny.grid.pixel_size, quadratic())
        return empty.add(batch, batch.latents, NOISE, tiny.grid)

    return added


@pytest.fixture(scope="module")
def equations(add, batch):
    return add(batch)


@pytest.fixture(scope="module")
def planes(tiny, batch):
    """Of each image: `A* Λ⁻¹ y`, the diagonal weight, and the frame of its slice."""

    @jax.jit
    @jax.vmap
    def one(image, latents, optics, weight):
        ctf = latents.contrast * optics.ctf(tiny.grid)
        precision = weight * NOISE.of_group(optics.group).precision(tiny.grid)
        centred = translate(image, -latents.shift, tiny.grid)
        side = quadratic().padded_size(16) + 2 * MARGIN + 1
        frame = table_frame(latents.rotation, tiny.grid, tiny.grid.pixel_size, side)
        return precision * ctf * centred, precision * ctf**2, frame

    return one(batch.images, batch.latents, batch.optics, batch.weight)


def test_laying_down_is_the_adjoint_of_slicing(equations, planes):
    """`Σ Re⟨slice of T, plane⟩ = Re⟨T, table⟩` for any table `T`."""
    right, left, frames = planes
    shape = equations.table.shape[:3]
    rng = np.random.default_rng(0)
    table = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    cut = jax.jit(lambda t: central_slice(t[..., None], frames, 16, quadratic())[..., 0])
    b = np.asarray(equations.table[..., 0] + 1j * equations.table[..., 1])
    assert np.vdot(cut(table), right).real == pytest.approx(np.vdot(table, b).real, rel=1e-10)
    weight = np.sum(np.asarray(left) * cut(table.real + 0j).real)
    total = np.sum(table.real * np.asarray(equations.table[..., 2]))
    assert weight == pytest.approx(total, rel=1e-10)


def test_folding_is_the_sum_over_the_full_plane(equations, planes):
    """Every frequency of the full plane, with its conjugate, laid down tap by tap on a full cube;
    the half-cube that is stored must hold the same."""
    right, left, frames = (np.asarray(x) for x in planes)
    m = quadratic().padded_size(16)
    coefficients = quadratic().weights()
    reach = m // 2 + 4
    cube = np.zeros((2 * reach + 1,) * 3, complex)
    weights = np.zeros((2 * reach + 1,) * 3)
    for image in range(COUNT):
        for row, column in zip(*np.nonzero(inside_circle(16)), strict=True):
            # The precision counts columns beyond 0 twice, and column 0 holds both k and -k: half of
            # each stored term belongs to k and half to its mirror.
            point = column * frames[image, 0] + row_numbers(16)[row] * frames[image, 1]
            value, weight = right[image, row, column], left[image, row, column]
            for sign, y in ((1, value), (-1, value.conj())):
                _lay_down(cube, weights, sign * point, y / 2, weight / 2, coefficients)
    centre = slice(reach - m // 2, reach + m // 2)
    expected = np.fft.ifftshift(cube[centre, centre, centre])[..., : m // 2 + 1]
    expected_weights = np.fft.ifftshift(weights[centre, centre, centre])[..., : m // 2 + 1]
    found, found_weights = equations.folded()
    # The last column and rows mix both signs of a frequency beyond any solution.
    keep = np.r_[0 : m // 2 - 1, m // 2 + 2 : m]
    cut = lambda x: np.asarray(x)[keep][:, keep][..., : m // 2 - 1]
    np.testing.assert_allclose(cut(found), cut(expected), atol=1e-10 * np.abs(expected).max())
    np.testing.assert_allclose(
        cut(found_weights), cut(expected_weights), atol=1e-10 * expected_weights.max()
    )


def _lay_down(cube, weights, point, value, weight, coefficients):
    """Adds `value` to the 27 neighbours of `point` (x, y, z)."""
    corner = np.floor(point + 0.5).astype(int)
    taps = np.polynomial.polynomial.polyval(point - corner, coefficients.T)  # [tap, axis]
    outer = np.einsum("z,y,x->zyx", taps[:, 2], taps[:, 1], taps[:, 0])
    x, y, z = corner + len(cube) // 2 - 1
    box = (slice(z, z + 3), slice(y, y + 3), slice(x, x + 3))
    cube[box] += outer * value
    weights[box] += outer * weight


def test_rows_of_weight_0_change_nothing(add, batch):
    first = add(eqx.tree_at(lambda b: b.weight, batch, jnp.array([1.0, 1, 1, 0, 0])))
    garbage = batch.images.at[3:].set(1e6)
    zero = (garbage, jnp.array([1.0, 1, 1, 0, 0]))
    second = add(eqx.tree_at(lambda b: (b.images, b.weight), batch, zero))
    np.testing.assert_array_equal(first.table, second.table)


def test_a_table_beyond_32_bit_indices_is_refused():
    with pytest.raises(ValueError, match="--box"):
        NormalEquations.zeros(1000, jnp.asarray(1.0), quadratic())
