"""Regions: a basis of several balls, rigid motions against turned bodies, and what they cost."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid, inside_circle
from cryojax_het.volumes.composite import Composite
from cryojax_het.volumes.hyper_molecule import HyperMolecule
from cryojax_het.volumes.latent_functions.interval import Legendre
from cryojax_het.volumes.latent_functions.side_by_side import SideBySide
from cryojax_het.volumes.moving_region import MovingRegion
from cryojax_het.volumes.placed import Placed
from cryojax_het.volumes.prolate.basis import prolate_basis
from cryojax_het.volumes.prolate.composite_basis import CompositeBasis

GRID = FourierGrid(16, 3.0)
CENTRES = np.array([[6.0, -3.0, 1.0], [-5.0, 1.5, 3.0]])
BASIS = prolate_basis(9.0, 0.12, 0.5)
FUNCTIONS = Legendre(2)
RNG = np.random.default_rng(0)
EACH = [jnp.asarray(RNG.normal(size=(BASIS.size, FUNCTIONS.count))) for _ in CENTRES]
TURN = jnp.asarray(Rotation.random(rng=np.random.default_rng(1)).as_matrix())


def region(number):
    return HyperMolecule(EACH[number], BASIS, FUNCTIONS)


def sliced(volume, latent, rotation=TURN):
    return np.asarray(eqx.filter_jit(lambda v, z, r: v.slice(z, r, GRID))(volume, latent, rotation))


def test_a_composite_is_the_masked_expansion_in_a_composite_basis():
    """What EM fits, with other regions' latents at variance 0, is this volume."""
    latent = jnp.array([0.3, -0.7])
    parts = tuple(Placed(region(m), jnp.asarray(c)) for m, c in enumerate(CENTRES))
    view = sliced(Composite(parts), latent)
    basis = CompositeBasis((BASIS, BASIS), jnp.asarray(CENTRES))
    functions = SideBySide((FUNCTIONS, FUNCTIONS))
    coefficients = jax.scipy.linalg.block_diag(*EACH)
    at = coefficients @ functions(latent)
    inside = inside_circle(16)
    values = eqx.filter_jit(lambda a: basis.transform(a[:, None], GRID.plane(TURN)[inside]))(at)
    np.testing.assert_allclose(view[inside], values[:, 0], atol=1e-9 * np.abs(view).max())


def test_a_moving_region_is_a_body_seen_from_elsewhere():
    turn, shift = np.array([0.5, -0.3, 0.8]), np.array([2.0, 0.5, -1.0])
    moving = MovingRegion(region(0), jnp.asarray(CENTRES[0]), turn=2.0, travel=4.0)
    latent = jnp.asarray(np.concatenate([[0.2], turn / 2, shift / 4]))
    assert moving.latent_size == 7
    body = Rotation.from_rotvec(turn).as_matrix()
    still = Placed(region(0), jnp.asarray(body.T @ (CENTRES[0] + shift)))
    expected = sliced(still, latent[:1], TURN @ body)
    np.testing.assert_allclose(sliced(moving, latent), expected, atol=1e-9 * np.abs(expected).max())


def test_parameters_grow_with_the_number_of_regions():
    def count(regions):
        parts = tuple(Placed(region(0), jnp.asarray(CENTRES[0])) for _ in range(regions))
        return sum(part.inner.coefficients.size for part in Composite(parts).parts)

    assert [count(m) for m in (1, 2, 3)] == [m * EACH[0].size for m in (1, 2, 3)]
    assert Composite((region(0), region(1), region(0))).latent_size == 3


def test_a_composite_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one part"):
        Composite(())
