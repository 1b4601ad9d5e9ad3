"""Baselines against the truth, and against one reconstruction after another."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.analysis import baselines, state_sums
from cryojax_het.analysis.baselines import (
    choose_bandwidths,
    consensus,
    default_bandwidths,
    neighbour_weights,
    noise_maps,
    oracle_map,
    oracle_of_shells,
)
from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Batch
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference import group_tables
from cryojax_het.inference.updates.methods import Diagonal
from cryojax_het.inference.updates.normal_equations import NormalEquations
from cryojax_het.inference.updates.wiener import shell_weights
from cryojax_het.particles.open import open_particles
from cryojax_het.particles.source import Subset
from cryojax_het.simulate.images import rows_to_device
from cryojax_het.simulate.settings import NoiseShape, PoseError, Simulation
from cryojax_het.simulate.simulate import run_simulation
from cryojax_het.simulate.states import Coordinate, States
from cryojax_het.simulate.truth import open_truth
from cryojax_het.volumes.kernel import quadratic

SIZE, PIXEL, COUNT = 24, 9.0, 600


def simulated(folder, **settings):
    """The source and truth of a set that is simulated into `folder`."""
    given = {"count": COUNT, "size": SIZE, "pixel_size": PIXEL, "hinge": (-40.0, 40.0), "snr": 0.2}
    run_simulation(Simulation(output=folder, **given | settings))
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
def sums(hinge):
    return baselines.state_sums(*hinge)


@jax.jit
def normal_equations(images, optics, latents, weight, power):
    """Of all images at once."""
    grid = FourierGrid(SIZE, jnp.asarray(PIXEL))
    transforms = jax.vmap(grid.from_image)(images)
    batch = Batch(transforms, optics, latents, jnp.arange(COUNT), weight)
    noise = ColouredNoise(jnp.tile(power, (COUNT, 1)))
    empty = NormalEquations.zeros(SIZE, grid.pixel_size, quadratic())
    return empty.add(batch, latents, noise, grid)


def direct_map(hinge, chosen, signal):
    """The Wiener map of the chosen images: one batch, no loader, no groups."""
    source, truth = hinge
    rows = np.arange(COUNT)
    latents, optics = rows_to_device(source.table(), truth.images, rows)
    images, weight = jnp.asarray(source.read(rows), float), jnp.asarray(chosen, float)
    equations = normal_equations(images, optics, latents, weight, jnp.asarray(truth.level.power))
    # 30 samples of the table to 24 of the box, along each axis.
    prior = (SIZE / 30) ** 3 / (signal * shell_weights(equations))
    return np.asarray(Diagonal().solve(equations, prior))


def true_power(volume):
    """Mean `|V(k)|²` per shell, over the whole cube inside Nyquist."""
    k = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    power = np.abs(np.fft.fftn(volume) * PIXEL**3) ** 2
    shell = np.rint(radius)
    inside = radius < SIZE // 2
    return np.array([power[inside & (shell == s)].mean() for s in range(SIZE // 2 + 1)])


def closeness(volume, truth):
    return -float(np.sum((volume - truth) ** 2))


def test_maps_are_those_of_their_images_alone(hinge, sums):
    state = hinge[1].images.state
    every = direct_map(hinge, state >= 0, sums.signal)
    np.testing.assert_allclose(consensus(sums), every, atol=1e-4 * np.abs(every).max())
    common = int(np.bincount(state).argmax())
    alone = direct_map(hinge, state == common, sums.signal)
    oracle = oracle_map(sums, hinge[1].states, common, 0.0)
    np.testing.assert_allclose(oracle, alone, atol=1e-4 * np.abs(alone).max())


def test_no_bandwidth_is_labels_alone_and_infinite_is_the_consensus(hinge, sums):
    states = hinge[1].states
    np.testing.assert_array_equal(oracle_map(sums, states, 7, np.inf), consensus(sums))
    np.testing.assert_array_equal(neighbour_weights(states, 7, 0.0), np.eye(100)[7])
    weights = neighbour_weights(states, 7, 0.1)
    np.testing.assert_allclose(weights, np.exp(-((np.arange(100) - 7) ** 2) / 99**2 / 0.02))
    with pytest.raises(ValueError, match="0 or more"):
        neighbour_weights(states, 7, -1.0)


def test_sums_add_up(hinge, sums):
    source, truth = hinge
    state = truth.images.state
    np.testing.assert_array_equal(sums.groups.counts, np.bincount(state, minlength=100))
    weights = np.random.default_rng(0).uniform(size=100)
    parts = [sums.groups.equations(weights * (np.arange(100) % 2 == odd)).table for odd in (0, 1)]
    whole = sums.groups.equations(weights).table
    by_hand = np.tensordot(weights, sums.groups.tables, 1)
    np.testing.assert_allclose(whole, by_hand, atol=1e-5 * np.abs(whole).max())
    np.testing.assert_allclose(whole, parts[0] + parts[1], atol=1e-5 * np.abs(whole).max())
    # However images are dealt to batches, and wherever tables are.
    few = state_sums.accumulate(source, truth, np.where(state < 2, state, -1), 2, batch=5)
    np.testing.assert_allclose(
        few.groups.tables, sums.groups.tables[:2], atol=1e-6 * few.groups.tables.max()
    )
    with pytest.raises(ValueError, match="not be negative"):
        sums.map(-weights)


def test_a_state_without_images_has_no_map(sums):
    counts = np.where(np.arange(100) == 3, 0, sums.groups.counts)
    empty = replace(sums, groups=replace(sums.groups, counts=counts))
    assert not np.any(empty.map(np.eye(100)[3]))


def test_tables_that_are_too_large_go_to_a_file(hinge, monkeypatch):
    source, truth = hinge
    state = truth.images.state
    groups = np.where(state < 3, state, -1)
    held = state_sums.accumulate(source, truth, groups, 3)
    monkeypatch.setattr(group_tables, "_LARGEST", 0)
    filed = state_sums.accumulate(source, truth, groups, 3)
    assert isinstance(filed.groups.tables, np.memmap)
    np.testing.assert_array_equal(filed.groups.tables, held.groups.tables)
    np.testing.assert_array_equal(filed.map(np.ones(3)), held.map(np.ones(3)))


def test_the_signal_is_the_power_of_the_true_maps(hinge, sums):
    truth = hinge[1]
    powers = [true_power(truth.map(s)) for s in range(100)]
    mean = np.average(powers, axis=0, weights=truth.states.population)
    np.testing.assert_allclose(sums.signal, mean, rtol=1e-5)


def test_the_prior_is_the_best_of_its_shape(hinge, sums):
    """A Wiener filter of the true powers has the least squared error: more or less is worse."""
    truth = hinge[1]

    def error(factor):
        scaled = replace(sums, signal=sums.signal * factor)
        maps = {s: oracle_map(scaled, truth.states, s, 0.0) for s in range(0, 100, 4)}
        return sum(-closeness(volume, truth.map(s)) for s, volume in maps.items())

    best = error(1.0)
    assert best < error(0.4)
    assert best < error(2.5)


def test_clean_images_of_a_rigid_molecule_give_its_map(tmp_path):
    # Pixels that sample the Gaussians of the molecule well: larger ones alias its true map.
    fine = {"size": 48, "pixel_size": 4.2}
    source, truth = simulated(tmp_path, hinge=(0.0, 0.0), snr=np.inf, **fine)
    sums = baselines.state_sums(source, truth)
    curve = fourier_shell_correlation(consensus(sums), truth.map(0))
    assert np.all(curve[1:-3] > 0.97)
    # One state is as good as all.
    np.testing.assert_array_equal(oracle_map(sums, truth.states, 0, 0.0), consensus(sums))


def test_the_oracle_is_between_labels_and_consensus_and_better_than_both(hinge, sums):
    truth = hinge[1]
    bandwidths = default_bandwidths(truth.states)
    choice = choose_bandwidths(sums, truth.map, truth.states, bandwidths, fourier_shell_correlation)
    band = slice(1, -1)
    scores, best = choice.scores[:, band], choice.best[band]
    rows = [list(bandwidths).index(b) for b in best]
    np.testing.assert_array_equal(scores[rows, np.arange(len(best))], scores.max(axis=0))
    assert scores.max(axis=0).mean() > scores.mean(axis=1).max()
    # By hand, at one bandwidth: each of the states tried once, here.
    assert len(choice.states) == 12
    by_hand = [
        fourier_shell_correlation(oracle_map(sums, truth.states, s, bandwidths[3]), truth.map(s))
        for s in choice.states.tolist()
    ]
    np.testing.assert_allclose(choice.scores[3], np.mean(by_hand, axis=0))


def test_shells_are_taken_from_the_maps_of_their_bandwidths(hinge, sums):
    states = hinge[1].states
    shells = len(sums.signal)
    one = oracle_map(sums, states, 7, 0.1)
    same = oracle_of_shells(sums, states, 7, np.full(shells, 0.1))
    inside = state_sums.wiener.shells_inside(sums.groups.size, sums.groups.size)
    shell, kept = np.asarray(inside[0]), np.asarray(inside[1])
    spectrum = lambda volume: np.fft.rfftn(volume)
    atol = 1e-5 * np.abs(spectrum(one)).max()
    np.testing.assert_allclose(spectrum(same)[kept], spectrum(one)[kept], atol=atol)
    mixed = np.where(np.arange(shells) < 4, 0.1, np.inf)
    found = spectrum(oracle_of_shells(sums, states, 7, mixed))
    low, high = kept & (shell < 4), kept & (shell >= 4)
    np.testing.assert_allclose(found[low], spectrum(one)[low], atol=atol)
    np.testing.assert_allclose(found[high], spectrum(consensus(sums))[high], atol=atol)


def test_states_are_tried_in_proportion_to_their_images():
    tried, share = baselines._sample(np.array([0, 2, 0, 6, 4]), 12)
    np.testing.assert_array_equal(tried, [1, 3, 4])
    np.testing.assert_allclose(share, [2 / 12, 6 / 12, 4 / 12])
    np.testing.assert_array_equal(baselines._sample(np.array([0, 5]), 12)[0], [1])


def test_bandwidths_to_try(hinge):
    bandwidths = default_bandwidths(hinge[1].states)
    assert bandwidths[0] == 0
    assert bandwidths[-1] == np.inf
    assert bandwidths[1] == pytest.approx(0.5 / 99)
    assert bandwidths[-2] == pytest.approx(0.5)
    assert np.all(np.diff(np.log(bandwidths[1:-1])) < np.log(2) + 1e-9)
    classes = States(
        coordinates=(Coordinate(name="class", categorical=True),),
        conformation=np.arange(3.0)[:, None],
        population=np.full(3, 1 / 3),
    )
    weights = [baselines.neighbour_weights(classes, 0, h)[1] for h in default_bandwidths(classes)]
    np.testing.assert_allclose(weights, [0, 0.03, 0.1, 0.3, 1])


def test_noise_maps_are_of_disjoint_images(hinge):
    source, truth = hinge
    maps = noise_maps(source, truth, 2, COUNT // 2, seed=4)
    groups = baselines._disjoint(COUNT, 2, COUNT // 2, seed=4)
    np.testing.assert_array_equal(np.bincount(groups), [COUNT // 2] * 2)
    signal = state_sums.signal_power(truth)
    for number, volume in enumerate(maps):
        by_hand = direct_map(hinge, groups == number, signal)
        np.testing.assert_allclose(volume, by_hand, atol=1e-4 * np.abs(by_hand).max())
    some = baselines._disjoint(COUNT, 3, 7, seed=4)
    np.testing.assert_array_equal(np.unique(some, return_counts=True)[1], [COUNT - 21, 7, 7, 7])
    with pytest.raises(ValueError, match="ask for fewer"):
        noise_maps(source, truth, 3, COUNT, seed=4)


def test_images_of_another_set_are_refused(hinge):
    source, truth = hinge
    with pytest.raises(ValueError, match="same images"):
        baselines.state_sums(Subset(source, np.arange(5)), truth)
