"""Simulated files, read by an independent parse, against formulas written out again here."""

from dataclasses import replace

import h5py
import mrcfile
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.particles.mrc import MrcVolume, read_volume, write_volume
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.molecule import hinge_positions
from cryojax_het.simulate.settings import CtfDistribution, NoiseShape, PoseError, Simulation
from cryojax_het.simulate.simulate import run_simulation
from cryojax_het.simulate.truth import open_truth

N, PIXEL = 32, 7.0
NO_CTF = CtfDistribution(
    defocus=0.0,
    defocus_spread=0.0,
    defocus_range=(-1.0, 1.0),
    astigmatism=0.0,
    spherical_aberration=0.0,
    amplitude_contrast=1.0,
)


def settings(folder, **changes):
    plain = Simulation(output=folder, count=12, size=N, pixel_size=PIXEL, snr=np.inf, batch=5)
    return replace(plain, **changes)


def parse_star(path):
    """`{block: {label: [text]}}` of a STAR file with loops alone."""
    blocks, labels, block = {}, [], {}
    for line in path.read_text().splitlines():
        words = line.split()
        if line.startswith("data_"):
            block, labels = blocks.setdefault(line[5:].strip(), {}), []
        elif line.startswith("_"):
            labels.append(words[0][1:])
            block[labels[-1]] = []
        elif words and not line.startswith(("#", "loop_")):
            for label, word in zip(labels, words, strict=True):
                block[label].append(word)
    return blocks


def numbers(block, *labels):
    return np.stack([np.array(block[label], float) for label in labels], axis=1)


def brute_force(row, optics, positions, contrast):
    """One image by explicit sums over the full plane: Gaussians of 3 Å, RELION's CTF."""
    rot, tilt, psi = (row[f"rlnAngle{a}"] for a in ("Rot", "Tilt", "Psi"))
    turn = Rotation.from_euler("ZYZ", [rot, tilt, psi], degrees=True).as_matrix().T
    x, y, _ = turn @ positions.T
    x, y = x - row["rlnOriginXAngst"], y - row["rlnOriginYAngst"]
    k = np.fft.fftfreq(N, PIXEL)
    kx, ky = np.meshgrid(k, k)
    k2 = kx**2 + ky**2
    wave = np.exp(-2j * np.pi * (kx[..., None] * x + ky[..., None] * y)).sum(-1)
    wave = wave * np.exp(-2 * np.pi**2 * 9 * k2) * (k2 < (0.5 / PIXEL) ** 2 * (1 - 1e-9))
    volts = optics["rlnVoltage"] * 1e3
    wavelength = 12.2643247 / np.sqrt(volts + 0.978466e-6 * volts**2)
    cs = optics["rlnSphericalAberration"] * 1e7
    azimuth = np.arctan2(ky, kx) - np.deg2rad(row["rlnDefocusAngle"])
    u, v = row["rlnDefocusU"], row["rlnDefocusV"]
    defocus = (u + v) / 2 + (u - v) / 2 * np.cos(2 * azimuth)
    chi = np.pi * wavelength * defocus * k2 - np.pi / 2 * cs * wavelength**3 * k2**2
    ctf = np.sin(chi + np.arcsin(optics["rlnAmplitudeContrast"]))
    ctf = ctf * np.exp(-row["rlnCtfBfactor"] * k2 / 4)
    return np.fft.fftshift(np.fft.ifft2(contrast * ctf * wave).real) / PIXEL**2


def test_images_are_those_of_the_star_by_brute_force(tmp_path):
    made = settings(tmp_path / "a", contrast_spread=0.2, hinge=(-40.0, 40.0), b_factor=60.0)
    files = run_simulation(made)
    blocks = parse_star(files.particles)
    optics = {k: float(v[0]) for k, v in blocks["optics"].items() if k != "rlnOpticsGroupName"}
    table = blocks["particles"]
    truth = open_truth(files.truth).images
    with mrcfile.open(files.stack) as stack:
        assert stack.is_image_stack()
        assert float(stack.voxel_size.x) == pytest.approx(PIXEL)
        images = stack.data.copy()
    assert images.shape == (12, N, N)
    for i in range(12):
        number, stack_name = table["rlnImageName"][i].split("@")
        assert (int(number), stack_name) == (i + 1, "particles.mrcs")
        row = {k: float(v[i]) for k, v in table.items() if k != "rlnImageName"}
        positions = np.asarray(hinge_positions(truth.conformation[i, 0]))
        expected = brute_force(row, optics, positions, truth.contrast[i])
        assert np.linalg.norm(images[i] - expected) < 2e-3 * np.linalg.norm(expected)


def test_shift_is_where_the_particle_is(tmp_path):
    files = run_simulation(settings(tmp_path / "a", ctf=NO_CTF, b_factor=0.0, shift=0.1))
    table = parse_star(files.particles)["particles"]
    origin = numbers(table, "rlnOriginXAngst", "rlnOriginYAngst")
    images = mrcfile.read(files.stack)
    r = (np.arange(N) - N // 2) * PIXEL
    mass = images.sum(axis=(1, 2))
    centre = np.stack([(images * r).sum((1, 2)), (images * r[:, None]).sum((1, 2))], 1)
    # The molecule's own centre is the origin of its frame; the band limit rings a little.
    np.testing.assert_allclose(centre / mass[:, None], -origin, atol=0.3)
    assert np.abs(origin).max() > 0.05 * N * PIXEL


def test_our_reader_gives_back_the_truth(tmp_path):
    files = run_simulation(settings(tmp_path / "a"))
    source = open_particles(files.particles)
    truth = open_truth(files.truth).images
    table = source.table()
    np.testing.assert_allclose(table.rotation, truth.rotation, atol=1e-7)
    np.testing.assert_allclose(table.shift, truth.shift, atol=1e-6)
    np.testing.assert_allclose(table.b_factor, 100)
    assert sorted(np.bincount(table.half)[1:]) == [6, 6]
    np.testing.assert_array_equal(source.read(np.arange(12)), mrcfile.read(files.stack))


@pytest.mark.parametrize("noise", [NoiseShape(), NoiseShape(excess=5.0)])
def test_ratio_of_variances_is_as_asked(tmp_path, noise):
    clean = run_simulation(settings(tmp_path / "a", count=60))
    noisy = run_simulation(settings(tmp_path / "b", count=60, snr=0.2, noise=noise))
    signal, both = mrcfile.read(clean.stack), mrcfile.read(noisy.stack)
    assert signal.var() / (both - signal).var() == pytest.approx(0.2, rel=0.03)
    level = open_truth(noisy.truth).level
    assert level.sigma == pytest.approx((both - signal).std(), rel=0.02)
    assert level.signal_variance == pytest.approx(signal.var(dtype=np.float64), rel=1e-3)


def test_the_seed_decides_all(tmp_path):
    runs = {
        name: run_simulation(settings(tmp_path / name, snr=0.5, seed=seed))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    }
    read = lambda name: [p.read_bytes() for p in runs[name][:2]]
    star, stack = read("a")
    assert [star, stack] == read("b")
    assert star != read("c")[0]
    assert stack != read("c")[1]


def test_true_map_is_the_density_that_was_projected(tmp_path):
    files = run_simulation(settings(tmp_path / "a", ctf=NO_CTF, b_factor=0.0, shift=0.0, count=2))
    with mrcfile.open(files.volume) as volume:
        voxels = volume.data.copy()
        assert float(volume.voxel_size.x) == pytest.approx(PIXEL)
        np.testing.assert_allclose(volume.header.origin.tolist(), [-N // 2 * PIXEL] * 3)
    r = (np.arange(N) - N // 2) * PIXEL
    positions = np.asarray(hinge_positions(0.0))
    moment = np.einsum("zyx,x->", voxels, r**2) / voxels.sum()
    assert moment == pytest.approx((positions[:, 0] ** 2).mean() + 9, rel=0.02)


PDB = """\
ATOM      1  N   ALA A   1      21.104   6.134  -6.504  1.00 10.50           N
ATOM      2  CA  ALA A   1     -11.639  16.071  -5.147  1.00 20.00           C
ATOM      3  SG  CYS A   2       1.000  -2.000  23.500  1.00 15.00           S
"""


def test_structure_and_its_own_map_give_like_images(tmp_path):
    (tmp_path / "small.pdb").write_text(PDB)
    common = {"size": 48, "pixel_size": 2.0, "ctf": NO_CTF, "b_factor": 0.0, "count": 4}
    common |= {"atom_b_factor": 300.0, "shift": 0.0}
    atoms = run_simulation(settings(tmp_path / "a", source=tmp_path / "small.pdb", **common))
    common |= {"size": None, "pixel_size": None, "source": atoms.volume}
    voxels = run_simulation(settings(tmp_path / "b", **common))
    a, b = mrcfile.read(atoms.stack), mrcfile.read(voxels.stack)
    assert np.linalg.norm(a - b) < 0.01 * np.linalg.norm(a)
    assert open_truth(atoms.truth).about["exact_projection"]
    assert not open_truth(voxels.truth).about["exact_projection"]


def test_map_of_odd_size_is_padded_about_its_centre(tmp_path):
    data = np.zeros((9, 11, 13), np.float32)
    data[4, 5, 6] = 1.0  # voxel n//2 of each axis
    write_volume(tmp_path / "odd.mrc", MrcVolume(data, (3.0, 3.0, 3.0)))
    made = settings(tmp_path / "a", source=tmp_path / "odd.mrc", size=None, pixel_size=None)
    made = replace(made, ctf=NO_CTF, shift=0.0, count=3)
    images = mrcfile.read(run_simulation(made).stack)
    assert images.shape == (3, 14, 14)
    for image in images:
        assert np.unravel_index(image.argmax(), image.shape) == (7, 7)


def test_refusals_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="Use at least"):
        run_simulation(settings(tmp_path / "a", size=8))
    with pytest.raises(ValueError, match="neither a structure nor a map"):
        run_simulation(settings(tmp_path / "a", source=tmp_path / "x.txt"))
    with pytest.raises(FileNotFoundError, match=r"x\.pdb"):
        run_simulation(settings(tmp_path / "a", source=tmp_path / "x.pdb"))
    assert not (tmp_path / "a").exists()
    run_simulation(settings(tmp_path / "a"))
    with pytest.raises(FileExistsError, match="choose another"):
        run_simulation(settings(tmp_path / "a"))
    with pytest.raises(ValueError, match="`snr`"):
        settings(tmp_path / "b", snr=0.0)
    with pytest.raises(ValueError, match="`count`"):
        settings(tmp_path / "b", count=0)


def test_an_interrupted_stack_leaves_no_files(tmp_path, monkeypatch):
    def fail(self, images):
        raise OSError("No space left on device")

    monkeypatch.setattr("cryojax_het.simulate.simulate.StackWriter.append", fail)
    with pytest.raises(OSError, match="No space"):
        run_simulation(settings(tmp_path / "a"))
    assert list((tmp_path / "a").iterdir()) == []


def test_the_truth_file_has_every_state(tmp_path):
    files = run_simulation(settings(tmp_path / "a", count=300, hinge=(-40.0, 40.0)))
    truth = open_truth(tmp_path / "a")
    states = truth.states
    np.testing.assert_allclose(states.conformation[:, 0], np.deg2rad(np.linspace(-40, 40, 100)))
    np.testing.assert_array_equal(
        truth.images.conformation, states.conformation[truth.images.state]
    )
    assert len(np.unique(truth.images.state)) > 85
    with h5py.File(files.truth) as file:
        maps = file["states/maps"][()]
    atoms = truth.atoms()
    for state in (0, 57):
        np.testing.assert_array_equal(truth.map(state), maps[state])
        expected = hinge_positions(states.conformation[state, 0])
        np.testing.assert_allclose(atoms.positions[state], expected, atol=1e-4)
    np.testing.assert_allclose(
        read_volume(files.volume).data, np.tensordot(states.population, maps, 1), atol=1e-6
    )
    assert truth.about["snr_in_footprint"] == np.inf
    assert truth.particles == files.particles


def test_pose_errors_are_in_the_star_alone(tmp_path):
    made = settings(
        tmp_path / "a", count=400, pose_error=PoseError(rotation_error=3.0, shift_error=2.0)
    )
    files = run_simulation(made)
    truth, told = open_truth(files.truth).images, open_particles(files.particles).table()
    turn = Rotation.from_matrix(told.rotation) * Rotation.from_matrix(truth.rotation).inv()
    assert np.rad2deg(turn.as_rotvec().std(axis=0)) == pytest.approx([3.0] * 3, rel=0.12)
    assert (told.shift - truth.shift).std(axis=0) == pytest.approx([2.0] * 2, rel=0.12)
    exact = open_particles(run_simulation(settings(tmp_path / "b", count=400)).particles)
    images = open_particles(files.particles).read(np.arange(5))
    np.testing.assert_array_equal(images, exact.read(np.arange(5)))


def test_other_files_are_no_truth(tmp_path):
    with pytest.raises(FileNotFoundError, match="cryojax-het simulate"):
        open_truth(tmp_path)
    (tmp_path / "truth.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a whole truth"):
        open_truth(tmp_path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "another"
    with pytest.raises(ValueError, match="another"):
        open_truth(tmp_path / "other.h5")
