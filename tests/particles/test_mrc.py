"""MRC headers and volumes against mrcfile."""

import warnings
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryojax_het.particles.mrc import (
    MrcVolume,
    cubic_voxel_size,
    read_header,
    read_volume,
    write_volume,
)

_VOLUME = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


def _peers(path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mrcfile.open(path, permissive=True)


def test_written_volume_is_what_mrcfile_reads(tmp_path: Path):
    path = tmp_path / "v.mrc"
    volume = MrcVolume(_VOLUME, (1.5, 1.25, 2.0), (-3.0, 4.5, 7.0), (-2, 3, 1))
    write_volume(path, volume)
    assert mrcfile.validate(path)
    with mrcfile.open(path) as peer:
        np.testing.assert_array_equal(peer.data, _VOLUME)
        voxel, origin = peer.voxel_size, peer.header.origin
        assert (voxel.x, voxel.y, voxel.z) == pytest.approx((1.5, 1.25, 2.0))
        assert (origin.x, origin.y, origin.z) == (-3, 4.5, 7)
        assert (peer.nstart.x, peer.nstart.y, peer.nstart.z) == (-2, 3, 1)
        assert peer.header.ispg == 1
    again = read_volume(path)
    np.testing.assert_array_equal(again.data, _VOLUME)
    assert again.voxel_size == pytest.approx(volume.voxel_size)
    assert (again.origin, again.start) == (volume.origin, volume.start)


def test_maps_of_the_field_read_as_by_mrcfile(data: Path):
    for path in sorted((data / "maps").glob("*.m[ra][cp]")):
        with _peers(path) as peer:
            axes = [int(peer.header[name]) for name in ("maps", "mapr", "mapc")]
            axes = axes if sorted(axes) == [1, 2, 3] else [3, 2, 1]
            expected = peer.data.transpose([axes.index(axis) for axis in (3, 2, 1)])
            volume = read_volume(path)
            np.testing.assert_array_equal(volume.data, expected.astype(np.float32))
            assert volume.voxel_size == pytest.approx(tuple(map(float, peer.voxel_size.item())))


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.float32, np.uint16, np.float16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_mode_and_byte_order(tmp_path: Path, kind, order):
    path = tmp_path / "v.mrc"
    values = np.arange(60).reshape(3, 4, 5).astype(np.dtype(kind).newbyteorder(order))
    with mrcfile.new(path) as peer:
        peer.set_data(values)
        peer.voxel_size = 2.5
    header = read_header(path)
    assert header.shape == (3, 4, 5)
    assert header.stored == 3
    np.testing.assert_array_equal(read_volume(path).data, values.astype(np.float32))


def test_axis_order_is_undone(tmp_path: Path):
    path = tmp_path / "v.mrc"
    stored = _VOLUME.transpose(2, 0, 1).copy()  # sections x, rows z, columns y
    with mrcfile.new(path) as peer:
        peer.set_data(stored)
        peer.header.maps, peer.header.mapr, peer.header.mapc = 1, 3, 2
        peer.header.nxstart, peer.header.nystart, peer.header.nzstart = 20, 30, 10
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.data, _VOLUME)
    assert volume.start == (10, 20, 30)


def test_truncated_volume(tmp_path: Path):
    path = tmp_path / "v.mrc"
    write_volume(path, MrcVolume(_VOLUME, (1.0, 1.0, 1.0)))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"truncated.*4 sections.*holds 3"):
        read_volume(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 2000])
def test_not_an_mrc_file(tmp_path: Path, content: bytes):
    path = tmp_path / "v.mrc"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"v\.mrc is no MRC file"):
        read_header(path)


def test_nan_voxels(tmp_path: Path):
    path = tmp_path / "v.mrc"
    write_volume(path, MrcVolume(_VOLUME, (1.0, 1.0, 1.0)))
    with open(path, "r+b") as file:
        file.seek(1024 + 40)
        file.write(np.float32(np.nan).tobytes())
    with pytest.raises(ValueError, match="not finite"):
        read_volume(path)


def test_cubic_voxel_size():
    path = Path("v.mrc")
    assert cubic_voxel_size(MrcVolume(_VOLUME, (1.5, 1.5, 1.5)), path) == 1.5
    with pytest.raises(ValueError, match="--pixel-size"):
        cubic_voxel_size(MrcVolume(_VOLUME, (0.0, 0.0, 0.0)), path)
    with pytest.raises(ValueError, match="unequal"):
        cubic_voxel_size(MrcVolume(_VOLUME, (1.5, 1.5, 2.0)), path)
