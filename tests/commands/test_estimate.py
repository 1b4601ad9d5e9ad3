"""Estimates: near what was measured, and growing with the work."""

import pytest

from cryojax_het.commands.estimate import reconstruction_need


@pytest.mark.parametrize(("size", "peak"), [(64, 0.6e9), (128, 1.3e9), (256, 3.0e9)])
def test_memory_is_near_the_measured_peaks(size, peak):
    assert reconstruction_need(4000, size, size).memory == pytest.approx(peak, rel=0.5)


def test_more_work_needs_more():
    small, many = reconstruction_need(1000, 128, 128), reconstruction_need(100_000, 128, 128)
    cropped = reconstruction_need(100_000, 128, 64)
    assert small.seconds < many.seconds
    assert small.memory == many.memory
    assert cropped.seconds < many.seconds
    assert cropped.memory < many.memory
    assert cropped.disk < many.disk
