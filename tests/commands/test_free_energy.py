"""`cryojax-het free-energy` on a finished run of a linear model, images of known latents."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.cli import main
from cryojax_het.commands.free_energy import FreeEnergyConfig
from cryojax_het.particles.mrc import MrcVolume, write_volume
from cryojax_het.structures.atoms import Atoms
from cryojax_het.structures.frames import Frames
from cryojax_het.structures.write_models import write_pdb

from .synthetic_run import PIXEL, SIZE, write_synthetic_run

NODES = np.stack([np.linspace(-1.6, 1.6, 5), np.zeros(5)], axis=1)
QUICK = ("--chains", "2", "--warmup", "100", "--draws", "100", "--no-leave-one-out")
EXACT = ("--rotation-error", "0", "--shift-error", "0", "--contrast-width", "0")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """200 images of a mean and two components."""
    return write_synthetic_run(tmp_path_factory.mktemp("run"), count=200, junk=0)


def free_energy(*arguments):
    return main(["free-energy", *map(str, arguments)])


def matrix(folder):
    return np.load(folder / "latents" / "path_log_likelihood.npy")


@pytest.fixture(scope="module")
def along_latents(fitted, tmp_path_factory):
    """The folder of a path along the first coordinate, and its arguments."""
    folder = tmp_path_factory.mktemp("energy")
    np.save(folder / "z.npy", NODES)
    line = (fitted.path, "--latents", folder / "z.npy", "-o", folder / "out", *EXACT)
    assert free_energy(*line, *QUICK) == 0
    return folder / "out", line


def test_a_path_along_latents(fitted, along_latents, capsys):
    folder, _ = along_latents
    ell = matrix(folder)
    assert ell.shape == (200, 5)
    # Images at rest in the other coordinate are likeliest near their own first coordinate.
    near = np.abs(fitted.latent[:, 1]) < 0.5
    found = NODES[ell.argmax(axis=1), 0]
    assert np.corrcoef(found[near], fitted.latent[near, 0])[0, 1] > 0.8
    with open(folder / "analysis" / "random-walk" / "profile.csv") as file:
        rows = list(csv.DictReader(file))
    energy = np.array([float(row["free_energy"]) for row in rows])
    assert energy.min() == pytest.approx(0, abs=1e-6)
    assert energy[2] < energy[[0, 4]].min()  # images are normal about 0
    images = sum(float(row["images"]) for row in rows)
    assert images == pytest.approx(200, rel=1e-4)
    for row in rows:
        assert float(row["low_90"]) < float(row["free_energy"]) < float(row["high_90"])
    assert (folder / "plots" / "free_energy_random-walk.png").stat().st_size > 10_000
    about = json.loads((folder / "analysis" / "random-walk" / "profile.json").read_text())
    assert about["nodes"] == 5
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"


def test_another_prior_takes_the_likelihoods_up(along_latents, capsys):
    folder, line = along_latents
    before = matrix(folder)
    np.save(folder.parent / "counts.npy", np.array([1.0, 2.0, 3.0, 2.0, 1.0]))
    given = ("--prior", "entropic", "--counts", folder.parent / "counts.npy")
    assert free_energy(*line, *QUICK, *given) == 0
    assert "an image is spread over" in capsys.readouterr().out
    np.testing.assert_array_equal(matrix(folder), before)
    assert (folder / "analysis" / "entropic" / "profile.csv").is_file()
    assert (folder / "analysis" / "random-walk" / "profile.csv").is_file()


def test_only_missing_rows_are_computed_again(along_latents, tmp_path):
    folder, line = along_latents
    before = matrix(folder)
    table = np.load(folder / "latents" / "path_log_likelihood.npy", mmap_mode="r+")
    table[150:] = np.nan  # as after a kill
    table[3] = 7.0  # found earlier: left as it is
    table.flush()
    assert free_energy(*line, *QUICK) == 0
    after = matrix(folder)
    np.testing.assert_allclose(after[150:], before[150:], rtol=1e-5, atol=1e-3)
    assert np.all(after[3] == 7.0)
    table[3] = before[3]
    table.flush()


def test_another_path_is_refused_there(along_latents, capsys):
    _, line = along_latents
    assert free_energy(*line, *QUICK, "--shift-step", "1") == 2
    assert "`shift_step` was None, now 1.0" in capsys.readouterr().err


def test_maps_give_the_path_that_their_latents_give(fitted, along_latents, tmp_path):
    mean = np.asarray(fitted.volume.mean.voxels)
    parts = np.asarray(fitted.volume.components.voxels)
    (tmp_path / "maps").mkdir()
    for number, z in enumerate(NODES):
        data = 3.0 * (mean + np.tensordot(z, parts, 1)).astype(np.float32)  # of another scale
        write_volume(tmp_path / "maps" / f"m{number}.mrc", MrcVolume(data, (PIXEL,) * 3))
    line = (fitted.path, "--maps", tmp_path / "maps", "-o", tmp_path / "out", *EXACT, *QUICK)
    assert free_energy(*line, "--off-path", "consensus") == 0
    ell, other = matrix(along_latents[0]), matrix(tmp_path / "out")
    assert other.shape == (200, 6)
    np.testing.assert_allclose(other[:, :5], ell, atol=0.02)
    np.testing.assert_allclose(other[:, 5], ell[:, 2], atol=0.02)  # the mean is the third node
    about = tmp_path / "out" / "analysis" / "random-walk" / "profile.json"
    assert len(json.loads(about.read_text())["off_path_share"]) == 3


def test_structures_and_poses_integrated_out(fitted, tmp_path):
    mean = np.asarray(fitted.volume.mean.voxels)
    z, y, x = np.nonzero(mean > 0.2 * mean.max())
    positions = (np.stack([x, y, z], axis=1) - SIZE // 2) * PIXEL
    count = len(positions)
    atoms = Atoms(
        positions=positions.astype(float),
        atomic_numbers=np.full(count, 6),
        b_factors=np.zeros(count),
        occupancies=np.ones(count),
        chains=np.full(count, "A"),
        residues=np.arange(1, count + 1),
        residue_names=np.full(count, "GLY"),
        names=np.full(count, "CA"),
    )
    bent = positions + np.where(positions[:, :1] > 0, 24.0, 0.0)
    frames = Frames(atoms=atoms, positions=np.stack([positions, bent]).astype(float))
    write_pdb(tmp_path / "two.pdb", frames)
    line = (fitted.path, "--structures", tmp_path / "two.pdb", "-o", tmp_path / "out", *QUICK)
    assert free_energy(*line, "--rotation-step", "6", "--shift-step", "6") == 0
    assert matrix(tmp_path / "out").shape == (200, 2)
    best = matrix(tmp_path / "out").argmax(axis=1)
    assert np.mean(best == 0) > 0.8  # the images are of the first


def test_coordinates_and_images(fitted, tmp_path):
    latent = np.load(fitted.path / "latents" / "conformation.npy")
    some = (*EXACT, *QUICK, "--nodes", "5")
    assert free_energy(fitted.path, "-o", tmp_path / "a", "--coordinate", "2", *some) == 0
    with np.load(tmp_path / "a" / "analysis" / "path.npz") as held:
        np.testing.assert_allclose(held["position"][::4], np.percentile(latent[:, 1], (5, 95)))
        np.testing.assert_allclose(held["latent"][:, 0], latent[:, 0].mean(), rtol=1e-5)
    line = ("--images", "3,17", "--off-path", "ensemble")
    assert free_energy(fitted.path, "-o", tmp_path / "b", *line, *some) == 0
    with np.load(tmp_path / "b" / "analysis" / "path.npz") as held:
        middle = (latent[3] + latent[17]) / 2
        np.testing.assert_allclose(held["latent"][:5:2], [latent[3], middle, latent[17]], rtol=1e-5)
    assert matrix(tmp_path / "b").shape == (200, 35)


def test_faults_come_before_any_work(fitted, tmp_path, capsys):
    np.save(tmp_path / "z.npy", np.zeros((4, 3)))
    for arguments, message in (
        (("--coordinate", "3"), "from 1 to the 2 of the run"),
        (("--images", "3,200"), "from 0 to 199"),
        (("--images", "3,x"), "rows from 0, as in"),
        (("--latents", tmp_path / "z.npy"), "latents of 3 numbers"),
        (("--latents", tmp_path / "none.npy"), "does not exist"),
        (("--maps", tmp_path), "holds no .mrc files"),
        (("--prior", "published", "--nodes", "4"), "6 nodes or more"),
        (("--prior", "dirichlet", "--counts", tmp_path / "none.npy"), "does not exist"),
        (("--structures", tmp_path / "a.pdb", "--off-path", "ensemble"), "consensus"),
    ):
        assert free_energy(fitted.path, "-o", tmp_path / "out", *arguments) == 2, arguments
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": "3,17", "coordinate": 1}, "`--coordinate`, `--images` exclude each other"),
        ({"percentiles": (90.0, 10.0)}, "must rise"),
        ({"rotation_error": -1.0}, "`--rotation-error` must be 0 or more"),
        ({"strength": 0.0}, "`--strength` must be positive"),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        FreeEnergyConfig(run=Path("run"), output=Path("out"), **settings)


def test_an_unfinished_run_is_refused(fitted, tmp_path, capsys):
    shutil.copytree(fitted.path, tmp_path / "run")
    record = json.loads((fitted.path / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"status": "running"}))
    assert free_energy(tmp_path / "run", "-o", tmp_path / "out") == 2
    assert "is not finished" in capsys.readouterr().err
