"""Block normal equations against sums image by image, and solutions against dense ones per cell."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.updates import wiener
from cryojax_het.inference.updates.block_equations import BlockEquations, inverse_of_cells
from cryojax_het.inference.updates.normal_equations import NormalEquations
from cryojax_het.inference.updates.principal_volumes import LatentSums, _gauge, shell_power
from cryojax_het.volumes.kernel import quadratic

COUNT, Q = 6, 3
NOISE = ColouredNoise(jnp.stack([jnp.linspace(2.0, 0.5, 9), jnp.linspace(1.0, 3.0, 9)]))


@pytest.fixture(scope="module")
def batch(tiny):
    """Random images, one of weight a half."""
    batch = tiny.batch(COUNT)
    parts = jax.random.normal(jax.random.key(9), (2, *batch.images.shape))
    weight = jnp.ones(COUNT).at[-1].set(0.5)
    return eqx.tree_at(lambda b: (b.images, b.weight), batch, (jax.lax.complex(*parts), weight))


@pytest.fixture(scope="module")
def moments():
    """Means of `c h`, and second moments that are more than their squares."""
    rng = np.random.default_rng(5)
    first = rng.normal(size=(COUNT, Q))
    rest = rng.normal(size=(COUNT, Q, Q))
    second = first[:, :, None] * first[:, None, :] + rest @ rest.transpose(0, 2, 1)
    return jnp.asarray(first), jnp.asarray(second)


def zeros(tiny, count):
    return BlockEquations.zeros(count, tiny.grid.size, tiny.grid.pixel_size, quadratic())


@pytest.fixture(scope="module")
def equations(tiny, batch, moments):
    add = eqx.filter_jit(lambda e: e.add(batch, batch.latents, moments, NOISE, tiny.grid))
    return add(zeros(tiny, Q))


def one_by_one(tiny, batch):
    """`B` and `L` of each image at contrast 1 by `NormalEquations`."""
    unit = eqx.tree_at(lambda t: t.contrast, batch.latents, jnp.ones(COUNT))
    empty = NormalEquations.zeros(tiny.grid.size, tiny.grid.pixel_size, quadratic())
    add = eqx.filter_jit(lambda b, latents: empty.add(b, latents, NOISE, tiny.grid).folded())
    rows = [slice(i, i + 1) for i in range(COUNT)]
    return [add(*jax.tree.map(lambda x, r=r: x[r], (batch, unit))) for r in rows]


def test_sums_are_those_of_single_images_times_their_moments(tiny, batch, moments, equations):
    right, left = (np.asarray(x) for x in equations.folded())
    singles = one_by_one(tiny, batch)
    upper = np.triu_indices(Q)
    for a in range(Q):
        expected = sum(m[a] * b for m, (b, _) in zip(moments[0], singles, strict=True))
        np.testing.assert_allclose(right[..., a], expected, atol=1e-10 * np.abs(expected).max())
    for place, (a, b) in enumerate(zip(*upper, strict=True)):
        expected = sum(m[a, b] * l for m, (_, l) in zip(moments[1], singles, strict=True))
        np.testing.assert_allclose(left[..., place], expected, atol=1e-10 * np.abs(expected).max())


def test_a_solution_is_the_dense_one_of_each_cell(tiny, equations):
    power = jnp.asarray(np.random.default_rng(2).uniform(50, 500, (Q, tiny.grid.size // 2 + 1)))
    solved = eqx.filter_jit(lambda e: e.solve_cells(power))(equations)
    right, left = (np.asarray(x) for x in equations.folded())
    m, n = left.shape[0], tiny.grid.size
    shells, inside = (np.asarray(x) for x in wiener.shells_inside(m, n))
    square = np.zeros((*left.shape[:3], Q, Q))
    for place, (a, b) in enumerate(zip(*np.triu_indices(Q), strict=True)):
        square[..., a, b] = square[..., b, a] = left[..., place]
    trace = np.trace(square, axis1=-2, axis2=-1) / Q
    mean = np.array([trace[inside & (shells == s)].mean() for s in range(n // 2 + 1)])
    prior = np.maximum(1 / (equations.finer * power.T), wiener.FLOOR * mean[:, None])
    system = square + prior[shells][..., None] * np.eye(Q)
    found = np.where(inside[..., None], np.linalg.solve(system, right[..., None])[..., 0], 0)
    for a in range(Q):
        shape = (n, quadratic(), tiny.grid.pixel_size)
        expected = np.asarray(wiener.to_voxels(jnp.asarray(found[..., a]), *shape))
        atol = 1e-9 * np.abs(expected).max()
        np.testing.assert_allclose(solved.voxels[a], expected, atol=atol)
    inverse = np.linalg.inv(system)
    for shell in (1, 4, 7):
        expected = inverse[inside & (shells == shell)].mean(axis=0) / equations.finer
        np.testing.assert_allclose(solved.covariance[shell], expected, rtol=1e-8, atol=1e-12)


def test_one_volume_of_moments_one_is_the_homogeneous_case(tiny, batch):
    unit = (jnp.ones((COUNT, 1)), jnp.ones((COUNT, 1, 1)))
    block = zeros(tiny, 1).add(batch, batch.latents, unit, NOISE, tiny.grid)
    singles = one_by_one(tiny, batch)
    right, left = block.folded()
    for found, of in ((right[..., 0], 0), (left[..., 0], 1)):
        expected = sum(single[of] for single in singles)
        np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("size", [1, 2, 5, 11])
def test_inverses_of_badly_scaled_matrices(size):
    rng = np.random.default_rng(size)
    factor = rng.normal(size=(40, size, 2 * size)) * np.geomspace(1, 1e4, size)[:, None]
    matrices = factor @ factor.transpose(0, 2, 1)
    found = np.asarray(inverse_of_cells(jnp.asarray(matrices)))
    product = found @ matrices
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(size), product.shape), atol=1e-6)


def test_too_large_a_table_is_refused():
    with pytest.raises(ValueError, match="fewer components"):
        BlockEquations.zeros(30, 400, jnp.asarray(1.0), quadratic())


def test_the_gauge_is_of_the_same_family_with_standard_latents():
    rng = np.random.default_rng(3)
    volumes = rng.normal(size=(4, 6, 6, 6))
    # Variances of one size: the ridge, a millionth of their sum, must not show.
    mixing = np.eye(3) + 0.3 * rng.normal(size=(3, 3))
    z = rng.normal(size=(500, 3)) @ mixing + [1.0, -2.0, 0.5]
    sums = LatentSums(
        jnp.asarray(500.0), jnp.asarray(z.sum(0)), jnp.asarray(z.T @ z), jnp.asarray(0.0)
    )
    gauge = np.asarray(_gauge(sums, jnp.asarray(volumes)))
    turned = np.tensordot(gauge.T, volumes, 1)
    # The same volumes: (μ, X) h = (μ', X') h' with h = T h'.
    other = np.linalg.solve(gauge, np.column_stack([np.ones(500), z]).T).T
    np.testing.assert_allclose(other[:, 0], 1, atol=1e-9)
    np.testing.assert_allclose(
        np.tensordot(other[:5], turned, 1),
        np.tensordot(np.column_stack([np.ones(5), z[:5]]), volumes, 1),
        atol=1e-8,
    )
    np.testing.assert_allclose(other[:, 1:].mean(axis=0), 0, atol=1e-8)
    np.testing.assert_allclose(np.cov(other[:, 1:].T, bias=True), np.eye(3), atol=1e-4)
    flat = turned[1:].reshape(3, -1)
    products = flat @ flat.T
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-8 * products.max())
    assert np.all(np.diff(np.diag(products)) < 0)


def test_power_of_a_shell_is_its_mean_square():
    voxels = np.random.default_rng(1).normal(size=(1, 12, 12, 12))
    found = np.asarray(shell_power(jnp.asarray(voxels), jnp.asarray(2.0)))[0]
    k = np.fft.fftfreq(12, 1 / 12)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    power = np.abs(np.fft.fftn(voxels[0])) ** 2 * 2.0**6
    half = power[..., :7]
    shell = np.rint(radius)[..., :7]
    for number in (1, 3, 5):
        assert found[number] == pytest.approx(half[shell == number].mean(), rel=1e-9)
