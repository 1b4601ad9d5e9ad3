"""Scores of a whole method: what a perfect run, the consensus, and chance must score."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.analysis.baselines import oracle_of_shells, state_sums
from cryojax_het.analysis.map_sets import MapSet
from cryojax_het.analysis.outputs import Outputs
from cryojax_het.analysis.validation import (
    validate_calibration,
    validate_latents,
    validate_maps,
    validate_null,
)
from cryojax_het.particles.mrc import MrcVolume, write_volume


def map_set(folder, truth, maps, of_image=None):
    """Maps of the states on disk; each image has that of its own state."""
    folder.mkdir()
    paths = [folder / f"class_{number:03d}.mrc" for number in range(len(maps))]
    for path, volume in zip(paths, maps, strict=True):
        write_volume(path, MrcVolume(volume.astype(np.float32), (truth.pixel_size,) * 3))
    of_image = truth.images.state if of_image is None else of_image
    return MapSet(paths=paths, of_image=of_image, size=truth.size, pixel_size=truth.pixel_size)


def outputs_of(**arrays):
    empty = dict.fromkeys(("latents", "covariance", "samples", "labels", "maps_folder"))
    return Outputs(path=Path("method"), **empty | arrays)


@pytest.fixture
def ideal(hinge_set, references):
    """The ideal observer's latent of all images."""
    latent = np.zeros((len(hinge_set[0]), 1))
    latent[references.posterior.rows] = references.posterior.ideal_latent(hinge_set[1].states)
    return latent


@pytest.fixture
def scored(hinge_set, references):
    """From a latent to its validation."""
    source, truth = hinge_set
    return lambda latent: validate_latents(latent, truth, source.table(), references)


def test_the_oracles_maps_close_the_gap_and_the_true_maps_more(hinge_set, references, tmp_path):
    source, truth = hinge_set
    sums, states = state_sums(source, truth), range(len(truth.states))
    oracle = [oracle_of_shells(sums, truth.states, s, references.choice.best) for s in states]
    found = validate_maps(map_set(tmp_path / "a", truth, oracle), truth, references)
    assert len(found.rows) == 200
    for summary in found.table().values():
        assert summary["method"]["median"] == summary["oracle"]["median"]
    assert found.headline()["mask"] == "moving region"
    assert found.headline()["gap_closed"] == pytest.approx(1)
    true = map_set(tmp_path / "b", truth, [truth.map(s) for s in states])
    best = validate_maps(true, truth, references)
    assert best.headline()["value"] == pytest.approx(1)
    assert best.headline()["gap_closed"] > 1
    assert best.table()["whole box"]["method"]["resolution"] == 2 * truth.pixel_size
    # By state as by image.
    table = best.state_table()
    np.testing.assert_array_equal(table["state"], np.unique(truth.images.state))
    np.testing.assert_array_equal(table["images"], np.bincount(truth.images.state)[table["state"]])
    np.testing.assert_allclose(table["area"]["method"], 1)
    np.testing.assert_allclose(table["resolution"], 2 * truth.pixel_size)
    assert found.state_table()["by mask"]["moving region"]["gap_closed"] == pytest.approx(1)


def test_the_consensus_closes_nothing(hinge_set, references, tmp_path):
    truth = hinge_set[1]
    zeros = np.zeros(len(truth.images), np.int64)
    maps = map_set(tmp_path / "maps", truth, [references.consensus_map], zeros)
    found = validate_maps(maps, truth, references)
    for summary in [*found.table().values(), *found.state_table()["by mask"].values()]:
        assert summary["gap_closed"] == 0 or np.isnan(summary["gap_closed"])
    assert found.headline()["gap_closed"] == 0


def test_no_gap_is_no_share_of_it(hinge_set, references, tmp_path):
    truth = hinge_set[1]
    zeros = np.zeros(len(truth.images), np.int64)
    maps = map_set(tmp_path / "maps", truth, [truth.map(0)], zeros)
    # An oracle that noise has put below the consensus.
    worse = replace(references, oracle={m: c - 0.1 for m, c in references.consensus.items()})
    assert np.isnan(validate_maps(maps, truth, worse).headline()["gap_closed"])
    nothing = replace(maps, of_image=np.full(len(truth.images), -1))
    with pytest.raises(ValueError, match="No image has a map"):
        validate_maps(nothing, truth, references)


def test_the_ideal_latent_is_the_best_there_is(scored, ideal):
    found = scored(ideal)
    assert len(found.scores) == 4
    for name, score in found.scores.items():
        assert score.share == pytest.approx(1), name
    table = found.table()
    assert table["populations"]["distance"] == table["populations"]["ceiling"]
    assert table["latents"]["hinge: rank correlation"]["value"] > 0.9
    for leak in table["leaks"].values():
        assert leak["value"] > 0.85


def test_shuffled_latents_are_at_chance(scored, ideal):
    shares = []
    for seed in range(5):
        found = scored(np.random.default_rng(seed).permutation(ideal))
        shares.append([score.share for score in found.scores.values()])
    # Read-outs that leave an image out know a little of what it is not: a rank correlation just
    # below 0 by chance, never above.
    np.testing.assert_allclose(np.mean(shares, axis=0), 0, atol=0.1)
    assert np.all(np.mean(shares, axis=0) < 0.03)


def test_the_gauge_of_a_latent_changes_no_score(hinge_set, scored, ideal):
    noise = np.random.default_rng(0).normal(size=(len(ideal), 2))
    plane = np.concatenate([ideal, ideal**2], axis=1) + 0.05 * noise
    turn = np.array([[0.6, 0.8], [0.8, -0.6]])  # with a reflection
    expected, turned = scored(plane), scored(5 - 3 * plane @ turn)
    for name, score in expected.scores.items():
        assert turned.scores[name].score.value == pytest.approx(score.score.value, abs=1e-9), name
    for name, leak in expected.leaks.items():
        assert turned.leaks[name].value == pytest.approx(leak.value, abs=1e-9)
    assert turned.populations.distance == pytest.approx(expected.populations.distance, abs=1e-9)


def test_bending_a_latent_changes_little(scored, ideal):
    line = ideal + 0.02 * np.random.default_rng(0).normal(size=ideal.shape)
    expected, bent = scored(line), scored(-np.sinh(2 * line))
    for name, score in expected.scores.items():
        tolerance = 0.1 if name == "linear correlation" else 0.03
        assert bent.scores[name].share == pytest.approx(score.share, abs=tolerance), name


def test_images_without_an_estimate_are_left_out(scored, ideal):
    gaps = ideal.copy()
    gaps[::5] = np.nan
    found = scored(gaps)
    np.testing.assert_array_equal(found.rows, np.flatnonzero(np.isfinite(gaps[:, 0])))
    assert found.scores["hinge: rank correlation"].share == pytest.approx(1)


def test_spread_of_a_molecule_that_does_not_move(hinge_set, references, tmp_path):
    truth = hinge_set[1]
    rigid = replace(references, noise_spread=0.01)
    one = np.zeros(len(truth.images), np.int64)
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(len(one), 2))
    outputs = outputs_of(latents=latents, covariance=np.tile(np.eye(2), (len(one), 1, 1)))
    same = map_set(tmp_path / "a", truth, [truth.map(0)], one)
    found = validate_null(outputs, same, truth, rigid)
    assert found["spread of maps"] == 0
    assert found["latent variance over posterior variance"] == pytest.approx(1, abs=0.15)
    apart = map_set(
        tmp_path / "b", truth, [truth.map(0), truth.map(99)], one + (rng.random(600) < 0.5)
    )
    wide = validate_null(outputs_of(latents=latents), apart, truth, rigid)
    assert wide["spread of maps"] > 0.1
    assert wide["ratio of the two"] == wide["spread of maps"] / 0.01
    # What moves has no false heterogeneity to tell of.
    assert validate_null(outputs, apart, truth, references) == {}


def test_coverage_of_posteriors_in_any_gauge(hinge_set):
    truth = hinge_set[1]
    rng = np.random.default_rng(0)
    target = truth.states.embedding()[truth.images.state]
    # The truth scatters about the mean: a calibrated posterior of a broad prior.
    prior, width = target.var(), 0.05
    mean = target + width * rng.normal(size=target.shape)
    shrink = prior / (prior + width**2)
    mean = target.mean() + shrink * (mean - target.mean())
    variance = np.full((len(mean), 1, 1), shrink * width**2)
    right = validate_calibration(outputs_of(latents=mean, covariance=variance), truth)
    assert [row["level"] for row in right] == [0.5, 0.9]
    for row in right:
        assert abs(row["observed"] - row["level"]) < 3.5 * row["error"]
    other = outputs_of(latents=2 - 4 * mean, covariance=16 * variance)
    for row, expected in zip(validate_calibration(other, truth), right, strict=True):
        assert row == pytest.approx(expected)
    samples = mean[:, None] + np.sqrt(variance) * rng.normal(size=(len(mean), 30, 1))
    for row in validate_calibration(outputs_of(latents=mean, samples=samples), truth):
        assert abs(row["observed"] - row["level"]) < 3.5 * row["error"]
    narrow = validate_calibration(outputs_of(latents=mean, covariance=variance / 9), truth)
    assert narrow[0]["observed"] < 0.3


def test_posteriors_that_cannot_be_tested(hinge_set):
    truth = hinge_set[1]
    flat = np.zeros((len(truth.images), 1))
    assert validate_calibration(outputs_of(latents=flat), truth) == []
    assert validate_calibration(outputs_of(), truth) == []
    with pytest.raises(ValueError, match="cannot be brought to 1 coordinates"):
        validate_calibration(outputs_of(latents=flat, covariance=flat[..., None] + 1), truth)
