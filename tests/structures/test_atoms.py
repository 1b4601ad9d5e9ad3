import gzip

import gemmi
import numpy as np
import pytest

from cryojax_het.structures.atoms import read_atoms

PDB = """\
ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00 10.50           N
ATOM      2  CA AALA A   1      11.639   6.071  -5.147  0.60 20.00           C
ATOM      3  CA BALA A   1      11.739   6.171  -5.047  0.40 30.00           C
ATOM      4  SG  CYS B   7       1.000  -2.000   3.500  1.00 15.00           S
HETATM    5 FE   HEM B 200      -4.000   5.000   6.000  1.00 12.00          FE
HETATM    6  O   HOH A 301       0.000   0.000   0.000  1.00 40.00           O
END
"""


@pytest.fixture
def pdb(tmp_path):
    path = tmp_path / "small.pdb"
    path.write_text(PDB)
    return path


def test_columns_are_those_of_the_text(pdb):
    atoms = read_atoms(pdb)
    assert len(atoms) == 5  # the water is left out
    np.testing.assert_allclose(atoms.positions[3], [1.0, -2.0, 3.5])
    assert atoms.atomic_numbers.tolist() == [7, 6, 6, 16, 26]
    assert atoms.b_factors.tolist() == [10.5, 20, 30, 15, 12]
    np.testing.assert_allclose(atoms.occupancies, [1, 0.6, 0.4, 1, 1], rtol=1e-6)
    assert atoms.chains.tolist() == ["A", "A", "A", "B", "B"]
    assert atoms.residues.tolist() == [1, 1, 1, 7, 200]
    assert atoms.residue_names.tolist() == ["ALA", "ALA", "ALA", "CYS", "HEM"]
    assert atoms.names.tolist() == ["N", "CA", "CA", "SG", "FE"]


@pytest.mark.parametrize("ending", [".cif", ".pdb.gz", ".cif.gz"])
def test_other_formats_hold_the_same(pdb, tmp_path, ending):
    structure = gemmi.read_structure(str(pdb))
    structure.setup_entities()
    text = structure.make_mmcif_document().as_string() if "cif" in ending else PDB
    path = tmp_path / f"other{ending}"
    with gzip.open(path, "wt") if ending.endswith("gz") else open(path, "w") as file:
        file.write(text)
    ours, other = read_atoms(pdb), read_atoms(path)
    order = [np.lexsort(a.positions.T) for a in (ours, other)]
    np.testing.assert_allclose(other.positions[order[1]], ours.positions[order[0]], atol=1e-3)
    assert (other.atomic_numbers[order[1]] == ours.atomic_numbers[order[0]]).all()


def test_molecules_of_one_chain_keep_their_residues(tmp_path):
    line = "ATOM  {0:5d}  {1:3s} ALA A{2:4d}    {0:8.3f}   0.000   0.000  1.00 10.00           C\n"
    atoms = [(1, "CA", 1), (2, "CB", 1), (3, "CA", 2), (4, "CA", 1), (5, "CB", 1), (6, "CA", 2)]
    text = [line.format(*atom) for atom in atoms]
    path = tmp_path / "two.pdb"
    path.write_text("".join([*text[:3], "TER\n", *text[3:], "END\n"]))
    ours = read_atoms(path)
    assert ours.positions[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert ours.residues.tolist() == [1, 1, 2, 1, 1, 2]
    assert set(ours.chains) == {"A"}


def test_order_is_that_of_the_file(data):
    """Sugars come last in the text, in chains A and B; one chain holds the whole ribosome."""
    for name, count in (("antibody/1hzh.pdb", 10576), ("ribosome/powerfit_ribosome.pdb.gz", 48800)):
        path = data / name
        opener = gzip.open if name.endswith("gz") else open
        with opener(path, "rt") as file:
            lines = [ln for ln in file if ln.startswith(("ATOM", "HETATM")) and ln[17:20] != "HOH"]
        text = np.array([[float(ln[i : i + 8]) for i in (30, 38, 46)] for ln in lines])
        assert len(text) == count
        np.testing.assert_allclose(read_atoms(path).positions, text, atol=1e-4)


def test_centred_take_and_b_factor(pdb):
    atoms = read_atoms(pdb)
    np.testing.assert_allclose(atoms.centred().positions.mean(axis=0), 0, atol=1e-12)
    assert atoms.take(atoms.chains == "B").names.tolist() == ["SG", "FE"]
    assert set(atoms.with_b_factor(7.0).b_factors) == {7.0}


def test_errors_name_file_and_remedy(pdb, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pdb"):
        read_atoms(tmp_path / "absent.pdb")
    with pytest.raises(ValueError, match="1 models"):
        read_atoms(pdb, model=2)
    pdb.write_text(PDB.splitlines()[5] + "\n")
    with pytest.raises(ValueError, match="no atoms"):
        read_atoms(pdb)
    pdb.write_text(PDB.splitlines()[0][:76] + " X\n")
    with pytest.raises(ValueError, match=r"atom 1 .*element"):
        read_atoms(pdb)


def test_antibody(data):
    atoms = read_atoms(data / "antibody" / "1hzh.pdb")
    assert len(atoms) == 10576
    assert set(atoms.chains) >= {"H", "K", "L", "M"}
