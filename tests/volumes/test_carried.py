"""Points that follow Gaussians near them: affine motions are theirs too."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.volumes.carried import Carried, carried
from cryojax_het.volumes.displacement import AbstractDisplacement
from cryojax_het.volumes.mixture import Change
from cryojax_het.volumes.normal_modes import NormalModes

RNG = np.random.default_rng(0)
CARRIERS = RNG.uniform(-20, 20, (400, 3))
POINTS = RNG.uniform(-24, 24, (150, 3))  # some of them outside
NOTHING = jnp.zeros((150, 3))


def follow(field, **options) -> Carried:
    return carried(NormalModes(jnp.asarray(field)[None]), CARRIERS, POINTS, 4.0, **options)


def test_a_rigid_motion_of_the_carriers_is_that_of_the_points():
    turn = Rotation.from_rotvec([0.3, -0.9, 0.5]).as_matrix() - np.eye(3)
    shift = np.array([3.0, -1.0, 2.0])
    moved = follow(CARRIERS @ turn.T + shift)
    expected = POINTS @ turn.T + shift
    got = moved.change(jnp.ones(1), NOTHING).displacement
    # The ridge that keeps extrapolation in check costs this much.
    assert np.linalg.norm(got - expected, axis=1).max() < 2e-3 * np.abs(expected).max()


def test_one_carrier_lends_its_own_displacement():
    field = RNG.normal(size=CARRIERS.shape)
    nearest = np.linalg.norm(POINTS[:, None] - CARRIERS, axis=-1).argmin(axis=1)
    got = follow(field, count=1).change(jnp.full(1, 2.0), NOTHING).displacement
    np.testing.assert_allclose(got, 2 * field[nearest])


def test_weights_add_up_to_one():
    np.testing.assert_allclose(follow(CARRIERS).weights.sum(axis=1), 1)


class Fading(AbstractDisplacement):
    """Amplitudes that fall along x, nothing that moves."""

    latent_size: int = 1

    def change(self, latent, positions):
        return Change(jnp.zeros_like(positions), latent[0] * positions[:, 0] / 10)


def test_amplitudes_are_carried_too():
    moved = carried(Fading(), CARRIERS, POINTS, 4.0)
    change = moved.change(jnp.ones(1), NOTHING)
    np.testing.assert_allclose(change.amplitude, POINTS[:, 0] / 10, atol=0.02)
    np.testing.assert_array_equal(change.displacement, 0)


@pytest.mark.parametrize("count", [0, 401])
def test_more_neighbours_than_carriers_are_refused(count):
    with pytest.raises(ValueError, match=f"400 carriers .* Got {count}"):
        follow(CARRIERS, count=count)
