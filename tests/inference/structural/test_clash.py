import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.inference.structural.clash import clash_at, contacts

NOTHING = np.zeros((0, 2), np.int64)
both = eqx.filter_jit(lambda clash, x: jax.value_and_grad(clash.energy)(x))


def energy(clash, positions):
    return both(clash, jnp.asarray(positions))[0]


def brute_force(conformations, radii, excluded, skin):
    count = len(radii)
    out = set(map(tuple, np.sort(excluded, axis=1).tolist()))
    return [
        [i, j]
        for i in range(count)
        for j in range(i + 1, count)
        if (i, j) not in out
        and any(np.linalg.norm(x[i] - x[j]) <= radii[i] + radii[j] + skin for x in conformations)
    ]


def crowd(seed, count=60, side=14.0, frames=3):
    rng = np.random.default_rng(seed)
    conformations = rng.uniform(0, side, (frames, count, 3))
    excluded = rng.permutation(count)[: 2 * (count // 3)].reshape(-1, 2)
    return conformations, rng.uniform(1, 2, count), excluded


@pytest.mark.parametrize("seed", range(3))
def test_the_list_is_that_of_brute_force(seed):
    conformations, radii, excluded = crowd(seed)
    found = contacts(conformations, radii, excluded, 0.7)
    assert found.tolist() == brute_force(conformations, radii, excluded, 0.7)


@pytest.mark.parametrize("seed", range(2))
def test_the_energy_is_that_of_all_pairs(seed):
    """Also after everything has moved by less than half the skin."""
    conformations, radii, excluded = crowd(seed)
    clash = clash_at(conformations[0], radii, excluded, sigma=0.4, skin=1.0)
    move = np.random.default_rng(seed).normal(size=conformations[0].shape)
    move *= 0.49 / np.linalg.norm(move, axis=1, keepdims=True)
    for positions in (conformations[0], conformations[0] + move):
        pairs = brute_force([positions], radii, excluded, 0.0)
        i, j = np.array(pairs).T
        overlap = radii[i] + radii[j] - np.linalg.norm(positions[i] - positions[j], axis=1)
        expected = 0.5 * np.sum((overlap / 0.4) ** 2)
        assert expected > 10
        np.testing.assert_allclose(energy(clash, positions), expected, rtol=1e-12)


def test_by_hand():
    clash = clash_at(np.array([[0.0, 0, 0], [0, 3.0, 0]]), np.array([2.0, 2.0]), NOTHING, 0.5)
    found, pull = both(clash, jnp.asarray([[0.0, 0, 0], [0, 3.0, 0]]))
    np.testing.assert_allclose(found, 2.0)
    np.testing.assert_allclose(pull, [[0, 4.0, 0], [0, -4.0, 0]], atol=1e-12)


def test_nothing_clashes_without_pairs():
    far = 100.0 * np.arange(6)[:, None] * np.ones(3)
    clash = clash_at(far, np.full(6, 2.0), NOTHING)
    assert not np.asarray(clash.present).any()
    found, pull = both(clash, jnp.asarray(far))
    assert found == 0
    assert not pull.any()


def test_pairs_that_come_from_afar_are_found_anew():
    """A list of the reference alone would miss them."""
    positions = 20.0 * np.arange(5)[:, None] * np.array([1.0, 0, 0])
    clash = clash_at(positions, np.full(5, 2.0), NOTHING, skin=4.0)
    met = positions.copy()
    met[4] = met[0] + np.array([0, 3.0, 0])
    assert energy(clash, met) == 0
    again = clash.adapted(met[None])
    assert again.pairs.shape == clash.pairs.shape
    np.testing.assert_allclose(energy(again, met), 0.5 * (1 / 0.3) ** 2)
    # Either of two conformations suffices, and what no conformation has is dropped.
    union = again.adapted(np.stack([positions, met]))
    assert np.asarray(union.pairs)[np.asarray(union.present)].tolist() == [[0, 4]]
    assert not np.asarray(again.adapted(positions[None]).present).any()


def test_the_list_doubles_when_full_and_never_shrinks():
    loose, tight = (np.random.default_rng(0).normal(size=(60, 3)) * s for s in (60.0, 1.0))
    clash = clash_at(loose, np.full(60, 2.0), NOTHING)
    assert len(clash.pairs) == 256
    full = clash.adapted(tight[None])
    assert len(full.pairs) == 2048
    assert np.asarray(full.present).sum() == 60 * 59 // 2
    assert len(full.adapted(loose[None]).pairs) == 2048


def test_positions_that_are_not_finite_are_refused():
    clash = clash_at(np.zeros((3, 3)), np.ones(3), NOTHING)
    with pytest.raises(ValueError, match="not finite"):
        clash.adapted(np.full((1, 3, 3), np.nan))
