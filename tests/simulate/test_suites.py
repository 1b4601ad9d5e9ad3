"""The public suite: every file is read, and makes the molecule and the states that it names."""

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree

from cryojax_het.commands.settings import from_table
from cryojax_het.results.config import read_toml
from cryojax_het.simulate.base import AbstractMolecule
from cryojax_het.simulate.settings import Simulation
from cryojax_het.simulate.specimen import make_specimen
from cryojax_het.structures.atoms import read_atoms
from cryojax_het.structures.superpose import superposed

SUITES = Path(str(files("cryojax_het.simulate"))) / "suites"
# Images, pixels, Å, SNR, states, coordinates, most to least populated.
EXPECTED = {
    "CaM-1D": (12000, 64, 1.75, 0.1, 60, 1, 1),
    "AdK-DIMS": (20000, 64, 1.75, 0.1, 98, 1, None),
    "IgG-1D": (20000, 64, 4.0, 0.05, 100, 1, 1),
    "IgG-1D-noisy": (20000, 64, 4.0, 0.01, 100, 1, 1),
    "Hsp90-2D": (20000, 64, 2.75, 0.1, 400, 2, 52),
    "30S-comp": (16000, 64, 5.0, 0.1, 8, 1, 10),
    "Rigid-null": (5000, 64, 1.75, 0.1, 1, 0, 1),
    "hinge": (10000, 64, 4.0, 0.1, 100, 1, 1),
    "ring": (10000, 64, 4.0, 0.1, 100, 1, 1),
}
NO_DATA = ("hinge", "ring")


def table(name):
    return read_toml(SUITES / f"{name}.toml")


def specimen(name, data):
    settings = from_table(Simulation, table(name) | {"data_dir": str(data)}, SUITES / name)
    if name == "AdK-DIMS":
        pytest.importorskip("mdtraj")
    return make_specimen(settings)


def conformer(made, row):
    volume = made.scene.volume
    assert isinstance(volume, AbstractMolecule)
    return volume.conformer(jnp.asarray(made.states.conformation[row]))


def test_nine_suites():
    assert {path.stem for path in SUITES.glob("*.toml")} == set(EXPECTED)


def test_each_has_its_own_seed_and_the_same_microscope():
    tables = [table(name) for name in EXPECTED]
    assert len({t["seed"] for t in tables}) == len(tables)
    assert all(t["ctf"] == tables[0]["ctf"] for t in tables)
    assert {(t["b_factor"], t["shift"]) for t in tables} == {(100.0, 0.05)}
    assert all(t["output"] == name for t, name in zip(tables, EXPECTED, strict=True))


@pytest.mark.parametrize("name", EXPECTED)
def test_states_are_as_described(name, request):
    data = Path() if name in NO_DATA else request.getfixturevalue("data")
    made = specimen(name, data)  # raises where a state leaves the box
    held = table(name)
    count, size, pixel, snr, states, coordinates, ratio = EXPECTED[name]
    assert [held[k] for k in ("count", "size", "pixel_size", "snr")] == [count, size, pixel, snr]
    assert made.states.conformation.shape == (states, coordinates)
    share = made.states.population
    assert share.sum() == pytest.approx(1, abs=1e-12)
    if ratio is not None:
        assert share.max() / share.min() == pytest.approx(ratio)
    # Room for the largest shift.
    middle = conformer(made, states // 2)
    reach = np.linalg.norm(middle.positions, axis=1)[np.asarray(middle.occupancies) > 0].max()
    assert reach + 0.05 * size * pixel < size * pixel / 2


def test_adenylate_kinase_has_two_basins(data):
    share = specimen("AdK-DIMS", data).states.population
    peaks = [n for n in range(1, 97) if share[n] > max(share[n - 1], share[n + 1])]
    assert peaks == [18, 76]
    assert share[45] < 0.05 * share.max()


def close_pairs(points, one, other, nearest):
    """Indices of atoms of `one` and of `other` that are nearer to each other than `nearest`."""
    rows, columns = np.flatnonzero(one), np.flatnonzero(other)
    near = cKDTree(points[rows]).query_ball_tree(cKDTree(points[columns]), nearest)
    pairs = [(rows[i], columns[j]) for i, found in enumerate(near) for j in found]
    return np.array(pairs, int).reshape(-1, 2).T


def test_antibody_turns_by_its_arm_without_clashes(data):
    """Arm and rest touch at every angle in the hinge alone, where the two heavy chains lie side by
    side about the axis."""
    made = specimen("IgG-1D", data)
    atoms = read_atoms(data / "antibody" / "1hzh.pdb")
    rest, moved = (np.asarray(conformer(made, row).positions) for row in (0, 37))
    arm = np.linalg.norm(moved - rest, axis=1) > 1e-9
    assert abs(arm.sum() - 3468) < 15  # less those on the axis
    hinge = np.isin(atoms.chains, ["H", "K"]) & (abs(atoms.residues - 236) <= 4)
    for row in range(0, 100, 4):
        positions = np.asarray(conformer(made, row).positions)
        one, other = close_pairs(positions, arm, ~arm, 2.5)
        assert len(one) > 0  # the bonds of the chain itself
        assert hinge[one].all()
        assert hinge[other].all()


def hsp90_atoms(data):
    """Names, residues, and which atoms are of chain B."""
    chains = [read_atoms(data / "hsp90" / f"mono{c}.pdb") for c in "AB"]
    names = np.concatenate([c.names for c in chains])
    residues = np.concatenate([c.residues for c in chains])
    return names, residues, np.arange(len(names)) >= len(chains[0])


def test_hsp90_opens_as_its_published_models(data):
    """All 20 Cα models of the opening are states of the suite: those of the first bending."""
    made = specimen("Hsp90-2D", data)
    names, residues, _ = hsp90_atoms(data)
    kept = (names == "CA") & (residues >= 12)  # the models lack ten residues of each chain
    models = np.load(data / "hsp90" / "hsp90_models_20x3x1207_float32.npy").transpose(0, 2, 1)
    for number, model in enumerate(models.astype(float)):
        ours = np.asarray(conformer(made, 20 * number).positions)[kept]
        error = np.linalg.norm(superposed(ours[None], model)[0] - model, axis=1)
        assert error.max() < 0.01


def test_hsp90_has_no_clash_away_from_its_joints(data):
    """Rigid turns bring atoms of joints together, those of the published models too; but nothing
    passes through anything else."""
    made = specimen("Hsp90-2D", data)
    names, residues, second = hsp90_atoms(data)
    bent = second & (residues <= 442)
    dimer, elbow = residues >= 590, second & (residues >= 409) & (residues <= 508)
    # The loop 597 of chain A meets the bent arm where the dimer is most closed.
    meets = bent & (residues >= 330) & (residues <= 335)
    ends = residues <= 12
    for row in (0, 19, 190, 210, 380, 399):
        points = np.asarray(conformer(made, row).positions)
        one, other = close_pairs(points, ~second, second, 2.5)
        assert np.all((dimer[one] & (dimer | meets)[other]) | (ends[one] & ends[other]))
        one, other = close_pairs(points, bent, second & ~bent, 2.5)
        assert elbow[one].all()
        assert elbow[other].all()
        alpha = names == "CA"
        one, _ = close_pairs(points, alpha & ~second, alpha & second, 3.1)
        assert not len(one)


def test_assemblies_are_nested_and_the_last_has_ksga(data):
    made = specimen("30S-comp", data)
    present = [np.asarray(conformer(made, row).occupancies) > 0 for row in range(8)]
    counts = [p.sum() for p in present]
    assert counts[0] == 30262
    assert counts[6] == 48800
    assert counts[7] == 50749
    for fewer, more in pairwise(present):
        assert not (fewer & ~more).any()
    points = np.asarray(conformer(made, 7).positions)
    factor = np.arange(50749) >= 48800
    near = cKDTree(points[~factor]).query(points[factor])[0]
    assert 3.0 < near.min() < 5.0
    assert not present[6][factor].any()
