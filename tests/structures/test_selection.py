import numpy as np
import pytest

from cryojax_het.structures.atoms import Atoms, read_atoms
from cryojax_het.structures.selection import Selection, segment_numbers, select


@pytest.fixture
def atoms():
    residues = np.array([5, 5, 6, 9, 2, 3, 3, 1])
    return Atoms(
        positions=np.zeros((8, 3)),
        atomic_numbers=np.full(8, 6),
        b_factors=np.zeros(8),
        occupancies=np.ones(8),
        chains=np.array(list("AAAAAABB")),
        residues=residues,
        residue_names=np.full(8, "ALA"),
        names=np.array(["N", "CA", "CA", "CA", "CA", "P", "N", "CA"]),
    )


def test_conditions_are_joined_by_and_selections_by_or(atoms):
    rows = lambda *selections: np.flatnonzero(select(atoms, selections)).tolist()
    assert rows(Selection(chains=("B",))) == [6, 7]
    assert rows(Selection(residues=(3, 6))) == [0, 1, 2, 5, 6]
    assert rows(Selection(residues=(3, 6), names=("N", "P"))) == [0, 5, 6]
    assert rows(Selection(chains=("B",)), Selection(names=("P",))) == [5, 6, 7]
    assert rows(Selection()) == list(range(8))


def test_segments_start_where_the_chain_changes_or_numbers_fall(atoms):
    assert segment_numbers(atoms).tolist() == [0, 0, 0, 0, 1, 1, 2, 3]
    assert np.flatnonzero(Selection(segments=(1, 3)).mask(atoms)).tolist() == [4, 5, 7]


def test_a_selection_of_nothing_says_what_there_is(atoms):
    with pytest.raises(
        ValueError, match=r"names \('ZN',\).*chains A \(2 to 9\), B \(1 to 3\).*4 seg"
    ):
        select(atoms, [Selection(names=("CA",)), Selection(names=("ZN",))])
    with pytest.raises(ValueError, match="At least one selection"):
        select(atoms, [])


def test_antibody_arm(data):
    """Counted in the text of the file."""
    path = data / "antibody" / "1hzh.pdb"
    count = 0
    for line in path.read_text().splitlines():
        if line.startswith(("ATOM", "HETATM")) and line[17:20] != "HOH":
            number = int(line[22:26])
            count += line[21] == "L" or (line[21] == "H" and number <= 239)
    arm = (Selection(chains=("L",)), Selection(chains=("H",), residues=(-99, 239)))
    assert select(read_atoms(path), arm).sum() == count == 3468


def test_ribosome_splits_into_rna_and_twenty_proteins(data):
    atoms = read_atoms(data / "ribosome" / "powerfit_ribosome.pdb.gz")
    number = segment_numbers(atoms)
    assert number[-1] + 1 == 21
    has_phosphorus = [15 in atoms.atomic_numbers[number == n] for n in range(21)]
    assert has_phosphorus == [True] + 20 * [False]
    assert np.bincount(number)[:3].tolist() == [30262, 1704, 1624]
