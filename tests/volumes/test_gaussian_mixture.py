"""Mixtures of few widths against direct sums over atoms; memory; what a change does."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.gaussian_mixture import GaussianMixture, by_width
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.mixture import Change

NONE = jnp.zeros(0)
GRID = FourierGrid(20, 1.4)
FRAME = Rotation.random(rng=np.random.default_rng(0)).as_matrix()
slice_of = eqx.filter_jit(lambda volume, frame, grid: volume.slice(NONE, frame, grid))


def columns(count=37):
    rng = np.random.default_rng(1)
    widths = rng.choice([1.5, 2.25, 3.0], count)
    return rng.normal(0, 4, (count, 3)), rng.uniform(-1, 2, count), widths


def mixture(chunk=512):
    grouped = by_width(*columns())[0]
    return GaussianMixture(
        grouped.positions, grouped.amplitudes, grouped.widths, grouped.sizes, chunk
    )


def by_atoms(frame, grid):
    """`Σ a exp(-2πi k·c - 2π²s²k²)` at `k = Lᵀ(kx, ky, 0)`, inside the circle."""
    ky, kx = np.meshgrid(np.asarray(grid.ky), np.asarray(grid.kx), indexing="ij")
    k = kx[..., None] * frame[0] + ky[..., None] * frame[1]
    positions, amplitudes, widths = columns()
    decay = 2 * np.pi**2 * (k**2).sum(axis=-1)[..., None] * widths**2
    terms = amplitudes * np.exp(-2j * np.pi * k @ positions.T - decay)
    return np.where(grid.inside(), terms.sum(axis=-1), 0)


@pytest.mark.parametrize("chunk", [1, 5, 512])
def test_slices_are_sums_over_atoms_in_chunks_of_any_size(chunk):
    got = slice_of(mixture(chunk), jnp.asarray(FRAME), GRID)
    np.testing.assert_allclose(got, by_atoms(FRAME, GRID), atol=1e-9)


def test_unequal_widths_are_exact_under_a_magnification():
    frame = np.concatenate([np.array([[1.03, 0.02], [-0.01, 0.97]]).T @ FRAME[:2], FRAME[2:]])
    got = slice_of(mixture(), jnp.asarray(frame), GRID)
    np.testing.assert_allclose(got, by_atoms(frame, GRID), atol=1e-9)


def test_grouping_keeps_every_gaussian():
    positions, amplitudes, widths = columns()
    grouped, order = by_width(positions, amplitudes, widths)
    np.testing.assert_array_equal(grouped.positions, positions[order])
    np.testing.assert_array_equal(grouped.amplitudes, amplitudes[order])
    np.testing.assert_array_equal(grouped.each_width(), widths[order])
    single = Gaussians(*map(jnp.asarray, (positions, amplitudes, widths)))
    np.testing.assert_allclose(grouped.density(NONE, GRID), single.density(NONE, GRID), atol=1e-12)


def test_sizes_that_do_not_fit_are_refused():
    positions, amplitudes, widths = columns()
    with pytest.raises(ValueError, match="add up"):
        GaussianMixture(jnp.asarray(positions), jnp.asarray(amplitudes), jnp.ones(2), (30, 8))
    with pytest.raises(ValueError, match="round them"):
        by_width(positions, amplitudes, widths + np.arange(37))


def test_the_gradient_in_positions_is_a_finite_difference_for_every_atom():
    target = jax.random.normal(jax.random.key(0), (20, 11))
    model = mixture(chunk=5)

    @jax.jit
    def loss(positions):
        moved = eqx.tree_at(lambda v: v.positions, model, positions)
        return jnp.sum(jnp.abs(moved.slice(NONE, jnp.asarray(FRAME), GRID) - target) ** 2)

    exact = np.asarray(jax.jit(jax.grad(loss))(model.positions))
    steps = 1e-5 * np.eye(exact.size).reshape(-1, *exact.shape)
    many = jax.jit(jax.vmap(loss))
    numeric = (many(model.positions + steps) - many(model.positions - steps)) / 2e-5
    np.testing.assert_allclose(exact.ravel(), numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["one width per atom", "two classes"])
def test_memory_beyond_the_atoms_does_not_grow_with_their_number(kind):
    """Of the slice and of its gradient: eight times the atoms, the same buffers but for what is
    stored per atom."""
    grid = FourierGrid(64, jnp.float32(1.4))

    def temporary(count, differentiated):
        positions = jnp.zeros((count, 3), jnp.float32)
        ones = jnp.ones(count, jnp.float32)
        if kind == "two classes":
            sizes = (count // 2, count // 2)
            volume = GaussianMixture(positions, ones, ones[:2], sizes, chunk=256)
        else:
            volume = Gaussians(positions, ones, ones, chunk=256)
        view = lambda v: jnp.sum(jnp.abs(v.slice(NONE, jnp.eye(3, dtype=jnp.float32), grid)))
        function = jax.grad(view) if differentiated else view
        compiled = jax.jit(function).lower(volume).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    for differentiated in (False, True):
        few, many = (temporary(count, differentiated) for count in (2048, 16384))
        # Some columns of an atom, as its position is; its phases would be 4 · 64 · 4 bytes.
        assert many - few < 64 * (16384 - 2048)


def test_a_change_moves_weighs_and_widens_each_gaussian():
    rng = np.random.default_rng(2)
    step, log_amplitude, log_width = rng.normal(size=(37, 3)), *rng.normal(0, 0.1, (2, 37))
    model = mixture()
    single = Gaussians(model.positions, model.amplitudes, model.each_width())
    expected = Gaussians(
        model.positions + step,
        model.amplitudes * np.exp(log_amplitude),
        model.each_width() * np.exp(log_width),
    )
    change = Change(jnp.asarray(step), jnp.asarray(log_amplitude), jnp.asarray(log_width))
    for start in (model, single):
        np.testing.assert_allclose(
            slice_of(start.changed(change), jnp.asarray(FRAME), GRID),
            slice_of(expected, jnp.asarray(FRAME), GRID),
            atol=1e-9,
        )
    moved = model.changed(Change(jnp.asarray(step), jnp.asarray(log_amplitude)))
    assert isinstance(moved, GaussianMixture)
    same_widths = eqx.tree_at(lambda v: v.widths, expected, model.each_width())
    np.testing.assert_allclose(
        slice_of(moved, jnp.asarray(FRAME), GRID),
        slice_of(same_widths, jnp.asarray(FRAME), GRID),
        atol=1e-9,
    )
