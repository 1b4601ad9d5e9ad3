"""`cryojax-het volumes` on a finished run of a linear model."""

import json

import numpy as np
import pytest

from cryojax_het.cli import main
from cryojax_het.particles.mrc import read_volume

from .synthetic_run import write_synthetic_run


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """300 images of a mean and two components, with what `fit` leaves beside latents."""
    run = write_synthetic_run(tmp_path_factory.mktemp("run"), junk=0)
    analysis = run.path / "analysis"
    analysis.mkdir(exist_ok=True)
    np.save(analysis / "half.npy", np.arange(len(run.latent)) % 2 + 1)
    np.save(analysis / "noise.npy", np.full((1, 13), 1e6))
    return run


def volumes(*arguments):
    return main(["volumes", *map(str, arguments)])


def model_map(fitted, row):
    z = np.load(fitted.path / "latents" / "conformation.npy")[row]
    parts = np.asarray(fitted.volume.components.voxels)
    return np.asarray(fitted.volume.mean.voxels) + np.tensordot(z, parts, 1)


def test_maps_of_the_model(fitted, tmp_path):
    assert volumes(fitted.path, "--particles", "3,17", "-o", tmp_path / "maps") == 0
    for row in (3, 17):
        found = read_volume(tmp_path / "maps" / f"particle_{row:06d}.mrc")
        np.testing.assert_allclose(found.data, model_map(fitted, row), atol=1e-4)
        assert found.voxel_size == pytest.approx((6.0,) * 3)
    assert np.load(tmp_path / "maps" / "latents.npy").shape == (2, 2)


@pytest.mark.parametrize("by", ["regression", "spectral"])
def test_maps_from_images_follow_the_latent(fitted, tmp_path, by):
    z = np.array([[1.2, 0.0], [-1.2, 0.0]])
    np.save(tmp_path / "z.npy", z)
    line = ("--latents", tmp_path / "z.npy", "--by", by, "-o", tmp_path / by)
    assert volumes(fitted.path, *line) == 0
    first, second = (read_volume(tmp_path / by / f"latent_00{k}.mrc").data for k in (0, 1))
    component = np.asarray(fitted.volume.components.voxels)[0]
    assert np.corrcoef((first - second).ravel(), component.ravel())[0, 1] > 0.5


def test_faults_leave_nothing(fitted, tmp_path, capsys):
    output = tmp_path / "maps"
    np.save(tmp_path / "z.npy", np.zeros((1, 3)))
    for arguments, message in (
        (("--particles", "3,300"), "rows run from 0 to 299"),
        (("--particles", "3,a"), "must be rows from 0"),
        (("--latents", tmp_path / "z.npy"), "has 2 numbers"),
        ((), "Give either"),
    ):
        assert volumes(fitted.path, *arguments, "-o", output) == 2
        assert message in capsys.readouterr().err
        assert not output.exists()


def test_an_unfinished_run_is_refused(fitted, tmp_path, capsys):
    record = json.loads((fitted.path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(record | {"status": "running"}))
    assert volumes(tmp_path, "--particles", "3", "-o", tmp_path / "maps") == 2
    assert "is not finished" in capsys.readouterr().err
