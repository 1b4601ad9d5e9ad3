"""Free energies against closed forms; populations read off latents that are known."""

import numpy as np
import pytest

from cryojax_het.analysis.landscape import (
    assign_states,
    free_energy,
    free_energy_error,
    populations,
)


def test_populations_are_weighted_shares():
    state, weight = np.array([0, 2, 2, 3]), np.array([1.0, 0.5, 0.5, 2.0])
    np.testing.assert_allclose(populations(state, weight, 5), [0.25, 0, 0.25, 0.5, 0])
    with pytest.raises(ValueError, match="from 0 to 2"):
        populations(state, weight, 3)
    with pytest.raises(ValueError, match="`weight` must be positive somewhere"):
        populations(state, 0 * weight, 5)


def test_free_energy_is_the_log_of_a_population_that_is_never_empty():
    population = np.array([0.7, 0.3, 0.0])
    energy = free_energy(population, floor=0.01)
    np.testing.assert_allclose(np.exp(-energy), (population + 0.01) / 1.03)
    assert np.exp(-energy).sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="`floor` must be positive"):
        free_energy(population, floor=0.0)


def test_error_of_a_tilted_landscape_is_the_weighted_spread_of_the_tilt():
    true = np.array([0.4, 0.3, 0.2, 0.1])
    tilt = np.array([0.0, 0.5, 1.0, 1.5])
    recovered = true * np.exp(-tilt)
    score = free_energy_error(recovered / recovered.sum(), true, floor=1e-12)
    mean = true @ tilt
    assert score.value == pytest.approx(np.sqrt(true @ (tilt - mean) ** 2))
    flat = np.log(true)
    assert score.chance == pytest.approx(np.sqrt(true @ (flat - true @ flat) ** 2))
    assert free_energy_error(true, true).value == 0
    assert free_energy_error(true, true).share(0.0) == 1
    assert free_energy_error(np.full(4, 0.25), true).share(0.0) == 0


def test_states_below_the_cut_off_do_not_count():
    true = np.array([0.6, 0.3995, 0.0005])
    recovered = np.array([0.6, 0.3, 0.1])
    kept = np.array([0.6, 0.3995]) / 0.9995
    difference = -np.log(recovered[:2] / true[:2])
    expected = np.sqrt(kept @ (difference - kept @ difference) ** 2)
    assert free_energy_error(recovered, true, floor=1e-12).value == pytest.approx(expected)
    assert free_energy_error(recovered, true, cutoff=0.0, floor=1e-12).value > expected
    with pytest.raises(ValueError, match=r"above `cutoff` 0.7: the largest is 0.6"):
        free_energy_error(recovered, true, cutoff=0.7)


def test_populations_of_two_wells_come_back_from_a_latent_in_another_gauge():
    rng = np.random.default_rng(0)
    place = np.linspace(0, 1, 21)
    true = np.exp(-((place - 0.25) ** 2) / 0.01) + 0.5 * np.exp(-((place - 0.75) ** 2) / 0.01)
    state = rng.choice(21, 4000, p=true / true.sum())
    drawn = np.bincount(state, minlength=21) / 4000
    clean = place[state] + 0.002 * rng.standard_normal(4000)
    latent = np.stack([np.cos(4 * clean), np.sin(4 * clean)], axis=1)
    assigned = assign_states(latent, place[:, None], state)
    np.testing.assert_array_equal(assigned, state)
    recovered = populations(assigned, np.ones(4000), 21)
    assert free_energy_error(recovered, drawn).value == pytest.approx(0)
    blind = assign_states(rng.permutation(latent), place[:, None], state)
    assert free_energy_error(populations(blind, np.ones(4000), 21), drawn).share(0.0) < 0.2


def test_one_state_is_always_right():
    assigned = assign_states(np.zeros((9, 1)), np.zeros((1, 0)), np.zeros(9, int))
    assert (assigned == 0).all()
