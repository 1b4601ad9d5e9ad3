import numpy as np

from cryojax_het.structures.atoms import Atoms
from cryojax_het.structures.nearest_nodes import nearest_nodes


def test_atoms_follow_the_node_of_their_residue():
    x = np.array([8.5, 1, 9, 10, 9.5, 2])
    atoms = Atoms(
        positions=np.stack([x, 0 * x, 0 * x], axis=1),
        atomic_numbers=np.full(6, 6),
        b_factors=np.zeros(6),
        occupancies=np.ones(6),
        chains=np.array(list("AAAABB")),
        residues=np.array([1, 1, 2, 2, 1, 1]),
        residue_names=np.full(6, "ALA"),
        names=np.array(["N", "CA", "CA", "C", "ZN", "ZN"]),
    )
    # The first atom is nearest to another residue's node; chain B has none and takes the nearest.
    assert nearest_nodes(atoms, np.array([1, 2])).tolist() == [0, 0, 1, 1, 1, 0]
    assert nearest_nodes(atoms, np.array([2, 1])).tolist() == [1, 1, 0, 0, 0, 1]
