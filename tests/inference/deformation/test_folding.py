"""What holds a Zernike field from folding, against determinants of finite differences."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.inference.deformation.coefficients import SmallCoefficients
from cryojax_het.inference.deformation.folding import unfolded
from cryojax_het.inference.training.conformation_energy import Together
from cryojax_het.volumes.anchors import example as anchored
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.latent_modes import free_modes
from cryojax_het.volumes.voxel_cloud import VoxelCloud
from cryojax_het.volumes.zernike_basis import ZernikeOrder
from cryojax_het.volumes.zernike_flow import zernike_flow, zernike_regions

RNG = np.random.default_rng(0)
POINTS = RNG.normal(0, 6, (30, 3))
REGIONS = zernike_regions(POINTS, ZernikeOrder(3, 2), 2)
FLOW = zernike_flow(REGIONS, POINTS, free_modes(REGIONS.size, 1.0))
VOLUME = DisplacedMixture(VoxelCloud(jnp.asarray(POINTS), jnp.ones(30)), FLOW)
HELD = unfolded(REGIONS, jnp.asarray(POINTS), 50.0)


@eqx.filter_jit
def energy(latent):
    return HELD.energy(VOLUME, latent)


def by_differences(latent):
    """Of positions beside every point."""
    step = 1e-4
    near = (POINTS[:, None] + step * np.concatenate([np.eye(3), -np.eye(3)])).reshape(-1, 3)
    moved = near + np.asarray(FLOW.at(near).change(latent, jnp.asarray(near)).displacement)
    moved = moved.reshape(-1, 2, 3, 3)
    det = np.linalg.det((moved[:, 0] - moved[:, 1]) / (2 * step))
    return 25 * np.sum(np.maximum(0.2 - det, 0) ** 2)


@pytest.mark.parametrize("size", [4.0, 10.0])
def test_it_is_that_of_the_determinants(size):
    latent = jnp.asarray(size * RNG.normal(size=FLOW.latent_size))
    expected = by_differences(latent)
    assert expected > 1
    assert float(energy(latent)) == pytest.approx(expected, rel=1e-5)


def test_its_slope():
    latent = jnp.asarray(10.0 * RNG.normal(size=FLOW.latent_size))
    slope = jax.jit(jax.grad(energy))(latent)
    direction = RNG.normal(size=FLOW.latent_size)
    numeric = (energy(latent + 1e-6 * direction) - energy(latent - 1e-6 * direction)) / 2e-6
    assert abs(numeric) > 1
    assert float(slope @ direction) == pytest.approx(float(numeric), rel=1e-6)


def test_small_fields_cost_nothing_but_their_coefficients():
    latent = jnp.asarray(1e-2 * RNG.normal(size=FLOW.latent_size))
    assert float(energy(latent)) == 0
    assert not np.any(jax.jit(jax.grad(energy))(latent))
    small = SmallCoefficients(jnp.asarray(0.5))
    both = Together((small, HELD)).energy(VOLUME, latent)
    assert float(both) == pytest.approx(float(small.energy(VOLUME, latent)), rel=1e-12)


def test_other_displacements_are_refused():
    other = anchored(jax.random.key(0), FourierGrid(20, 1.4))
    with pytest.raises(TypeError, match="Anchors"):
        HELD.energy(other, jnp.zeros(other.latent_size))
