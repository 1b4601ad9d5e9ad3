"""Streamed stacks against mrcfile."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryojax_het.particles.stack_writer import StackWriter


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_pieces_become_one_stack(tmp_path: Path, kind):
    images = np.random.default_rng(0).normal(size=(7, 6, 6)).astype(kind)
    path = tmp_path / "a.mrcs"
    with StackWriter(path, 6, 1.25, kind) as stack:
        stack.append(images[:3])
        assert not path.exists()
        stack.append(images[3:])
    assert mrcfile.validate(path)
    with mrcfile.open(path) as peer:
        np.testing.assert_array_equal(peer.data, images)
        assert peer.is_image_stack()
        assert peer.voxel_size.x == pytest.approx(1.25)
        assert peer.header.dmean == pytest.approx(images.astype(np.float64).mean(), abs=1e-5)
        assert peer.header.rms == pytest.approx(images.astype(np.float64).std(), rel=1e-4)
        assert peer.header.dmin == images.min()
    assert list(tmp_path.iterdir()) == [path]


def _fail(path: Path) -> None:
    with StackWriter(path, 6, 1.25) as stack:
        stack.append(np.ones((2, 6, 6), np.float32))
        raise RuntimeError("power cut")


def test_an_error_leaves_nothing(tmp_path: Path):
    with pytest.raises(RuntimeError, match="power cut"):
        _fail(tmp_path / "a.mrcs")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [np.ones((2, 5, 5), np.float32), np.full((1, 6, 6), np.nan)])
def test_wrong_images_are_refused(tmp_path: Path, bad):
    stack = StackWriter(tmp_path / "a.mrcs", 6, 1.25)
    with pytest.raises(ValueError, match=r"6 pixels|not finite"), stack:
        stack.append(bad)
    assert not list(tmp_path.iterdir())
