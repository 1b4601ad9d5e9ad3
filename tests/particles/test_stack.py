"""Stacks against mrcfile: every mode, any order of rows, files beyond 4 GiB, and faults."""

import os
import warnings
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryojax_het.particles.stack import ImageStacks, ReadOptions, StackRows
from cryojax_het.particles.stack_writer import StackWriter

_KINDS = [np.int8, np.int16, np.float32, np.uint16, np.float16]


def _values(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 100, (count, size, size)).astype(np.float32)


def _write_raw(path: Path, values: np.ndarray) -> None:
    """Pixels that a decent writer refuses."""
    with StackWriter(path, values.shape[1], 1.0) as stack:
        stack.append(np.zeros(values.shape, np.float32))
    with open(path, "r+b") as file:
        file.seek(1024)
        file.write(values.tobytes())


def _stacks(folder: Path, names, file, image, sizes=None, **options) -> ImageStacks:
    rows = StackRows(tuple(names), np.asarray(file), np.asarray(image), folder / "t.star")
    sizes = np.zeros(len(rows.image), np.int64) if sizes is None else np.asarray(sizes)
    signs = np.ones(len(rows.image), np.float32)
    return ImageStacks(rows, sizes, signs, ReadOptions(**options))


def _whole(folder: Path, name: str, count: int, **options) -> ImageStacks:
    return _stacks(folder, [name], np.zeros(count, int), np.arange(count), **options)


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extended", [0, 1024])
def test_every_mode_byte_order_and_extended_header(tmp_path: Path, kind, order, extended):
    values = _values(5, 6)
    with mrcfile.new(tmp_path / "a.mrcs") as peer:
        peer.set_data(values.astype(np.dtype(kind).newbyteorder(order)))
        peer.set_image_stack()
        peer.set_extended_header(np.zeros(extended, "V1"))
    index = np.array([3, 0, 1, 4, 1])
    images = _whole(tmp_path, "a.mrcs", 5).read(index)
    assert images.dtype == np.float32
    assert images.flags.c_contiguous
    np.testing.assert_array_equal(images, values[index])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory):
    """Three stacks whose images are shuffled over one table, and the truth in table order."""
    folder = tmp_path_factory.mktemp("many")
    values = {name: _values(20, 4, seed) for seed, name in enumerate("abc")}
    for name, images in values.items():
        with StackWriter(folder / f"{name}.mrcs", 4, 1.5) as stack:
            stack.append(images)
    order = np.random.default_rng(1).permutation(60)
    file, image = order // 20, order % 20
    truth = np.stack([values["abc"[f]][i] for f, i in zip(file, image, strict=True)])
    return _stacks(folder, ["a.mrcs", "b.mrcs", "c.mrcs"], file, image), truth


@given(st.lists(st.integers(0, 59), min_size=1, max_size=80))
@settings(deadline=None, max_examples=50)
def test_any_rows_in_any_order(many, index):
    stacks, truth = many
    np.testing.assert_array_equal(stacks.read(np.array(index)), truth[index])


def test_data_stacks_equal_mrcfile(data: Path):
    for path in sorted((data / "particles").glob("*/*.mrcs")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with mrcfile.mmap(path, permissive=True) as peer:
                expected = np.array(peer.data[:5], np.float32)
        stacks = _whole(path.parent, path.name, len(expected))
        np.testing.assert_array_equal(stacks.read(np.arange(len(expected))), expected)


def test_beyond_four_gib(tmp_path: Path):
    size, count = 1024, 1100  # 4.3 GiB, of which the file system stores one image
    with StackWriter(tmp_path / "a.mrcs", size, 1.0) as stack:
        stack.append(np.zeros((1, size, size), np.float32))
    last = _values(1, size)[0]
    with open(tmp_path / "a.mrcs", "r+b") as file:
        file.seek(8)
        file.write(np.int32(count).tobytes())
        file.seek(1024 + 4 * size * size * (count - 1))
        file.write(last.tobytes())
    assert (tmp_path / "a.mrcs").stat().st_size > 2**32
    images = _whole(tmp_path, "a.mrcs", count).read(np.array([count - 1, 0]))
    np.testing.assert_array_equal(images[0], last)
    assert not images[1].any()


def _truncated(folder: Path) -> None:
    with StackWriter(folder / "a.mrcs", 4, 1.0) as stack:
        stack.append(_values(5, 4))
    os.truncate(folder / "a.mrcs", 1024 + 2 * 64 + 10)


def test_truncated_stack_gives_what_it_holds_with_a_warning(tmp_path: Path):
    _truncated(tmp_path)
    with pytest.warns(UserWarning, match="header counts 5 images, the file holds 2"):
        images = _whole(tmp_path, "a.mrcs", 5).read(np.array([1, 0]))
    np.testing.assert_array_equal(images, _values(5, 4)[[1, 0]])


def test_truncated_stack_refuses_what_it_lacks(tmp_path: Path):
    _truncated(tmp_path)
    stacks = _whole(tmp_path, "a.mrcs", 5)
    with (
        pytest.warns(UserWarning, match="a.mrcs"),
        pytest.raises(ValueError, match=r"Image 3 of .*a\.mrcs.*holds 2 images"),
    ):
        stacks.read(np.array([0, 2]))
    assert any("3 of 5 rows lie beyond" in problem for problem in stacks.problems())


def test_tilts_whose_header_claims_eleven_thousand_images(data: Path):
    folder = data / "particles" / "drgnai" / "tilts"
    name = "00256_Ribosomes_1.70A.mrcs"
    with pytest.warns(UserWarning, match="header counts 11029 images, the file holds 1"):
        images = _whole(folder, name, 2).read(np.array([0]))
    raw = np.fromfile(folder / name, "<f4", offset=1024).reshape(1, 128, 128)
    np.testing.assert_array_equal(images, raw)


def test_nan_pixels_name_file_image_and_row(tmp_path: Path):
    values = _values(5, 4)
    values[3, 1, 2] = np.nan
    _write_raw(tmp_path / "a.mrcs", values)
    index = np.array([4, 3])
    with pytest.raises(ValueError, match=r"Image 4 of a\.mrcs \(row 4 of .*t\.star\) has 1 pixels"):
        _whole(tmp_path, "a.mrcs", 5).read(index)
    images = _whole(tmp_path, "a.mrcs", 5, replace_nonfinite=0.0).read(index)
    np.testing.assert_array_equal(images, np.nan_to_num(values[index]))


def test_images_with_nan_pixels_are_left_out_and_told_once(tmp_path: Path, caplog):
    values = _values(5, 4)
    values[3, 1, 2] = np.inf
    _write_raw(tmp_path / "a.mrcs", values)
    stacks = _whole(tmp_path, "a.mrcs", 5, skip_nonfinite=True)
    for _ in range(2):
        images = stacks.read(np.array([4, 3]))
        np.testing.assert_array_equal(images[0], values[4])
        assert np.isnan(images[1]).all()
    (record,) = caplog.records
    assert "Image 4 of a.mrcs (row 4 of" in record.getMessage()
    with pytest.raises(ValueError, match="set one"):
        ReadOptions(skip_nonfinite=True, replace_nonfinite=0.0)


def test_huge_but_finite_pixels_are_no_error(tmp_path: Path):
    _write_raw(tmp_path / "a.mrcs", np.full((1, 4, 4), 3e38, np.float32))
    assert _whole(tmp_path, "a.mrcs", 1).read(np.array([0])).max() == np.float32(3e38)


def test_mismatched_box(tmp_path: Path):
    for name, size in (("a.mrcs", 4), ("b.mrcs", 6)):
        with StackWriter(tmp_path / name, size, 1.0) as stack:
            stack.append(_values(2, size))
    said = _stacks(tmp_path, ["a.mrcs"], [0], [0], sizes=[8])
    with pytest.raises(ValueError, match=r"a\.mrcs holds images of 4 pixels .* says 8"):
        said.read(np.array([0]))
    assert "says 8" in said.problems()[0]
    mixed = _stacks(tmp_path, ["a.mrcs", "b.mrcs"], [0, 1], [0, 0])
    with pytest.raises(ValueError, match="Resampled"):
        mixed.read(np.array([0, 1]))


def test_missing_stack_lists_paths_and_is_a_problem(tmp_path: Path):
    stacks = _whole(tmp_path, "Extract/none.mrcs", 2)
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "Extract" / "none.mrcs")):
        stacks.read(np.array([0]))
    assert "was not found" in stacks.problems()[0]


def test_oblong_images_are_refused(tmp_path: Path):
    with mrcfile.new(tmp_path / "a.mrcs") as peer:
        peer.set_data(np.zeros((2, 4, 6), np.float32))
    with pytest.raises(ValueError, match="not square"):
        _whole(tmp_path, "a.mrcs", 2).read(np.array([0]))


def test_sign_multiplies(tmp_path: Path):
    with StackWriter(tmp_path / "a.mrcs", 4, 1.0) as stack:
        stack.append(_values(2, 4))
    stacks = _whole(tmp_path, "a.mrcs", 2)
    stacks.signs = np.array([1, -1], np.float32)
    expected = _values(2, 4) * np.array([1, -1])[:, None, None]
    np.testing.assert_array_equal(stacks.read(np.arange(2)), expected)
