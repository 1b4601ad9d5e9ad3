import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.structures.atoms import Atoms, read_atoms
from cryojax_het.structures.elastic import hessian, nearest_nodes, normal_modes
from cryojax_het.structures.superpose import superposed


@pytest.fixture
def positions():
    return np.random.default_rng(4).uniform(0, 18, size=(24, 3))


def test_hessian_is_the_second_derivative_of_the_energy(positions):
    pairs = [(i, j) for i in range(24) for j in range(i)]
    rest = {p: np.linalg.norm(positions[p[0]] - positions[p[1]]) for p in pairs}
    near = [p for p in pairs if rest[p] <= 11.0]
    assert 30 < len(near) < len(pairs)
    i, j = np.array(near).T
    lengths = jnp.asarray([rest[p] for p in near])

    def energy(flat):
        r = flat.reshape(-1, 3)
        return 0.5 * jnp.sum((jnp.linalg.norm(r[i] - r[j], axis=1) - lengths) ** 2)

    expected = jax.hessian(energy)(jnp.asarray(positions).ravel())
    np.testing.assert_allclose(hessian(positions, 11.0), expected, atol=1e-12)


def test_modes_are_the_soft_end_of_a_dense_eigenproblem(positions):
    values, vectors = np.linalg.eigh(hessian(positions, 11.0))
    modes = normal_modes(positions, 4, 11.0)
    np.testing.assert_allclose(modes.eigenvalues, values[6:10], rtol=1e-9)
    assert np.abs(values[:6]).max() < 1e-10
    overlap = np.einsum("ki,ik->k", modes.vectors.reshape(4, -1), vectors[:, 6:10])
    np.testing.assert_allclose(np.abs(overlap), 1, atol=1e-9)


def test_loose_networks_and_wrong_sizes_are_refused(positions):
    apart = np.concatenate([positions, positions + 500])
    with pytest.raises(ValueError, match="loose parts at a cutoff of 11 Å"):
        normal_modes(apart, 1, 11.0)
    with pytest.raises(ValueError, match="Got 3001"):
        normal_modes(np.zeros((3001, 3)), 1)
    with pytest.raises(ValueError, match="1 to 66 modes"):
        normal_modes(positions, 67)


def test_atoms_follow_the_node_of_their_residue():
    x = np.array([8.5, 1, 9, 10, 9.5, 2])
    atoms = Atoms(
        positions=np.stack([x, 0 * x, 0 * x], axis=1),
        atomic_numbers=np.full(6, 6),
        b_factors=np.zeros(6),
        occupancies=np.ones(6),
        chains=np.array(list("AAAABB")),
        residues=np.array([1, 1, 2, 2, 1, 1]),
        names=np.array(["N", "CA", "CA", "C", "ZN", "ZN"]),
    )
    # The first atom is nearest to another residue's node; chain B has none and takes the nearest.
    assert nearest_nodes(atoms, np.array([1, 2])).tolist() == [0, 0, 1, 1, 1, 0]


def test_adenylate_kinase_opens_along_its_softest_mode(data):
    """ProDy, where it is installed; the closed structure in any case."""
    opened, closed = (read_atoms(data / "adk" / name) for name in ("4ake.pdb", "1ake.pdb"))
    nodes = np.flatnonzero(opened.names == "CA")
    modes = normal_modes(opened.positions[nodes], 5)
    change = superposed(closed.positions[None, nodes], opened.positions[nodes])[0]
    change -= opened.positions[nodes]
    overlap = np.abs(np.einsum("knx,nx->k", modes.vectors, change)) / np.linalg.norm(change)
    assert overlap.argmax() == 0
    assert overlap[0] > 0.75
    prody = pytest.importorskip("prody")
    prody.confProDy(verbosity="none")
    theirs = prody.ANM()
    theirs.buildHessian(opened.positions[nodes], cutoff=15.0)
    theirs.calcModes(5)
    np.testing.assert_allclose(modes.eigenvalues, theirs.getEigvals(), rtol=1e-6)
