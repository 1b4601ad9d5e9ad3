"""The shares that images start with, from what a start file or folder holds."""

from pathlib import Path

import numpy as np
import pytest

from cryojax_het.analysis.composition import cluster
from cryojax_het.analysis.density import LatentPosteriors
from cryojax_het.analysis.latent_mixture import latent_mixture
from cryojax_het.commands.classes_start import first_shares
from cryojax_het.commands.fit_classes import ClassesConfig

COUNT = 200


def config(start):
    return ClassesConfig(particles=Path("a.star"), output=Path("b"), start=start)


@pytest.fixture
def folder(tmp_path):
    """Of a run with latents about two places, and the truth."""
    rng, label = np.random.default_rng(0), np.arange(COUNT) % 3 // 2
    latents = tmp_path / "latents"
    latents.mkdir()
    place = np.stack([3.0 * label - 1, np.zeros(COUNT)], axis=1)
    mean = 0.9 * place + np.sqrt(0.09) * rng.normal(size=(COUNT, 2))
    np.save(latents / "conformation.npy", mean.astype(np.float32))
    return tmp_path, label


def test_random_subsets_are_of_equal_size():
    shares = first_shares(config(None), COUNT, 4, seed=1)
    np.testing.assert_array_equal(shares.sum(axis=0), COUNT / 4)
    np.testing.assert_array_equal(shares.sum(axis=1), 1)
    assert np.any(shares != first_shares(config(None), COUNT, 4, seed=2))


def test_latents_without_covariance_are_clustered(folder):
    start, _ = folder
    mean = np.load(start / "latents" / "conformation.npy")
    expected = np.eye(2)[cluster(mean, 2, 0)]
    np.testing.assert_array_equal(first_shares(config(start), COUNT, 2, seed=0), expected)
    assert config(start).start_covariance() is None


def test_with_their_covariance_images_are_shared_by_the_mixture(folder):
    start, label = folder
    before = config(start).inputs()
    path = start / "latents" / "conformation_covariance.npy"
    np.save(path, np.broadcast_to(0.1 * np.eye(2, dtype=np.float32), (COUNT, 2, 2)))
    assert [one for one in config(start).inputs() if one not in before] == [path]
    shares = first_shares(config(start), COUNT, 2, seed=0)
    mean = np.load(start / "latents" / "conformation.npy")
    posteriors = LatentPosteriors(mean=mean, covariance=np.load(path))
    np.testing.assert_allclose(shares, latent_mixture(posteriors, 2).probability, atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    right = np.mean(np.argmax(shares, axis=1) == label)
    assert max(right, 1 - right) > 0.97


def test_labels_beyond_the_number_of_classes_are_refused(tmp_path):
    np.save(tmp_path / "labels.npy", np.arange(COUNT) % 3)
    with pytest.raises(ValueError, match="3 classes"):
        first_shares(config(tmp_path / "labels.npy"), COUNT, 2, seed=0)
