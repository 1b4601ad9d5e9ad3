import numpy as np
import pytest

from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.collectivity import cumulative_overlap, subspace_overlap
from cryojax_het.structures.hessian import sparse_hessian
from cryojax_het.structures.modes import normal_modes
from cryojax_het.structures.network import UniformSprings
from cryojax_het.structures.partition import bisected
from cryojax_het.structures.rigid_blocks import RigidBlocks, block_motions
from cryojax_het.structures.shift_invert import ShiftInvertLanczos

# ProDy 2.6.1, `RTB`, cutoff 15 Å, CA atoms in blocks of 5 and 4: the six lowest eigenvalues.
PRODY = {
    ("adk/4ake.pdb", 5): np.array(
        [0.04176725498, 0.09596008592, 0.20453797706, 0.32253770869, 0.58934842804, 0.86346247747]
    ),
    ("calmodulin/1prw.pdb", 4): np.array(
        [1.65155359059, 2.03759594788, 2.45614980412, 3.32215060981, 3.71248643905, 3.77579243648]
    ),
}


@pytest.fixture
def network():
    positions = np.random.default_rng(4).uniform(0, 18, size=(24, 3))
    return UniformSprings(11.0).network(positions)


def first_chain(path):
    atoms = read_atoms(path)
    return atoms.positions[(atoms.names == "CA") & (atoms.chains == atoms.chains[0])]


def test_columns_are_orthonormal_rigid_motions_of_blocks():
    """A block of one node, one of two, and one of five: 3 + 5 + 6 motions."""
    positions = np.random.default_rng(1).normal(size=(8, 3))
    blocks = np.array([2, 1, 2, 0, 2, 2, 1, 2])
    lift = block_motions(positions, blocks).toarray()
    assert lift.shape == (24, 14)
    np.testing.assert_allclose(lift.T @ lift, np.eye(14), atol=1e-12)
    apart = lambda x: np.linalg.norm(x[:, None] - x, axis=2)
    for column in lift.T:
        moved = positions + 1e-6 * column.reshape(8, 3)
        same = blocks[:, None] == blocks
        assert np.abs(apart(moved) - apart(positions))[same].max() < 1e-11


def test_blocks_of_one_node_leave_the_network_whole(network):
    full = normal_modes(network, 5, ShiftInvertLanczos())
    single = normal_modes(network, 5, RigidBlocks(np.arange(24)))
    np.testing.assert_allclose(single.eigenvalues, full.eigenvalues, rtol=1e-9)


def test_modes_of_blocks_solve_the_projected_problem(network):
    blocks = np.arange(24) // 4
    lift = block_motions(network.positions, blocks).toarray()
    values = np.linalg.eigvalsh(lift.T @ sparse_hessian(network).toarray() @ lift)
    modes = normal_modes(network, 30, RigidBlocks(blocks))
    np.testing.assert_allclose(modes.eigenvalues, values[6:], rtol=1e-9)
    with pytest.raises(ValueError, match="These blocks have 30 modes"):
        normal_modes(network, 31, RigidBlocks(blocks))


@pytest.mark.parametrize(("name", "size"), PRODY)
def test_eigenvalues_are_those_of_prody(data, name, size):
    nodes = first_chain(data / name)
    solver = RigidBlocks(np.arange(len(nodes)) // size)
    modes = normal_modes(UniformSprings(15.0).network(nodes), 6, solver)
    np.testing.assert_allclose(modes.eigenvalues, PRODY[name, size], rtol=1e-6)


def test_blocks_of_residues_span_the_soft_modes(data):
    network = UniformSprings(15.0).network(first_chain(data / "adk" / "4ake.pdb"))
    full = normal_modes(network, 5, ShiftInvertLanczos())
    blocked = normal_modes(network, 10, RigidBlocks(np.arange(214) // 10))
    assert np.all(blocked.eigenvalues[:5] >= full.eigenvalues)
    for mode in full.vectors:
        assert cumulative_overlap(blocked.vectors, mode)[-1] >= 0.95
    assert subspace_overlap(full.vectors, blocked.vectors).min() > 0.9


def test_bisection_makes_compact_groups_of_equal_size():
    positions = np.random.default_rng(2).uniform(size=(100, 3)) * [4, 1, 1]
    groups = bisected(positions, 30)
    assert np.unique(groups, return_counts=True)[1].tolist() == [25] * 4
    spans = [np.ptp(positions[groups == g, 0]) for g in range(4)]
    assert max(spans) < 1.5
