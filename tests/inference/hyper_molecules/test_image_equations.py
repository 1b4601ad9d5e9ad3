"""What an image says of a basis against images rendered of each function."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import inside_circle
from cryojax_het.volumes.hyper_molecule import HyperMolecule
from cryojax_het.volumes.latent_functions.interval import Legendre

from .small_world import BALL, GRID, TWO, rendered

COUNT = 60


class Plain(eqx.Module):
    """Coefficients of any basis, sliced by the definition."""

    basis: eqx.Module
    coefficients: jax.Array

    def slice(self, latent, rotation, grid):
        inside = inside_circle(grid.size)
        values = self.basis.transform(self.coefficients[:, None], grid.plane(rotation)[inside])
        return jnp.zeros(inside.shape, values.dtype).at[np.nonzero(inside)].set(values[:, 0])


def at_contrast_1(seen):
    return eqx.tree_at(lambda t: t.contrast, seen.batch.latents, jnp.ones(COUNT))


@pytest.mark.parametrize("name", ["ball", "two"])
def test_equations_are_products_of_rendered_functions(name, seen, request):
    basis, found = {"ball": BALL, "two": TWO}[name], request.getfixturevalue(name)
    latents = at_contrast_1(seen)
    show = jax.jit(jax.vmap(lambda a: rendered(Plain(basis, a), latents, COUNT)))
    views = np.asarray(show(jnp.eye(basis.size)))  # [k, b, y, x]
    precision = np.asarray(seen.noise.precision(GRID))
    gram = np.einsum("kbyx,yx,lbyx->bkl", views.conj(), precision, views, optimize=True).real
    image = np.asarray(seen.batch.images)
    right = np.einsum("kbyx,yx,byx->bk", views.conj(), precision, image, optimize=True).real
    seen_gram = np.zeros_like(gram)
    for block, own, side in zip(basis.blocks(), found.gram, found.right, strict=True):
        seen_gram[:, block[:, None], block] = own
        np.testing.assert_allclose(side, right[:, block], atol=1e-6 * np.abs(right).max())
    # Blocks left out are zero: functions of even and odd degree do not mix.
    np.testing.assert_allclose(seen_gram, gram, atol=1e-6 * np.abs(gram).max())
    power = np.sum(precision * np.abs(image) ** 2, axis=(1, 2))
    np.testing.assert_allclose(found.power, power, rtol=1e-12)


def test_statistics_are_products_of_rendered_volumes(seen, ball):
    functions = Legendre(2)
    rng = np.random.default_rng(1)
    coefficients = jnp.asarray(rng.normal(size=(BALL.size, functions.count)))
    found = ball.statistics([coefficients[rows] for rows in BALL.blocks()])
    latent = jnp.asarray(rng.uniform(-1, 1, (COUNT, 1)))
    latents = eqx.tree_at(lambda t: t.conformation, at_contrast_1(seen), latent)
    views = rendered(HyperMolecule(coefficients, BALL, functions), latents, COUNT)
    precision = seen.noise.precision(GRID)
    values = jax.vmap(functions)(latent)
    norm = jnp.einsum("bp,bpq,bq->b", values, found.gram, values)
    expected = jnp.sum(precision * jnp.abs(views) ** 2, axis=(1, 2))
    np.testing.assert_allclose(norm, expected, rtol=1e-6)
    cross = jnp.einsum("bp,bp->b", values, found.cross)
    expected = jnp.sum(precision * (views.conj() * seen.batch.images).real, axis=(1, 2))
    np.testing.assert_allclose(cross, expected, rtol=1e-5)
