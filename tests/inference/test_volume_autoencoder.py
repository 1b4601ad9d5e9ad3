"""An autoencoder of maps learns, and its code tells them apart."""

import jax
import numpy as np
import pytest
from scipy.stats import spearmanr

from cryojax_het.inference.volume_autoencoder import Course, train_autoencoder


def test_held_out_maps_are_given_back_better():
    axis = np.arange(8) - 3.5
    place = np.linspace(-2, 2, 14)
    blob = lambda c: np.exp(-((axis - c) ** 2) / 4)
    maps = np.stack([blob(0)[:, None, None] * blob(0)[:, None] * blob(c) for c in place])
    maps = (maps - maps.mean((1, 2, 3), keepdims=True)) / maps.std((1, 2, 3), keepdims=True)
    course = Course(epochs=40, batch=6, rate=1e-2, code=1, features=4)
    found = train_autoencoder(jax.random.key(0), maps.astype(np.float32), course)
    assert found.code.shape == (14, 8)
    assert found.held_out[-1] < 0.8 * found.held_out[0]
    assert found.losses[-1] < 0.8 * found.losses[0]
    # A code that says nothing gives the mean of all maps, at best.
    assert found.held_out[-1] < 0.5 * np.mean((maps - maps.mean(axis=0)) ** 2)
    first = np.linalg.svd(found.code - found.code.mean(axis=0))[0][:, 0]
    assert abs(spearmanr(first, place)[0]) > 0.9


def test_boxes_that_do_not_halve_twice_are_refused():
    with pytest.raises(ValueError, match="multiples of 4"):
        train_autoencoder(jax.random.key(0), np.zeros((5, 6, 6, 6), np.float32))
