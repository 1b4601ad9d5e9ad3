"""Band-limited voxels against slices, which are exact, and against values where these suffice."""

import jax.numpy as jnp
import numpy as np

from cryojax_het.analysis.fourier_resample import resample_box
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.volumes.band_limited import band_limited_density
from cryojax_het.volumes.gaussian_mixture import GaussianMixture


def mixture(width):
    rng = np.random.default_rng(0)
    return GaussianMixture(
        positions=jnp.asarray(5 * rng.normal(size=(20, 3))),
        amplitudes=jnp.linspace(1.0, 2.0, 20),
        widths=jnp.array([width]),
        sizes=(20,),
    )


def test_projected_along_z_it_is_the_slice():
    grid = FourierGrid(16, 4.0)
    narrow = mixture(1.0)
    voxels = band_limited_density(narrow, grid)
    projected = grid.from_image(jnp.asarray(voxels.sum(axis=0) * 4.0))
    slice_ = narrow.slice(jnp.zeros(0), jnp.eye(3), grid)
    np.testing.assert_allclose(projected, slice_, atol=1e-10)


def test_it_is_the_density_without_what_lies_beyond():
    wide = mixture(4.0)
    fine = np.asarray(wide.density(jnp.zeros(0), FourierGrid(64, 1.0)))
    found = band_limited_density(wide, FourierGrid(32, 2.0))
    np.testing.assert_allclose(found, resample_box(fine, 32), atol=1e-6 * fine.max())
