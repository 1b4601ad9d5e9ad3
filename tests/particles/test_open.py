"""The one entry: the ending chooses the reader, and misuse is told."""

from pathlib import Path

import numpy as np
import pytest

from cryojax_het.particles.arrays import from_arrays, write_npz
from cryojax_het.particles.open import open_particles
from cryojax_het.particles.stack import ReadOptions


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("relion31.star", 5),
        ("empiar_10076_7.cs", 7),
        ("hand.mrcs", 100),
        ("empiar_10076_7.mrc", 7),
    ],
)
def test_the_ending_chooses(data: Path, name: str, count: int):
    options = ReadOptions(pixel_size=1.31)
    source = open_particles(data / "particles" / "cryodrgn" / name, options)
    assert len(source) == len(source.table()) == count
    assert source.read(np.array([0])).shape[0] == 1


def test_pickles_replace_the_poses_of_a_star(data: Path):
    folder = data / "particles" / "cryodrgn"
    poses, ctf = folder / "toy_angles.pkl", folder / "test_ctf.pkl"
    source = open_particles(folder / "toy_projections.star", poses=poses, ctf=ctf)
    assert source.table().rotation is not None


def test_npz(tmp_path: Path):
    path = tmp_path / "a.npz"
    write_npz(path, from_arrays(np.ones((2, 4, 4), np.float32), 1.5))
    assert len(open_particles(path)) == 2
    with pytest.raises(ValueError, match="is complete"):
        open_particles(path, ReadOptions(sign=-1.0))


def test_misuse(tmp_path: Path, data: Path):
    with pytest.raises(FileNotFoundError, match=r"none\.star does not exist"):
        open_particles(tmp_path / "none.star")
    (tmp_path / "a.pkl").touch()
    with pytest.raises(ValueError, match=r"a\.pkl has no known ending: \.star"):
        open_particles(tmp_path / "a.pkl")
    star = data / "particles" / "cryodrgn" / "relion31.star"
    with pytest.raises(ValueError, match="--passthrough"):
        open_particles(star, passthrough=[star])
