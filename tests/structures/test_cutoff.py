import numpy as np
import pytest

from cryojax_het.structures.cutoff import holding_network, holds
from cryojax_het.structures.hessian import sparse_hessian
from cryojax_het.structures.network import UniformSprings


def free_motions(network):
    """Eigenvalues below a millionth of the largest, by a dense eigenproblem."""
    values = np.linalg.eigvalsh(sparse_hessian(network).toarray())
    return int(np.sum(values < 1e-6 * values[-1]))


@pytest.mark.parametrize("seed", range(4))
def test_the_first_cutoff_that_leaves_six_motions_free(seed):
    positions = np.random.default_rng(seed).uniform(0, 20, size=(40, 3))
    network = holding_network(positions, 3.0)
    assert free_motions(network) == 6
    reach = [3.0 * 1.05**step for step in range(60)]
    counts = [free_motions(UniformSprings(cutoff).network(positions)) for cutoff in reach]
    shortest = UniformSprings(reach[counts.index(6)]).network(positions)
    np.testing.assert_array_equal(network.pairs, shortest.pairs)
    assert counts[0] > 6


def test_what_dangles_hinges_or_lies_apart_does_not_hold():
    positions = np.random.default_rng(4).uniform(0, 18, size=(24, 3))
    whole = UniformSprings(11.0).network(positions)
    assert holds(whole)
    apart = np.concatenate([positions, positions + 500])
    assert not holds(UniformSprings(11.0).network(apart))
    # Two bodies that share two nodes turn about the line between them.
    pairs = whole.pairs
    left, right = positions[:, 0] < 9, positions[:, 0] >= 9
    shared = np.flatnonzero(right)[:2]
    left[shared] = True
    within = lambda mask: mask[pairs].all(axis=1)
    hinged = whole._replace(
        pairs=pairs[within(left) | within(right)],
        stiffness=np.ones(np.sum(within(left) | within(right))),
    )
    assert not holds(hinged)
    assert free_motions(hinged) > 6


def test_nodes_on_a_line_are_refused():
    line = np.arange(5)[:, None] * np.array([1.0, 2.0, 0.5])
    with pytest.raises(ValueError, match="No cutoff from 2 Å"):
        holding_network(line, 2.0)
