"""What settings make: which atoms, where, in which states."""

from dataclasses import replace
from pathlib import Path

import gemmi
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.simulate.base import AbstractMolecule
from cryojax_het.simulate.motion_settings import (
    Anchor,
    AtomSettings,
    CompositionSettings,
    HingeSettings,
    ModeSettings,
    MorphSettings,
    MotionSettings,
    Part,
    RingSettings,
    SubunitSettings,
    TrajectorySettings,
)
from cryojax_het.simulate.settings import Simulation
from cryojax_het.simulate.specimen import is_exact, make_specimen
from cryojax_het.structures.selection import Selection

COUNT = 10


def write_models(path, frames):
    structure = gemmi.Structure()
    for number, positions in enumerate(frames):
        model, chain = gemmi.Model(number + 1), gemmi.Chain("A")
        for row, position in enumerate(positions):
            residue, atom = gemmi.Residue(), gemmi.Atom()
            residue.name, residue.seqid = "ALA", gemmi.SeqId(row + 1, " ")
            atom.name, atom.element = "CA", gemmi.Element("C")
            atom.pos = gemmi.Position(*position)
            residue.add_atom(atom)
            chain.add_residue(residue)
        model.add_chain(chain)
        structure.add_model(model)
    structure.write_pdb(str(path))


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(COUNT, 3)) * 8 + [50, 60, 70]
    return np.round(first + np.cumsum(rng.normal(size=(3, COUNT, 3)), axis=0), 3)


@pytest.fixture
def settings(tmp_path, frames):
    write_models(tmp_path / "models.pdb", frames)

    def make(motion=None, **changes):
        plain = Simulation(
            output=Path("out"),
            source=Path("models.pdb"),
            data_dir=tmp_path,
            size=32,
            pixel_size=4.0,
        )
        return replace(plain, motion=motion or MotionSettings(), **changes)

    return make


def positions(specimen, row):
    volume = specimen.scene.volume
    assert isinstance(volume, AbstractMolecule)
    return np.asarray(volume.conformer(jnp.asarray(specimen.states.conformation[row])).positions)


def anchor(*residues):
    return Anchor(select=(Selection(residues=residues),))


def test_without_motion_the_first_model_is_rigid(settings, frames):
    specimen = make_specimen(settings())
    assert len(specimen.states) == 1
    assert is_exact(specimen.scene)
    expected = frames[0] - frames[0].mean(axis=0)
    np.testing.assert_allclose(positions(specimen, 0), expected, atol=1e-3)


@pytest.mark.parametrize(
    "motion",
    [MotionSettings(morph=MorphSettings()), MotionSettings(trajectory=TrajectorySettings())],
)
def test_all_frames_share_one_centre(settings, frames, motion):
    specimen = make_specimen(settings(motion))
    assert len(specimen.states) == 3
    centre = frames[0].mean(axis=0)
    for row in range(3):
        np.testing.assert_allclose(positions(specimen, row), frames[row] - centre, atol=1e-3)


def test_stride_and_number_of_states(settings):
    strided = MotionSettings(trajectory=TrajectorySettings(stride=2))
    assert make_specimen(settings(strided)).states.conformation.tolist() == [[0.0], [2.0]]
    finer = MotionSettings(morph=MorphSettings(states=9))
    conformation = make_specimen(settings(finer)).states.conformation
    np.testing.assert_allclose(conformation[:, 0], np.linspace(0, 1, 9))


def test_superposed_frames_are_nearer(settings, frames):
    apart = lambda motion: np.linalg.norm(
        np.subtract(*(positions(make_specimen(settings(motion)), row) for row in (0, 2)))
    )
    plain = MotionSettings(morph=MorphSettings())
    assert apart(replace(plain, atoms=AtomSettings(superpose=True))) < 0.98 * apart(plain)


def test_hinge_about_atoms_or_places_of_the_file(settings, frames):
    by_atoms = HingeSettings(
        moving=(Selection(residues=(6, 8)), Selection(residues=(10, 10))),
        start=anchor(1, 2),
        end=anchor(4, 4),
        range=(0.0, 90.0),
        states=4,
    )
    start, end = np.round(frames[0][:2].mean(axis=0), 6), frames[0][3]
    places = [Anchor(point=tuple(map(float, point))) for point in (start, end)]
    by_places = replace(by_atoms, start=places[0], end=places[1])
    centre = frames[0].mean(axis=0)
    turn = Rotation.from_rotvec(np.deg2rad(60) * (end - start) / np.linalg.norm(end - start))
    rows = [5, 6, 7, 9]
    expected = frames[0].copy()
    expected[rows] = turn.apply(frames[0][rows] - start) + start
    for one in (by_atoms, by_places):
        specimen = make_specimen(settings(MotionSettings(hinges=(one,))))
        assert specimen.states.conformation[2] == pytest.approx(np.deg2rad(60))
        np.testing.assert_allclose(positions(specimen, 2), expected - centre, atol=2e-3)
    flat = replace(by_atoms, end=by_atoms.start)
    with pytest.raises(ValueError, match="starts and ends at the same point"):
        make_specimen(settings(MotionSettings(hinges=(flat,))))


def test_modes_hinges_and_composition_make_one_grid(settings):
    turn = HingeSettings(
        moving=(Selection(residues=(8, 10)),),
        start=anchor(1, 1),
        end=anchor(5, 5),
        range=(0.0, 360.0),
        states=4,
        periodic=True,
    )
    subunit = SubunitSettings(name="tail", select=(Selection(residues=(9, 10)),))
    motion = MotionSettings(
        modes=ModeSettings(ranges=((-1.0, 1.0),), states=(3,), cutoff=40.0),
        hinges=(turn,),
        composition=CompositionSettings(subunits=(subunit,), assemblies=((), ("tail",))),
    )
    specimen = make_specimen(settings(motion))
    assert [c.name for c in specimen.states.coordinates] == ["mode1", "hinge", "assembly"]
    assert specimen.states.conformation.shape == (24, 3)
    np.testing.assert_allclose(specimen.states.conformation[-1], [1.0, 1.5 * np.pi, 1.0])
    volume = specimen.scene.volume
    assert isinstance(volume, AbstractMolecule)
    for assembly, share in ((0.0, 0.0), (1.0, 1.0)):
        occupancies = volume.conformer(jnp.array([0.0, 0.0, assembly])).occupancies
        np.testing.assert_allclose(occupancies, [1.0] * 8 + [share] * 2)
    rest, deformed = (volume.conformer(jnp.array([b, 0.0, 1.0])).positions for b in (0.0, 1.0))
    assert np.sqrt(np.sum((rest - deformed) ** 2) / COUNT) == pytest.approx(1.0, rel=1e-6)


def test_parts_are_placed_beside_the_source(settings, frames):
    part = Part(path=Path("models.pdb"), rotation=(0.0, 0.0, 90.0), centre=(60.0, 60.0, 70.0))
    specimen = make_specimen(settings(MotionSettings(atoms=AtomSettings(parts=(part,)))))
    x, y, z = (frames[0] - frames[0].mean(axis=0)).T
    placed = np.stack([60 - y, 60 + x, 70 + z], axis=1)
    both = np.concatenate([frames[0], placed])
    np.testing.assert_allclose(positions(specimen, 0), both - both.mean(axis=0), atol=2e-3)


def test_a_state_outside_the_box_is_refused(settings):
    swing = HingeSettings(
        moving=(Selection(residues=(10, 10)),),
        start=Anchor(point=(200.0, 60.0, 70.0)),
        end=Anchor(point=(200.0, 60.0, 71.0)),
        range=(0.0, 180.0),
        states=3,
    )
    with pytest.raises(ValueError, match=r"in the state .* the box ends at 64 Å"):
        make_specimen(settings(MotionSettings(hinges=(swing,))))


def test_the_ring_closes(settings):
    made = make_specimen(
        settings(MotionSettings(ring=RingSettings(states=10)), source=None, size=64)
    )
    assert made.states.coordinates[0].period == pytest.approx(2 * np.pi)
    np.testing.assert_allclose(made.states.conformation[:, 0], np.arange(10) * np.pi / 5)
    steps = [positions(made, (row + 1) % 10) - positions(made, row) for row in range(10)]
    lengths = np.linalg.norm(steps, axis=(1, 2))
    np.testing.assert_allclose(lengths, lengths[0], rtol=1e-9)
    with pytest.raises(ValueError, match="leave out `source`"):
        make_specimen(settings(MotionSettings(ring=RingSettings())))


def test_what_cannot_move_is_refused(settings):
    morph = MotionSettings(morph=MorphSettings())
    for source, name in ((None, "by formula"), (Path("some.mrc"), "A map")):
        with pytest.raises(ValueError, match=name):
            make_specimen(settings(morph, source=source))
    with pytest.raises(ValueError, match="neither a structure nor a map"):
        make_specimen(settings(source=Path("some.txt")))
    with pytest.raises(ValueError, match=r"motion\.atoms\.topology"):
        make_specimen(settings(morph, source=Path("some.dcd")))


def test_wrong_settings():
    with pytest.raises(ValueError, match="range of 360"):
        HingeSettings(
            moving=(), start=anchor(1, 1), end=anchor(2, 2), range=(0.0, 180.0), periodic=True
        )
    with pytest.raises(ValueError, match="`select` or `point`"):
        Anchor()
    with pytest.raises(ValueError, match="unknown subunit `S9`"):
        CompositionSettings(subunits=(), assemblies=(("S9",),))
    with pytest.raises(ValueError, match="one entry per mode"):
        ModeSettings(ranges=((0.0, 1.0),), states=(2, 3))
    with pytest.raises(ValueError, match="not both"):
        MotionSettings(morph=MorphSettings(), trajectory=TrajectorySettings())
    with pytest.raises(ValueError, match="Got 0"):
        TrajectorySettings(stride=0)
