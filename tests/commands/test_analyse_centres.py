"""`analyse --side-by-side --local-resolution`: the maps of both ways, their curves, and resolution
that differs from place to place."""

import csv
import shutil

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.analysis.fsc import fourier_shell_correlation, resolution
from cryojax_het.analysis.mask import low_pass_filter, spherical_mask
from cryojax_het.cli import main
from cryojax_het.particles.mrc import MrcVolume, read_volume
from cryojax_het.report.page_centres import centres_section
from cryojax_het.results.run import RunFolder
from cryojax_het.volumes.voxels import Voxels

from .synthetic_run import PIXEL, SIZE, linear_volume, write_synthetic_run

CENTRES = 2


def half_blurred():
    """The usual motion on a mean without detail finer than 40 Å on the left, and 14 Å on the right,
    which fade out where they meet: an edge would be detail."""
    rng, usual = np.random.default_rng(0), linear_volume()
    detail = spherical_mask(SIZE, 9.0, 2.0) * rng.normal(size=(SIZE,) * 3)
    blurred, sharp = (low_pass_filter(detail, PIXEL, cut) for cut in (40.0, 14.0))
    fading = lambda pixels: 0.5 * (1 + np.cos(np.pi * np.clip(pixels / 6, 0, 1)))
    x = np.arange(SIZE)
    mean = blurred / blurred.std() * fading(x - 7) + sharp / sharp.std() * fading(17 - x)
    mean = Voxels(jnp.asarray(np.std(usual.mean.voxels) * mean), PIXEL)
    return eqx.tree_at(lambda volume: volume.mean, usual, mean)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The run folder, analysed."""
    made = write_synthetic_run(
        tmp_path_factory.mktemp("run"), junk=0, noise=3.0, volume=half_blurred()
    )
    analysis = RunFolder(made.path).folder("analysis")
    np.save(analysis / "half.npy", np.arange(len(made.latent)) % 2 + 1)
    np.save(analysis / "noise.npy", np.full((1, SIZE // 2 + 1), 1e6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryojax_het.commands.analyse_outputs._draw", lambda *_: None)
        assert main([*line(made.path), "--side-by-side", "--local-resolution"]) == 0
    return made.path


def line(path):
    short = ["--clusters", str(CENTRES), "--maps", "2", "--components", "1", "--resamples", "0"]
    return ["analyse", str(path), "--no-scores", *short]


def table(path):
    with open(path) as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def series(folder, pattern):
    return [read_volume(path).data for path in sorted(folder.glob(pattern))]


@pytest.mark.parametrize("by", ["model", "regression"])
def test_maps_are_those_of_volumes_at_the_same_latents(run, tmp_path, by):
    folder = run / "analysis" / "side_by_side" / by
    wanted = ["--latents", str(folder / "latents.npy"), "--by", by, "-o", str(tmp_path)]
    assert main(["volumes", str(run), *wanted]) == 0
    found, expected = series(folder, "map_*.mrc"), series(tmp_path, "latent_*.mrc")
    assert len(found) == len(expected) == CENTRES
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())
    latents = np.load(run / "analysis" / "clusters" / "latents.npy")
    np.testing.assert_array_equal(np.load(folder / "latents.npy"), latents)


def test_curves_and_table_are_of_the_maps_written(run):
    folder = run / "analysis" / "side_by_side"
    curves, told = (table(folder / f"{name}.csv") for name in ("fsc", "table"))
    mask = RunFolder(run).mask()
    pairs = zip(*(series(folder / by, "map_*.mrc") for by in ("model", "regression")), strict=True)
    for number, (model, regression) in enumerate(pairs):
        curve = fourier_shell_correlation(model * mask, regression * mask)
        np.testing.assert_allclose(curves[f"maps_{number:03d}"], curve, atol=1e-4)
        assert told["maps_fsc_0.5"][number] == pytest.approx(
            resolution(curve, 0.5, SIZE * PIXEL), rel=1e-4
        )
        halves = curves[f"halves_{number:03d}"]
        assert told["halves_fsc_0.143"][number] == pytest.approx(
            resolution(halves, 0.143, SIZE * PIXEL), rel=1e-4
        )
    sizes = np.bincount(np.load(run / "analysis" / "clusters" / "labels.npy"))
    np.testing.assert_array_equal(told["cluster_images"], sizes)
    nearest = np.load(run / "analysis" / "clusters" / "nearest.npy")
    np.testing.assert_array_equal(told["image"], nearest)
    assert (told["deviations_correlation"] > 0.3).all()


def test_the_blurred_side_is_told_from_the_sharp_one(run):
    folder = run / "analysis" / "local_resolution"
    percentiles = table(folder / "table.csv")
    # What the filter lets through, whose edge is two shells wide, spread by the window's width: 5
    # pixels and half of an edge of 25 Å to either side.
    finest = 1 / (1 / 40 + 2 / (SIZE * PIXEL) + 1 / (10 * PIXEL + 25))
    for number, told in enumerate(series(folder, "resolution_*.mrc")):
        middle = slice(8, 16)
        blurred, sharp = (told[middle, middle, part] for part in (slice(2, 5), slice(20, 23)))
        assert np.median(blurred) > finest
        assert np.median(sharp) < 14
        row = [percentiles[f"percentile_{p}"][number] for p in (5, 25, 50, 75, 95)]
        assert row == sorted(row)
        assert row[0] < 14
        assert row[-1] > finest
    volume = read_volume(folder / "resolution_000.mrc")
    assert volume.voxel_size == pytest.approx((PIXEL,) * 3)
    for one, other in zip(
        series(folder, "regression_*.mrc"),
        series(run / "analysis" / "side_by_side" / "regression", "map_*.mrc"),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_pictures_are_there(run):
    for name in ("side_by_side/maps", "side_by_side/fsc", "local_resolution/resolution"):
        assert (run / "analysis" / f"{name}.png").stat().st_size > 5000


def test_a_page_lists_them(run, tmp_path):
    section = centres_section(run / "analysis")
    assert [len(table["rows"]) for table in section["tables"]] == [CENTRES, CENTRES]
    assert [chart["marks"][0]["y"] for chart in section["charts"]] == [0.5, 0.5, 0.143]
    for chart in section["charts"]:
        (one,) = chart["lines"]
        assert (one["low"] <= one["y"]).all()
        assert (one["y"] <= one["high"]).all()
    assert centres_section(tmp_path) is None


def test_masked_maps_are_zero_outside_and_a_later_analysis_takes_their_place(
    run, tmp_path, monkeypatch
):
    monkeypatch.setattr("cryojax_het.commands.analyse_outputs._draw", lambda *_: None)
    monkeypatch.setattr("cryojax_het.commands.analyse_side_by_side._draw", lambda *_: None)
    copy = shutil.copytree(run, tmp_path / "run")
    mask = spherical_mask(SIZE, 7.0, 2.0).astype(np.float32)
    RunFolder(copy).write_volume("mask", MrcVolume(mask, (PIXEL,) * 3))
    assert main([*line(copy), "--side-by-side", "--masked"]) == 0
    for by in ("model", "regression"):
        for one in series(copy / "analysis" / "side_by_side" / by, "map_*.mrc"):
            assert (one[mask == 0] == 0).all()
            assert one.any()
    assert not (copy / "analysis" / "local_resolution").exists()
    assert main(line(copy)) == 0
    assert not (copy / "analysis" / "side_by_side").exists()


@pytest.mark.parametrize("option", ["--side-by-side", "--local-resolution"])
def test_a_run_that_tells_no_half_sets_is_refused(run, tmp_path, capsys, option):
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("analysis"))
    assert main([*line(copy), option]) == 2
    assert "neither `--side-by-side` nor" in capsys.readouterr().err
    assert not (copy / "analysis").exists()
