"""Blended rigid motions against sums over bodies; what moves rigidly, and what does not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from cryojax_het.volumes.anchors import Anchors, anchor_centres
from cryojax_het.volumes.neural_motions import neural_motions
from cryojax_het.volumes.rigid_segments import RigidSegments
from cryojax_het.volumes.segments import HardSegments, SoftSegments, even_segments
from cryojax_het.volumes.skinning import RigidMotions, blended, free_motions

RNG = np.random.default_rng(0)
POSITIONS = jnp.asarray(RNG.normal(0, 20, (60, 3)))
CENTRES = jnp.asarray(RNG.normal(0, 15, (4, 3)))
FREE = free_motions(4, 0.1, 2.0)
PLACE = jnp.arange(60.0)


def displacements():
    """One of each kind, of four bodies that move on their own."""
    hard = HardSegments(jnp.repeat(jnp.arange(4), 15), 4)
    return {
        "anchors": Anchors(CENTRES, 9.0, FREE),
        "hard": RigidSegments(hard, FREE),
        "soft": RigidSegments(even_segments(PLACE, 4, 0.5), FREE),
    }


def bodies(displacement):
    """Centres about which the four bodies turn."""
    if isinstance(displacement, Anchors):
        return np.asarray(displacement.centres)
    weights = np.asarray(displacement.segments.weights())
    return (weights.T @ np.asarray(POSITIONS)) / weights.sum(axis=0)[:, None]


def test_the_blend_is_the_sum_over_bodies():
    weights = jax.nn.softmax(jnp.asarray(RNG.normal(size=(60, 4))), axis=1)
    turns, shifts = RNG.normal(size=(2, 4, 3))
    got = blended(
        weights, CENTRES, RigidMotions(jnp.asarray(turns), jnp.asarray(shifts)), POSITIONS
    )
    rotations = Rotation.from_rotvec(turns).as_matrix()
    expected = np.zeros((60, 3))
    for w, c, r, t in zip(
        np.asarray(weights).T, np.asarray(CENTRES), rotations, shifts, strict=True
    ):
        expected += w[:, None] * ((np.asarray(POSITIONS) - c) @ (r - np.eye(3)).T + t)
    np.testing.assert_allclose(got, expected, atol=1e-10)


@pytest.mark.parametrize("kind", displacements())
def test_one_rigid_motion_of_all_bodies_moves_every_atom_by_it(kind):
    displacement = displacements()[kind]
    rotation = Rotation.from_rotvec([0.5, -0.9, 0.3])
    matrix, shift = rotation.as_matrix(), np.array([3.0, -1.0, 7.0])
    about = shift + bodies(displacement) @ (matrix - np.eye(3)).T
    latent = np.concatenate([np.tile(rotation.as_rotvec() / 0.1, (4, 1)), about / 2.0], axis=1)
    change = eqx.filter_jit(displacement.change)(jnp.asarray(latent.ravel()), POSITIONS)
    expected = np.asarray(POSITIONS) @ matrix.T + shift
    np.testing.assert_allclose(POSITIONS + change.displacement, expected, atol=1e-10)


@pytest.mark.parametrize("kind", displacements())
def test_nothing_moves_at_rest(kind):
    change = displacements()[kind].change(jnp.zeros(24), POSITIONS)
    np.testing.assert_allclose(change.displacement, 0, atol=1e-12)
    assert change.amplitude is None
    assert change.width is None


def test_hard_segments_keep_their_distances_and_no_others():
    change = displacements()["hard"].change(jnp.asarray(RNG.normal(0, 5, 24)), POSITIONS)
    moved = np.asarray(POSITIONS + change.displacement)
    for first in range(0, 60, 15):
        rows = slice(first, first + 15)
        np.testing.assert_allclose(pdist(moved[rows]), pdist(POSITIONS[rows]), atol=1e-10)
    assert np.abs(pdist(moved) - pdist(POSITIONS)).max() > 1


def test_soft_segments_are_hard_ones_as_the_temperature_falls():
    hard = HardSegments(jnp.repeat(jnp.arange(4), 15), 4).weights()
    np.testing.assert_allclose(even_segments(PLACE, 4, 1e-5).weights(), hard, atol=1e-6)
    soft = np.asarray(even_segments(PLACE, 4, 1.0).weights())
    np.testing.assert_allclose(soft.sum(axis=1), 1)
    assert (np.diff(soft @ np.arange(4)) > 0).all()  # smooth along the chain
    assert np.abs(np.diff(soft, axis=0)).max() < 0.2


def test_soft_weights_are_normal_densities_to_the_power_of_the_inverse_temperature():
    from scipy.stats import norm

    centre, extent = np.array([5.0, 30.0, 52.0]), np.array([4.0, 11.0, 6.0])
    segments = SoftSegments(PLACE, jnp.asarray(centre), jnp.log(jnp.asarray(extent)), 0.7)
    density = norm.pdf(np.arange(60)[:, None], centre, extent) ** (1 / 0.7)
    np.testing.assert_allclose(
        segments.weights(), density / density.sum(axis=1, keepdims=True), atol=1e-12
    )


def test_anchor_weights_are_normalised_normal_densities():
    distance = np.linalg.norm(np.asarray(POSITIONS)[:, None] - np.asarray(CENTRES), axis=2)
    weights = np.exp(-0.5 * (distance / 9.0) ** 2)
    np.testing.assert_allclose(
        displacements()["anchors"].weights(POSITIONS),
        weights / weights.sum(axis=1, keepdims=True),
        atol=1e-12,
    )


def test_anchors_are_the_means_of_clusters():
    blobs = np.repeat(np.array([[0.0, 0, 0], [50, 0, 0], [0, 60, 0]]), 20, axis=0)
    blobs += RNG.normal(size=blobs.shape)
    found = anchor_centres(blobs, 3)
    means = blobs.reshape(3, 20, 3).mean(axis=1)
    order = np.argmin(np.linalg.norm(found[:, None] - means, axis=2), axis=1)
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(found, means[order], atol=1e-9)
    with pytest.raises(ValueError, match="anchors"):
        anchor_centres(blobs, 61)


def test_motions_of_a_network_begin_at_rest_and_can_leave_it():
    motion = neural_motions(jax.random.key(0), 4, 2, (8, 1))
    still = motion.motions(jnp.array([0.7, -2.0]))
    assert not np.any(still.turns)
    assert not np.any(still.shifts)
    loss = lambda p: jnp.sum(
        motion.network.apply({"params": p}, jnp.array([0.7, -2.0]))  # pyright: ignore
    )
    slopes = [np.abs(leaf).max() for leaf in jax.tree.leaves(jax.grad(loss)(motion.parameters))]
    assert max(slopes) > 0
