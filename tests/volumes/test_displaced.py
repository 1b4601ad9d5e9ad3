"""Displaced mixtures against mixtures moved by hand; modes against the network's energy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.rotation import exp
from cryojax_het.volumes.anchors import Anchors
from cryojax_het.volumes.atom_codes import PositionalEncoding, random_embedding
from cryojax_het.volumes.composed import Composed
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.neural_displacement import neural_displacement
from cryojax_het.volumes.normal_modes import NormalModes
from cryojax_het.volumes.skinning import free_motions

GRID = FourierGrid(20, 1.4)
RNG = np.random.default_rng(0)
POSITIONS = jnp.asarray(RNG.normal(0, 4, (30, 3)))
REFERENCE = Gaussians(POSITIONS, jnp.linspace(0.5, 1.5, 30), jnp.full(30, 2.5))
VECTORS = jnp.asarray(RNG.normal(size=(3, 30, 3)))


def test_modes_add_up_to_the_displacement():
    latent = jnp.array([0.3, -0.5, 0.2])
    volume = DisplacedMixture(REFERENCE, NormalModes(VECTORS))
    assert volume.latent_size == 3
    moved = Gaussians(
        POSITIONS + 0.3 * VECTORS[0] - 0.5 * VECTORS[1] + 0.2 * VECTORS[2],
        REFERENCE.amplitudes,
        REFERENCE.widths,
    )
    none, frame = jnp.zeros(0), jnp.eye(3)
    np.testing.assert_allclose(
        volume.slice(latent, frame, GRID), moved.slice(none, frame, GRID), atol=1e-10
    )
    np.testing.assert_allclose(volume.density(latent, GRID), moved.density(none, GRID), atol=1e-12)


def test_small_amplitudes_cost_the_energy_that_their_eigenvalues_say():
    """`½ Σ (d - d⁰)²` over springs is `½ Σ_k λ_k b_k²` to second order: what makes `s²/λ` the
    thermal variance of `b`."""
    nodes = POSITIONS[:12]
    first, second = np.triu_indices(12, 1)
    distance = lambda x: jnp.linalg.norm(x[first] - x[second], axis=1)
    energy = jax.jit(lambda x: 0.5 * jnp.sum((distance(x) - distance(nodes)) ** 2))
    curvature = jax.jit(jax.hessian(lambda x: energy(x.reshape(12, 3))))(nodes.ravel())
    values, vectors = np.linalg.eigh(curvature)
    assert np.abs(values[:6]).max() < 1e-9 < values[6]
    displacement = NormalModes(jnp.asarray(vectors.T[6:10].reshape(4, 12, 3)))
    amplitudes = 1e-3 * np.array([1.0, -2.0, 0.5, 1.5])
    change = displacement.change(jnp.asarray(amplitudes), nodes)
    expected = 0.5 * np.sum(values[6:10] * amplitudes**2)
    assert float(energy(nodes + change.displacement)) == pytest.approx(expected, rel=2e-3)


def test_parts_of_a_composition_have_their_own_latents_and_add_up():
    centres = jnp.asarray(RNG.normal(0, 4, (2, 3)))
    parts = NormalModes(VECTORS), Anchors(centres, 3.0, free_motions(2, 0.1, 1.0))
    both = Composed(*parts)
    assert both.latent_size == 15
    latent = jnp.asarray(RNG.normal(size=15))
    expected = (
        parts[0].change(latent[:3], POSITIONS).displacement
        + parts[1].change(latent[3:], POSITIONS).displacement
    )
    got = both.change(latent, POSITIONS)
    np.testing.assert_allclose(got.displacement, expected, atol=1e-12)
    assert got.amplitude is None


def test_logarithms_of_parts_that_have_them_add_up():
    network = moved(field((1.0, 1.0, 1.0, 0.5)))
    latent = jnp.array([0.4, -1.0])
    one = network.change(latent, POSITIONS)
    two = Composed(NormalModes(VECTORS[:0]), network, network).change(
        jnp.tile(latent, 2), POSITIONS
    )
    np.testing.assert_allclose(two.amplitude, 2 * one.amplitude)
    assert two.width is None


PLACES = PositionalEncoding(20.0, 3)


def field(scale, code=PLACES):
    return neural_displacement(jax.random.key(0), code, POSITIONS, 2, (16, 2), scale)


def moved(field):
    """With parameters past their start."""
    noise = lambda x: x + 0.3 * jax.random.normal(jax.random.key(1), x.shape)
    return eqx.tree_at(lambda f: f.parameters, field, jax.tree.map(noise, field.parameters))


@pytest.mark.parametrize("code", ["places", "atoms"])
@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_network_begins_at_the_reference_and_can_leave_it(code, count):
    codes = {"places": PLACES, "atoms": random_embedding(jax.random.key(3), 30, 8)}
    network = field((2.0, 2.0, 2.0, 0.5, 0.1)[:count], codes[code])
    volume = DisplacedMixture(REFERENCE, network)
    # Seen along no axis: what moves along the beam leaves no trace.
    latent, none, frame = jnp.array([0.4, -1.0]), jnp.zeros(0), exp(jnp.array([0.5, 0.4, 0.3]))
    start = volume.slice(latent, frame, GRID)
    np.testing.assert_array_equal(start, REFERENCE.slice(none, frame, GRID))
    target = jax.random.normal(jax.random.key(2), start.shape)
    loss = lambda v: jnp.sum(jnp.abs(v.slice(latent, frame, GRID) - target) ** 2)
    gradient = eqx.filter_grad(loss)(volume)
    last = max(gradient.displacement.parameters)  # Dense_0, Dense_1, ...
    assert (np.abs(gradient.displacement.parameters[last]["kernel"]).max(axis=0) > 0).all()
    change = moved(network).change(latent, POSITIONS)
    assert np.abs(change.displacement).max() > 0.1
    assert (change.amplitude is not None) == (count >= 4)
    assert (change.width is not None) == (count == 5)


def test_scales_are_units_of_what_the_network_gives():
    small, large = (moved(field(s)) for s in [(1.0,) * 5, (2.0, 3.0, 4.0, 5.0, 6.0)])
    latent = jnp.array([0.4, -1.0])
    one, other = small.change(latent, POSITIONS), large.change(latent, POSITIONS)
    np.testing.assert_allclose(other.displacement, one.displacement * jnp.array([2.0, 3.0, 4.0]))
    np.testing.assert_allclose(other.amplitude, 5 * one.amplitude)
    np.testing.assert_allclose(other.width, 6 * one.width)
    with pytest.raises(ValueError, match="entries"):
        field((1.0, 1.0))


def test_a_network_of_places_does_not_know_atoms_by_number():
    order = RNG.permutation(30)
    network = moved(field((1.0, 1.0, 1.0)))
    latent = jnp.array([0.4, -1.0])
    straight = network.change(latent, POSITIONS).displacement
    shuffled = network.change(latent, POSITIONS[order]).displacement
    np.testing.assert_allclose(shuffled, straight[order], atol=1e-12)


def test_waves_of_the_encoding_double_in_frequency():
    code = PositionalEncoding(20.0, 3).encode(jnp.array([[1.0, -2.0, 5.0]]))[0]
    assert code.shape == (21,)
    phases = np.outer([1.0, -2.0, 5.0], 2 * np.pi * np.array([1, 2, 4]) / 20).ravel()
    expected = np.concatenate([np.array([1.0, -2.0, 5.0]) / 10, np.sin(phases), np.cos(phases)])
    np.testing.assert_allclose(code, expected, atol=1e-12)
