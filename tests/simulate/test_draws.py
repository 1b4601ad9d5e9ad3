import pickle

import numpy as np
import pytest

from cryojax_het.particles.new_star import new_star
from cryojax_het.particles.source import make_particles
from cryojax_het.simulate import draws
from cryojax_het.simulate.settings import CtfDistribution, PoseError, Views


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_rotations_are_haar(rng):
    r = draws.haar_rotations(rng, 20000)
    np.testing.assert_allclose(
        r @ r.transpose(0, 2, 1), np.broadcast_to(np.eye(3), r.shape), atol=1e-12
    )
    assert np.linalg.det(r).min() > 0
    # First moments vanish, second are 1/3; the angle has density (1 - cos θ)/π.
    np.testing.assert_allclose(r.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose((r**2).mean(axis=0), 1 / 3, atol=0.02)
    angle = np.arccos((np.trace(r, axis1=1, axis2=2) - 1) / 2)
    assert angle.mean() == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.02)


def test_defocus_has_the_asked_distribution(rng):
    columns = draws.draw_ctf(rng, 100000, CtfDistribution())
    mean = (columns["defocus_u"] + columns["defocus_v"]) / 2
    assert np.all(np.ptp(mean.reshape(-1, 50), axis=1) == 0)  # groups of 50 share
    assert len(np.unique(mean)) == 2000
    assert mean.min() >= 5000
    assert mean.max() <= 35000
    assert mean.mean() == pytest.approx(18000, abs=300)
    assert mean.std() == pytest.approx(4450, rel=0.05)
    difference = columns["defocus_u"] - columns["defocus_v"]
    assert difference.mean() == pytest.approx(500, rel=0.03)
    assert difference.min() > 0
    histogram, _ = np.histogram(columns["astigmatism_angle"], 4, (0, np.pi))
    assert histogram.min() > 0.8 * 25000


def test_impossible_limits(rng):
    with pytest.raises(ValueError, match="widen"):
        draws.draw_ctf(rng, 10, CtfDistribution(defocus_range=(50.0, 51.0)))


def test_contrast_and_shifts(rng):
    contrast = draws.normal_contrast(rng, 50000, 0.2)
    assert contrast.mean() == pytest.approx(1, abs=0.005)
    assert contrast.std() == pytest.approx(0.2, rel=0.03)
    assert np.all(draws.normal_contrast(rng, 5, 0.0) == 1)
    shift = draws.uniform_shifts(rng, 50000, 12.0)
    assert np.abs(shift).max() <= 12
    assert shift.std() == pytest.approx(12 / np.sqrt(3), rel=0.02)


def ctf_rows(count):
    rng = np.random.default_rng(1)
    u = rng.uniform(1e4, 2e4, count)
    other = [300 + 0 * u, 2.7 + 0 * u, 0.1 + 0 * u, 90 + 0 * u]
    return np.stack([64 + 0 * u, 4 + 0 * u, u, u - 300, 30 + 0 * u, *other], axis=1)


def test_values_from_a_pickle(rng, tmp_path):
    path, table = tmp_path / "ctf.pkl", ctf_rows(30)
    path.write_bytes(pickle.dumps(table))
    columns = draws.read_ctf(rng, 20, path)
    assert len(np.unique(columns["defocus_u"])) == 20  # none twice
    rows = [np.flatnonzero(table[:, 2] == u)[0] for u in columns["defocus_u"]]
    np.testing.assert_allclose(columns["defocus_v"], table[rows, 3])
    np.testing.assert_allclose(columns["astigmatism_angle"], np.pi / 6)
    np.testing.assert_allclose(columns["phase_shift"], np.pi / 2)
    assert len(draws.read_ctf(rng, 50, path)["voltage"]) == 50
    path.write_bytes(pickle.dumps(table[:, :7]))
    with pytest.raises(ValueError, match="nine"):
        draws.read_ctf(rng, 5, path)


def test_values_and_poses_from_a_star(rng, tmp_path):
    path, rotation = tmp_path / "in.star", draws.haar_rotations(rng, 6)
    ctf = draws.draw_ctf(rng, 6, CtfDistribution(micrograph=1))
    shift = draws.uniform_shifts(rng, 6, 5.0)
    table = make_particles(6, rotation=rotation, shift=shift, pixel_size=2.0, size=32, **ctf)
    new_star(path, table, [f"{i + 1}@in.mrcs" for i in range(6)])
    read = draws.read_ctf(rng, 6, path)
    np.testing.assert_allclose(np.sort(read["defocus_u"]), np.sort(ctf["defocus_u"]), rtol=1e-6)
    poses = draws.read_poses(path, 4)
    np.testing.assert_allclose(poses[0], rotation[:4], atol=1e-6)
    np.testing.assert_allclose(poses[1], shift[:4], atol=1e-5)
    with pytest.raises(ValueError, match="6 poses; 7"):
        draws.read_poses(path, 7)


def test_groups_are_combinations_of_settings():
    columns = {
        "voltage": np.array([300.0, 200, 300, 300]),
        "spherical_aberration": np.full(4, 2.7),
        "amplitude_contrast": np.array([0.1, 0.1, 0.1, 0.07]),
    }
    group = draws.optics_groups(columns)
    assert group[0] == group[2]
    assert len(set(group)) == 3


def test_clustered_views_have_their_spread_and_background(rng):
    views = Views(view_clusters=3, view_spread=10.0, view_background=0.2)
    r = draws.view_rotations(rng, 20000, views)
    np.testing.assert_allclose(
        r @ r.transpose(0, 2, 1), np.broadcast_to(np.eye(3), r.shape), atol=1e-9
    )
    assert np.linalg.det(r).min() > 0
    direction = r[:, 2]  # Rᵀ e_z: where the beam goes in the molecule's frame
    # Modes: the directions with most company within ten degrees.
    company = direction @ direction[:2000].T > np.cos(np.deg2rad(10))
    centres, left = [], np.ones(2000, bool)
    for _ in range(3):
        best = np.argmax(np.where(left, company.sum(axis=0), 0))
        near = direction @ direction[best] > np.cos(np.deg2rad(25))
        mean = direction[near].mean(axis=0)
        centres.append(mean / np.linalg.norm(mean))
        left &= direction[:2000] @ centres[-1] < np.cos(np.deg2rad(40))
    cosine = direction @ np.array(centres).T
    near = cosine.max(axis=1) > np.cos(np.deg2rad(35))
    # 0.8 in the clusters, and what of the background falls there.
    assert near.mean() == pytest.approx(0.8 + 0.2 * 3 * (1 - np.cos(np.deg2rad(35))) / 2, abs=0.03)
    angle = np.rad2deg(np.arccos(cosine.max(axis=1)[near]))
    assert np.sqrt((angle**2).mean() / 2) == pytest.approx(10.0, rel=0.1)
    # The angle in the plane is uniform about the direction.
    in_plane = np.arctan2(r[:, 1, 2], r[:, 0, 2])
    assert abs(np.exp(1j * in_plane).mean()) < 0.03


def test_disturbed_poses_turn_in_the_microscopes_frame(rng):
    rotation = draws.haar_rotations(rng, 5000)
    turned, shift = draws.disturbed_poses(
        rng, (rotation, np.zeros((5000, 2))), PoseError(rotation_error=2.0, shift_error=3.0)
    )
    turn = turned @ rotation.transpose(0, 2, 1)
    vector = np.rad2deg(np.stack([turn[:, 2, 1], turn[:, 0, 2], turn[:, 1, 0]], axis=1))
    assert vector.std(axis=0) == pytest.approx([2.0] * 3, rel=0.05)
    assert shift.std(axis=0) == pytest.approx([3.0] * 2, rel=0.05)
