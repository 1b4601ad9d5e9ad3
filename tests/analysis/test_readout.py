"""Read-outs against scikit-learn's regression and a plain loop."""

import numpy as np
import pytest

from cryojax_het.analysis.readout import read_out


def curve(size, noise, seed=0):
    rng = np.random.default_rng(seed)
    t = rng.random(size)
    latent = np.stack([t, np.sin(6 * t), np.cos(6 * t)], axis=1)
    return t, latent + noise * rng.standard_normal((size, 3))


def test_each_prediction_is_the_mean_over_its_neighbours_without_itself():
    t, latent = curve(120, 0.1)
    target = np.stack([t, t**2], axis=1)
    out = read_out(latent, target)
    for i in range(120):
        away = np.linalg.norm(latent - latent[i], axis=1)
        near = np.argsort(away)[1 : out.count + 1]
        np.testing.assert_allclose(out.predicted[i], target[near].mean(axis=0))
    residual = target - out.predicted
    assert out.explained == pytest.approx(
        1 - np.sum(residual**2) / np.sum((target - target.mean(0)) ** 2)
    )


def test_the_number_of_neighbours_is_the_best_of_scikit_learn_left_out_one_by_one():
    neighbors = pytest.importorskip("sklearn.neighbors")
    selection = pytest.importorskip("sklearn.model_selection")
    t, latent = curve(150, 0.3)
    errors, predictions = {}, {}
    for count in (1, 2, 4, 8, 16, 32, 64):
        model = neighbors.KNeighborsRegressor(count)
        predicted = selection.cross_val_predict(model, latent, t, cv=selection.LeaveOneOut())
        errors[count], predictions[count] = np.mean((t - predicted) ** 2), predicted
    out = read_out(latent, t[:, None])
    best = min(errors, key=lambda count: errors[count])
    assert out.count == best
    np.testing.assert_allclose(out.predicted[:, 0], predictions[best])


def test_noise_tells_nothing_and_a_curve_all():
    t, latent = curve(2000, 0.0)
    assert read_out(latent, t[:, None]).explained > 0.9999
    shuffled = np.random.default_rng(1).permutation(t)[:, None]
    assert read_out(latent, shuffled).explained < 0.01
    collapsed = read_out(np.zeros((500, 2)), t[:500, None])
    assert abs(collapsed.explained) < 0.02
    assert read_out(latent, np.ones((2000, 1))).explained == 0


def test_rows_that_disagree_are_an_error():
    with pytest.raises(ValueError, match=r"`latent` and `target` .* Got 10 and 9"):
        read_out(np.zeros((10, 1)), np.zeros((9, 1)))
