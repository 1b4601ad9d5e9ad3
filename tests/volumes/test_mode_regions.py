"""Rigid motions nearest to modes."""

import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.volumes.mode_regions import mode_regions
from cryojax_het.volumes.scaled_modes import ScaledModes

RNG = np.random.default_rng(3)
PLACES = RNG.normal(size=(30, 3)) * 10
REGION = np.repeat([0, 1, 2], 10)


def rigid_field():
    """Each region by a small turn about its centroid and a shift: such a mode is followed exactly
    to first order."""
    field = np.zeros((30, 3))
    for number in range(3):
        own = number == REGION
        about = PLACES[own] - PLACES[own].mean(axis=0)
        field[own] = np.cross(RNG.normal(size=3) * 0.1, about) + RNG.normal(size=3)
    return field


def test_a_field_of_rigid_motions_is_followed():
    field = rigid_field()
    moved = mode_regions(PLACES, REGION, field[None])
    small = 1e-4
    change = moved.change(jnp.array([small]), jnp.asarray(PLACES)).displacement
    np.testing.assert_allclose(change / small, field, atol=1e-3)


def test_no_other_rigid_motion_is_nearer():
    field = RNG.normal(size=(30, 3))
    moved = mode_regions(PLACES, REGION, field[None])
    small = 1e-5
    found = np.asarray(moved.change(jnp.array([small]), jnp.asarray(PLACES)).displacement) / small
    left = field - found
    for number in range(3):
        own = number == REGION
        about = PLACES[own] - PLACES[own].mean(axis=0)
        np.testing.assert_allclose(left[own].sum(axis=0), 0, atol=1e-3)
        np.testing.assert_allclose(np.cross(about, left[own]).sum(axis=0), 0, atol=2e-2)


def test_distances_within_regions_stay_however_far_it_goes():
    moved = mode_regions(PLACES, REGION, RNG.normal(size=(2, 30, 3)))
    after = PLACES + moved.change(jnp.array([8.0, -5.0]), jnp.asarray(PLACES)).displacement
    for number in range(3):
        own = number == REGION
        apart = lambda p, own=own: np.linalg.norm(p[own][:, None] - p[own], axis=-1)
        np.testing.assert_allclose(apart(np.asarray(after)), apart(PLACES), atol=1e-9)


def test_a_region_on_a_line_does_not_spin():
    line = np.outer(np.arange(10.0), [1.0, 0, 0])
    moved = mode_regions(line, np.zeros(10, int), RNG.normal(size=(1, 10, 3)))
    turns = moved.motion.motions(jnp.ones(1)).turns
    assert np.isfinite(turns).all()
    assert float(turns[0, 0]) == pytest.approx(0, abs=1e-9)


def test_widths_of_modes_are_units_of_the_latent():
    vectors = jnp.asarray(RNG.normal(size=(2, 30, 3)))
    modes = ScaledModes(vectors, jnp.log(jnp.array([2.0, 0.5])))
    found = modes.change(jnp.array([1.0, -2.0]), jnp.asarray(PLACES)).displacement
    np.testing.assert_allclose(found, 2 * vectors[0] - vectors[1])
