"""`map-manifold` from maps or a run to files, and every fault."""

import csv
import json

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from cryojax_het.cli import main
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.particles.mrc import MrcVolume, read_volume, write_volume
from cryojax_het.particles.relion import read_relion
from cryojax_het.simulate.molecule import hinge_positions
from cryojax_het.volumes.gaussians import gaussian_density

from .synthetic_run import write_synthetic_run

SIZE, PIXEL = 24, 8.0
# Within the reach of correlations: of wider motions the ends fold back (an arch).
ANGLES = np.array([0.1, -0.25, 0.0, 0.25, -0.12, 0.18])


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    """A folder of maps of the hinge, in no order, with noise."""
    folder = tmp_path_factory.mktemp("maps")
    rng = np.random.default_rng(0)
    for number, angle in enumerate(ANGLES):
        positions = jnp.asarray(hinge_positions(float(angle)))
        ones = jnp.ones(len(positions))
        voxels = np.asarray(gaussian_density(positions, ones, 9.0 * ones, FourierGrid(SIZE, PIXEL)))
        voxels = voxels + 0.01 * voxels.max() * rng.normal(size=voxels.shape)
        volume = MrcVolume(voxels.astype(np.float32), (PIXEL,) * 3)
        write_volume(folder / f"map_{number:03d}.mrc", volume)
    np.save(folder / "latents.npy", ANGLES)
    return folder


def synthetic(folder, **how):
    """A run whose half-sets and noise are told."""
    made = write_synthetic_run(folder, junk=0, **how)
    analysis = made.path / "analysis"
    analysis.mkdir(exist_ok=True)
    np.save(analysis / "half.npy", np.arange(how["count"]) % 2 + 1)
    np.save(analysis / "noise.npy", np.ones((1, 13)))
    return made


@pytest.mark.parametrize("by", ["fsc", "correlation"])
def test_the_first_coordinate_is_the_angle(maps, tmp_path, by):
    out = tmp_path / "out"
    assert main(["map-manifold", str(maps), "-o", str(out), "--by", by]) == 0
    points = np.load(out / "coordinates.npy")
    assert points.shape == (6, 2)
    assert abs(spearmanr(points[:, 0], ANGLES)[0]) == pytest.approx(1)
    distances = np.load(out / "distances.npy")
    np.testing.assert_allclose(distances, distances.T)
    with open(out / "coordinates.csv") as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["latent_1"]) for row in rows], ANGLES)
    np.testing.assert_allclose([float(row["coordinate_1"]) for row in rows], points[:, 0])
    summary = json.loads((out / "summary.json").read_text())
    assert summary["negative_mass"] < 1e-6
    assert {path.name for path in out.glob("*.png")} == {"distances.png", "manifold.png"}


def test_maps_of_a_runs_resampled_images(tmp_path):
    made = synthetic(tmp_path, count=240)
    line = ["map-manifold", str(made.path), "--by", "alphacryo4d", "--clusters", "3"]
    assert main([*line, "--folds", "3", "--states", "3", "--epochs", "1", "--size", "8"]) == 0
    out = made.path / "analysis" / "manifolds" / "alphacryo4d"
    member, counts = np.load(out / "maps" / "member.npy"), np.load(out / "maps" / "counts.npy")
    assert member.shape == (3, 240)
    assert counts.sum() == 480
    assert len(list((out / "maps").glob("map_*.mrc"))) == len(counts) == 9
    labels = np.load(out / "labels.npy")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["images_kept"] == (labels >= 0).sum()
    for path in (out / "subsets").glob("state_*.star"):
        rows = np.flatnonzero(labels == int(path.stem[-2:]))
        whole, part = read_relion(made.star), read_relion(path)
        expected = whole.table().rotation[rows]
        np.testing.assert_allclose(part.table().rotation, expected, atol=1e-6)
    assert (out / "landscape.png").is_file()


def test_resampled_maps_are_those_of_their_images(tmp_path):
    """Clusters along one latent: the maps follow the model's at the mean latents."""
    made = synthetic(tmp_path, count=240, noise=0.3)
    line = ["map-manifold", str(made.path), "--by", "alphacryo4d", "--clusters", "2"]
    assert main([*line, "--folds", "3", "--states", "2", "--epochs", "1", "--size", "8"]) == 0
    out = made.path / "analysis" / "manifolds" / "alphacryo4d" / "maps"
    latents = np.load(out / "latents.npy")
    maps = np.stack([read_volume(path).data for path in sorted(out.glob("map_*.mrc"))])
    truth = made.volume.mean.voxels + np.tensordot(latents, made.volume.components.voxels, axes=1)
    for found, expected in zip(maps - maps.mean(0), truth - truth.mean(0), strict=True):
        assert np.corrcoef(found.ravel(), np.ravel(expected))[0, 1] > 0.8


FAULTS = {
    "holds 0 maps": lambda maps, out: [str(out), "-o", str(out / "x")],
    "say where results go": lambda maps, out: [str(maps)],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told(maps, tmp_path, capsys, fault):
    assert main(["map-manifold", *FAULTS[fault](maps, tmp_path)]) == 2
    assert fault in capsys.readouterr().err


def test_a_run_without_maps_of_states_is_told_what_to_do(tmp_path, capsys):
    made = write_synthetic_run(tmp_path, count=40, junk=0)
    assert main(["map-manifold", str(made.path)]) == 2
    assert "cryojax-het analyse" in capsys.readouterr().err
