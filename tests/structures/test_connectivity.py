import itertools

import numpy as np
import pytest

from cryojax_het.structures.connectivity import connectivity


def brute_force(bonds, count):
    joined = {(int(i), int(j)) for i, j in bonds} | {(int(j), int(i)) for i, j in bonds}
    paths = lambda n: {
        p
        for p in itertools.permutations(range(count), n)
        if p[0] < p[-1] and all(step in joined for step in itertools.pairwise(p))
    }
    return paths(2), paths(3), paths(4)


def forwards(rows):
    """Each path from its lower end, of which there must be no two alike."""
    found = [tuple(r) if r[0] < r[-1] else tuple(r[::-1]) for r in rows.tolist()]
    assert len(set(found)) == len(found)
    return set(found)


@pytest.mark.parametrize("seed", range(3))
def test_paths_are_those_of_brute_force(seed):
    """Random graphs, with rings of three and four."""
    rng = np.random.default_rng(seed)
    bonds = np.argwhere(np.triu(rng.uniform(size=(9, 9)) < 0.3, 1))
    found = connectivity(bonds[rng.permutation(len(bonds))])
    two, three, four = brute_force(bonds, 9)
    assert forwards(found.bonds) == two
    assert forwards(found.angles) == three
    assert forwards(found.torsions) == four
    assert forwards(found.near) == {(p[0], p[-1]) for p in two | three | four}


def test_a_chain():
    row = np.arange(5)
    found = connectivity(np.stack([row[:-1], row[1:]], axis=1))
    assert found.angles.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert found.torsions.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4]]
    assert [0, 4] not in found.near.tolist()
    assert len(found.near) == 9


def test_a_bond_given_twice_and_none_at_all():
    assert len(connectivity(np.array([[1, 0], [0, 1]])).bonds) == 1
    none = connectivity(np.zeros((0, 2), np.int64))
    assert [rows.shape for rows in none] == [(0, 2), (0, 3), (0, 4), (0, 2)]


def test_reordered_atoms_keep_their_bonds():
    bonds = np.array([[0, 1], [1, 2], [2, 3]])
    order = np.array([2, 0, 3, 1])  # atom 2 is now first
    found = connectivity(bonds).in_order(order)
    moved = connectivity(np.sort(np.argsort(order)[bonds], axis=1))
    assert forwards(found.torsions) == forwards(moved.torsions)
    assert forwards(found.angles) == forwards(moved.angles)
    assert forwards(found.near) == forwards(moved.near)
    assert (found.bonds[:, 0] < found.bonds[:, 1]).all()
