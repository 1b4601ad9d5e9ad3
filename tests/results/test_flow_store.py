"""A deformed map, kept and read back."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.results.flow_store import load_flow, save_flow
from cryojax_het.results.run import RunRecord, open_run
from cryojax_het.volumes import mesh_flow, zernike_flow
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.flow import frozen
from cryojax_het.volumes.latent_modes import network_modes
from cryojax_het.volumes.tetrahedral_mesh import lattice_mesh
from cryojax_het.volumes.voxel_cloud import VoxelCloud
from cryojax_het.volumes.zernike_basis import ZernikeOrder

POINTS = np.random.default_rng(0).normal(0, 8, (60, 3))
LATENT = jnp.array([0.4, -0.7])


def with_modes(count):
    motion = network_modes(jax.random.key(0), count, 2, (6, 2), 3.0)
    weights = jax.random.normal(jax.random.key(1), (count, 3, 6))
    return eqx.tree_at(lambda m: m.weights, motion, weights)


def by_mesh():
    mesh = lattice_mesh(POINTS, 10.0)
    masses = np.linspace(0, 1, 60)
    return mesh_flow.mesh_flow(mesh, POINTS, masses, with_modes(len(mesh.vertices)))


def by_zernike():
    regions = zernike_flow.zernike_regions(POINTS, ZernikeOrder(3, 2), 2)
    return zernike_flow.zernike_flow(regions, POINTS, with_modes(regions.size))


@pytest.fixture
def folder(tmp_path):
    return open_run(tmp_path / "run", {}, RunRecord(command=["test"], seed=0))


@pytest.mark.parametrize("made", [by_mesh, by_zernike])
def test_what_is_read_is_what_was_written(made, folder):
    volume = DisplacedMixture(VoxelCloud(jnp.asarray(POINTS), jnp.linspace(1, 2, 60)), made())
    save_flow(folder, volume)
    found = load_flow(folder)
    assert type(found.displacement) is type(volume.displacement)
    mine, theirs = (v.at(LATENT.astype(jnp.float32)) for v in (volume, found))
    np.testing.assert_allclose(theirs.positions, mine.positions, atol=1e-4)
    np.testing.assert_allclose(theirs.amplitudes, mine.amplitudes, rtol=1e-6)
    stretches = eqx.filter_jit(lambda v: v.displacement.stretches(LATENT))
    first, second = (np.asarray(stretches(v)) for v in (volume, found))
    np.testing.assert_allclose(second, first, atol=1e-4)


def test_another_version_is_refused(folder):
    volume = DisplacedMixture(VoxelCloud(jnp.asarray(POINTS), jnp.ones(60)), by_mesh())
    save_flow(folder, volume)
    path = folder.path / "model" / "flow.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 9}))
    with pytest.raises(ValueError, match="format 9"):
        load_flow(folder)


def test_what_cannot_be_kept(folder):
    still = frozen(by_mesh(), POINTS)
    with pytest.raises(TypeError, match="FrozenFlow"):
        save_flow(folder, DisplacedMixture(VoxelCloud(jnp.asarray(POINTS), jnp.ones(60)), still))
