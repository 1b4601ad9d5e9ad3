"""A map whose halves differ in resolution tells two resolutions."""

import logging

import numpy as np
import pytest

from cryojax_het.analysis.local_resolution import LocalWindow, local_resolution
from cryojax_het.analysis.mask import low_pass_filter


def test_two_levels_of_blur_are_told_within_a_shell():
    rng = np.random.default_rng(0)
    size, pixel, amplitude, side = 48, 2.0, 1.5, 22
    truth = rng.normal(size=(size,) * 3)
    maps = {cut: amplitude * low_pass_filter(truth, pixel, cut) for cut in (12.0, 6.0)}
    left = np.arange(size)[None, None] < size // 2
    halves = [
        np.where(left, maps[12.0], maps[6.0]) + rng.normal(size=(size,) * 3) for _ in range(2)
    ]
    window = LocalWindow(radius=12.0, edge=8.0, step=8.0)
    found = local_resolution(*halves, np.ones((size,) * 3), pixel, window)
    shell = side * pixel / found[12:36, 12:36]
    # The FSC is 1/7 where the filter's power is a sixth of the noise: on its edge of half a cosine.
    beyond = 4 * np.arccos(2 * np.sqrt(1 / 6) / amplitude - 1) / np.pi - 2
    for part, cut in ((slice(4, 10), 12.0), (slice(38, 44), 6.0)):
        expected = (size * pixel / cut + beyond) * side / size
        assert abs(np.median(shell[..., part]) - expected) < 1


def test_outside_the_mask_and_wrong_shapes(caplog):
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 16, 16, 16))
    mask = np.zeros((16,) * 3)
    mask[6:10, 6:10, 6:10] = 1
    with caplog.at_level(logging.WARNING):
        found = local_resolution(first, second, mask, 4.0)
    assert "below 5 pixels" in caplog.text
    assert np.all(found[mask == 0] == 50)
    with pytest.raises(ValueError, match="one shape"):
        local_resolution(first, second, mask[:8], 4.0)
