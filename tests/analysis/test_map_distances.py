"""Laws that every distance between maps keeps, and what each of them measures."""

import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.analysis.correlation_distance import CorrelationDistance
from cryojax_het.analysis.elastic_distance import (
    Bending,
    ElasticDisplacement,
    ElasticDissimilarity,
)
from cryojax_het.analysis.feature_distance import FeatureDistance
from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.analysis.fsc_distance import FSCDistance, reproduced, shell_correlations
from cryojax_het.analysis.mask import spherical_mask
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.inference.volume_autoencoder import Course
from cryojax_het.simulate.molecule import hinge_positions
from cryojax_het.structures.superpose import superposition
from cryojax_het.volumes.gaussians import gaussian_density

SIZE, PIXEL = 24, 8.0
ANGLES = np.array([-0.5, -0.2, 0.1, 0.6])
MASK = spherical_mask(SIZE, 10.0, 2.0)


def hinge_maps(angles=ANGLES, width=9.0):
    """Maps `[z, y, x]` with the arm turned by each angle, radians; Gaussians of `width` Å."""
    grid = FourierGrid(SIZE, PIXEL)
    made = []
    for angle in angles:
        positions = jnp.asarray(hinge_positions(float(angle)))
        ones = jnp.ones(len(positions))
        made.append(np.asarray(gaussian_density(positions, ones, width * ones, grid)))
    return np.stack(made)


SMALL = Bending(modes=3)
DISTANCES = {
    "fsc": lambda: FSCDistance(mask=MASK),
    "correlation": lambda: CorrelationDistance(mask=MASK),
    "structmap": lambda: ElasticDissimilarity(mask=MASK, bending=SMALL),
    "displacement": lambda: ElasticDisplacement(mask=MASK, bending=SMALL),
    "features": lambda: FeatureDistance(
        mask=MASK, size=16, course=Course(epochs=2, batch=2, code=1, features=2)
    ),
}
each = pytest.mark.parametrize("name", DISTANCES)
# Training is by chance, and in the order of the maps.
in_any_order = pytest.mark.parametrize("name", [name for name in DISTANCES if name != "features"])


@pytest.fixture(scope="module")
def maps():
    return hinge_maps()


@pytest.fixture(scope="module")
def found(maps):
    """Each distance of the maps, computed once."""
    return {name: make().between(maps, PIXEL) for name, make in DISTANCES.items()}


@each
def test_it_is_a_distance(found, name):
    apart = found[name]
    np.testing.assert_allclose(apart, apart.T, rtol=0, atol=1e-9 * apart.max())
    assert not np.diag(apart).any()
    assert (apart[~np.eye(len(apart), dtype=bool)] > 0).all()


@in_any_order
def test_scale_and_order_of_the_maps_change_nothing(maps, found, name):
    order = np.array([2, 0, 3, 1])
    scale = np.linspace(0.5, 2, len(maps))[:, None, None, None]
    again = DISTANCES[name]().between((scale * maps)[order], PIXEL)
    expected = found[name][np.ix_(order, order)]
    np.testing.assert_allclose(again, expected, atol=5e-3 * expected.max())


def test_scale_of_the_maps_changes_no_features(maps, found):
    again = DISTANCES["features"]().between(3 * maps, PIXEL)
    np.testing.assert_allclose(again, found["features"], atol=1e-3 * again.max())


@pytest.mark.parametrize("name", ["fsc", "correlation", "displacement"])
def test_the_ends_of_the_motion_are_further_apart_than_neighbours(found, name):
    """What bending leaves is not the way that was bent, and two passes teach no features."""
    assert found[name][0, 3] > np.diag(found[name], 1).max()


@each
def test_maps_that_cannot_be_compared_are_refused(maps, name):
    with pytest.raises(ValueError, match="three maps or more"):
        DISTANCES[name]().between(maps[:2], PIXEL)
    with pytest.raises(ValueError, match="Map 1 is constant"):
        DISTANCES[name]().between(np.stack([maps[0], 0 * maps[0], maps[1]]), PIXEL)


def test_shells_are_those_of_the_curve(maps):
    curves = shell_correlations(maps, MASK, SIZE // 2)
    expected = fourier_shell_correlation(maps[0] * MASK, maps[3] * MASK)
    np.testing.assert_allclose(curves[:, 0, 3], expected[1:], atol=1e-10)


def test_shells_of_noise_weigh_nothing(maps):
    rng = np.random.default_rng(1)
    noise = np.fft.rfftn(rng.normal(size=maps.shape), axes=(1, 2, 3))
    axis = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis[: SIZE // 2 + 1] ** 2)
    fine = np.fft.irfftn(noise * (radius > 5.5), maps.shape[1:], axes=(1, 2, 3))
    coarse = np.fft.rfftn(maps, axes=(1, 2, 3)) * (radius <= 5.5)
    mixed = np.fft.irfftn(coarse, maps.shape[1:], axes=(1, 2, 3)) + fine
    weight = reproduced(shell_correlations(mixed, np.ones_like(MASK), SIZE // 2 - 1), 1.0)
    assert weight.sum() == pytest.approx(1)
    assert weight[5:].max() < 0.02
    assert weight[:4].min() > 0.1


def test_displacement_is_about_that_of_the_structure(found):
    places = [np.asarray(hinge_positions(float(angle)), float) for angle in ANGLES]
    truth = np.zeros((len(places),) * 2)
    for i, one in enumerate(places):
        for j, other in enumerate(places):
            turn, shift = superposition(one, other)
            truth[i, j] = np.sqrt(np.mean(np.sum((one @ turn.T + shift - other) ** 2, axis=1)))
    upper = np.triu_indices(len(places), 1)
    ratio = found["displacement"][upper] / truth[upper]
    assert (np.abs(np.log(ratio)) < np.log(1.5)).all()


def test_what_bending_leaves_is_less_than_what_stiff_maps_leave(maps, found):
    stiff = 0.5 * CorrelationDistance(mask=np.ones_like(MASK)).between(maps * MASK, PIXEL) ** 2
    assert found["structmap"][0, 3] < 0.5 * stiff[0, 3]
