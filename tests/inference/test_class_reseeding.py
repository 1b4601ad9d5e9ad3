"""Empty classes: a second chance, three times at most, then out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.class_prior import ClassPrior
from cryojax_het.inference.class_reseeding import CHANCES, DEVIATION, Emptiness, treat_empty
from cryojax_het.inference.model import Model
from cryojax_het.inference.posteriors.as_given import AsGiven
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.volumes.classes import ClassVolumes

KEY = jax.random.key(3)


def model(population):
    voxels = jax.random.normal(jax.random.key(0), (len(population), 12, 12, 12))
    voxels = voxels * jnp.asarray(np.indices((12,) * 3).sum(axis=0) > 5)
    volume = ClassVolumes(voxels, jnp.asarray(2.0))
    prior = ClassPrior(jnp.asarray(population), LocalPrior(0.1, 1.0, 1.0, 0.1))
    return Model(volume, ColouredNoise(jnp.ones((1, 7))), prior, AsGiven())


def test_what_counts_as_empty():
    assert Emptiness.start(4, 100_000, 100).fewest == 1250  # a twentieth of an even share
    assert Emptiness.start(4, 4000, 100).fewest == 100
    assert Emptiness.start(4, 400, 100).fewest == 20  # a fifth of an even share


def test_a_class_is_due_after_two_passes_in_a_row():
    state, few = Emptiness.start(2, 1000, 100), np.array([0.95, 0.05])
    state = state.after(few, 1000)
    assert state.due() == []
    assert state.after(np.array([0.8, 0.2]), 1000).after(few, 1000).due() == []
    assert state.after(few, 1000).due() == [1]


def test_it_is_put_beside_the_largest_class_with_noise_of_a_tenth_of_its_power():
    before = model([0.2, 0.77, 0.03])
    state = Emptiness(np.array([0, 0, 2]), fewest=50.0)
    after, state, done = treat_empty(before, state, KEY)
    assert done == ["class 2 was empty: put beside class 1"]
    assert state.reseeded == 1
    assert state.due() == []
    np.testing.assert_allclose(after.prior.population, [0.2, 0.385, 0.415], rtol=1e-6)
    old, new = before.volume.voxels, after.volume.voxels
    np.testing.assert_array_equal(new[:2], old[:2])
    noise = new[2] - old[1]
    assert float(jnp.vdot(noise, noise) / jnp.vdot(old[1], old[1])) == pytest.approx(DEVIATION)
    assert not np.asarray(noise)[np.asarray(old[1]) == 0].any()


def test_it_is_dropped_when_there_have_been_enough_chances():
    state = Emptiness(np.array([2, 0, 0]), reseeded=CHANCES, fewest=50.0)
    after, state, done = treat_empty(model([0.01, 0.6, 0.39]), state, KEY)
    assert done == ["class 0 is empty and dropped"]
    assert state.dropped == (0,)
    assert after.prior.population[0] == 0
    assert after.prior.population.sum() == pytest.approx(1)
    # It counts no longer.
    assert state.after(np.asarray(after.prior.population), 1000).passes[0] == 0
