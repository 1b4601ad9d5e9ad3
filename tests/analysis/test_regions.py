"""Masks of planted spheres: one at rest, one that moves."""

import numpy as np
import pytest

from cryojax_het.analysis.mask import MaskOptions
from cryojax_het.analysis.regions import find_regions

SIZE, PIXEL = 32, 4.0
SHARP = MaskOptions(low_pass=12.0, extend=4.0, edge=8.0)


def ball(centre, radius=12.0):
    axis = (np.arange(SIZE) - SIZE // 2) * PIXEL
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    r = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    return (1 / (1 + np.exp((r - radius) / 2))).astype(np.float32)


def at(mask, x, y, z):
    i, j, k = (round(c / PIXEL) + SIZE // 2 for c in (z, y, x))
    return mask[i, j, k]


def test_the_moving_sphere_is_found_wherever_it_goes():
    still, places = ball((-30, 0, 0)), [(24, y, 0) for y in (-28, 0, 28)]
    maps = [still + ball(place) for place in places]
    share = np.array([0.05, 0.9, 0.05])
    regions = find_regions(iter(maps), share, PIXEL, SHARP)
    assert list(regions.masks()) == ["whole box", "molecule", "moving region"]
    for place in places:
        assert at(regions.molecule, *place) == 1
        assert at(regions.moving, *place) == 1
    assert at(regions.molecule, -30, 0, 0) == 1
    assert at(regions.moving, -30, 0, 0) == 0
    assert at(regions.molecule, 0, 0, 48) == 0
    np.testing.assert_allclose(regions.mean, np.average(maps, axis=0, weights=share), atol=1e-6)


def test_a_rigid_molecule_has_no_moving_region():
    for maps in ([ball((0, 0, 0))], [ball((0, 0, 0))] * 3):
        share = np.full(len(maps), 1 / len(maps))
        regions = find_regions(maps, share, PIXEL, SHARP)
        assert regions.moving is None
        assert list(regions.masks()) == ["whole box", "molecule"]
    with pytest.raises(ValueError, match="zip"):
        find_regions([ball((0, 0, 0))], np.full(2, 0.5), PIXEL, SHARP)
