"""Energies of deformation fields against closed forms, singular values and finite differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.inference.deformation.coefficients import SmallCoefficients
from cryojax_het.inference.deformation.rigidity import Rigidity
from cryojax_het.volumes.anchors import example as anchored
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.latent_modes import LinearModes, free_modes, network_modes
from cryojax_het.volumes.mesh_flow import mesh_flow
from cryojax_het.volumes.tetrahedral_mesh import lattice_mesh
from cryojax_het.volumes.voxel_cloud import VoxelCloud

RNG = np.random.default_rng(0)
POINTS = RNG.normal(0, 6, (100, 3))
MESH = lattice_mesh(POINTS, 8.0)
VERTICES = np.asarray(MESH.vertices)
RIGIDITY = Rigidity(jnp.asarray(0.2), jnp.asarray(50.0))


def moved_by(motion):
    flow = mesh_flow(MESH, POINTS, RNG.uniform(size=100), motion)
    return DisplacedMixture(VoxelCloud(jnp.asarray(POINTS), jnp.ones(100)), flow)


FREE = moved_by(free_modes(len(VERTICES), 1.0))


@eqx.filter_jit
def energy(volume, latent):
    return RIGIDITY.energy(volume, latent)


def by_svd(volume, latent):
    stretch = np.asarray(volume.displacement.stretches(latent))
    values = np.linalg.svd(stretch)[1]
    det = np.linalg.det(stretch)
    values[:, 2] *= np.sign(det)
    flow = volume.displacement
    weight = np.asarray(flow.stiffness * flow.mesh.volumes / flow.mesh.volumes.mean())
    cost = np.sum((values - 1) ** 2, axis=1) / 0.2**2 + 50 * np.maximum(0.2 - det, 0) ** 2
    return 0.5 * weight @ cost


def test_rigid_motion_is_free():
    turn = Rotation.random(rng=RNG).as_matrix()
    change = VERTICES @ (turn - np.eye(3)).T + [3.0, -1.0, 2.0]
    assert float(energy(FREE, jnp.asarray(change.ravel()))) < 1e-20


@pytest.mark.parametrize("size", [0.3, 3.0, 8.0])
def test_it_is_that_of_the_singular_values(size):
    latent = jnp.asarray(size * RNG.normal(size=VERTICES.size))
    # Where cells are turned inside out, two singular values may nearly cancel.
    assert float(energy(FREE, latent)) == pytest.approx(by_svd(FREE, latent), rel=1e-5)


def test_its_slope_is_that_of_the_whole():
    latent = jnp.asarray(2.0 * RNG.normal(size=VERTICES.size))
    slope = eqx.filter_jit(jax.grad(lambda z: energy(FREE, z)))(latent)
    for direction in RNG.normal(size=(3, VERTICES.size)):
        step = 1e-5 * direction
        numeric = (by_svd(FREE, latent + step) - by_svd(FREE, latent - step)) / 2e-5
        assert float(slope @ direction) == pytest.approx(numeric, rel=1e-5)


def test_at_rest_the_slope_is_zero():
    volume = moved_by(network_modes(jax.random.key(0), len(VERTICES), 2, (8, 2)))
    slope = eqx.filter_jit(eqx.filter_grad(energy))(volume, jnp.array([0.3, -0.1]))
    weights = slope.displacement.motion.weights
    np.testing.assert_allclose(weights, 0, atol=1e-12)


def test_stretching_costs_what_the_strain_says():
    volume = moved_by(LinearModes(jnp.asarray(VERTICES * [1.0, 0, 0])[:, :, None]))
    flow = volume.displacement
    weight = float(jnp.sum(flow.stiffness * flow.mesh.volumes) / flow.mesh.volumes.mean())
    found = float(energy(volume, jnp.array([0.1])))
    assert found == pytest.approx(0.5 * weight * (0.1 / 0.2) ** 2, rel=1e-9)


def test_coefficients():
    latent = jnp.asarray(RNG.normal(size=VERTICES.size))
    found = SmallCoefficients(jnp.asarray(1e-4)).energy(FREE, latent)
    assert float(found) == pytest.approx(1e-4 * np.sum(np.asarray(latent) ** 2))


def test_other_displacements_are_refused():
    other = anchored(jax.random.key(0), FourierGrid(20, 1.4))
    latent = jnp.zeros(other.latent_size)
    with pytest.raises(TypeError, match="Anchors"):
        RIGIDITY.energy(other, latent)
    with pytest.raises(TypeError, match="Anchors"):
        SmallCoefficients(jnp.asarray(1.0)).energy(other, latent)
