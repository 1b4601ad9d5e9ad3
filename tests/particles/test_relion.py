"""RELION tables: every file of the data folder against plain splitting, and every fault."""

from pathlib import Path

import numpy as np
import pytest

from cryojax_het.particles.euler import euler_to_matrix
from cryojax_het.particles.relion import read_relion
from cryojax_het.particles.stack import ReadOptions
from cryojax_het.particles.stack_source import StackSource
from cryojax_het.particles.stack_writer import StackWriter

_OPTICS = """
data_optics

loop_
_rlnOpticsGroup
_rlnOpticsGroupName
_rlnVoltage
_rlnSphericalAberration
_rlnAmplitudeContrast
_rlnImagePixelSize
_rlnImageSize
_rlnBeamTiltX
_rlnBeamTiltY
_rlnMagMat00
_rlnMagMat01
_rlnMagMat10
_rlnMagMat11
7 krios 300 2.7 0.1 1.5 4 0.5 -0.25 1.01 0.02 0.03 0.99
3 polara 200 2.0 0.07 2.0 4 0 0 1 0 0 1
"""
_PARTICLES = """
data_particles

loop_
_rlnImageName
_rlnOpticsGroup
_rlnDefocusU
_rlnDefocusV
_rlnDefocusAngle
_rlnAngleRot
_rlnAngleTilt
_rlnAnglePsi
_rlnOriginXAngst
_rlnOriginYAngst
_rlnRandomSubset
2@a.mrcs 3 10000 9000 30 10 20 30 1.5 -3 2
1@a.mrcs 7 12000 11000 -15 40 50 60 0 2 1
"""


def _read(folder: Path, text: str, **options) -> StackSource:
    (folder / "p.star").write_text(text)
    return read_relion(folder / "p.star", ReadOptions(**options))


def _plain(path: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Particles and optics columns by plain splitting."""
    loops: list[dict[str, list[str]]] = []
    for line in path.read_text().splitlines():
        words = line.split()
        if words[:1] == ["loop_"]:
            loops.append({})
        elif words and words[0].startswith("_"):
            loops[-1][words[0][1:]] = []
        elif words and not words[0].startswith(("#", "data_")):
            for column, word in zip(loops[-1].values(), words, strict=True):
                column.append(word)
    particles = next(loop for loop in loops if "rlnImageName" in loop)
    optics = [loop for loop in loops if "rlnOpticsGroupName" in loop and loop is not particles]
    return particles, optics[0] if optics else {}


def _expected(path: Path, label: str) -> np.ndarray | None:
    particles, optics = _plain(path)
    if label in particles:
        return np.array(particles[label], float)
    if label in optics:
        groups = [optics["rlnOpticsGroup"].index(g) for g in particles["rlnOpticsGroup"]]
        return np.array(optics[label], float)[groups]
    return None


_SAME = {
    "defocus_u": ("rlnDefocusU", 1.0),
    "defocus_v": ("rlnDefocusV", 1.0),
    "astigmatism_angle": ("rlnDefocusAngle", np.pi / 180),
    "voltage": ("rlnVoltage", 1.0),
    "spherical_aberration": ("rlnSphericalAberration", 1.0),
    "phase_shift": ("rlnPhaseShift", np.pi / 180),
    "b_factor": ("rlnCtfBfactor", 1.0),
    "scale": ("rlnCtfScalefactor", 1.0),
    "half": ("rlnRandomSubset", 1.0),
    "pixel_size": ("rlnImagePixelSize", 1.0),
    "size": ("rlnImageSize", 1.0),
}
_ABSENT = {"phase_shift": 0.0, "b_factor": 0.0, "scale": 1.0, "half": 0.0}


def _names() -> list[str]:
    aspire = [
        f"aspire/rln_proj_{n}{k}.star" for n in (64, 65) for k in ("", "_centered", "_shifted")
    ]
    aspire += [f"aspire/sample_{n}.star" for n in ("particles_relion30", "particles_relion31")]
    aspire += ["aspire/sample_relion_one_image.star", "drgnai/M_particles_sub10.star"]
    peers = ["FinalRefinement-OriginalParticles-PfCRT", "empiar_10076_7", "relion31", "relion31.v2"]
    peers += ["relion31.6opticsgroups", "relion5", "sta_testing_bin8", "toy_projections"]
    return aspire + [f"cryodrgn/{name}.star" for name in peers]


@pytest.mark.parametrize("name", _names())
def test_every_file_against_plain_splitting(data: Path, name: str):
    path = data / "particles" / name
    options = ReadOptions(amplitude_contrast=0.1)
    if _expected(path, "rlnImagePixelSize") is None and "rln_proj" in name:
        options = ReadOptions(pixel_size=1.5)
    table = read_relion(path, options).table()
    plain, _ = _plain(path)
    assert len(table) == len(plain["rlnImageName"])
    no_ctf = "rlnDefocusU" not in plain  # Cs then plays no part, and is 0
    for column, (label, unit) in _SAME.items():
        expected = _expected(path, label)
        if expected is not None and not (no_ctf and column == "spherical_aberration"):
            np.testing.assert_allclose(getattr(table, column), expected * unit, rtol=1e-14)
        elif column in _ABSENT:
            assert np.all(getattr(table, column) == _ABSENT[column])
    if "rlnAngleRot" in plain:
        angles = [_expected(path, f"rlnAngle{n}") for n in ("Rot", "Tilt", "Psi")]
        np.testing.assert_allclose(table.rotation, euler_to_matrix(np.stack(angles, 1)))
        for axis, letter in enumerate("XY"):
            angstroms = _expected(path, f"rlnOrigin{letter}Angst")
            if angstroms is None and f"rlnOrigin{letter}" in plain:
                angstroms = _expected(path, f"rlnOrigin{letter}") * table.pixel_size
            angstroms = np.zeros(len(table)) if angstroms is None else angstroms
            np.testing.assert_allclose(table.shift[:, axis], -angstroms, rtol=1e-14)
    else:
        assert table.rotation is None


def test_pixels_are_those_that_the_names_count(data: Path):
    for name in ("cryodrgn/relion31.v2.star", "aspire/sample_particles_relion30.star"):
        path = data / "particles" / name
        source = read_relion(path)
        stack = "relion31.mrcs" if "relion31.v2" in name else "sample.mrcs"
        raw = np.fromfile(path.parent / stack, "<f4", offset=1024)
        raw = raw.reshape(-1, *(source.table().size[0],) * 2)
        numbers = [int(n.split("@")[0]) - 1 for n in _plain(path)[0]["rlnImageName"]]
        np.testing.assert_array_equal(source.read(np.arange(len(source))), raw[numbers])


@pytest.mark.parametrize("text", [_OPTICS + _PARTICLES, _PARTICLES + _OPTICS])
def test_optics_before_or_after_particles(tmp_path: Path, text: str):
    table = _read(tmp_path, text).table()
    assert table.group.tolist() == [1, 0]
    assert table.group_names == ("krios", "polara")
    assert table.voltage.tolist() == [200, 300]
    assert table.pixel_size.tolist() == [2.0, 1.5]
    np.testing.assert_allclose(table.beam_tilt, [[0, 0], [5e-4, -2.5e-4]])
    np.testing.assert_allclose(table.magnification[1], [[1.01, 0.02], [0.03, 0.99]])
    assert table.half.tolist() == [2, 1]
    np.testing.assert_allclose(table.shift, [[-1.5, 3], [0, -2]])


def test_without_phase_shift_it_is_zero(tmp_path: Path):
    assert not _read(tmp_path, _OPTICS + _PARTICLES).table().phase_shift.any()


def test_origins_in_pixels_are_those_of_the_optics_group(tmp_path: Path):
    text = (_OPTICS + _PARTICLES).replace("Angst", "")
    np.testing.assert_allclose(_read(tmp_path, text).table().shift, [[-3, 6], [0, -3]])


def test_particles_win_over_optics(tmp_path: Path):
    text = _OPTICS + _PARTICLES.replace("_rlnRandomSubset", "_rlnVoltage")
    assert _read(tmp_path, text).table().voltage.tolist() == [2, 1]


_30 = """
data_

loop_
_rlnImageName
_rlnDefocusU
_rlnDefocusV
_rlnDefocusAngle
_rlnVoltage
_rlnSphericalAberration
_rlnAmplitudeContrast
_rlnMagnification
_rlnDetectorPixelSize
_rlnOriginX
_rlnOriginY
_rlnAnglePsiPrior
1@a.mrcs 10000 9000 30 300 2.7 0.1 40000 6 1 -2 17
"""


def test_relion_30(tmp_path: Path):
    table = _read(tmp_path, _30).table()
    assert table.pixel_size.tolist() == [1.5]
    np.testing.assert_allclose(table.shift, [[-1.5, 3]])
    assert table.rotation is None  # a prior is no pose
    assert table.size.tolist() == [0]
    assert any("image size is not known" in warning for warning in table.warnings)
    assert any("No poses" in warning for warning in table.warnings)


def _stack(folder: Path, voxel_size: float) -> None:
    with StackWriter(folder / "a.mrcs", 4, voxel_size) as stack:
        stack.append(np.ones((2, 4, 4), np.float32))


def test_pixel_size_of_the_header_comes_last(tmp_path: Path):
    text = _30.replace("_rlnMagnification", "_rlnOther")
    with pytest.raises(ValueError, match="--pixel-size"):
        _read(tmp_path, text)
    _stack(tmp_path, 1.25)
    table = _read(tmp_path, text).table()
    assert table.pixel_size.tolist() == [1.25]
    assert any("headers, [1.25]" in warning for warning in table.warnings)
    assert table.size.tolist() == [4]
    assert _read(tmp_path, text, pixel_size=3.0).table().pixel_size.tolist() == [3.0]
    _stack(tmp_path, 0.0)
    with pytest.raises(ValueError, match="--pixel-size"):
        _read(tmp_path, text)


def test_sign_and_a_name_without_a_number(tmp_path: Path):
    _stack(tmp_path, 1.0)
    images = _read(tmp_path, _30.replace("1@a", "a"), sign=-1.0).read(np.array([0]))
    assert np.all(images == -1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("_rlnDefocusV\n", "_rlnOther\n", "no column rlnDefocusV.*Present: .*rlnDefocusU"),
        ("2@a.mrcs 3", "2@a.mrcs 5", "row 1: optics group 5 is not in data_optics, which has 7, 3"),
        ("_rlnOpticsGroup\n_rlnDefocusU", "_o\n_rlnDefocusU", "2 optics groups but no rlnOptics"),
        ("10000 9000", "ten 9000", "row 1: rlnDefocusU must be a finite number. Got 'ten'"),
        ("12000 11000", "12000 nan", "row 2: rlnDefocusV must be a finite number. Got 'nan'"),
        ("1@a.mrcs", "0@a.mrcs", "row 2: rlnImageName must be"),
        ("_rlnImageName", "_rlnMicrographName", "no table of particles.*data_particles: rlnMicro"),
        ("_rlnRandomSubset", "_rlnTomoVisibleFrames", "sub-tomograms"),
        ("_rlnAmplitudeContrast", "_rlnOther", "rlnAmplitudeContrast: add it or give it by `--amp"),
    ],
)
def test_faults_name_file_column_and_row(tmp_path: Path, old: str, new: str, message: str):
    with pytest.raises(ValueError, match=rf"p\.star.*{message}"):
        _read(tmp_path, (_OPTICS + _PARTICLES).replace(old, new))


@pytest.mark.parametrize("text", ["", _OPTICS, "data_particles\n\nloop_\n_rlnImageName\n"])
def test_empty_tables(tmp_path: Path, text: str):
    with pytest.raises(ValueError, match=r"p\.star"):
        _read(tmp_path, text)


def test_no_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"none\.star"):
        read_relion(tmp_path / "none.star")


def test_box_unlike_the_table(tmp_path: Path):
    with StackWriter(tmp_path / "a.mrcs", 6, 1.5) as stack:
        stack.append(np.ones((2, 6, 6), np.float32))
    source = _read(tmp_path, _OPTICS + _PARTICLES)
    with pytest.raises(ValueError, match=r"a\.mrcs holds images of 6 pixels .* says 4"):
        source.read(np.array([0]))


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("rlnOddZernike", "[0,0.1,0]", "aberrations are not modelled"),
        ("rlnCtfDataAreCtfPremultiplied", "1", "multiplied by their CTF"),
    ],
)
def test_what_is_not_modelled_is_said(tmp_path: Path, label: str, value: str, message: str):
    text = _30.replace("_rlnAnglePsiPrior", f"_{label}").replace(" 17", f" {value}")
    assert any(message in warning for warning in _read(tmp_path, text).table().warnings)
    text = text.replace(f" {value}\n", " 0\n")
    assert not any(message in warning for warning in _read(tmp_path, text).table().warnings)
