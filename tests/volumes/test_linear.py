"""Linear volumes against sums of slices and of densities of their parts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes import gaussians, voxels
from cryojax_het.volumes.kernel import cubic
from cryojax_het.volumes.linear import LinearVolume

GRID = FourierGrid(16, 1.3)
NONE = jnp.zeros(0)
LATENT = np.array([0.7, -1.3])
ROTATION = jnp.asarray(Rotation.random(rng=np.random.default_rng(0)).as_matrix())
PARTS = pytest.mark.parametrize("kind", [voxels, gaussians], ids=["voxels", "gaussians"])


def parts(kind):
    """A mean and two components, one by one."""
    return [kind.example(jax.random.key(i), GRID) for i in range(3)]


def linear(mean, *components):
    """Components stacked along a new leading axis of every array."""
    stack = lambda *leaves: jnp.stack(leaves) if eqx.is_array(leaves[0]) else leaves[0]
    return LinearVolume(mean, jax.tree.map(stack, *components), len(components))


@PARTS
def test_slices_and_densities_are_sums(kind):
    mean, *components = parts(kind)
    volume = linear(mean, *components)
    total = lambda method: (
        method(mean) + sum(z * method(c) for z, c in zip(LATENT, components, strict=True))
    )
    expected = total(lambda v: v.slice(NONE, ROTATION, GRID))
    for model in (volume, volume.prepare(GRID)):
        got = model.slice(jnp.asarray(LATENT), ROTATION, GRID)
        np.testing.assert_allclose(got, expected, atol=1e-10 * np.abs(expected).max())
        np.testing.assert_allclose(
            model.density(jnp.asarray(LATENT), GRID),
            total(lambda v: v.density(NONE, GRID)),
            atol=1e-12,
        )


def test_derivative_by_the_latent_is_a_component():
    mean, *components = parts(voxels)
    ready = linear(mean, *components).prepare(GRID)
    by_latent = jax.jacfwd(lambda z: ready.slice(z, ROTATION, GRID))(jnp.asarray(LATENT))
    for i, component in enumerate(components):
        expected = component.slice(NONE, ROTATION, GRID)
        np.testing.assert_allclose(
            by_latent[..., i], expected, atol=1e-10 * float(jnp.abs(expected).max())
        )


def test_parts_of_unlike_kernels_or_boxes_are_refused():
    mean, *components = parts(voxels)
    smooth = voxels.Voxels(mean.voxels, mean.spacing, cubic())
    with pytest.raises(ValueError, match="one box and one kernel"):
        linear(smooth, *components).prepare(GRID)
    small = voxels.example(jax.random.key(0), FourierGrid(12, 1.3))
    with pytest.raises(ValueError, match="one box and one kernel"):
        linear(small, *components).prepare(GRID)
