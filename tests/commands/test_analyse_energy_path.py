"""What an analysis leaves of a path between two wells, and of a landscape with one."""

from types import SimpleNamespace

import numpy as np
import pytest

from cryojax_het.analysis.density import Density, LatentGrid, LatentPosteriors
from cryojax_het.commands.analyse_clusterings import CLUSTERINGS
from cryojax_het.commands.analyse_energy_path import (
    clear_energy_path,
    path_between_wells,
    told_of,
    write_energy_path,
)
from cryojax_het.particles.mrc import read_volume

AXES = (np.linspace(-2.5, 2.5, 25),) * 2


def density(apart):
    """Two normal wells, the second half as deep, at x = -apart and apart."""
    x, y = np.meshgrid(*AXES, indexing="ij")
    well = lambda place: np.exp(-((x - place) ** 2 + y**2) / (2 * 0.45**2))
    value = well(-apart) + 0.5 * well(apart)
    step = AXES[0][1] - AXES[0][0]
    return Density(grid=LatentGrid(axes=AXES), value=value / (value.sum() * step**2))


def maps(latent):
    """Each map holds its latent."""
    for point in latent:
        yield np.full((4, 4, 4), np.sum(point), np.float32)


@pytest.fixture(scope="module")
def posteriors():
    rng = np.random.default_rng(0)
    mean = np.concatenate([rng.normal(c, 0.3, (150, 3)) for c in (-1.3, 1.3)])
    return LatentPosteriors(mean=mean, covariance=np.tile(0.05 * np.eye(3), (300, 1, 1)))


def test_maps_and_a_table_along_the_path(tmp_path, posteriors):
    found = path_between_wells(density(1.3))
    write_energy_path(tmp_path, found, (0, 1), posteriors, (maps, 5, (2.0, 2.0, 2.0)))
    latents = np.load(tmp_path / "energy_path" / "latents.npy")
    assert latents.shape == (5, 3)
    np.testing.assert_allclose(latents[[0, -1], :2], [[-1.3, 0], [1.3, 0]], atol=0.1)
    last = read_volume(tmp_path / "energy_path" / "map_004.mrc").data
    np.testing.assert_allclose(last, latents[4].sum(), rtol=1e-5)
    table = np.genfromtxt(tmp_path / "energy_path.csv", delimiter=",", names=True)
    assert table.dtype.names == ("along", "z_1", "z_2", "free_energy")
    told = told_of(found)
    assert told is not None
    assert told["difference"] == pytest.approx(np.log(2), abs=0.1)
    assert told["barrier"] == pytest.approx(table["free_energy"].max(), abs=1e-4)


def test_a_single_well_has_none_and_an_earlier_path_goes(tmp_path, posteriors):
    found = path_between_wells(density(1.3))
    write_energy_path(tmp_path, found, (0, 1), posteriors, (maps, 3, (2.0, 2.0, 2.0)))
    alone = path_between_wells(density(0.0))
    assert alone is None
    assert told_of(alone) is None
    clear_energy_path(tmp_path)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_every_clustering_finds_two_clouds(name, posteriors):
    config = SimpleNamespace(clusters=2, seed=0)
    found = CLUSTERINGS[name](config).clusters(posteriors)
    truth = np.repeat([0, 1], 150)
    inside = found.label >= 0
    assert inside.mean() > 0.8
    assert (found.label[inside] == truth[inside]).mean() > 0.98
