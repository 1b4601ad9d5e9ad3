"""`cryojax-het sample` on a finished run of a linear model."""

import csv
import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryojax_het.cli import main
from cryojax_het.commands import sample_course
from cryojax_het.commands.sample import SampleConfig
from cryojax_het.results.inference_data import read_inference_data

from .synthetic_run import PIXEL, SIZE, write_synthetic_run

SHORT = ("--chains", 2, "--warmup", 50, "--draws", 200, "--starts", 2, "--leapfrogs", 4)
ALONE = ("--unknowns", "conformation", "--count", 12)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """40 images of a mean and two components, with the closed form of each one's posterior."""
    run = write_synthetic_run(tmp_path_factory.mktemp("run"), count=40, junk=0)
    analysis = run.path / "analysis"
    analysis.mkdir(exist_ok=True)
    # The corners of the transforms hold noise alone.
    power = np.abs(np.fft.fft2(mrcfile.read(run.path.parent / "images.mrcs"))) ** 2
    k = np.fft.fftfreq(SIZE)
    corners = np.hypot(k[:, None], k) > 0.52
    density = power[:, corners].mean() / SIZE**2 * PIXEL**2
    np.save(analysis / "noise.npy", np.full((1, SIZE // 2 + 1), density))
    return run


@pytest.fixture(scope="module")
def drawn(fitted, tmp_path_factory):
    """A run of conformations alone."""
    output = tmp_path_factory.mktemp("draws") / "run"
    assert sample(fitted.path, *SHORT, *ALONE, "-o", output) == 0
    return output


def sample(*arguments):
    return main(["sample", *map(str, arguments)])


def test_draws_are_of_the_closed_form(fitted, drawn):
    rows = np.load(drawn / "analysis" / "sampled.npy")
    wanted = [np.load(fitted.path / "latents" / f"{name}.npy")[rows] for name in NAMES]
    posterior = read_inference_data(drawn / "posterior.nc").posterior["conformation"].values
    draws = np.moveaxis(posterior, 2, 0).reshape(len(rows), -1, 2)
    width = np.sqrt(np.diagonal(wanted[1], axis1=1, axis2=2))
    away = (draws.mean(axis=1) - wanted[0]) / width
    assert np.abs(away).max() < 0.5
    assert np.sqrt(np.mean(away**2)) < 0.12
    assert np.median(draws.std(axis=1) / width) == pytest.approx(1, abs=0.06)
    found = np.load(drawn / "latents" / "conformation.npy")
    np.testing.assert_allclose(found[rows], draws.mean(axis=1), atol=1e-4)
    rest = np.setdiff1d(np.arange(40), rows)
    old = np.load(fitted.path / "latents" / "conformation.npy")
    np.testing.assert_array_equal(found[rest], old[rest])


NAMES = ("conformation", "conformation_covariance")


def test_a_run_leaves_what_it_promises(drawn):
    with open(drawn / "analysis" / "summary.csv") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 24
    assert {line["quantity"] for line in lines} == {"conformation 1", "conformation 2"}
    assert np.median([float(line["r_hat"]) for line in lines]) < 1.02
    data = read_inference_data(drawn / "posterior.nc")
    assert data.log_likelihood["log_likelihood"].shape == (2, 200, 12)
    assert set(data.sample_stats) == {"acceptance_rate", "diverging", "jumped"}
    assert (drawn / "plots" / "chains.png").stat().st_size > 1000
    record = json.loads((drawn / "run.json").read_text())
    assert record["status"] == "finished"
    assert 0.5 < record["summary"]["acceptance"] < 1
    assert 0.02 < np.median(record["summary"]["predictive_p"]) < 0.98


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(fitted, drawn, tmp_path, monkeypatch):
    keep, output = sample_course.save_checkpoint, tmp_path / "run"

    def interrupted(folder, step, *rest):
        keep(folder, step, *rest)
        if step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sample_course, "save_checkpoint", interrupted)
        assert sample(fitted.path, *SHORT, *ALONE, "-o", output) == 130
    assert sample(fitted.path, *SHORT, *ALONE, "-o", output) == 0
    first, second = (read_inference_data(p / "posterior.nc").posterior for p in (drawn, output))
    np.testing.assert_array_equal(first["conformation"], second["conformation"])


def test_contrast_and_noise(fitted, tmp_path):
    short = ("--chains", 2, "--warmup", 20, "--draws", 30, "--starts", 2, "--leapfrogs", 4)
    wanted = ("--unknowns", "conformation", "contrast", "noise", "--count", "6", "--box", 16)
    assert sample(fitted.path, *short, *wanted, "-o", tmp_path / "run") == 0
    posterior = read_inference_data(tmp_path / "run" / "posterior.nc").posterior
    assert posterior["contrast"].shape == (2, 30, 6)
    assert "rotation" not in posterior
    power, known = posterior["noise_power"].values, np.load(fitted.path / "analysis" / "noise.npy")
    assert np.median(power[..., 2:8]) == pytest.approx(known[0, 0], rel=0.2)


def test_faults_are_told_before_anything_is_written(fitted, tmp_path, capsys):
    output = tmp_path / "draws"
    for arguments, message in (
        (("--particles", "3,40"), "rows run from 0 to 39"),
        (("--particles", "3,a"), "must be rows from 0"),
        (("--box", "26"), "must not exceed the 24 pixels"),
    ):
        assert sample(fitted.path, *arguments, "-o", output) == 2
        assert message in capsys.readouterr().err
        assert not output.exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"unknowns": ("contrast",)}, "must name conformation"),
        ({"draws": 2}, "must be at least 4"),
        ({"chains": 0}, "`--chains` must be at least 1"),
        ({"angle": 0.0}, "must be positive"),
        ({"box": 13}, "must be even"),
    ],
)
def test_wrong_settings_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        SampleConfig(run=Path("run"), output=Path("out"), **wrong)
