"""`analyse` from a run folder to files: series, subsets, tables, figures, and every fault."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.cli import main
from cryojax_het.commands.analyse import AnalyseConfig
from cryojax_het.particles.mrc import read_volume
from cryojax_het.particles.relion import read_relion
from cryojax_het.particles.star import star_lines
from cryojax_het.results.run import RunFolder

from .synthetic_run import PIXEL, write_synthetic_run

COUNT, JUNK = 240, 24


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    return write_synthetic_run(tmp_path_factory.mktemp("linear"), COUNT, JUNK)


@pytest.fixture(scope="module")
def analysed(synthetic):
    """The folder that the command leaves."""
    line = ["analyse", str(synthetic.path), "--clusters", "4", "--maps", "5"]
    line += ["--embeddings", "pca", "diffusion"]
    assert main([*line, "--resamples", "2"]) == 0
    return synthetic.path / "analysis"


def scores_of(folder):
    with open(folder / "image_scores.csv") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def test_series_are_maps_of_the_model_at_their_latents(analysed, synthetic):
    run = RunFolder(synthetic.path)
    parts = np.stack([run.volume(f"component_{k:02d}").data for k in (1, 2)])
    for series in ("component_01", "component_02", "path", "clusters"):
        points = np.load(analysed / series / "latents.npy")
        paths = sorted((analysed / series).glob("map_*.mrc"))
        assert [path.name for path in paths] == [f"map_{i:03d}.mrc" for i in range(len(points))]
        volume = read_volume(paths[-1])
        expected = run.volume("mean").data + np.tensordot(points[-1], parts, axes=1)
        np.testing.assert_allclose(volume.data, expected, atol=1e-5)
        assert volume.voxel_size == pytest.approx((PIXEL,) * 3)
    assert len(np.load(analysed / "path" / "latents.npy")) == 5


def test_noise_is_flagged_and_images_are_kept(analysed, synthetic):
    scores = scores_of(analysed)
    flagged = scores["flagged"] > 0
    assert flagged[synthetic.junk].all()
    assert flagged[: COUNT - JUNK].mean() < 0.02
    np.testing.assert_array_equal(scores["row"], np.arange(COUNT))
    np.testing.assert_array_equal(scores["log_likelihood_gain"], 1)
    assert json.loads((analysed / "summary.json").read_text())["flagged"] == flagged.sum()


def test_junk_is_in_no_cluster_and_nearest_images_are_of_theirs(analysed, synthetic):
    labels = np.load(analysed / "clusters" / "labels.npy")
    nearest = np.load(analysed / "clusters" / "nearest.npy")
    assert (labels[synthetic.junk] == -1).all()
    np.testing.assert_array_equal(labels[nearest], np.arange(4))
    latent = RunFolder(synthetic.path).latents().read("conformation")
    np.testing.assert_allclose(
        np.load(analysed / "clusters" / "latents.npy"), latent[nearest], atol=1e-6
    )


def test_subsets_are_the_rows_they_say_and_read_again(analysed, synthetic):
    labels = np.load(analysed / "clusters" / "labels.npy")
    kept = scores_of(analysed)["flagged"] == 0
    whole, source = star_lines(synthetic.star, "rlnImageName"), read_relion(synthetic.star)
    rows = {f"cluster_{k:02d}": np.flatnonzero(labels == k) for k in range(4)}
    rows |= {"kept": np.flatnonzero(kept), "junk": np.flatnonzero(~kept)}
    for name, members in rows.items():
        path = analysed / "subsets" / f"{name}.star"
        assert star_lines(path, "rlnImageName").rows == [whole.rows[row] for row in members]
        subset = read_relion(path)
        for column, values in source.table().take(members).columns().items():
            np.testing.assert_array_equal(subset.table().columns()[column], values)
        np.testing.assert_array_equal(subset.read(np.array([1])), source.read(members[1:2]))


def test_tables_of_free_energies(analysed):
    with open(analysed / "landscape_01.csv") as file:
        rows = list(csv.DictReader(file))
    energy = np.array([float(row["free_energy"]) for row in rows])
    low = np.array([float(row["free_energy_low"]) for row in rows])
    high = np.array([float(row["free_energy_high"]) for row in rows])
    assert energy.min() == 0
    assert (low <= high).all()
    with np.load(analysed / "landscape.npz") as plane:
        assert plane["molecules"].shape == (len(plane["z_1"]), len(plane["z_2"]))


def test_embeddings_have_a_row_for_each_image(analysed):
    flagged = scores_of(analysed)["flagged"] > 0
    for name in ("pca", "diffusion"):
        plane = np.load(analysed / "embeddings" / f"{name}.npy")
        assert plane.shape == (COUNT, 2)
        np.testing.assert_array_equal(np.isfinite(plane).all(axis=1), ~flagged)


def test_figures_are_there(analysed):
    names = ["spectrum", "latents", "landscape", "landscape_plane", "outliers", "path", "clusters"]
    for name in [*names, "component_01", "component_02"]:
        assert (analysed / f"{name}.png").stat().st_size > 5000


def test_a_second_analysis_replaces_the_first(synthetic, analysed, tmp_path, monkeypatch):
    monkeypatch.setattr("cryojax_het.commands.analyse_outputs._draw", lambda *_: None)
    shutil.copytree(analysed.parent, tmp_path / "run")
    line = ["analyse", str(tmp_path / "run"), "--no-scores", "--maps", "3", "--clusters", "3"]
    line += ["--resamples", "0", "--components", "1", "--path", "3", "17", "--masked"]
    assert main(line) == 0
    folder = tmp_path / "run" / "analysis"
    assert len(list((folder / "component_01").glob("map_*.mrc"))) == 3
    assert len(list((folder / "subsets").glob("cluster_*.star"))) == 3
    visited = np.load(folder / "path" / "images.npy")
    np.testing.assert_array_equal(visited[[0, -1]], [3, 17])
    assert json.loads((folder / "summary.json").read_text())["flagged"] is None


def test_nothing_is_made_along_what_no_image_tells_of(synthetic, copied, capsys):
    place = copied / "latents"
    mean, wide = (np.load(place / f"conformation{name}.npy") for name in ("", "_covariance"))
    mean[:, 0], wide[:, 0], wide[:, :, 0] = 1e-3 * mean[:, 0], 0, 0
    wide[:, 0, 0] = 1
    np.save(place / "conformation.npy", mean)
    np.save(place / "conformation_covariance.npy", wide)
    line = ["analyse", str(copied), "--no-scores", "--maps", "3", "--clusters", "3"]
    assert main([*line, "--resamples", "0"]) == 0
    folder = copied / "analysis"
    names = {path.stem for path in folder.iterdir()}
    assert {"component_02", "landscape_02"} <= names
    assert names.isdisjoint({"component_01", "landscape_01", "landscape_plane"})
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["components_analysed"] == [2]
    assert summary["divergence_from_prior"][0] < 1e-5


def faulty(synthetic, folder, capsys, *options):
    """What the command says of a copy of the run that `folder` holds."""
    assert main(["analyse", str(folder), *options]) == 2
    assert not (folder / "analysis").exists()
    return capsys.readouterr().err


@pytest.fixture
def copied(synthetic, tmp_path):
    ignored = shutil.ignore_patterns("analysis")
    return shutil.copytree(synthetic.path, tmp_path / "run", ignore=ignored)


def test_no_run(tmp_path, capsys):
    assert main(["analyse", str(tmp_path)]) == 2
    assert "no run folder" in capsys.readouterr().err


def test_an_unfinished_run(synthetic, copied, capsys):
    record = json.loads((copied / "run.json").read_text())
    (copied / "run.json").write_text(json.dumps(record | {"status": "running"}))
    assert "cryojax-het fit" in faulty(synthetic, copied, capsys)


def test_a_run_without_conformations(synthetic, copied, capsys):
    (copied / "latents" / "conformation.npy").unlink()
    assert "no conformations to analyse" in faulty(synthetic, copied, capsys)


def test_a_run_without_components(synthetic, copied, capsys):
    for path in (copied / "volumes").glob("component_*.mrc"):
        path.unlink()
    assert "fit --volume linear" in faulty(synthetic, copied, capsys)


def test_a_model_without_maps_at_latents(synthetic, copied, capsys):
    config = (copied / "config.toml").read_text()
    (copied / "config.toml").write_text(config.replace('volume = "linear"', 'volume = "classes"'))
    assert "of the kind 'classes' makes no maps" in faulty(synthetic, copied, capsys)


def test_images_that_are_gone(synthetic, copied, capsys, tmp_path):
    said = faulty(synthetic, copied, capsys, "--particles", str(tmp_path / "gone.star"))
    assert "--no-scores" in said


def test_other_images(synthetic, copied, capsys, tmp_path):
    half = tmp_path / "half.star"
    from cryojax_het.particles.export import export_rows

    export_rows(half, synthetic.star, np.arange(100))
    folder = str(synthetic.star.parent)
    said = faulty(synthetic, copied, capsys, "--particles", str(half), "--data-dir", folder)
    assert "100 images" in said


def test_settings_out_of_range():
    for options in ({"clusters": 1}, {"maps": 1}, {"threshold": 0.0}, {"components": 0}):
        with pytest.raises(ValueError, match=f"--{next(iter(options))}"):
            AnalyseConfig(run=Path("."), **options)


def test_the_help_needs_no_jax(capsys):
    with pytest.raises(SystemExit):
        main(["analyse", "--help"])
    assert "--clusters" in capsys.readouterr().out
