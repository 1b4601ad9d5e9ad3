"""Latents of the same images in two gauges, with gaps, and of other images."""

import numpy as np
import pytest

from cryojax_het.analysis.image_comparison import compare_images, compare_labels, latent_scores
from cryojax_het.analysis.image_count import count_images

COUNT = 400


@pytest.fixture
def latent():
    return np.random.default_rng(0).uniform(size=(COUNT, 2))


def shares(first, second):
    return {name: s.share() for name, s in latent_scores(compare_images(first, second)).items()}


def test_another_gauge_is_the_same_latent(latent):
    angle = 0.7
    turn = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])
    same = shares(latent, latent)
    turned = shares(latent, 3 * latent @ turn + 5)
    for name, share in same.items():
        assert turned[name] == pytest.approx(share, abs=1e-9), name
    assert same["latents: neighbours in common"] == pytest.approx(1)
    assert same["latents: linear correlation"] == pytest.approx(1)
    assert min(same.values()) > 0.95


def test_shuffled_latents_agree_by_chance(latent):
    found = shares(latent, np.random.default_rng(1).permutation(latent))
    assert max(abs(share) for share in found.values()) < 0.05


def test_images_without_an_estimate_are_left_out(latent):
    gaps = latent.copy()
    gaps[::7] = np.nan
    whole = np.isfinite(gaps).all(axis=1)
    by_hand = latent_scores(compare_images(latent[whole], latent[whole]))
    assert latent_scores(compare_images(latent, gaps)) == by_hand
    gaps[40:] = np.nan
    with pytest.raises(ValueError, match="60 are needed"):
        compare_images(latent, gaps)
    with pytest.raises(ValueError, match="400 and 399"):
        compare_images(latent, latent[1:])


def test_labels_by_other_names():
    labels = np.random.default_rng(0).integers(3, size=COUNT)
    (score,) = compare_labels(labels, 2 - labels).values()
    assert score.value == 1


def test_the_number_of_images_of_a_folder(tmp_path):
    assert count_images(tmp_path) is None
    np.save(tmp_path / "labels.npy", np.zeros(COUNT))
    np.save(tmp_path / "other.npy", np.zeros(3))
    assert count_images(tmp_path) == COUNT
    (tmp_path / "latents").mkdir()
    np.save(tmp_path / "latents" / "rotation.npy", np.zeros((COUNT, 3, 3)))
    assert count_images(tmp_path) == COUNT
    np.save(tmp_path / "latents.npy", np.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"rotation 400.*latents 5"):
        count_images(tmp_path)
