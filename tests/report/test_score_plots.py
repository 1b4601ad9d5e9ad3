"""Figures of scores: whole PNG files in which what was put in can be found."""

import matplotlib.image
import numpy as np
import pytest

from cryojax_het.report.score_plots import (
    CoordinateReadout,
    plot_image_curves,
    plot_latents,
    plot_matrices,
    plot_montage,
    plot_populations,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def near(picture, colour, tolerance=0.08):
    """Number of pixels of that colour."""
    return int((np.abs(picture[..., :3] - np.array(colour)).max(axis=-1) < tolerance).sum())


def test_curves_have_their_band_and_a_panel_per_mask(tmp_path, rng):
    curves = np.clip(np.linspace(1, 0, 17) + 0.05 * rng.normal(size=(40, 17)), -1, 1)
    sets = {"run": curves, "consensus": curves**2}
    plot_image_curves(tmp_path / "one.png", {"molecule": sets}, 100.0)
    plot_image_curves(tmp_path / "two.png", {"molecule": sets, "moving": sets}, 100.0)
    one, two = (matplotlib.image.imread(tmp_path / f"{n}.png") for n in ("one", "two"))
    assert two.shape[1] > 1.9 * one.shape[1]
    blue, red = (0.12, 0.47, 0.71), (0.84, 0.15, 0.16)
    assert near(one, blue) > 300
    assert near(one, red) > 300
    assert near(two, blue) == pytest.approx(2 * near(one, blue), rel=0.3)


def test_latents_show_truth_and_readout(tmp_path, rng):
    angle = rng.uniform(0, 2 * np.pi, 300)
    latents = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    exact = CoordinateReadout(name="angle", truth=angle, readout=angle, period=2 * np.pi)
    loose = CoordinateReadout(name="angle", truth=angle, readout=rng.permutation(angle))
    plot_latents(tmp_path / "a.png", latents, [exact])
    plot_latents(tmp_path / "b.png", latents, [exact, loose])
    plot_latents(tmp_path / "c.png", latents[:, :1], [exact])
    a, b, _ = (matplotlib.image.imread(tmp_path / f"{n}.png") for n in "abc")
    assert b.shape[1] > 1.8 * a.shape[1]
    # The scattered read-out fills its square; the exact one lies on a line.
    ink = lambda picture: (picture[..., :3].min(axis=-1) < 0.9).mean()
    rows = a.shape[0] // 2
    assert ink(b[rows:, b.shape[1] // 2 :]) > 1.5 * ink(b[rows:, : b.shape[1] // 2])


def test_matrices_populations_and_montage(tmp_path, rng):
    plot_matrices(tmp_path / "m.png", {"FSC": np.eye(5), "change": np.eye(5)[::-1]}, ("a", "b"))
    plot_populations(tmp_path / "p.png", {"truth": np.full(9, 1 / 9)}, "state")
    plot_montage(
        tmp_path / "i.png", rng.normal(size=(6, 16, 16)), rng.normal(size=(4, 16, 16)), 3.0
    )
    matrix = matplotlib.image.imread(tmp_path / "m.png")
    half = matrix.shape[1] // 2
    assert np.abs(matrix[:, :half] - matrix[:, -half:]).max() > 0.5
    for name in ("p", "i"):
        assert matplotlib.image.imread(tmp_path / f"{name}.png")[..., :3].std() > 0.05
