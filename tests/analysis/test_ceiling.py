"""The posterior of the state against rendered images, and against its own promises."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.analysis.ceiling import StatePosterior, state_posterior
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import render
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.images import rows_to_device
from cryojax_het.simulate.molecule import HingedMolecule
from cryojax_het.simulate.settings import NoiseShape, PoseError, Simulation
from cryojax_het.simulate.simulate import run_simulation
from cryojax_het.simulate.states import Coordinate, States
from cryojax_het.simulate.truth import open_truth
from cryojax_het.volumes.kernel import cubic
from cryojax_het.volumes.voxels import Voxels

SIZE, PIXEL, COUNT = 48, 4.2, 300


def simulated(folder, **settings):
    """The source and truth of a set that is simulated into `folder`."""
    given = {"count": COUNT, "hinge": (-40.0, 40.0), "snr": 0.04, **settings}
    run_simulation(Simulation(output=folder, size=SIZE, pixel_size=PIXEL, **given))
    truth = open_truth(folder)
    return open_particles(truth.particles), truth


@pytest.fixture(scope="module")
def hinge(tmp_path_factory):
    """A flexible molecule with coloured noise and varied contrast, told with wrong poses."""
    return simulated(
        tmp_path_factory.mktemp("hinge"),
        noise=NoiseShape(excess=2.0),
        contrast_spread=0.2,
        pose_error=PoseError(rotation_error=20.0, shift_error=20.0),
    )


@pytest.fixture(scope="module")
def posterior(hinge):
    source, truth = hinge
    return state_posterior(source, truth, np.arange(COUNT))


@jax.jit
def log_prob(image, latents, optics, power, volume):
    """`log p(y | V)` of one image as the noise model tells it."""
    grid = FourierGrid(SIZE, jnp.asarray(PIXEL))
    mean = render(volume, latents, optics, grid)
    return ColouredNoise(power).log_prob(grid.from_image(image), mean, grid)


@pytest.fixture(scope="module", params=[0, 17, COUNT - 1])
def observed(request, hinge):
    """A row; its image, latents and optics; and the noise."""
    source, truth = hinge
    row = np.array([request.param])
    pair = rows_to_device(source.table(), truth.images, row)
    latents, optics = jax.tree.map(lambda x: x[0], pair)
    image = jnp.asarray(source.read(row)[0], float)
    return request.param, (image, latents, optics, jnp.asarray(truth.level.power))


def test_likelihoods_are_those_of_rendered_maps(hinge, posterior, observed):
    """All but a constant, of states from one end to the other."""
    row, given = observed
    states, found = [0, 31, 50, 99], []
    for state in states:
        voxels = jnp.asarray(hinge[1].map(state), float)
        volume = Voxels(voxels=voxels, spacing=PIXEL, kernel=cubic())
        found.append(float(log_prob(*given, volume)))
    mine = posterior.log_likelihood[row, states]
    np.testing.assert_allclose(mine - mine[0], np.array(found) - found[0], atol=1e-6)


def test_likelihoods_are_those_of_exact_images(hinge, posterior, observed):
    """Of Gaussians projected by their closed form: in nats, of tens between best and worst."""
    row, (image, latents, optics, power) = observed
    found = []
    for angle in hinge[1].states.conformation:
        moved = eqx.tree_at(lambda z: z.conformation, latents, jnp.asarray(angle))
        found.append(float(log_prob(image, moved, optics, power, HingedMolecule())))
    assert np.ptp(found) > 20
    mine = posterior.log_likelihood[row] - posterior.log_likelihood[row].mean()
    np.testing.assert_allclose(mine, np.array(found) - np.mean(found), atol=0.15)


def test_rows_are_those_asked_for(hinge, posterior):
    source, truth = hinge
    rows = np.random.default_rng(0).permutation(COUNT)[:70]
    some = state_posterior(source, truth, rows)
    np.testing.assert_array_equal(some.rows, rows)
    np.testing.assert_allclose(some.log_likelihood, posterior.log_likelihood[rows], atol=1e-6)


def test_posteriors_are_calibrated(hinge, posterior):
    """The most probable state, and every tenth of the states, is right as often as is promised."""
    state, chosen = hinge[1].images.state, posterior.probability()
    np.testing.assert_allclose(chosen.sum(axis=1), 1)
    best = chosen.max(axis=1)
    right = np.mean(posterior.most_probable() == state)
    assert posterior.expected_accuracy() == pytest.approx(best.mean())
    assert 0.05 < right < 0.9
    assert abs(right - best.mean()) < 3 * np.sqrt(np.sum(best * (1 - best))) / COUNT
    mass = chosen.reshape(COUNT, 10, 10).sum(axis=2).ravel()
    there = (np.arange(10) == state[:, None] // 10).ravel()
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.01)):
        bin_ = (mass >= low) & (mass < high)
        error = np.sqrt(np.sum(mass[bin_] * (1 - mass[bin_]))) / bin_.sum()
        assert abs(there[bin_].mean() - mass[bin_].mean()) < 3.5 * error


def test_clear_images_tell_their_state(tmp_path):
    source, truth = simulated(tmp_path, count=30, snr=np.inf)
    posterior = state_posterior(source, truth, np.arange(30))
    np.testing.assert_array_equal(posterior.most_probable(), truth.images.state)
    assert posterior.expected_accuracy() > 0.99
    assert posterior.entropy() < 0.01


def test_no_scaling_of_the_ideal_latent_is_nearer_to_the_truth(hinge, posterior):
    states, state = hinge[1].states, hinge[1].images.state
    latent, target = posterior.ideal_latent(states), states.embedding()[state]
    error = lambda z: float(np.mean((z - target) ** 2))
    centred = latent - latent.mean()
    for factor in (0.8, 1.25):
        assert error(latent.mean() + factor * centred) > error(latent)
    # Better than the most probable state's place, too.
    assert error(latent) < error(states.embedding()[posterior.most_probable()])


def by_hand(log_likelihood, prior):
    return StatePosterior(
        rows=np.arange(len(log_likelihood)), log_likelihood=log_likelihood, prior=prior
    )


def test_populations_are_the_prior():
    flat = by_hand(np.zeros((4, 3)), np.array([0.7, 0.3, 0.0]))
    np.testing.assert_allclose(flat.probability(), np.tile([0.7, 0.3, 0.0], (4, 1)))
    assert flat.expected_accuracy() == pytest.approx(0.7)
    assert flat.entropy() == pytest.approx(-0.7 * np.log(0.7) - 0.3 * np.log(0.3))
    told = replace(flat, log_likelihood=np.log([[3.0, 7.0, 9.0]] * 4))
    np.testing.assert_allclose(told.probability()[0], [0.5, 0.5, 0.0])


def test_the_ideal_latent_is_the_mean_place():
    states = States(
        coordinates=(Coordinate(name="angle", period=4.0),),
        conformation=np.arange(4.0)[:, None],
        population=np.full(4, 0.25),
    )
    told = by_hand(
        np.log([[0.5, 0.25, 0.125, 0.125], [1e-300, 1.0, 1e-300, 1e-300]]), np.full(4, 0.25)
    )
    expected = np.array([[0.5 - 0.125, 0.25 - 0.125], [0.0, 1.0]]) / (2 * np.pi)
    np.testing.assert_allclose(told.ideal_latent(states), expected, atol=1e-12)
    np.testing.assert_array_equal(told.most_probable(), [0, 1])
