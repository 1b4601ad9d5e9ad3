"""What holds for every restraint, found by walking the package: a new file is tested by being
there."""

import importlib
import inspect
import pkgutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cryojax_het.inference.structural as structural
from cryojax_het.inference.structural.restraint import AbstractRestraint, Restraints


def concrete():
    """Concrete restraints of the package, each with its module's `example`."""
    for found in pkgutil.iter_modules(structural.__path__, structural.__name__ + "."):
        module = importlib.import_module(found.name)
        for name, member in vars(module).items():
            own = inspect.isclass(member) and member.__module__ == module.__name__
            if own and issubclass(member, AbstractRestraint) and not inspect.isabstract(member):
                yield name, module


def of_all(positions):
    """A sum of all others."""
    terms = {name: m.example(positions) for name, m in concrete() if name != "Restraints"}
    weights = {name: jnp.asarray(0.5 + 0.2 * i) for i, name in enumerate(terms)}
    return Restraints(terms, weights)


EXAMPLES = {name: getattr(module, "example", of_all) for name, module in concrete()}
DEGENERATE = {
    "in one place": lambda x: 0 * x,
    "in line": lambda x: np.arange(len(x))[:, None] * np.array([0.0, 0.0, 2.0]),
    "in line aslant": lambda x: np.arange(len(x))[:, None] * np.array([0.3, -0.7, 1.1]),
    "folded back": lambda x: (np.arange(len(x)) % 2)[:, None] * np.array([1.0, 2.0, 0.0]),
    "two together": lambda x: np.where(np.arange(len(x))[:, None] == 5, x[4], x),
    "nearly together": lambda x: 1e-7 * x,
}


def test_there_are_some():
    assert {"Bonds", "Angles", "Dihedrals", "Clash", "ElasticNetwork", "Restraints"} <= {*EXAMPLES}


@pytest.fixture(scope="module", params=[*EXAMPLES.values()], ids=[*EXAMPLES])
def law(request, helix):
    """A restraint at rest in the helix, its energy and gradient jitted, and traces of them."""
    restraint, traces = request.param(helix), []

    @eqx.filter_jit
    def both(restraint, positions):
        traces.append(1)
        return jax.value_and_grad(restraint.energy)(positions)

    return restraint, both, traces


def bent(helix, seed=0, size=1.2):
    """Shrunk and shaken, so that atoms also clash."""
    away = np.random.default_rng(seed).normal(size=helix.shape)
    return (1 - size / 3) * helix + 0.5 * size * away


def test_the_reference_is_at_rest(law, helix):
    restraint, both, _ = law
    energy, slope = both(restraint, jnp.asarray(helix))
    assert 0 <= energy < 1e-9
    np.testing.assert_allclose(slope, 0, atol=1e-4)


def test_distortion_costs_energy(law, helix):
    restraint, both, _ = law
    small, large = (both(restraint, jnp.asarray(bent(helix, 0, s)))[0] for s in (0.9, 1.8))
    assert 1e-3 < small < large


@pytest.mark.parametrize("seed", range(3))
def test_gradients_equal_finite_differences(law, helix, seed):
    restraint, both, _ = law
    positions = bent(helix, seed)
    direction = np.random.default_rng(seed + 10).normal(size=helix.shape)
    step = 1e-5
    ahead, behind = (
        both(restraint, jnp.asarray(positions + sign * step * direction))[0] for sign in (1, -1)
    )
    slope = float(jnp.vdot(both(restraint, jnp.asarray(positions))[1], direction))
    assert abs(slope) > 1e-3
    np.testing.assert_allclose(slope, float(ahead - behind) / (2 * step), rtol=1e-6)


def test_rigid_motion_changes_nothing(law, helix):
    restraint, both, _ = law
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    positions = bent(helix)
    energy, slope = both(restraint, jnp.asarray(positions))
    moved, turned = both(restraint, jnp.asarray(positions @ turn.T + np.array([30.0, -8.0, 5.0])))
    np.testing.assert_allclose(moved, energy, rtol=1e-10)
    np.testing.assert_allclose(turned, slope @ turn.T, atol=1e-7 * np.abs(slope).max())


@pytest.mark.parametrize("place", DEGENERATE.values(), ids=DEGENERATE.keys())
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gradients_are_finite_where_geometry_degenerates(law, helix, place, dtype):
    restraint, both, _ = law
    energy, slope = both(restraint, jnp.asarray(place(helix), dtype))
    assert energy.dtype == slope.dtype == dtype
    assert np.isfinite(energy)
    assert np.isfinite(slope).all()


def test_single_precision_agrees(law, helix):
    restraint, both, _ = law
    positions = bent(helix)
    energy, slope = both(restraint, jnp.asarray(positions))
    single, steep = both(restraint, jnp.asarray(positions, jnp.float32))
    np.testing.assert_allclose(single, energy, rtol=1e-4)
    np.testing.assert_allclose(steep, slope, atol=1e-4 * np.abs(slope).max())


def test_adapting_to_other_conformations_does_not_compile_again(law, helix):
    restraint, both, traces = law
    energy = both(restraint, jnp.asarray(bent(helix)))[0]
    before = len(traces)
    for seed in range(3):
        conformations = np.stack([bent(helix, seed + i, 0.3) for i in range(4)])
        restraint = restraint.adapted(conformations)
        after = both(restraint, jnp.asarray(bent(helix)))[0]
        assert 0 < after < energy + 1e-9
    assert len(traces) == before


def test_conformations_are_batched_by_vmap(law, helix):
    restraint, both, _ = law
    batch = jnp.asarray(np.stack([bent(helix, seed) for seed in range(3)]))
    found = eqx.filter_jit(lambda r, x: jax.vmap(r.energy)(x))(restraint, batch)
    np.testing.assert_allclose(found, [both(restraint, x)[0] for x in batch], rtol=1e-10)
