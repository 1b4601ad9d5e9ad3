import gemmi
import numpy as np
import pytest

from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.frames import Frames, read_models
from cryojax_het.structures.selection import segment_numbers
from cryojax_het.structures.trajectory import read_trajectory
from cryojax_het.structures.write_models import write_mmcif, write_pdb
from cryojax_het.structures.write_trajectory import write_dcd

COLUMNS = ("chains", "residues", "residue_names", "names", "atomic_numbers")


@pytest.fixture
def frames(data):
    """Adenylate kinase at four places."""
    atoms = read_atoms(data / "adk" / "1ake.pdb")
    steps = np.linspace(0, 3, 4)[:, None, None] * np.array([0.5, -1.0, 0.25])
    return Frames(atoms=atoms, positions=atoms.positions + steps)


def same(first, second, columns=COLUMNS):
    return all((getattr(first, name) == getattr(second, name)).all() for name in columns)


@pytest.mark.parametrize(
    ("write", "name"), [(write_mmcif, "m.cif"), (write_pdb, "m.pdb")], ids=["mmcif", "pdb"]
)
def test_models_read_back_are_those_written(frames, tmp_path, write, name):
    write(tmp_path / name, frames)
    found = read_models(tmp_path / name)
    assert same(found.atoms, frames.atoms)
    np.testing.assert_allclose(found.positions, frames.positions, atol=6e-4)
    np.testing.assert_allclose(found.atoms.b_factors, frames.atoms.b_factors, atol=6e-3)
    np.testing.assert_allclose(found.atoms.occupancies, frames.atoms.occupancies, atol=6e-3)
    structure = gemmi.read_structure(str(tmp_path / name))
    assert [model.num for model in structure] == [1, 2, 3, 4]
    # A polymer, so that viewers draw a ribbon.
    assert len(structure[0][0].get_polymer()) == 214


ALTERNATIVES = """\
ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00 10.50           N
ATOM      2  CA AALA A   1      11.639   6.071  -5.147  0.60 20.00           C
ATOM      3  CA BALA A   1      11.739   6.171  -5.047  0.40 30.00           C
ATOM      4  CB AALA A   1      12.000   7.000  -5.000  0.60 15.00           C
ATOM      5  CB BALA A   1      12.100   7.100  -5.100  0.40 15.00           C
HETATM    6 FE   HEM B 200      -4.000   5.000   6.000  1.00 12.00          FE
"""


def test_lines_of_a_pdb_file_come_back(tmp_path):
    """Marks of alternative conformations, hetero atoms and all other columns."""
    (tmp_path / "first.pdb").write_text(ALTERNATIVES)
    atoms = read_atoms(tmp_path / "first.pdb")
    write_pdb(tmp_path / "m.pdb", Frames(atoms=atoms, positions=atoms.positions[None]))
    lines = (tmp_path / "m.pdb").read_text().splitlines()
    kept = [line[12:78] for line in lines if line.startswith(("ATOM", "HETATM"))]
    assert kept == [line[12:78] for line in ALTERNATIVES.splitlines()]
    assert sum(line.startswith("HETATM") for line in lines) == 1


@pytest.mark.parametrize("write", [write_mmcif, write_pdb], ids=["mmcif", "pdb"])
def test_molecules_of_one_chain_name_stay_apart(data, tmp_path, write):
    """The ribosome: twenty-one molecules in one chain."""
    atoms = read_atoms(data / "ribosome" / "powerfit_ribosome.pdb.gz")
    few = atoms.take(np.flatnonzero((atoms.names == "CA") | (atoms.names == "P")))
    path = tmp_path / ("r.cif" if write is write_mmcif else "r.pdb")
    write(path, Frames(atoms=few, positions=few.positions[None]))
    found = read_atoms(path)
    np.testing.assert_array_equal(segment_numbers(found), segment_numbers(few))
    assert same(found, few, [name for name in COLUMNS if name != "chains"])
    np.testing.assert_allclose(found.positions, few.positions, atol=6e-4)


def test_dcd_read_back_by_mdtraj(frames, tmp_path):
    mdtraj = pytest.importorskip("mdtraj")
    whole = np.flatnonzero(frames.atoms.occupancies == 1)
    frames = frames.take(whole)
    write_dcd(tmp_path / "t.dcd", frames)
    write_pdb(tmp_path / "t.pdb", Frames(atoms=frames.atoms, positions=frames.positions[:1]))
    held = mdtraj.load(str(tmp_path / "t.dcd"), top=str(tmp_path / "t.pdb"))
    np.testing.assert_allclose(10 * held.xyz, frames.positions, atol=1e-4)
    found = read_trajectory(tmp_path / "t.dcd", tmp_path / "t.pdb")
    np.testing.assert_allclose(found.positions, frames.positions, atol=1e-4)
    assert same(found.atoms, frames.atoms)


def test_what_a_pdb_file_has_no_room_for(frames, tmp_path):
    wide = Frames(atoms=frames.atoms, positions=frames.positions + 2000)
    with pytest.raises(ValueError, match="write mmCIF"):
        write_pdb(tmp_path / "wide.pdb", wide)
    write_mmcif(tmp_path / "wide.cif", wide)
    np.testing.assert_allclose(
        read_models(tmp_path / "wide.cif").positions, wide.positions, atol=6e-4
    )
