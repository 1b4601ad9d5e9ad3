import gzip
import io
import sys
import tarfile

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.structures.atoms import joined, read_atoms
from cryojax_het.structures.frames import read_models
from cryojax_het.structures.superpose import superposition
from cryojax_het.structures.trajectory import read_trajectory

LINE = "ATOM  {0:5d}  {1:3s} ALA A{2:4d}    {3:8.3f}{4:8.3f}{5:8.3f}  1.00 10.00           {6}\n"


def frame(number, second="CA"):
    """Two atoms at x = 10 number + (1, 2)."""
    first = LINE.format(1, "N", 1, 10 * number + 1, 2, 3, "N")
    return first + LINE.format(2, second, 1, 10 * number + 2, 5, 6, "C")


def check(frames, numbers):
    expected = [[[10 * n + 1, 2, 3], [10 * n + 2, 5, 6]] for n in numbers]
    np.testing.assert_allclose(frames.positions, expected)
    np.testing.assert_allclose(frames.atoms.positions, expected[0])
    assert frames.atoms.names.tolist() == ["N", "CA"]


def test_models_of_one_file(tmp_path):
    path = tmp_path / "models.pdb"
    path.write_text("".join(f"MODEL {n}\n{frame(n)}ENDMDL\n" for n in (1, 2, 3)) + "END\n")
    check(read_models(path), [1, 2, 3])


def test_numbered_files_of_a_folder_in_the_order_of_numbers(tmp_path):
    for n in (10, 9, 1):
        (tmp_path / f"frame_{n}.pdb").write_text(frame(n))
    (tmp_path / "frame_2.pdb.gz").write_bytes(gzip.compress(frame(2).encode()))
    (tmp_path / "._frame_3.pdb").write_text("a hidden twin")
    (tmp_path / "notes.txt").write_text("no frame")
    check(read_models(tmp_path), [1, 2, 9, 10])


def test_numbered_files_of_an_archive(tmp_path):
    path = tmp_path / "frames.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for n in (11, 3):
            content = frame(n).encode()
            entry = tarfile.TarInfo(f"../morph/frame_{n}.pdb")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    check(read_models(path), [3, 11])
    assert [p.name for p in tmp_path.iterdir()] == ["frames.tar.gz"]


def test_frames_of_different_atoms_are_refused(tmp_path):
    (tmp_path / "f1.pdb").write_text(frame(1))
    (tmp_path / "f2.pdb").write_text(frame(2, second="CB"))
    message = r"Atom 2 is CA of residue 1, chain A in f1\.pdb and CB of residue 1, chain A in f2"
    with pytest.raises(ValueError, match=message):
        read_models(tmp_path)
    (tmp_path / "f2.pdb").write_text(frame(2).splitlines()[0] + "\n")
    with pytest.raises(ValueError, match=r"f1\.pdb has 2 and f2\.pdb has 1"):
        read_models(tmp_path)


def test_unusable_inputs(tmp_path):
    with pytest.raises(ValueError, match="No frame was found"):
        read_models(tmp_path)
    with pytest.raises(FileNotFoundError, match="absent"):
        read_models(tmp_path / "absent.tar.gz")
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"not an archive")
    with pytest.raises(ValueError, match=r"broken\.tar\.gz cannot be read as a tar"):
        read_models(broken)


def test_superposition_finds_a_planted_motion():
    rng = np.random.default_rng(0)
    points, shift = rng.normal(size=(20, 3)), np.array([1.0, -2.0, 3.0])
    turn = Rotation.random(rng=rng).as_matrix()
    rotation, translation = superposition(points, points @ turn.T + shift)
    np.testing.assert_allclose(rotation, turn, atol=1e-12)
    np.testing.assert_allclose(translation, shift, atol=1e-12)
    # A mirror image is no rotation: the best one is still proper, as scipy finds it.
    rotation, _ = superposition(points, points * [1, 1, -1])
    centred = points - points.mean(axis=0)
    expected = Rotation.align_vectors(centred * [1, 1, -1], centred)[0].as_matrix()
    np.testing.assert_allclose(rotation, expected, atol=1e-10)


def test_joined(tmp_path):
    (tmp_path / "f.pdb").write_text(frame(1))
    one = read_atoms(tmp_path / "f.pdb")
    both = joined([one, one.at(one.positions + 1)])
    assert both.names.tolist() == ["N", "CA", "N", "CA"]
    np.testing.assert_allclose(both.positions[2:], one.positions + 1)


def test_calmodulin_morph(data):
    frames = read_models(data / "calmodulin" / "morph_1cfd_to_3cln.tar.gz")
    assert frames.positions.shape == (60, 1125, 3)
    steps = np.linalg.norm(np.diff(frames.positions, axis=0), axis=2).mean(axis=1)
    assert steps.max() < 0.5  # in order: neighbours are near
    assert np.linalg.norm(frames.positions[-1] - frames.positions[0], axis=1).mean() > 8


def test_adenylate_kinase_trajectory(data):
    pytest.importorskip("mdtraj")
    frames = read_trajectory(data / "adk" / "adk_dims.dcd", data / "adk" / "adk.psf")
    assert frames.positions.shape == (98, 3341, 3)
    lines = (data / "adk" / "adk.psf").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if "!NATOM" in line)
    words = [line.split() for line in lines[start + 1 : start + 3342]]
    mass = {1: 1.008, 6: 12.011, 7: 14.007, 8: 15.999, 16: 32.06}
    expected = [mass[int(number)] for number in frames.atoms.atomic_numbers]
    np.testing.assert_allclose([float(w[7]) for w in words], expected, atol=2e-2)
    assert frames.atoms.residues.tolist() == [int(w[2]) for w in words]
    # Single-precision coordinates of the first frame, as the file holds them (CHARMM's DCD).
    raw = (data / "adk" / "adk_dims.dcd").read_bytes()
    marker = np.array([4 * 3341], "<i4").tobytes()
    for axis, at in enumerate(_records(raw, marker)):
        x = np.frombuffer(raw, "<f4", 3341, at)
        np.testing.assert_allclose(frames.positions[0, :, axis], x, atol=1e-4)


def _records(raw, marker):
    """Where the first three records of one number per atom begin."""
    first = raw.index(marker) + 4
    return [first + k * (4 * 3341 + 8) for k in range(3)]


def test_trajectory_errors(tmp_path, monkeypatch, data):
    with pytest.raises(FileNotFoundError, match=r"no\.dcd"):
        read_trajectory(tmp_path / "no.dcd", tmp_path / "no.psf")
    dcd, psf = data / "adk" / "adk_dims.dcd", data / "adk" / "adk.psf"
    pytest.importorskip("mdtraj")
    with pytest.raises(ValueError, match=r"adk_dims\.dcd cannot be read with the topology"):
        read_trajectory(dcd, data / "adk" / "1ake.pdb")
    monkeypatch.setitem(sys.modules, "mdtraj", None)
    with pytest.raises(ImportError, match=r"cryojax_het\[traj\]"):
        read_trajectory(dcd, psf)
