"""Local refinement: finds perturbed poses, never worsens its objective, ends where it is flat."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.posteriors.local_refinement import (
    LocalRefinement,
    _levenberg_marquardt,
)
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.voxels import Voxels

PRIOR = LocalPrior(np.deg2rad(3.0), 2.0, 1.0, 0.3)
COUNT = 12


@pytest.fixture(scope="module")
def noise():
    """One spectrum for both optics groups: pixels of standard deviation 0.05."""
    return ColouredNoise(jnp.full((2, 17), (0.05 * 3.0) ** 2))


@pytest.fixture(scope="module")
def batch(world, noise):
    return world.batch(COUNT, noise=noise)


def perturbed(latents, degrees, angstroms, seed=0):
    keys = jax.random.split(jax.random.key(seed), 2)
    turn = np.deg2rad(degrees) * jax.random.normal(keys[0], (COUNT, 3))
    rotation = jax.vmap(so3.exp)(turn) @ latents.rotation
    shift = latents.shift + angstroms * jax.random.normal(keys[1], (COUNT, 2))
    return Latents(latents.conformation, rotation, shift, jnp.ones(COUNT))


def infer(world, volume, noise, batch, start, prior=PRIOR, steps=6):
    given = eqx.tree_at(lambda b: b.latents, batch, start)
    return run(steps)(world.grid, volume, noise, prior, given)


@functools.cache
def run(steps):
    """One compilation for all tests of the same volume."""
    method, key = LocalRefinement(steps=steps), jax.random.key(0)
    return jax.jit(lambda grid, v, n, p, b: method.infer(key, v, n, p, b, grid).mean())


def errors(found, truth):
    degrees = np.rad2deg(jax.vmap(so3.geodesic)(found.rotation, truth.rotation))
    return degrees, np.linalg.norm(found.shift - truth.shift, axis=1)


def objective(world, noise, batch, start, prior=PRIOR):
    """-log p(image, latents) of every image, up to a constant: what is to be minimised."""

    def one(latents, start, image, optics):
        mean = render(world.volume, latents, optics, world.grid)
        likelihood = noise.of_group(optics.group).log_prob(image, mean, world.grid)
        return -likelihood - prior.log_prob(latents, start)

    every = jax.jit(jax.vmap(one))
    return lambda latents: every(latents, start, batch.images, batch.optics)


def test_perturbed_poses_come_back(world, noise, batch):
    start = perturbed(batch.latents, 2.0, 1.5)
    before = errors(start, batch.latents)
    after = errors(infer(world, world.volume, noise, batch, start), batch.latents)
    assert np.median(before[0]) > 2.5
    assert np.median(before[1]) > 1.0
    assert np.median(after[0]) < 0.7
    assert np.median(after[1]) < 0.2
    assert after[0].max() < 2.0


def test_voxels_serve_as_well_as_gaussians(world, noise, batch):
    start = perturbed(batch.latents, 2.0, 1.5)
    density = world.volume.density(jnp.zeros(0), world.grid)
    voxels = Voxels(density, world.grid.pixel_size)
    exact = infer(world, world.volume, noise, batch, start)
    found = infer(world, voxels, noise, batch, start)
    degrees, angstroms = errors(found, exact)
    assert np.median(degrees) < 0.2
    assert np.median(angstroms) < 0.05


@pytest.mark.parametrize("degrees", [1.0, 6.0, 25.0, 60.0])
def test_it_never_ends_above_where_it_started(world, noise, batch, degrees):
    """Not even far off, where whole steps overshoot and no contrast is there to mend them."""
    wide = LocalPrior(2.0, 30.0, 1.0, 0.01)
    start = perturbed(batch.latents, degrees, degrees / 4, seed=3)
    value = objective(world, noise, batch, start, wide)
    found = infer(world, world.volume, noise, batch, start, wide)
    assert (np.asarray(value(found)) <= np.asarray(value(start)) + 1e-9).all()


def test_it_ends_where_the_objective_is_flat(world, noise, batch):
    start = perturbed(batch.latents, 2.0, 1.5)
    found = infer(world, world.volume, noise, batch, start, steps=25)
    value = objective(world, noise, batch, start)

    def slope(at):
        def moved(step):
            rotation = jax.vmap(so3.exp)(step[:, :3] * PRIOR.angle) @ at.rotation
            shift = at.shift + PRIOR.shift * step[:, 3:5]
            contrast = at.contrast + PRIOR.contrast_width * step[:, 5]
            return Latents(at.conformation, rotation, shift, contrast)

        gradient = jax.grad(lambda step: value(moved(step)).sum())(jnp.zeros((COUNT, 6)))
        return np.linalg.norm(gradient, axis=1)

    assert np.median(slope(found) / slope(start)) < 1e-4
    assert (slope(found) / slope(start)).max() < 1e-2


def test_a_tight_prior_holds_the_start(world, noise, batch):
    start = perturbed(batch.latents, 2.0, 1.5)
    tight = LocalPrior(1e-7, 1e-7, 1.0, 1e-7)
    found = infer(world, world.volume, noise, batch, start, tight)
    degrees, angstroms = errors(found, start)
    assert degrees.max() < 1e-4
    assert angstroms.max() < 1e-4


def test_each_optics_group_has_its_own_noise(world, batch):
    """Where a group's noise is said to be huge, its images stay where the prior wants them."""
    start = perturbed(batch.latents, 2.0, 1.5)
    power = jnp.stack([jnp.full(17, 0.02), jnp.full(17, 1e9)])
    found = infer(world, world.volume, ColouredNoise(power), batch, start)
    degrees, _ = errors(found, start)
    assert degrees[0::2].min() > 0.3
    assert degrees[1::2].max() < 0.01


@pytest.mark.parametrize(("steps", "expected"), [(3, 20.0), (40, 0.0)])
def test_a_step_that_overshoots_is_refused_until_damping_shortens_it(steps, expected):
    """`arctan(u) = 0` from afar: whole Newton steps go to ever larger `|u|`."""
    found = _levenberg_marquardt(jnp.arctan, jnp.array([20.0]), steps)
    assert found[0] == pytest.approx(expected, abs=1e-6)


def test_a_curved_valley_is_followed_to_its_end():
    """Rosenbrock's function, whose minimum is 0 at (1, 1)."""
    residual = lambda u: jnp.stack([10 * (u[1] - u[0] ** 2), 1 - u[0]])
    found = _levenberg_marquardt(residual, jnp.array([-1.2, 1.0]), 60)
    np.testing.assert_allclose(found, 1, atol=1e-6)
