"""What goes into a page comes out of it again: bytes, columns, pictures."""

import base64
import gzip
import io
import zlib

import numpy as np
import pytest

from cryojax_het.report.page_blobs import Blobs, column_codes, grey_png, packed, unpacked


def test_bytes_come_back_equal():
    data = np.random.default_rng(0).bytes(10_007)
    assert unpacked(packed(data)) == data
    # As a browser undoes it.
    assert gzip.decompress(base64.b64decode(packed(data))) == data
    assert packed(data) == packed(data)


@pytest.mark.parametrize("low", [-3, 0, 70_000])
def test_whole_numbers_are_exact(low):
    values = low + np.random.default_rng(1).integers(0, 5000, 400).astype(float)
    values[7] = np.nan
    np.testing.assert_array_equal(column_codes(values).values(), values)


def test_other_numbers_are_within_half_a_level():
    values = np.random.default_rng(2).normal(size=3000) * 1e-4 + 12.0
    found = column_codes(values)
    assert found.code.max() == 65534
    assert np.abs(found.values() - values).max() <= 0.5001 * np.ptp(values) / 65534


def test_what_is_not_finite_has_no_value():
    values = np.array([1.5, np.nan, np.inf, -2.25])
    np.testing.assert_array_equal(np.isnan(column_codes(values).values()), [0, 1, 1, 0])
    assert np.isnan(column_codes(np.full(3, np.nan)).values()).all()
    np.testing.assert_array_equal(column_codes(np.full(3, 0.3)).values(), np.full(3, 0.3))


def test_blobs_hold_little_endian_codes():
    blobs = Blobs()
    values = np.array([5.0, 7.0, 300.0])
    about = blobs.column(values)
    codes = np.frombuffer(unpacked(blobs.texts[about["blob"]]), "<u2")
    np.testing.assert_array_equal(about["offset"] + about["scale"] * codes, values)
    assert blobs.put(b"x") != about["blob"]


def test_a_png_is_read_by_another_program():
    image = np.random.default_rng(3).integers(0, 256, (13, 9)).astype(np.uint8)
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    np.testing.assert_array_equal(np.asarray(pillow.open(io.BytesIO(grey_png(image)))), image)


def test_a_png_by_its_definition():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    data = grey_png(image)
    start = data.index(b"IDAT") + 4
    length = int.from_bytes(data[start - 8 : start - 4], "big")
    assert zlib.decompress(data[start : start + length]) == b"\0\0\1\2\0\3\4\5"
