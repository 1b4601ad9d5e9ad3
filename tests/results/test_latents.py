"""Latent tables: rows by index, NaN where nothing was written, plain .npy on disk."""

import numpy as np
import pytest

from cryojax_het.results.latents import LatentTable


def test_rows_are_written_by_index_and_read_by_numpy(tmp_path):
    table = LatentTable(tmp_path)
    table.create("shift", (5, 2))
    rows = np.arange(4.0).reshape(2, 2)
    table.write("shift", np.array([4, 1]), rows)
    stored = np.load(tmp_path / "shift.npy")
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored[[4, 1]], rows)
    assert np.isnan(stored[[0, 2, 3]]).all()
    np.testing.assert_array_equal(table.read("shift"), stored)
    assert table.names() == ["shift"]


def test_creating_again_keeps_the_rows_and_refuses_another_shape(tmp_path):
    table = LatentTable(tmp_path)
    table.create("contrast", (3,))
    table.write("contrast", np.array([0]), np.array([2.0]))
    table.create("contrast", (3,))
    assert table.read("contrast")[0] == 2
    with pytest.raises(ValueError, match=r"\(3,\), not \(4,\)"):
        table.create("contrast", (4,))


def test_a_table_beyond_one_block_is_whole(tmp_path):
    table = LatentTable(tmp_path)
    table.create("rotation", (500_000, 3, 3))
    stored = np.load(tmp_path / "rotation.npy", mmap_mode="r")
    assert stored.shape == (500_000, 3, 3)
    assert np.isnan(stored[-1]).all()


def test_a_table_may_begin_with_rows_of_its_own(tmp_path):
    table = LatentTable(tmp_path)
    table.create("conformation_covariance", (500_000, 3, 3), np.eye(3))
    stored = np.load(tmp_path / "conformation_covariance.npy", mmap_mode="r")
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored[[0, 250_000, -1]], np.tile(np.eye(3), (3, 1, 1)))
    each = np.arange(7.0)
    table.create("contrast", (7,), each)
    np.testing.assert_array_equal(table.read("contrast"), each)
    table.create("contrast", (7,), 2 * each)
    np.testing.assert_array_equal(table.read("contrast"), each)


def test_errors_name_what_is_there(tmp_path):
    table = LatentTable(tmp_path)
    with pytest.raises(FileNotFoundError, match="Latents of this run: none"):
        table.read("shift")
    table.create("contrast", (3,))
    with pytest.raises(FileNotFoundError, match=r"this run: contrast\."):
        table.write("shift", np.array([0]), np.zeros((1, 2)))
    with pytest.raises(IndexError, match="rows 1 to 3"):
        table.write("contrast", np.array([1, 3]), np.zeros(2))
