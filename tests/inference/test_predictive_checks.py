import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.gibbs.block import Place, World
from cryojax_het.inference.map_draws import maps_of, mean_and_deviation
from cryojax_het.inference.predictive_checks import checked, p_values

from .blobs import GRID, world


@pytest.fixture(scope="module")
def seen():
    joint, batch, truth, scaled = world(jax.random.key(4), images=30)
    return World.of(joint, batch, GRID), Place(truth, scaled)


@eqx.filter_jit
def draws(held, place):
    return jax.vmap(lambda key: checked(key, held, place))(jax.random.split(jax.random.key(1), 60))


def test_images_of_the_model_pass(seen):
    own, shells = p_values(*draws(*seen))
    assert 0.25 < own.mean() < 0.75
    assert own.std() > 0.15
    assert (shells > 0.02).all()
    assert (shells < 0.98).all()


def test_noise_of_twice_the_power_is_seen(seen):
    held, place = seen
    louder = eqx.tree_at(
        lambda w: w.joint.model.noise.power, held, held.joint.model.noise.power / 2
    )
    own, shells = p_values(*draws(louder, place))
    assert own.max() < 0.05
    assert shells[1:].max() < 0.05  # the first has one coefficient


def test_a_misplaced_signal_is_seen_where_it_is(seen):
    held, place = seen
    away = {name: value + 0.8 for name, value in place.values.items()}
    _, shells = p_values(*draws(held, Place(away, place.scaled)))
    assert shells[:2].max() < 0.02
    assert shells[-2:].min() > 0.02


def test_mean_and_deviation_of_maps():
    maps = np.random.default_rng(0).normal(3.0, 2.0, (7, 4, 4, 4))
    mean, deviation = mean_and_deviation(maps_of(lambda one: one, jnp.asarray(maps)))
    np.testing.assert_allclose(mean, maps.mean(axis=0))
    np.testing.assert_allclose(deviation, maps.std(axis=0, ddof=1))
    with pytest.raises(ValueError, match="at least 2"):
        mean_and_deviation(maps_of(lambda one: one, jnp.asarray(maps[:1])))
