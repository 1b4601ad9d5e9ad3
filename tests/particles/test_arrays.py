"""Images in memory and their archive."""

from pathlib import Path

import numpy as np
import pytest

from cryojax_het.particles.arrays import ArraySource, from_arrays, read_npz, write_npz
from cryojax_het.particles.source import make_particles

_IMAGES = np.random.default_rng(0).normal(size=(5, 8, 8)).astype(np.float32)


def test_round_trip_keeps_everything(tmp_path: Path):
    table = make_particles(
        5,
        pixel_size=1.5,
        size=8,
        rotation=np.stack([np.eye(3)] * 5),
        shift=np.arange(10.0).reshape(5, 2),
        defocus_u=np.linspace(1e4, 2e4, 5),
        voltage=300.0,
        spherical_aberration=2.7,
        amplitude_contrast=0.1,
        group=np.array([0, 1, 0, 1, 1]),
        group_names=("krios", "polara"),
        warnings=("made up",),
    )
    write_npz(tmp_path / "a.npz", ArraySource(_IMAGES, table))
    again = read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.read(np.arange(5)), _IMAGES)
    for name, column in table.columns().items():
        np.testing.assert_array_equal(again.table().columns()[name], column)
    assert again.table().group_names == table.group_names
    assert again.table().warnings == table.warnings


def test_an_archive_of_pixels_and_pixel_size_is_enough(tmp_path: Path):
    np.savez(tmp_path / "a.npz", images=_IMAGES, pixel_size=1.5)
    source = read_npz(tmp_path / "a.npz")
    assert source.table().pixel_size.tolist() == [1.5] * 5
    np.savez(tmp_path / "b.npz", images=_IMAGES)
    with pytest.raises(ValueError, match=r"b\.npz lacks \['pixel_size'\]"):
        read_npz(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", images=_IMAGES, pixel_size=1.5, colour=3)
    with pytest.raises(ValueError, match="colour"):
        read_npz(tmp_path / "c.npz")


def test_reading_gives_a_copy():
    source = from_arrays(_IMAGES.copy(), 1.5)
    source.read(np.array([0]))[:] = 0
    np.testing.assert_array_equal(source.read(np.arange(5)), _IMAGES)


def test_counts_and_sizes_must_fit():
    with pytest.raises(ValueError, match="one per table row"):
        ArraySource(_IMAGES, make_particles(4, pixel_size=1.5, size=8))
    with pytest.raises(ValueError, match="8 pixels per side"):
        ArraySource(_IMAGES, make_particles(5, pixel_size=1.5, size=6))
