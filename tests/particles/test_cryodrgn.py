"""cryoDRGN's inputs against the tables that it made them from, and every fault."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.particles.cryodrgn import read_cryodrgn
from cryojax_het.particles.cryosparc import read_cryosparc
from cryojax_het.particles.euler import euler_to_matrix
from cryojax_het.particles.relion import read_relion
from cryojax_het.particles.stack import ReadOptions
from cryojax_het.particles.stack_writer import StackWriter

_ROTATION = euler_to_matrix(np.array([[10.0, 20, 30], [40, 50, 60], [70, 80, 90]]))
_CTF = np.tile([8, 1.5, 1e4, 9e3, 30, 300, 2.7, 0.1, 90], (3, 1)).astype(np.float32)


def _dump(path: Path, content) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    with StackWriter(tmp_path / "a.mrcs", 8, 2.5) as writer:
        writer.append(np.arange(3 * 64, dtype=np.float32).reshape(3, 8, 8))
    return tmp_path / "a.mrcs"


def test_tilts_equal_their_star(data: Path):
    """cryoDRGN's parsers, told a box of 512 pixels of 1.82 Å, made the pickles from the STAR."""
    folder = data / "particles" / "cryodrgn"
    star = read_relion(folder / "sta_testing_bin8.star").table()
    mine = read_cryodrgn(
        folder / "ay19102021_L3_position6_ribo_it09_bin8_1.82A.mrcs",
        folder / "sta_pose.pkl",
        folder / "sta_ctf.pkl",
    )
    table = mine.table()
    np.testing.assert_allclose(table.rotation, star.rotation, atol=1e-12)
    names = ["defocus_u", "defocus_v", "voltage", "amplitude_contrast"]
    for name in [*names, "spherical_aberration", "astigmatism_angle", "phase_shift"]:
        np.testing.assert_allclose(getattr(table, name), getattr(star, name), rtol=1e-6)
    np.testing.assert_allclose(table.pixel_size, 1.82 * 512 / 64)
    assert any("box of 512 pixels, the images have 64" in warning for warning in table.warnings)


def test_cryosparc_table_equals_its_pickles(data: Path):
    folder = data / "particles" / "cryodrgn"
    expected = read_cryosparc(folder / "cryosparc_P12_J24_001_particles.cs").table()
    rotation, _ = pickle.loads((folder / "pose.cs.pkl").read_bytes())
    np.testing.assert_allclose(expected.rotation, rotation, atol=1e-6)


def test_shifts_are_fractions_of_the_true_box(stack: Path, tmp_path: Path):
    """The table was made for 8 pixels of 1.5 Å; the same box at 4 pixels has the same shifts."""
    fraction = np.array([[0.25, -0.125], [0, 0], [0.5, 0]])
    poses = _dump(tmp_path / "poses.pkl", (_ROTATION, fraction))
    ctf = _dump(tmp_path / "ctf.pkl", _CTF)
    table = read_cryodrgn(stack, poses, ctf).table()
    np.testing.assert_allclose(table.shift, -fraction * 8 * 1.5)
    np.testing.assert_allclose(table.phase_shift, np.pi / 2)
    with StackWriter(tmp_path / "half.mrcs", 4, 3.0) as writer:
        writer.append(np.zeros((3, 4, 4), np.float32))
    half = read_cryodrgn(tmp_path / "half.mrcs", poses, ctf).table()
    np.testing.assert_allclose(half.shift, table.shift)
    np.testing.assert_allclose(half.pixel_size, 3.0)


def test_translations_that_look_like_pixels_are_reported(data: Path):
    folder = data / "particles" / "cryodrgn"
    stack = folder / "toy_projections.mrcs"
    table = read_cryodrgn(stack, folder / "toy_rot_trans.pkl", folder / "test_ctf.pkl").table()
    held, fraction = pickle.loads((folder / "toy_rot_trans.pkl").read_bytes())
    np.testing.assert_allclose(table.rotation, held)
    pixels = np.abs(fraction).max() > 0.5
    assert any("look like pixels" in warning for warning in table.warnings) == pixels


def test_pixels_that_look_like_fractions_do(stack: Path, tmp_path: Path):
    poses = _dump(tmp_path / "p.pkl", (_ROTATION, np.array([[3.0, -2], [1, 0], [0, 1]])))
    warnings = read_cryodrgn(stack, poses).table().warnings
    assert any("reach 3 boxes: they look like pixels" in warning for warning in warnings)


def test_rotations_alone(data: Path):
    folder = data / "particles" / "cryodrgn"
    table = read_cryodrgn(folder / "hand.mrcs", folder / "hand_rot.pkl").table()
    held = pickle.loads((folder / "hand_rot.pkl").read_bytes())
    np.testing.assert_allclose(table.rotation, held)
    assert table.shift is None
    assert np.all(table.amplitude_contrast == 1)


@pytest.mark.parametrize("columns", [slice(1, 9), slice(0, 8)])
def test_eight_columns_of_either_kind(stack: Path, tmp_path: Path, columns):
    ctf = _CTF.copy()
    ctf[:, 8] = 0
    table = read_cryodrgn(stack, ctf=_dump(tmp_path / "c.pkl", ctf[:, columns])).table()
    assert np.all(table.voltage == 300)
    assert np.all(table.pixel_size == 1.5)
    assert not table.phase_shift.any()
    np.testing.assert_allclose(table.amplitude_contrast, 0.1, rtol=1e-6)


def test_lists_and_tables_as_stacks(stack: Path, tmp_path: Path, data: Path):
    (tmp_path / "stacks.txt").write_text("a.mrcs\na.mrcs\nb/c.mrcs\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.mrcs").write_bytes(stack.read_bytes())
    source = read_cryodrgn(tmp_path / "stacks.txt")
    assert len(source) == 6
    np.testing.assert_array_equal(source.read(np.array([4, 1]))[0], source.read(np.array([1]))[0])
    folder = data / "particles" / "cryodrgn"
    star = read_cryodrgn(
        folder / "sta_testing_bin8.star", folder / "sta_pose.pkl", folder / "sta_ctf.pkl"
    )
    assert star.read(np.array([218])).shape == (1, 64, 64)
    cs = read_cryodrgn(folder / "empiar_10076_7.cs", options=ReadOptions(pixel_size=1.31))
    assert np.all(cs.table().pixel_size == 1.31)


def test_pixel_size_comes_from_the_table_then_the_header(stack: Path, tmp_path: Path):
    ctf = _dump(tmp_path / "c.pkl", _CTF)
    assert read_cryodrgn(stack, ctf=ctf).table().pixel_size.tolist() == [1.5] * 3
    assert read_cryodrgn(stack).table().pixel_size.tolist() == [2.5] * 3
    options = ReadOptions(pixel_size=4.0, sign=-1.0)
    source = read_cryodrgn(stack, ctf=ctf, options=options)
    assert source.table().pixel_size.tolist() == [4.0] * 3
    assert source.read(np.array([0]))[0, 0, 1] == -1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_ROTATION[:2], r"p\.pkl has 2 rows, .*a\.mrcs 3 images"),
        (_ROTATION * 1.1, r"p\.pkl, row \d is no rotation"),
        (-_ROTATION, "is no rotation"),
        (np.zeros((3, 3)), r"must be \[n, 3, 3\]"),
        ((_ROTATION, np.zeros((2, 2))), r"must be \[n, 2\]"),
    ],
)
def test_wrong_poses(stack: Path, tmp_path: Path, content, message: str):
    with pytest.raises(ValueError, match=message):
        read_cryodrgn(stack, _dump(tmp_path / "p.pkl", content))


def test_wrong_ctf_and_stack(stack: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="8 or 9 columns"):
        read_cryodrgn(stack, ctf=_dump(tmp_path / "c.pkl", np.zeros((3, 5))))
    with pytest.raises(ValueError, match=r"c\.pkl has 4 rows"):
        read_cryodrgn(stack, ctf=_dump(tmp_path / "c.pkl", np.vstack([_CTF, _CTF[:1]])))
    with pytest.raises(ValueError, match="is no stack"):
        read_cryodrgn(tmp_path / "c.pkl")
    with pytest.raises(FileNotFoundError):
        read_cryodrgn(tmp_path / "none.mrcs")
