"""Amplitudes and local displacements together: against a normal density in closed form, and on
images of displaced atoms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.image import render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.posteriors.gauss_newton import GaussNewton
from cryojax_het.inference.posteriors.hamiltonian import Hamiltonian
from cryojax_het.inference.posteriors.unknowns import ConformationAlone
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.inference.sampling.local_displacements import LocalDisplacements
from cryojax_het.inference.structural.restraint import AbstractRestraint
from cryojax_het.volumes.mixture import Change
from cryojax_het.volumes.voxels import Voxels

from .opening import images_of, opening

PRIOR = LocalPrior(np.deg2rad(3.0), 1.0, 1.0, 0.1)
KEY = jax.random.key(0)
WIDTH, STIFFNESS, TEMPERATURE = 1.5, 2.0, 4.0
ALONE = GaussNewton(ConformationAlone(), starts=3, steps=8)


class Tether(AbstractRestraint):
    """Springs to places in space: a restraint under which all stays normal."""

    places: jax.Array
    stiffness: float = eqx.field(static=True)

    def energy(self, positions):
        return 0.5 * self.stiffness * jnp.sum((positions - self.places) ** 2)

    def adapted(self, conformations):
        return self


COUNT = 16


def closed_form(volume):
    """What is known before an image is seen, `(b, δ/s)` and positions being normal.

    Precision of `(b, δ/s)`: `1 + (κ/T) Aᵀ A`, `A = (Δ, s 1)`. Returns `A` and the covariance."""
    modes = np.asarray(volume.displacement.vectors).reshape(1, -1)
    factors = np.concatenate([modes, WIDTH * np.eye(60)]).T
    precision = np.eye(61) + STIFFNESS / TEMPERATURE * factors.T @ factors
    return factors, np.linalg.inv(precision)


@pytest.fixture(scope="module")
def world(tiny):
    """Images of molecules drawn from that density, at noise that leaves much to know."""
    volume = opening(0.3)
    _, covariance = closed_form(volume)
    root = np.linalg.cholesky(covariance)
    drawn = np.random.default_rng(1).normal(size=(COUNT, 61)) @ root.T
    away = jnp.asarray(WIDTH * drawn[:, 1:].reshape(COUNT, 20, 3))
    noise = ColouredNoise(jnp.full((2, 9), 0.1))

    batch = images_of(tiny, volume, jnp.asarray(drawn[:, :1]), noise)

    @jax.jit
    @jax.vmap
    def missing(b, away, latents, optics):
        """What the displacement adds to the image."""
        latents = eqx.tree_at(lambda t: t.conformation, latents, b)
        moved = eqx.tree_at(lambda v: v.reference, volume, volume.reference.changed(Change(away)))
        pair = [render(v, latents, optics, tiny.grid) for v in (moved, volume)]
        return pair[0] - pair[1]

    more = missing(jnp.asarray(drawn[:, :1]), away, batch.latents, batch.optics)
    batch = eqx.tree_at(lambda b: b.images, batch, batch.images + more)
    sampler = Hamiltonian(ALONE, chains=3, warmup=150, draws=300, leapfrogs=12)
    restraint = Tether(volume.reference.positions, STIFFNESS)
    method = LocalDisplacements(restraint, TEMPERATURE, WIDTH, sampler)
    run = eqx.filter_jit(
        lambda noise, batch: method.run(KEY, volume, noise, PRIOR, batch, tiny.grid)
    )
    return volume, drawn, noise, batch, run


def test_without_a_word_from_the_image_all_is_as_before(world):
    volume, _, _, batch, run = world
    found = run(ColouredNoise(jnp.full((2, 9), 1e30)), batch)
    factors, covariance = closed_form(volume)
    amplitude = np.asarray(found.chains.unknowns[..., 0])
    np.testing.assert_allclose(amplitude.std(), np.sqrt(covariance[0, 0]), rtol=0.05)
    assert abs(amplitude.mean()) < 0.1 * np.sqrt(covariance[0, 0])
    expected = np.diagonal(factors @ covariance @ factors.T).reshape(20, 3).mean(axis=1)
    np.testing.assert_allclose((found.spread**2).mean(axis=0), expected, rtol=0.1)
    assert (found.chains.divergences == 0).all()


def test_positions_are_as_wrong_as_they_are_said_to_be(world):
    """Of molecules drawn from the prior, and nearer to the truth than before."""
    volume, drawn, noise, batch, run = world
    found = run(noise, batch)
    factors, covariance = closed_form(volume)
    truth = np.asarray(volume.reference.positions) + (drawn @ factors.T).reshape(COUNT, 20, 3)
    square = np.mean((np.asarray(found.positions) - truth) ** 2, axis=2)
    spread = np.asarray(found.spread) ** 2
    prior = np.diagonal(factors @ covariance @ factors.T).mean()
    assert spread.mean() < 0.85 * prior
    assert 0.8 < square.sum() / spread.sum() < 1.25
    made_by_modes = np.einsum("b,jk->bjk", found.chains.draws().mean().conformation[:, 0],
                              volume.displacement.vectors[0])  # fmt: skip
    rest = np.asarray(found.positions - found.displacement - volume.reference.positions)
    np.testing.assert_allclose(rest, made_by_modes, atol=1e-9)
    assert (found.chains.divergences == 0).all()


def test_another_kind_of_volume_is_refused(tiny, world):
    volume, _, noise, batch, _ = world
    method = LocalDisplacements(Tether(volume.reference.positions, 1.0), 1.0, WIDTH)
    rigid = Voxels(voxels=jnp.ones((16, 16, 16)), spacing=tiny.grid.pixel_size)
    with pytest.raises(TypeError, match="DisplacedMixture"):
        method.infer(KEY, rigid, noise, PRIOR, batch, tiny.grid)
