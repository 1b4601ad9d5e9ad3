import numpy as np
import pytest

from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.collectivity import (
    collectivity,
    cumulative_overlap,
    subspace_overlap,
)
from cryojax_het.structures.hessian import rigid_motions, sparse_hessian
from cryojax_het.structures.mode_solver import suited_solver
from cryojax_het.structures.modes import normal_modes
from cryojax_het.structures.network import Network, UniformSprings
from cryojax_het.structures.shift_invert import ShiftInvertLanczos
from cryojax_het.structures.superpose import superposed
from cryojax_het.structures.two_level import TwoLevelDavidson

# ProDy 2.6.1, `ANM`, cutoff 15 Å, CA atoms: the six lowest eigenvalues, and the collectivity of the
# first three modes.
PRODY = {
    "adk/4ake.pdb": (
        [0.03060949537, 0.07717056308, 0.16335202799, 0.26725874603, 0.46620273445, 0.69996887377],
        [0.42085559702, 0.41858349082, 0.39002245263],
    ),
    "calmodulin/1prw.pdb": (
        [1.44286252429, 1.61006074909, 2.06411072418, 2.59297481860, 2.93962977471, 3.14045281394],
        [0.63035845874, 0.48040197891, 0.54962333385],
    ),
    "hsp90/monoA.pdb": (
        [0.00056137719, 0.00183322072, 0.01057441547, 0.01594101593, 0.02159663682, 0.02486659160],
        [0.00956100428, 0.00728225380, 0.00767839784],
    ),
}


@pytest.fixture
def positions():
    return np.random.default_rng(4).uniform(0, 18, size=(24, 3))


each_solver = pytest.mark.parametrize(
    "solver", [ShiftInvertLanczos(), TwoLevelDavidson(block=6)], ids=["factorised", "iterative"]
)


def alpha_carbons(path):
    """Of the first chain."""
    atoms = read_atoms(path)
    return atoms.positions[(atoms.names == "CA") & (atoms.chains == atoms.chains[0])]


@each_solver
def test_modes_are_the_soft_end_of_a_dense_eigenproblem(positions, solver):
    network = UniformSprings(11.0).network(positions)
    matrix = sparse_hessian(network).toarray()
    values, vectors = np.linalg.eigh(matrix)
    modes = normal_modes(network, 4, solver)
    np.testing.assert_allclose(modes.eigenvalues, values[6:10], rtol=1e-6)
    assert np.abs(values[:6]).max() < 1e-10
    expected = vectors[:, 6:10].T.reshape(4, 24, 3)
    assert subspace_overlap(modes.vectors, expected).min() > 0.99999
    flat = modes.vectors.reshape(4, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(4), atol=1e-10)
    assert np.abs(flat @ rigid_motions(positions)).max() < 1e-8
    assert np.all(flat[np.arange(4), np.abs(flat).argmax(axis=1)] > 0)


def test_all_modes_of_a_small_network(positions):
    network = UniformSprings(11.0).network(positions)
    modes = normal_modes(network, 66, ShiftInvertLanczos())
    values = np.linalg.eigvalsh(sparse_hessian(network).toarray())
    np.testing.assert_allclose(modes.eigenvalues, values[6:], rtol=1e-9)


def test_a_tetrahedron_vibrates_as_methane_does():
    """Equal masses and springs: E at γ, T2 at 2 γ, A1 at 4 γ (Herzberg 1945)."""
    corners = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    network = UniformSprings(3.0).network(corners)
    modes = normal_modes(network, 6, ShiftInvertLanczos())
    np.testing.assert_allclose(modes.eigenvalues, [1, 1, 2, 2, 2, 4], rtol=1e-9)
    assert collectivity(modes.vectors)[-1] == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", PRODY)
def test_modes_are_those_of_prody(data, name):
    nodes = alpha_carbons(data / name)
    network = UniformSprings(15.0).network(nodes)
    eigenvalues, collective = PRODY[name]
    for solver in (ShiftInvertLanczos(), TwoLevelDavidson()):
        modes = normal_modes(network, 6, solver)
        np.testing.assert_allclose(modes.eigenvalues, eigenvalues, rtol=1e-6)
        np.testing.assert_allclose(collectivity(modes.vectors[:3]), collective, rtol=2e-3)


def test_iterations_find_what_the_factors_find(data):
    """All 1,656 heavy atoms and more of adenylate kinase, 17 coarse blocks."""
    network = UniformSprings(8.0).network(read_atoms(data / "adk" / "1ake.pdb").positions)
    exact = normal_modes(network, 10, ShiftInvertLanczos())
    found = normal_modes(network, 10, TwoLevelDavidson())
    np.testing.assert_allclose(found.eigenvalues, exact.eigenvalues, rtol=1e-6)
    assert subspace_overlap(found.vectors, exact.vectors).min() > 0.9999


def test_adenylate_kinase_opens_along_its_softest_mode(data):
    opened = alpha_carbons(data / "adk" / "4ake.pdb")
    closed = alpha_carbons(data / "adk" / "1ake.pdb")
    modes = normal_modes(UniformSprings(15.0).network(opened), 10, suited_solver(len(opened)))
    change = superposed(closed[None], opened)[0] - opened
    overlap = cumulative_overlap(modes.vectors, change)
    assert overlap[0] > 0.75
    assert overlap[-1] > 0.9
    assert np.all(np.diff(overlap) >= 0)


@each_solver
def test_loose_networks_are_refused(positions, solver):
    apart = np.concatenate([positions, positions + 500])
    with pytest.raises(ValueError, match="loose parts"):
        normal_modes(UniformSprings(11.0).network(apart), 1, solver)
    dangling = np.concatenate([positions, positions.max(axis=0, keepdims=True) + 6])
    with pytest.raises(ValueError, match="loose parts"):
        normal_modes(UniformSprings(11.0).network(dangling), 3, solver)


def test_wrong_sizes_are_refused(positions):
    network = UniformSprings(11.0).network(positions)
    with pytest.raises(ValueError, match="1 to 66 modes"):
        normal_modes(network, 67, ShiftInvertLanczos())
    with pytest.raises(ValueError, match="24 nodes are too few to iterate for 20"):
        normal_modes(network, 20, TwoLevelDavidson())
    line = Network(np.arange(4.0)[:, None] * np.ones(3), np.array([[0, 1]]), np.ones(1))
    with pytest.raises(ValueError, match="lie on no line"):
        normal_modes(line, 1, ShiftInvertLanczos())


def test_collectivity_of_one_node_and_of_all():
    alone = np.zeros((1, 8, 3))
    alone[0, 2, 1] = 1
    together = np.ones((1, 8, 3))
    half = np.where(np.arange(8) < 4, 1.0, 0.0)[None, :, None] * np.ones(3)
    found = collectivity(np.concatenate([alone, together, half]))
    np.testing.assert_allclose(found, [1 / 8, 1, 1 / 2], rtol=1e-12)


def test_overlap_of_spaces_is_the_cosine_of_their_angle():
    frame = np.eye(9).reshape(9, 3, 3)
    turned = np.stack([frame[0], 0.6 * frame[1] + 0.8 * frame[2]])
    np.testing.assert_allclose(subspace_overlap(frame[:2], turned), [1, 0.6], rtol=1e-12)
