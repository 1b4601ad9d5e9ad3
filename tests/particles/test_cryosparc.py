"""cryoSPARC tables: real ones against cryoDRGN's own parse and plain NumPy, and every fault."""

from pathlib import Path

import numpy as np
import pytest

from cryojax_het.particles.cryosparc import load_cs, read_cryosparc, write_cs
from cryojax_het.particles.euler import euler_to_matrix
from cryojax_het.particles.pickles import load_arrays
from cryojax_het.particles.stack import ReadOptions
from cryojax_het.particles.stack_writer import StackWriter

_REFINED = "cryosparc_P12_J24_001_particles.cs"


def _table(count: int = 3, **columns: np.ndarray) -> np.ndarray:
    held = {
        "uid": np.arange(count, dtype=np.uint64) + 2**63,
        "blob/path": np.array([b">J1/a.mrcs"] * count),
        "blob/idx": np.arange(count, dtype=np.uint32),
        "blob/shape": np.full((count, 2), 4, np.uint32),
        "blob/psize_A": np.full(count, 1.5, np.float32),
        "blob/sign": np.full(count, -1, np.float32),
        **columns,
    }
    dtype = [(name, c.dtype, c.shape[1:]) for name, c in held.items()]
    array = np.empty(count, dtype)
    for name, column in held.items():
        array[name] = column
    return array


def _save(path: Path, array: np.ndarray) -> Path:
    with open(path, "wb") as file:
        np.save(file, array)
    return path


def test_poses_are_cryodrgns(data: Path):
    """Its `parse_pose_csparc` made the pickle; shifts there are fractions of the box."""
    folder = data / "particles" / "cryodrgn"
    table = read_cryosparc(folder / _REFINED).table()
    rotation, fraction = load_arrays(folder / "pose.cs.pkl")
    np.testing.assert_allclose(table.rotation, rotation, atol=1e-6)
    box = 180 * table.pixel_size[:, None]
    np.testing.assert_allclose(table.shift, -fraction * box, atol=1e-4)


def test_ctf_is_cryodrgns(data: Path):
    folder = data / "particles" / "cryodrgn"
    table = read_cryosparc(folder / _REFINED).table()
    degrees = np.rad2deg(table.astigmatism_angle), np.rad2deg(table.phase_shift)
    mine = [table.size, table.pixel_size, table.defocus_u, table.defocus_v, degrees[0]]
    mine += [table.voltage, table.spherical_aberration, table.amplitude_contrast, degrees[1]]
    np.testing.assert_allclose(np.stack(mine, 1), load_arrays(folder / "ctf2.pkl"), rtol=1e-6)


@pytest.mark.parametrize(
    "name", [_REFINED, "cryosparc_J2_particles_exported.cs", "empiar_10076_7.cs"]
)
def test_every_file_against_plain_numpy(data: Path, name: str):
    path = data / "particles" / "cryodrgn" / name
    raw = np.load(path)
    source = read_cryosparc(path)
    table = source.table()
    pairs = {"defocus_u": "ctf/df1_A", "defocus_v": "ctf/df2_A", "voltage": "ctf/accel_kv"}
    pairs |= {"astigmatism_angle": "ctf/df_angle_rad", "pixel_size": "blob/psize_A"}
    for column, label in pairs.items():
        np.testing.assert_array_equal(getattr(table, column), raw[label].astype(float))
    np.testing.assert_array_equal(source.stacks.signs, raw["blob/sign"])
    np.testing.assert_array_equal(source.stacks.rows.image, raw["blob/idx"])
    assert (table.rotation is None) == ("alignments3D/pose" not in raw.dtype.names)
    if name == _REFINED:
        np.testing.assert_array_equal(table.half, raw["alignments3D/split"] + 1)
    else:
        assert any("No 3-D poses" in warning for warning in table.warnings)


def test_pixels_carry_the_sign(data: Path):
    """Dark particles with sign -1 come out bright; the same stack as a STAR does not say so."""
    path = data / "particles" / "cryodrgn" / "empiar_10076_7.cs"
    raw = np.fromfile(path.with_suffix(".mrc"), "<f4", offset=1024).reshape(7, 320, 320)
    index = np.array([6, 0])
    np.testing.assert_array_equal(read_cryosparc(path).read(index), -raw[index])
    kept = read_cryosparc(path, options=ReadOptions(sign=1.0))
    np.testing.assert_array_equal(kept.read(index), raw[index])


def test_shift_uses_the_alignments_own_pixel_size(tmp_path: Path):
    array = _table(
        **{
            "alignments3D/pose": np.zeros((3, 3), np.float32),
            "alignments3D/shift": np.array([[1, -2], [0, 0], [4, 0]], np.float32),
            "alignments3D/psize_A": np.full(3, 3.0, np.float32),  # aligned at half size
        }
    )
    table = read_cryosparc(_save(tmp_path / "a.cs", array)).table()
    np.testing.assert_allclose(table.shift, [[-3, 6], [0, 0], [-12, 0]])
    np.testing.assert_allclose(table.rotation, np.stack([np.eye(3)] * 3))


def test_pose_is_the_transpose_of_the_rotation_vector(tmp_path: Path):
    """A particle with RELION psi = 90° has A = Rz(-90°), so cryoSPARC's vector is +90° about z."""
    pose = np.array([[0, 0, np.pi / 2]], np.float32)
    array = _table(1, **{"alignments3D/pose": pose, "alignments3D/split": np.zeros(1, np.uint32)})
    table = read_cryosparc(_save(tmp_path / "a.cs", array)).table()
    expected = euler_to_matrix(np.array([[0.0, 0.0, 90.0]]))
    np.testing.assert_allclose(table.rotation, expected, atol=1e-7)
    assert table.half.tolist() == [0]  # one split value: no half-sets were made


def test_passthrough_is_joined_on_uid(tmp_path: Path):
    full = _table(4)
    full["blob/psize_A"] = [1, 2, 3, 4]
    names = [n for n in full.dtype.names if n not in ("blob/path", "blob/psize_A")]
    main = _save(tmp_path / "main.cs", full[names][1:])
    extra = _save(tmp_path / "extra.cs", full[["uid", "blob/path", "blob/psize_A"]][::-1])
    with pytest.raises(ValueError, match=r"no column blob/path: add .* `--passthrough`"):
        read_cryosparc(main)
    assert read_cryosparc(main, [extra]).table().pixel_size.tolist() == [2, 3, 4]
    with pytest.raises(ValueError, match=r"short\.cs lacks 2 of the particles, first uid"):
        read_cryosparc(main, [_save(tmp_path / "short.cs", full[["uid", "blob/path"]][:2])])
    with pytest.raises(ValueError, match="no column uid"):
        read_cryosparc(main, [_save(tmp_path / "nouid.cs", full[["blob/path"]])])


def test_headers_above_ten_kilobytes(tmp_path: Path):
    many = {f"alignments_class_{i}/class_posterior": np.zeros(3, np.float32) for i in range(400)}
    path = _save(tmp_path / "a.cs", _table(**many))
    with pytest.raises(ValueError, match="max_header_size"):
        np.load(path)
    assert len(read_cryosparc(path)) == 3


def test_images_beyond_four_gib(tmp_path: Path):
    size, count = 1024, 1100
    (tmp_path / "J1").mkdir()
    stack = tmp_path / "J1" / "a.mrcs"
    with StackWriter(stack, size, 1.5) as writer:
        writer.append(np.zeros((1, size, size), np.float32))
    last = np.arange(size * size, dtype=np.float32).reshape(size, size)
    with open(stack, "r+b") as file:
        file.seek(8)
        file.write(np.int32(count).tobytes())
        file.seek(1024 + 4 * size * size * (count - 1))
        file.write(last.tobytes())
    array = _table(1)
    array["blob/idx"], array["blob/shape"] = count - 1, size
    images = read_cryosparc(_save(tmp_path / "a.cs", array)).read(np.array([0]))
    np.testing.assert_array_equal(images[0], -last)


_CTF = {
    "ctf/df1_A": np.full(3, 1e4, np.float32),
    "ctf/df2_A": np.full(3, 9e3, np.float32),
    "ctf/df_angle_rad": np.full(3, 0.5, np.float32),
    "ctf/accel_kv": np.full(3, 300, np.float32),
    "ctf/cs_mm": np.full(3, 2.7, np.float32),
    "ctf/amp_contrast": np.full(3, 0.1, np.float32),
    "ctf/exp_group_id": np.array([9, 4, 9], np.uint32),
}


def test_optics_groups_and_aberrations(tmp_path: Path):
    tilt = np.array([[1e-3, 0], [0, 0], [0, -2e-3]])
    extra = {
        "ctf/tilt_A": (tilt * 2.7e7).astype(np.float32),
        "ctf/anisomag": np.array([[0.01, 0, 0, -0.01], [0] * 4, [1.01, 0, 0, 0.99]], np.float32),
        "ctf/trefoil_A": np.ones((3, 2), np.float32),
    }
    table = read_cryosparc(_save(tmp_path / "a.cs", _table(**_CTF, **extra))).table()
    assert table.group.tolist() == [1, 0, 1]
    assert table.group_names == ("4", "9")
    np.testing.assert_allclose(table.beam_tilt, tilt, atol=1e-8)
    expected = [np.diag([1.01, 0.99]), np.eye(2), np.diag([1.01, 0.99])]
    np.testing.assert_allclose(table.magnification, expected, atol=1e-6)
    assert any("trefoil" in warning for warning in table.warnings)


def test_without_ctf(tmp_path: Path):
    table = read_cryosparc(_save(tmp_path / "a.cs", _table())).table()
    assert np.all(table.amplitude_contrast == 1)
    assert any("free of a CTF" in warning for warning in table.warnings)


def test_a_missing_ctf_column_is_named(tmp_path: Path):
    lacking = {name: column for name, column in _CTF.items() if name != "ctf/cs_mm"}
    path = _save(tmp_path / "a.cs", _table(**lacking))
    with pytest.raises(ValueError, match="no column ctf/cs_mm"):
        read_cryosparc(path)
    del lacking["ctf/amp_contrast"]
    path = _save(tmp_path / "b.cs", _table(**lacking, **{"ctf/cs_mm": _CTF["ctf/cs_mm"]}))
    table = read_cryosparc(path, options=ReadOptions(amplitude_contrast=0.07)).table()
    assert np.all(table.amplitude_contrast == 0.07)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x94CSDAT\x00\x00", "streaming format"),
        (b"nonsense", "is not a .cs file"),
    ],
)
def test_other_content(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "a.cs").write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.cs {message}|a\.cs.*{message}"):
        load_cs(tmp_path / "a.cs")


def test_empty_plain_and_missing_files(tmp_path: Path):
    with pytest.raises(ValueError, match="no rows"):
        load_cs(_save(tmp_path / "a.cs", _table(0)))
    with pytest.raises(ValueError, match="no named columns"):
        load_cs(_save(tmp_path / "b.cs", np.zeros(3)))
    with pytest.raises(FileNotFoundError):
        load_cs(tmp_path / "none.cs")


def test_pickled_objects_are_refused(tmp_path: Path):
    with open(tmp_path / "a.cs", "wb") as file:
        np.save(file, np.array([{"uid": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"not a \.cs file"):
        load_cs(tmp_path / "a.cs")


def test_written_table_keeps_every_column(data: Path, tmp_path: Path):
    path = data / "particles" / "cryodrgn" / _REFINED
    raw = np.load(path)
    rows = np.array([5, 2000, 0])
    pose = np.arange(9, dtype=np.float64).reshape(3, 3)
    latent = np.array([0.1, 0.2, 0.3], np.float32)
    write_cs(tmp_path / "out.cs", path, rows, {"alignments3D/pose": pose, "x/latent": latent})
    written = np.load(tmp_path / "out.cs")
    assert written.dtype.names == (*raw.dtype.names, "x/latent")
    for name in raw.dtype.names:
        expected = pose if name == "alignments3D/pose" else raw[name][rows]
        np.testing.assert_array_equal(written[name], expected)
        assert written.dtype[name] == raw.dtype[name]
    np.testing.assert_array_equal(written["x/latent"], latent)
    with pytest.raises(ValueError, match="3 finite values"):
        write_cs(tmp_path / "bad.cs", path, rows, {"x": np.array([1, 2, np.nan])})
    with pytest.raises(ValueError, match="0 to 2018"):
        write_cs(tmp_path / "bad.cs", path, np.array([2019]), {})
    assert list(tmp_path.iterdir()) == [tmp_path / "out.cs"]
