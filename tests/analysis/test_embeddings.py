"""Laws of all embeddings; diffusion maps against the eigenfunctions of known shapes."""

import sys

import numpy as np
import pytest

from cryojax_het.analysis.density import LatentPosteriors
from cryojax_het.analysis.embedding_diffusion import DiffusionMap
from cryojax_het.analysis.embedding_pca import PCA
from cryojax_het.analysis.embedding_tsne import TSNE
from cryojax_het.analysis.embedding_umap import UMAP
from cryojax_het.analysis.neighbours import nearest
from cryojax_het.analysis.posterior_distances import squared_distances

EMBEDDINGS = {"pca": PCA(), "diffusion": DiffusionMap(), "tsne": TSNE(), "umap": UMAP()}
each = pytest.mark.parametrize("embedding", EMBEDDINGS.values(), ids=EMBEDDINGS.keys())


def posteriors_at(points, width=0.05):
    covariance = np.tile(width**2 * np.eye(points.shape[1]), (len(points), 1, 1))
    return LatentPosteriors(mean=points, covariance=covariance)


@pytest.fixture(scope="module")
def sheet():
    """500 images on a bent sheet in four coordinates, one of them noise."""
    rng = np.random.default_rng(0)
    u, v = rng.uniform(-1, 1, (2, 500))
    points = np.stack([2 * u, v, 0.4 * u**2, 0.02 * rng.normal(size=500)], axis=1)
    return posteriors_at(points)


@each
def test_a_plane_is_finite_the_same_again_and_keeps_neighbours(embedding, sheet):
    plane = embedding.plane(sheet)
    assert plane.shape == (500, 2)
    assert np.isfinite(plane).all()
    np.testing.assert_array_equal(embedding.plane(sheet), plane)
    near, found = nearest(sheet.mean, 20), nearest(plane, 20)
    kept = np.mean([len(np.intersect1d(a, b)) for a, b in zip(near, found, strict=True)]) / 20
    assert kept > 0.5  # 0.04 by chance


@each
def test_few_images_and_a_single_coordinate(embedding):
    line = posteriors_at(np.linspace(0, 1, 12)[:, None] ** 1.1)
    plane = embedding.plane(line)
    assert plane.shape == (12, 2)
    assert np.isfinite(plane).all()
    with pytest.raises(ValueError, match="5 images"):
        embedding.plane(line.take(np.arange(4)))


@each
def test_float32_as_runs_keep_latents(embedding, sheet):
    single = LatentPosteriors(
        mean=sheet.mean.astype(np.float32), covariance=sheet.covariance.astype(np.float32)
    )
    assert np.isfinite(embedding.plane(single)).all()


def test_principal_axes_are_those_of_the_covariance(sheet):
    plane = PCA().plane(sheet)
    values = np.linalg.eigvalsh(np.cov(sheet.mean.T))[::-1]
    np.testing.assert_allclose(np.cov(plane.T), np.diag(values[:2]), atol=1e-10)


def correlation(first, second):
    return abs(np.corrcoef(first, second)[0, 1])


def on_circle(rng, count):
    """Angles four times as dense on one side as on the other: p ∝ 1 + 0.6 cos θ."""
    angle = rng.uniform(-np.pi, np.pi, 6 * count)
    angle = angle[rng.uniform(0, 1.6, len(angle)) < 1 + 0.6 * np.cos(angle)][:count]
    return np.sort(angle), np.stack([np.cos(np.sort(angle)), np.sin(np.sort(angle))], axis=1)


def test_on_a_circle_unevenly_populated_coordinates_are_sine_and_cosine():
    angle, points = on_circle(np.random.default_rng(1), 1500)
    found = DiffusionMap().coordinates(posteriors_at(points, 0.01), 4)
    # Each pair up to a turn: the part of every harmonic that its plane holds.
    for order, pair in ((1, slice(0, 2)), (2, slice(2, 4))):
        harmonics = np.sqrt(2) * np.stack([np.cos(order * angle), np.sin(order * angle)], axis=1)
        fit = np.linalg.lstsq(found.values[:, pair], harmonics, rcond=None)[0]
        left = harmonics - found.values[:, pair] @ fit
        assert np.sqrt(np.mean(left**2)) < 0.05
    # Eigenvalues of the Laplacian, 1 : 4.
    rate = -np.log(found.eigenvalues)
    assert rate[1] / rate[0] == pytest.approx(1, abs=0.1)
    assert rate[2:].mean() / rate[:2].mean() == pytest.approx(4, rel=0.1)


def test_on_an_interval_unevenly_populated_coordinates_are_cosines():
    rng = np.random.default_rng(2)
    place = rng.beta(1.0, 2.5, 1000) * 0.9  # dense at one end
    found = DiffusionMap().coordinates(posteriors_at(place[:, None], 0.003), 2)
    length = place.max()
    for order in (1, 2):
        cosine = np.cos(order * np.pi * place / length)
        assert correlation(found.values[:, order - 1], cosine) > 0.99


def test_images_beyond_the_landmarks_are_placed_as_if_they_were_among_them():
    _, points = on_circle(np.random.default_rng(3), 1500)
    every = DiffusionMap(landmarks=1500).plane(posteriors_at(points, 0.01))
    some = DiffusionMap(landmarks=600).plane(posteriors_at(points, 0.01))
    fit = np.linalg.lstsq(some, every, rcond=None)[0]
    assert np.std(some @ fit - every) < 0.05 * np.std(every)


def test_single_outliers_are_no_coordinates_of_their_own():
    rng = np.random.default_rng(4)
    points = np.concatenate([rng.normal(size=(400, 2)) * [2.0, 0.5], [[40.0, 30.0], [-50.0, 20.0]]])
    plane = DiffusionMap().plane(posteriors_at(points, 0.1))
    assert np.abs(plane[:400, 0]).std() > 0.1
    assert correlation(plane[:400, 0], points[:400, 0]) > 0.8


def test_what_images_do_not_tell_moves_no_coordinate():
    """A wide coordinate of noise alone, told of with a deviation as wide."""
    rng = np.random.default_rng(5)
    points = np.stack([rng.uniform(-1, 1, 600), rng.normal(size=600)], axis=1)
    covariance = np.tile(np.diag([0.05**2, 1.0]), (600, 1, 1))
    plane = DiffusionMap().plane(LatentPosteriors(mean=points, covariance=covariance))
    assert correlation(plane[:, 0], np.sin(np.pi * points[:, 0] / 2)) > 0.98


def test_distances_are_of_summed_covariances():
    rng = np.random.default_rng(6)
    root = rng.normal(size=(9, 3, 3))
    found = LatentPosteriors(
        mean=rng.normal(size=(9, 3)), covariance=root @ root.transpose(0, 2, 1) + np.eye(3)
    )
    one, other = np.array([0, 3, 8]), np.array([4, 3, 1])
    step = found.mean[one] - found.mean[other]
    inverse = np.linalg.inv(found.covariance[one] + found.covariance[other])
    expected = np.einsum("ei,eij,ej->e", step, inverse, step)
    np.testing.assert_allclose(squared_distances(found, found, one, other), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["tsne", "umap"])
def test_what_is_not_installed_is_named(name, sheet, monkeypatch):
    for module in ("sklearn.manifold", "umap"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match="pip install"):
        EMBEDDINGS[name].plane(sheet)
