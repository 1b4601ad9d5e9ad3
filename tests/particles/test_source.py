"""The table's checks, subsets, concatenation and half-sets."""

import numpy as np
import pytest

from cryojax_het.particles.arrays import ArraySource, from_arrays
from cryojax_het.particles.source import Concatenated, Subset, assign_halves, make_particles

_CTF = {"defocus_u": 1e4, "voltage": 300.0, "spherical_aberration": 2.7}
_CTF["amplitude_contrast"] = 0.1


def _source(count: int, size: int = 4, start: int = 0) -> ArraySource:
    images = np.arange(start, start + count, dtype=np.float32)[:, None, None] * np.ones(
        (size, size)
    )
    return from_arrays(images.astype(np.float32), 1.5)


def test_without_ctf_the_transfer_is_one():
    table = make_particles(3, pixel_size=1.0, size=8)
    assert np.all(np.sin(np.arcsin(table.amplitude_contrast)) == 1)
    assert not table.defocus_u.any()
    assert not table.phase_shift.any()
    assert table.rotation is None
    assert table.shift is None


def test_no_tilt_and_no_magnification_are_left_out_of_the_optics():
    table = make_particles(3, pixel_size=1.0, size=8, **_CTF)
    assert "beam_tilt" not in table.optics()
    assert "magnification" not in table.optics()
    tilted = make_particles(3, pixel_size=1.0, size=8, beam_tilt=np.array([1e-3, 0]), **_CTF)
    assert tilted.optics()["beam_tilt"].shape == (3, 2)


def test_a_value_that_is_not_finite_is_named():
    defocus = np.array([1e4, np.nan, 1e4])
    with pytest.raises(ValueError, match="`defocus_v` of row 2"):
        make_particles(3, pixel_size=1.0, size=8, **{**_CTF, "defocus_v": defocus})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"defocus_u": np.zeros(2)}, r"`defocus_u` must have the shape \(3,\). Got \(2,\)"),
        ({"pixel_size": 0.0}, "`pixel_size` must be positive. Row 1"),
        ({"group": 1}, "`group` must index"),
    ],
)
def test_wrong_columns_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        make_particles(3, **{"pixel_size": 1.0, "size": 8, **_CTF, **columns})


def test_a_defocus_needs_its_voltage():
    with pytest.raises(ValueError, match="voltage"):
        make_particles(3, pixel_size=1.0, size=8, defocus_u=1e4)


def test_subset_keeps_order_and_repeats():
    subset = Subset(_source(6), np.array([4, 1, 1]))
    assert subset.read(np.array([2, 0]))[:, 0, 0].tolist() == [1, 4]
    assert len(subset.table()) == 3
    with pytest.raises(IndexError, match=r"0 to 2\. Got 3"):
        subset.read(np.array([3]))
    with pytest.raises(IndexError, match="Got -1"):
        Subset(_source(6), np.array([-1]))


def test_concatenation_keeps_groups_apart_and_order():
    whole = Concatenated([_source(3), _source(2, start=10)])
    assert len(whole) == 5
    assert whole.table().group.tolist() == [0, 0, 0, 1, 1]
    assert whole.table().group_names == ("0:1", "1:1")
    assert whole.read(np.array([4, 0, 3]))[:, 0, 0].tolist() == [11, 0, 10]


def test_concatenated_sizes_cannot_share_a_batch():
    whole = Concatenated([_source(3), _source(2, size=6)])
    assert whole.read(np.array([4, 3])).shape == (2, 6, 6)
    with pytest.raises(ValueError, match="Resampled"):
        whole.read(np.array([0, 4]))


def test_poses_of_only_some_parts_are_dropped_with_a_warning():
    posed = from_arrays(np.ones((2, 4, 4), np.float32), 1.5, np.stack([np.eye(3)] * 2))
    table = Concatenated([posed, _source(3)]).table()
    assert table.rotation is None
    assert any("no rotation" in warning for warning in table.warnings)


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_halves_are_balanced_and_reproducible(count):
    table = make_particles(count, pixel_size=1.0, size=8)
    halves = assign_halves(table, seed=3).half
    assert np.count_nonzero(halves == 1) - np.count_nonzero(halves == 2) == count % 2
    assert np.array_equal(halves, assign_halves(table, seed=3).half)
    assert count < 50 or not np.array_equal(halves, assign_halves(table, seed=4).half)


def test_halves_of_the_file_are_kept():
    half = np.array([2, 0, 2, 0, 0, 2])
    assigned = assign_halves(make_particles(6, pixel_size=1.0, size=8, half=half), seed=0).half
    assert assigned.tolist() == [2, 1, 2, 1, 1, 2]
