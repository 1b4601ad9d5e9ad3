"""Figures: whole PNG files that show what was put in."""

import builtins

import matplotlib.image
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.report.plots import (
    plot_angular_distribution,
    plot_defocus,
    plot_fsc,
    plot_slices,
)

SIZE = 24


def pixels(path):
    """An independent read; also proof that the file is a whole PNG."""
    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    assert path.read_bytes().rstrip().endswith(b"IEND\xaeB`\x82")
    return matplotlib.image.imread(path)


def test_fsc_shows_its_curves(tmp_path):
    curve = np.linspace(1, -0.1, SIZE // 2 + 1)
    plot_fsc(tmp_path / "one.png", {"half-maps": curve}, 100.0)
    plot_fsc(tmp_path / "two.png", {"half-maps": curve, "truth": curve**2}, 100.0, (0.143, 0.5))
    one, two = pixels(tmp_path / "one.png"), pixels(tmp_path / "two.png")
    assert one.shape == two.shape
    assert np.abs(one - two).max() > 0.5
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["one.png", "two.png"]


def test_slices_put_a_voxel_where_it_is(tmp_path):
    """A bright spot at high y, low x: in the third picture (rows y upwards, columns x) it lies
    in the upper left, and nowhere else."""
    volume = np.zeros((SIZE,) * 3, np.float32)
    volume[SIZE // 2 - 1 : SIZE // 2 + 2, 18:22, 2:6] = 1
    plot_slices(tmp_path / "a.png", {"spot": volume}, 2.0)
    picture = pixels(tmp_path / "a.png")[..., :3].mean(-1)
    width = picture.shape[1]
    third = picture[:, 2 * width // 3 :]
    inner = third < 0.05
    rows, columns = np.flatnonzero(inner.sum(1) > 50), np.flatnonzero(inner.sum(0) > 50)
    frame = third[rows[5] : rows[-5], columns[5] : columns[-5]]
    bright_rows, bright_columns = np.nonzero(frame > 0.9)
    assert bright_rows.mean() < 0.3 * frame.shape[0]
    assert bright_columns.mean() < 0.3 * frame.shape[1]


def test_two_volumes_make_two_rows(tmp_path):
    volume = np.random.default_rng(0).standard_normal((SIZE,) * 3)
    plot_slices(tmp_path / "one.png", {"a": volume}, 1.5)
    plot_slices(tmp_path / "two.png", {"a": volume, "b": volume}, 1.5)
    assert pixels(tmp_path / "two.png").shape[0] == pytest.approx(
        2 * pixels(tmp_path / "one.png").shape[0], abs=3
    )


def test_directions_and_defocus(tmp_path):
    rotation = Rotation.random(500, random_state=0).as_matrix()
    plot_angular_distribution(tmp_path / "angles.png", rotation)
    plot_angular_distribution(tmp_path / "one.png", np.eye(3)[None])
    plot_defocus(tmp_path / "defocus.png", np.linspace(1e4, 2e4, 50), np.linspace(9e3, 2e4, 50))
    for name in ("angles", "one", "defocus"):
        assert pixels(tmp_path / f"{name}.png").std() > 0.01


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    found = builtins.__import__

    def missing(name, *rest, **more):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return found(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"cryojax_het\[viz\]"):
        plot_defocus(tmp_path / "x.png", np.ones(2), np.ones(2))
    assert not list(tmp_path.iterdir())
