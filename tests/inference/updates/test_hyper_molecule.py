"""A pass of the update against dense EM on the same images; passes climb."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.image import render
from cryojax_het.inference.devices import data_mesh, place_batch
from cryojax_het.inference.hyper_molecules.exact_em import ExactEM
from cryojax_het.inference.hyper_molecules.image_equations import ImageEquations
from cryojax_het.inference.hyper_molecules.nodes import Contrast, Nodes
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.node_posterior import NodePosterior
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.updates.conjugate_gradients import Stopping
from cryojax_het.inference.updates.hyper_molecule import HyperMoleculeUpdate
from cryojax_het.volumes.kernel import cubic
from cryojax_het.volumes.prolate.composite_basis import CompositeBasis
from cryojax_het.volumes.prolate.voxels import voxels_of
from cryojax_het.volumes.voxels import Voxels

from ..hyper_molecules.small_world import BALL, GRID, images

KERNEL = cubic()
NODES, PASSES = 9, 2
KNOWN = Contrast(jnp.ones(()), jnp.zeros(()))


def equations_of_voxels(seen):
    """As of the basis, but of images rendered from the voxels of each function: what a box of this
    size cuts off of the functions is cut off here too."""
    maps = eqx.filter_jit(voxels_of)(BALL, jnp.eye(BALL.size), GRID)
    latents = eqx.tree_at(lambda t: t.contrast, seen.batch.latents, jnp.ones(60))

    def views(map_):
        ready = Voxels(map_, GRID.pixel_size, KERNEL).prepare(GRID)
        none = eqx.tree_at(lambda t: t.conformation, latents, jnp.zeros((60, 0)))
        return jax.vmap(lambda t, o: render(ready, t, o, GRID))(none, seen.batch.optics)

    each = np.asarray(jax.jit(lambda m: jax.lax.map(views, m))(maps))  # [k, b, y, x]
    precision, image = np.asarray(seen.noise.precision(GRID)), np.asarray(seen.batch.images)
    gram = np.einsum("kbyx,yx,lbyx->bkl", each.conj(), precision, each, optimize=True).real
    right = np.einsum("kbyx,yx,byx->bk", each.conj(), precision, image, optimize=True).real
    power = np.sum(precision * np.abs(image) ** 2, axis=(1, 2))
    return ImageEquations((jnp.asarray(gram),), (jnp.asarray(right),), jnp.asarray(power))


@pytest.fixture(scope="module")
def passes():
    """Coefficients and log likelihood before each pass, and its end; and those of dense EM."""
    seen = images(60, snr=2.0)
    functions = seen.molecule.functions
    nodes = Nodes.over(functions, NODES)
    update = HyperMoleculeUpdate(
        BALL, functions, GRID, data_mesh(), KERNEL, Stopping(tolerance=1e-6, limit=100)
    )
    rng = np.random.default_rng(8)
    variance = jnp.asarray(rng.uniform(0.5, 2, (BALL.size, functions.count)))
    start = seen.molecule.coefficients + jnp.asarray(0.3 * rng.normal(size=variance.shape))
    prior = LocalPrior(0.05, 2.0, 1.0, 0.0)
    model = Model(
        update.volume(start).expanded(GRID, KERNEL), seen.noise, prior, NodePosterior(nodes)
    )
    equations = equations_of_voxels(seen)
    # Voxels on one edge of a box have no partner on the other: even and odd functions mix.
    together = CompositeBasis((BALL,), jnp.zeros((1, 3)))
    em = ExactEM(together, functions, variance, KNOWN)

    batch = place_batch(update.mesh)(seen.batch)
    step = eqx.filter_jit(lambda m, s: update.step(m, s, batch, GRID, jax.random.key(0)))
    sweep = eqx.filter_jit(update.sweep)
    a, state, course = start, update.under(start, variance), []
    for _ in range(PASSES):
        belief = eqx.filter_jit(em.belief)(equations, a, nodes)
        dense = eqx.filter_jit(em.coefficients)(equations, (belief.first, belief.second))
        model, state, _, metrics = step(model, state)
        model, state = sweep(model, state)
        value = float(metrics["log_likelihood"] + em.log_prior(a))
        course.append((value, float(belief.log_likelihood.sum() + em.log_prior(a)), dense))
        a = state.coefficients
        course[-1] += (a,)
    return course


def test_a_pass_is_an_iteration_of_dense_em(passes):
    for value, expected, dense, found in passes:
        assert value == pytest.approx(expected, rel=1e-4)
        error = np.linalg.norm(found - dense) / np.linalg.norm(dense)
        assert error < 3e-3  # two interpolations, of slices and of equations


def test_passes_climb(passes):
    values = [value for value, *_ in passes]
    assert (np.diff(values) > 0).all()
