"""Maps of a page: cut around the mask, resampled without moving, eight bits of them."""

import numpy as np
import pytest

from cryojax_het.report.page_blobs import Blobs, unpacked
from cryojax_het.report.page_maps import MapBook, eight_bits, map_frame, surface_levels


def blob(size, voxel, centre, width):
    """A Gaussian at `centre` (x, y, z), Å from the middle of the box."""
    r = (np.arange(size) - size // 2) * voxel
    x, y, z = (np.exp(-((r - c) ** 2) / (2 * width**2)) for c in centre)
    return np.einsum("z,y,x->zyx", z, y, x)


@pytest.mark.parametrize(("size", "voxel"), [(32, 4.0), (96, 2.0), (160, 1.0)])
def test_frames_keep_places(size, voxel):
    centre = (12.0, -8.0, 20.0)
    volume = blob(size, voxel, centre, 6.0)
    frame = map_frame((volume > 1e-4).astype(float), voxel)
    found = frame.cut(volume)
    assert max(found.shape) <= 64
    assert found.shape == frame.shape
    # The centre of mass, in Å from the middle of the box.
    places = [
        (np.arange(low, high) - frame.size // 2) * frame.spacing
        for low, high in zip(frame.low, frame.high, strict=True)
    ]
    weight = found / found.sum()
    other = [(1, 2), (0, 2), (0, 1)]
    mass = [np.sum(weight.sum(axis=axes) * p) for axes, p in zip(other, places, strict=True)]
    np.testing.assert_allclose(mass[::-1], centre, atol=0.02 * voxel)
    # Band-limited resampling keeps densities.
    assert found.max() == pytest.approx(volume.max(), rel=0.1)


def test_a_smaller_page_has_fewer_voxels():
    mask = (blob(48, 4.0, (0, 0, 0), 20.0) > 0.1).astype(float)
    assert max(map_frame(mask, 4.0, 16).shape) <= 16
    assert map_frame(np.zeros((16, 16, 16)), 2.0).shape == (32, 32, 32)


def test_another_box_is_refused():
    frame = map_frame(np.ones((16, 16, 16)), 2.0)
    with pytest.raises(ValueError, match="16 per side"):
        frame.cut(np.zeros((20, 20, 20)))


def test_eight_bits_are_within_half_a_level():
    volume = np.random.default_rng(0).normal(size=(6, 5, 4))
    code, offset, scale = eight_bits(volume)
    assert np.abs(offset + scale * code - volume).max() <= 0.5001 * scale
    assert eight_bits(np.ones((2, 2, 2)))[1] == 1.0


def test_a_map_is_kept_once_and_comes_back():
    blobs = Blobs()
    volume = blob(16, 4.0, (0, 0, 0), 8.0).astype(np.float32)
    book = MapBook(map_frame(np.ones(volume.shape), 4.0), blobs)
    assert book.add("a", volume) == book.add("a", volume) == 0
    assert book.add("b", 2 * volume) == 1
    (first, _), frame = book.entries, book.frame
    codes = np.frombuffer(unpacked(blobs.texts[first["blob"]]), np.uint8).reshape(frame.shape)
    apart = first["offset"] + first["scale"] * codes - frame.cut(volume)
    assert np.abs(apart).max() <= 0.51 * first["scale"]


def test_the_threshold_lies_between_two_groups():
    rng = np.random.default_rng(1)
    volume = rng.normal(0, 0.05, (20, 20, 20))
    volume[5:10, 5:10, 5:10] += 1.0
    level, top = surface_levels(volume)
    assert 0.2 < level < 0.8
    assert top == volume.max()
