"""A map whose halves differ in resolution tells two resolutions."""

import logging

import numpy as np
import pytest

from cryojax_het.analysis.local_resolution import LocalWindow, local_resolution
from cryojax_het.analysis.mask import low_pass_filter


def test_two_levels_of_blur_are_told_within_a_shell():
    rng = np.random.default_rng(0)
    size, pixel = 48, 2.0
    truth = rng.normal(size=(size,) * 3)
    coarse, fine = 12.0, 6.0
    # Noise below the signal where it passes; what leaks through windows and edges is below noise.
    maps = {cut: 2 * low_pass_filter(truth, pixel, cut) for cut in (coarse, fine)}
    left = np.arange(size)[None, None] < size // 2
    halves = [
        np.where(left, maps[coarse], maps[fine]) + rng.normal(size=(size,) * 3) for _ in range(2)
    ]
    window = LocalWindow(radius=12.0, edge=8.0, step=8.0)
    found = local_resolution(*halves, np.ones((size,) * 3), pixel, window)
    side = 2 * int(np.ceil((12 + 8) / pixel)) + 2
    shell = side * pixel / found
    middle = slice(12, 36)
    for part, cut in ((slice(4, 10), coarse), (slice(38, 44), fine)):
        near = shell[middle, middle, part]
        assert np.median(np.abs(near - side * pixel / cut)) < 1
    assert found[24, 24, 6] > 1.5 * found[24, 24, 42]


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
