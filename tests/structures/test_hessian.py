import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.structures.hessian import (
    diagonal_blocks,
    rigid_motions,
    sparse_hessian,
    stiffness_scale,
)
from cryojax_het.structures.network import InverseSquareSprings, Network, UniformSprings


@pytest.fixture
def positions():
    return np.random.default_rng(4).uniform(0, 18, size=(24, 3))


@pytest.fixture(params=[UniformSprings(11.0), InverseSquareSprings()], ids=["uniform", "inverse"])
def network(request, positions):
    return request.param.network(positions)


def energy(network):
    """Of the springs, written out anew, at flat positions."""
    i, j = network.pairs.T
    rest = np.linalg.norm(network.positions[i] - network.positions[j], axis=1)

    def value(flat):
        r = flat.reshape(-1, 3)
        stretch = jnp.linalg.norm(r[i] - r[j], axis=1) - rest
        return 0.5 * jnp.sum(network.stiffness * stretch**2)

    return value


def test_hessian_is_the_second_derivative_of_the_energy(network):
    matrix = sparse_hessian(network).toarray()
    flat = network.positions.ravel()
    np.testing.assert_allclose(matrix, jax.hessian(energy(network))(flat), atol=1e-12)
    direction = np.random.default_rng(0).normal(size=flat.size)
    step = 1e-4
    value = energy(network)
    # Second difference; the energy at rest is zero.
    curvature = (value(flat + step * direction) + value(flat - step * direction)) / step**2
    assert curvature == pytest.approx(direction @ matrix @ direction, rel=1e-6)


def test_uniform_springs_join_every_near_pair(positions):
    distance = np.linalg.norm(positions[:, None] - positions, axis=2)
    expected = np.argwhere(np.triu(distance <= 11.0, 1))
    network = UniformSprings(11.0).network(positions)
    np.testing.assert_array_equal(network.pairs, expected)
    assert 30 < len(expected) < 276
    assert np.all(network.stiffness == 1)


def test_inverse_square_springs_fall_with_distance(positions):
    network = InverseSquareSprings().network(positions)
    assert len(network.pairs) == 24 * 23 // 2
    apart = positions[network.pairs[:, 0]] - positions[network.pairs[:, 1]]
    np.testing.assert_allclose(network.stiffness * np.sum(apart**2, axis=1), 1)


def test_trace_and_blocks(network):
    """Each spring adds `γ u uᵀ` of trace γ to two blocks of the diagonal."""
    matrix = sparse_hessian(network).toarray()
    assert np.trace(matrix) == pytest.approx(2 * network.stiffness.sum(), rel=1e-12)
    blocks = matrix.reshape(24, 3, 24, 3)[np.arange(24), :, np.arange(24)]
    np.testing.assert_allclose(diagonal_blocks(network), blocks, atol=1e-12)
    largest = np.linalg.eigvalsh(matrix)[-1]
    assert stiffness_scale(network) <= largest <= 2 * stiffness_scale(network)


def test_a_dimer_has_one_vibration():
    network = Network(np.array([[0.0, 0, 0], [1, 2, 2]]), np.array([[0, 1]]), np.array([0.7]))
    values, vectors = np.linalg.eigh(sparse_hessian(network).toarray())
    np.testing.assert_allclose(values, [0, 0, 0, 0, 0, 1.4], atol=1e-14)
    stretch = np.array([1, 2, 2, -1, -2, -2]) / np.sqrt(18)
    assert abs(vectors[:, -1] @ stretch) == pytest.approx(1, abs=1e-12)


def test_a_chain_has_the_spectrum_of_phonons():
    """`4 γ sin²(π m / 2n)`, m = 0 ... n - 1, along the chain; nothing holds it sideways."""
    count = 12
    line = np.arange(count)[:, None] * np.array([1.2, 0.0, 0.0])
    network = UniformSprings(1.5).network(line)
    values = np.linalg.eigvalsh(sparse_hessian(network).toarray())
    expected = 4 * np.sin(np.pi * np.arange(count) / (2 * count)) ** 2
    np.testing.assert_allclose(values[2 * count :], expected, atol=1e-12)
    np.testing.assert_allclose(values[: 2 * count], 0, atol=1e-12)


def test_rigid_motions_cost_nothing(network):
    motions = rigid_motions(network.positions)
    assert motions.shape == (72, 6)
    np.testing.assert_allclose(motions.T @ motions, np.eye(6), atol=1e-12)
    assert np.abs(sparse_hessian(network) @ motions).max() < 1e-12
    # A turn about any axis and a shift are among them.
    move = np.array([1.0, 2.0, 3.0]) + np.cross([0.2, -0.5, 0.4], network.positions)
    flat = move.ravel()
    np.testing.assert_allclose(motions @ (motions.T @ flat), flat, atol=1e-9)


def test_fewer_rigid_motions_of_a_line_and_of_a_point():
    line = np.arange(4.0)[:, None] * np.array([1.0, 1, 0])
    assert rigid_motions(line).shape == (12, 5)
    assert rigid_motions(line[:1]).shape == (3, 3)


def test_coinciding_nodes_are_refused(positions):
    twice = np.concatenate([positions, positions[3:4]])
    with pytest.raises(ValueError, match="Nodes 3 and 24 of the network coincide"):
        sparse_hessian(UniformSprings(11.0).network(twice))
