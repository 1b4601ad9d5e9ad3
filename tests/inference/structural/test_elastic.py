import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.structural.elastic import elastic_network

energy = eqx.filter_jit(lambda network, x: network.energy(x))


@pytest.fixture(scope="module")
def hinge():
    """Two balls of 25 points, touching, of which the second turns about where they meet."""
    rng = np.random.default_rng(0)
    body = rng.normal(size=(25, 3)) * 4
    arm = rng.normal(size=(25, 3)) * 4 + np.array([14.0, 0, 0])

    def at(angle):
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        return np.concatenate([body, (arm - [7.0, 0, 0]) @ turn.T + [7.0, 0, 0]])

    return at


def test_energy_is_the_mean_square_change_of_distances(hinge):
    network = elastic_network(hinge(0.0), sigma=2.0)
    positions = hinge(0.5)
    apart = lambda x: np.linalg.norm(x[:, None] - x, axis=-1)[np.triu_indices(50, 1)]
    near = apart(hinge(0.0)) <= 12
    change = (apart(positions) - apart(hinge(0.0)))[near]
    found = eqx.filter_jit(type(network).mean_square_change)(network, jnp.asarray(positions))
    np.testing.assert_allclose(found, np.mean(change**2), rtol=1e-12)
    expected = 0.5 * 50 * np.mean(change**2) / 2.0**2
    np.testing.assert_allclose(energy(network, jnp.asarray(positions)), expected, rtol=1e-12)


def test_the_most_variable_pairs_are_released(hinge):
    network = elastic_network(hinge(0.0), fraction=0.1)
    conformations = np.stack([hinge(a) for a in np.linspace(-0.6, 0.6, 9)])
    first, second = np.asarray(network.pairs).T
    lengths = np.linalg.norm(conformations[:, first] - conformations[:, second], axis=2)
    variance = lengths.var(axis=0)
    released = jax.jit(lambda n, x: n.released(x))(network, jnp.asarray(conformations))
    out = np.asarray(released.kept) == 0
    assert out.sum() == round(0.1 * len(first))
    assert variance[out].min() > variance[~out].max()
    # They all cross the hinge, and opening it costs less without them.
    assert ((first < 25) != (second < 25))[out].all()
    turned = jnp.asarray(hinge(0.6))
    assert energy(released, turned) < 0.5 * energy(network, turned)


def test_what_was_released_comes_back(hinge):
    network = elastic_network(hinge(0.0), fraction=0.1)
    opened = network.adapted(np.stack([hinge(a) for a in (-0.6, 0.6)]))
    stretched = np.stack([hinge(0.0) * s for s in (1.0, 1.1)])
    again = opened.adapted(stretched)
    assert again.kept.sum() == opened.kept.sum()
    assert (np.asarray(again.kept) != np.asarray(opened.kept)).any()


def test_pairs_that_do_not_vary_stay(hinge):
    network = elastic_network(hinge(0.0), fraction=0.5)
    assert network.adapted(hinge(0.3)[None]).kept.all()


def test_chains_move_apart_freely(hinge):
    chains = np.repeat([0, 1], 25)
    network = elastic_network(hinge(0.0), chains=chains)
    assert (chains[network.pairs[:, 0]] == chains[network.pairs[:, 1]]).all()
    assert energy(network, jnp.asarray(hinge(0.6))) < 1e-20
