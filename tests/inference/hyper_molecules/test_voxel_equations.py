"""Coefficients from normal equations of voxels against one dense system, in float64."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from cryojax_het.inference.hyper_molecules.voxel_equations import solve_in_basis
from cryojax_het.inference.updates.conjugate_gradients import Stopping
from cryojax_het.inference.updates.exact_blocks import ExactBlockEquations
from cryojax_het.volumes.prolate.basis import prolate_basis
from cryojax_het.volumes.prolate.voxels import voxels_of

from ..updates.test_toeplitz import (
    FINE,
    GRID,
    IMAGES,
    NOISE,
    SIZE,
    SPACING,
    batch,
    dense_rows,
    whitened,
)

Q = 2
BASIS = prolate_basis(6.0, 0.16, 0.3)


def test_the_solution_is_that_of_the_dense_system():
    matrix, inside, root = dense_rows()
    rng = np.random.default_rng(3)
    images = np.fft.rfft2(rng.normal(size=(IMAGES, SIZE, SIZE)))
    given = batch(images)
    first, rest = rng.normal(size=(IMAGES, Q)), rng.normal(size=(IMAGES, Q, Q))
    second = first[:, :, None] * first[:, None] + rest @ rest.transpose(0, 2, 1)
    moments = jnp.asarray(first), jnp.asarray(second)
    empty = ExactBlockEquations.zeros(Q, SIZE, jnp.asarray(SPACING), FINE)
    equations = eqx.filter_jit(lambda e: e.add(given, given.latents, moments, NOISE, GRID))(empty)
    variance = rng.uniform(0.5, 2, (BASIS.size, Q)) * 3e-3
    variance[::5, 1] = 0
    zero = jnp.zeros((BASIS.size, Q))
    solve = eqx.filter_jit(
        lambda v: solve_in_basis(equations, BASIS, v, zero, GRID, Stopping(1e-7, 400))
    )
    found = solve(jnp.asarray(variance))

    functions = np.asarray(eqx.filter_jit(voxels_of)(BASIS, jnp.eye(BASIS.size), GRID))
    contrast = np.asarray(given.latents.contrast)[:, None, None]  # is in the moments instead
    rows = matrix.reshape(IMAGES, -1, SIZE**3) / contrast
    seen = rows @ functions.reshape(BASIS.size, -1).T  # [i, r, k]
    data = whitened(images, inside, root).reshape(IMAGES, -1)
    gram = np.einsum("irk,irl->ikl", seen, seen)
    system = np.einsum("ipq,ikl->kplq", second, gram).reshape(Q * BASIS.size, -1)
    side = np.einsum("ip,irk,ir->kp", first, seen, data).ravel()
    free = np.flatnonzero(variance.ravel() > 0)
    expected = np.zeros(Q * BASIS.size)
    kept = system[np.ix_(free, free)] + np.diag(1 / variance.ravel()[free])
    expected[free] = np.linalg.solve(kept, side[free])
    expected = expected.reshape(-1, Q)
    assert np.abs(expected).max() > 0.1 * np.sqrt(variance.max())  # the data say something
    error = np.linalg.norm(found.coefficients - expected) / np.linalg.norm(expected)
    assert error < 2e-3
    assert not np.asarray(found.coefficients)[::5, 1].any()

    # The uncertainty is that of a mean over directions: of the right size.
    ratio = np.asarray(found.variance).ravel()[free] / np.diagonal(np.linalg.inv(kept))
    assert 0.6 < np.median(ratio) < 1.6
