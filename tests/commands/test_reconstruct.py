"""`reconstruct` from files to files: half-maps, FSC, scale, origin, and every kind of input."""

from pathlib import Path

import numpy as np
import pytest

from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.commands.reconstruct import ReconstructConfig, reconstruct
from cryojax_het.particles.arrays import ArraySource, write_npz
from cryojax_het.particles.mrc import read_volume
from cryojax_het.particles.relion import read_relion
from cryojax_het.particles.stack import ReadOptions
from cryojax_het.results.run import RunFolder

from .conftest import BOX, COUNT, PIXEL, simulate

# Relative error of the scale of a map. Half-maps are solved by division, whose kernel mixes
# neighbours of unequal weight: a molecule that fills its box comes out up to 13 % wrong. The final
# map is exact.
EXACT, DIVISION = 0.015, 0.13

pytestmark = pytest.mark.usefixtures("float32")


def run(particles, output, **options):
    config = ReconstructConfig(particles=particles, output=output, batch=50, **options)
    return reconstruct(config, ["reconstruct", str(particles)])


def mean_of(output):
    return np.asarray(read_volume(Path(output) / "volumes" / "mean.mrc").data, float)


def scale_and_correlation(found, truth, radius=0.4):
    """Regression of a map on the truth over the frequencies below `radius` (of the sampling),
    without the average, which images do not tell."""
    n = len(found)
    axis = np.fft.fftfreq(n)
    k = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    a, b = (np.fft.fftn(x)[(k > 0) & (k < radius)] for x in (found, truth))
    return np.vdot(b, a).real / np.vdot(b, b).real, np.vdot(b, a).real / np.sqrt(
        np.vdot(a, a).real * np.vdot(b, b).real
    )


@pytest.fixture(scope="module")
def finished(star, tmp_path_factory):
    """One run of one pass, in single precision."""
    import jax

    output = tmp_path_factory.mktemp("run") / "one"
    with jax.enable_x64(False):
        summary = run(star, output)
    return output, summary


def test_the_map_is_the_truth_in_scale_origin_and_hand(finished, images):
    scale, correlation = scale_and_correlation(mean_of(finished[0]), images.truth(), 0.25)
    assert scale == pytest.approx(1, abs=EXACT)
    assert correlation > 0.98


def test_fsc_to_the_truth_and_between_halves(finished, images):
    output, summary = finished
    to_truth = fourier_shell_correlation(mean_of(output), images.truth())
    assert (to_truth[1:8] > 0.97).all()
    table = np.genfromtxt(output / "analysis" / "fsc.csv", delimiter=",", names=True)
    halves = [read_volume(output / "volumes" / f"half{i}.mrc").data for i in (1, 2)]
    again = fourier_shell_correlation(*(np.asarray(h, float) for h in halves))
    np.testing.assert_allclose(table["unmasked"], again, atol=1e-4)
    np.testing.assert_allclose(table["frequency_1A"], np.arange(17) / (BOX * PIXEL), rtol=1e-4)
    # Half-maps at 0.143 and the full map at 0.5 of the truth: one resolution, within a shell.
    below = np.flatnonzero(to_truth[1:] < 0.5)
    shell = below[0] + 1 if below.size else 16
    assert abs(BOX * PIXEL / summary["resolution"] - shell) <= 1.5


def test_each_half_map_is_of_its_own_images(finished, images, tmp_path):
    """The first half-map is the same whatever the images of the second half are."""
    other = images.pixels.copy()
    other[1::2] = images.pixels[1::2][::-1]
    run(images.write(tmp_path, pixels=other), tmp_path / "run")
    halves = [
        np.asarray(read_volume(output / "volumes" / f"half{i}.mrc").data, float)
        for i in (1, 2)
        for output in (finished[0], tmp_path / "run")
    ]
    assert np.corrcoef(halves[0].ravel(), halves[1].ravel())[0, 1] > 0.9999
    assert np.corrcoef(halves[2].ravel(), halves[3].ravel())[0, 1] < 0.7
    scale, correlation = scale_and_correlation(halves[0], images.truth(), 0.2)
    assert scale == pytest.approx(1, abs=DIVISION)
    assert correlation > 0.97


def test_the_run_folder_holds_everything(finished):
    output, summary = finished
    folder = RunFolder(output)
    assert folder.finished
    assert folder.record()["summary"] == summary
    assert summary["images"] == COUNT
    assert summary["box"] == BOX
    for name in ("mean", "half1", "half2", "mask"):
        volume = folder.volume(name)
        assert volume.data.shape == (BOX,) * 3
        np.testing.assert_allclose(volume.voxel_size, PIXEL, rtol=1e-6)
        assert np.isfinite(volume.data).all()
    mask = folder.volume("mask").data
    assert 0 <= mask.min() <= mask.max() <= 1
    assert {p.name for p in (output / "plots").iterdir()} >= {"fsc.png", "slices.png"}
    assert "resolution" in (output / "run.log").read_text()
    (line,) = folder.metrics()
    assert line["resolution"] == pytest.approx(summary["resolution"])
    assert not list(output.rglob("*.part"))


def test_latents_are_those_of_the_file(finished, images):
    table = RunFolder(finished[0]).latents()
    np.testing.assert_allclose(table.read("rotation"), images.particles.rotation, atol=1e-6)
    np.testing.assert_allclose(table.read("shift"), images.particles.shift, atol=1e-5)
    np.testing.assert_array_equal(table.read("contrast"), 1)


def test_the_same_command_again_does_nothing(finished, star):
    output, summary = finished
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()}
    assert run(star, output) == summary
    assert {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()} == before


def test_other_settings_in_the_same_folder_are_refused(finished, star):
    with pytest.raises(FileExistsError, match="`window` was False, now True"):
        run(star, finished[0], window=True)


def test_npz_gives_the_map_of_the_star(finished, images, tmp_path):
    write_npz(tmp_path / "all.npz", ArraySource(images.pixels, images.particles))
    run(tmp_path / "all.npz", tmp_path / "run")
    expected = mean_of(finished[0])
    error = np.abs(mean_of(tmp_path / "run") - expected).max()
    assert error < 1e-3 * np.abs(expected).max()


def test_cryosparc_gives_the_map_of_the_star(finished, images, tmp_path):
    images.write(tmp_path)
    write_cs(tmp_path / "all.cs", images)
    run(tmp_path / "all.cs", tmp_path / "run", read=ReadOptions(data_dir=tmp_path))
    expected = mean_of(finished[0])
    error = np.abs(mean_of(tmp_path / "run") - expected).max()
    assert error < 1e-3 * np.abs(expected).max()


def write_cs(path, images):
    """The columns of a cryoSPARC refinement, written as its documentation names them."""
    from scipy.spatial.transform import Rotation

    p = images.particles
    columns = {
        "uid": ("<u8", np.arange(COUNT) + 10),
        "blob/path": ("S32", np.full(COUNT, b"images.mrcs")),
        "blob/idx": ("<u4", np.arange(COUNT)),
        "blob/shape": ("<u4", np.full((COUNT, 2), BOX)),
        "blob/psize_A": ("<f4", np.full(COUNT, PIXEL)),
        "blob/sign": ("<f4", np.ones(COUNT)),
        "ctf/exp_group_id": ("<u4", np.ones(COUNT)),
        "ctf/accel_kv": ("<f4", p.voltage),
        "ctf/cs_mm": ("<f4", p.spherical_aberration),
        "ctf/amp_contrast": ("<f4", p.amplitude_contrast),
        "ctf/df1_A": ("<f4", p.defocus_u),
        "ctf/df2_A": ("<f4", p.defocus_v),
        "ctf/df_angle_rad": ("<f4", p.astigmatism_angle),
        "ctf/phase_shift_rad": ("<f4", p.phase_shift),
        "alignments3D/split": ("<u4", p.half - 1),
        "alignments3D/pose": ("<f4", Rotation.from_matrix(p.rotation).inv().as_rotvec()),
        "alignments3D/shift": ("<f4", -p.shift / PIXEL),
        "alignments3D/psize_A": ("<f4", np.full(COUNT, PIXEL)),
    }
    kinds = [(n, t, np.shape(v)[1:]) for n, (t, v) in columns.items()]
    table = np.zeros(COUNT, kinds)
    for name, (_, values) in columns.items():
        table[name] = values
    with open(path, "wb") as file:
        np.save(file, table)


def test_a_crop_gives_the_same_map_at_larger_pixels(star, images, tmp_path):
    summary = run(star, tmp_path / "run", box=24)
    assert summary["box"] == 24
    assert summary["pixel_size"] == pytest.approx(PIXEL * BOX / 24)
    truth = images.truth(24, PIXEL * BOX / 24)
    scale, correlation = scale_and_correlation(mean_of(tmp_path / "run"), truth, 0.3)
    assert scale == pytest.approx(1, abs=EXACT)
    assert correlation > 0.98


def test_dark_particles_are_inverted(finished, images, tmp_path):
    particles = images.write(tmp_path, pixels=-images.pixels)
    run(particles, tmp_path / "run", invert=True)
    expected = mean_of(finished[0])
    np.testing.assert_allclose(
        mean_of(tmp_path / "run"), expected, atol=1e-4 * np.abs(expected).max()
    )


def test_normalisation_undoes_a_scale_and_an_offset_per_image(images, tmp_path):
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.2, 5, (COUNT, 1, 1)).astype(np.float32)
    offset = rng.normal(size=(COUNT, 1, 1)).astype(np.float32)
    particles = images.write(tmp_path, pixels=images.pixels * scale + offset)
    run(particles, tmp_path / "run", normalise=True, window=True, diameter=110.0)
    _, correlation = scale_and_correlation(mean_of(tmp_path / "run"), images.truth(), 0.25)
    assert correlation > 0.97


def test_contrasts_are_found_in_the_second_pass(images, tmp_path):
    rng = np.random.default_rng(0)
    true = rng.uniform(0.6, 1.4, COUNT)
    clean = images.pixels * true[:, None, None].astype(np.float32)
    particles = images.write(tmp_path, pixels=clean)
    run(particles, tmp_path / "run", passes=2, contrast=True)
    found = RunFolder(tmp_path / "run").latents().read("contrast")
    assert np.corrcoef(found, true)[0, 1] > 0.95
    assert len(RunFolder(tmp_path / "run").metrics()) == 2


@pytest.fixture(scope="module")
def refined(images, tmp_path_factory):
    """Poses 4° and 3 Å wrong, refined in two more passes."""
    import jax
    from scipy.spatial.transform import Rotation

    folder = tmp_path_factory.mktemp("refined")
    rng = np.random.default_rng(1)
    turn = Rotation.from_rotvec(np.deg2rad(3.0) * rng.normal(size=(COUNT, 3))).as_matrix()
    wrong = images.changed(
        rotation=turn @ images.particles.rotation,
        shift=images.particles.shift + 2.0 * rng.normal(size=(COUNT, 2)),
    )
    particles = images.write(folder, wrong)
    with jax.enable_x64(False):
        summary = run(
            particles, folder / "run", passes=3, refine=True, refine_angle=4.0, refine_shift=3.0
        )
    return folder, wrong, summary


def pose_errors(found, images):
    """Median turn in degrees and shift in Å to the truth, up to one turn of the whole map."""
    from scipy.spatial.transform import Rotation

    between = np.einsum("bij,bkj->bik", found.rotation, images.particles.rotation)
    degrees = np.rad2deg(Rotation.from_matrix(between).magnitude())
    return np.median(degrees), np.median(
        np.linalg.norm(found.shift - images.particles.shift, axis=1)
    )


def test_refinement_improves_the_poses_that_it_writes(refined, images):
    folder, wrong, _ = refined
    table = read_relion(folder / "run" / "particles.star").table()
    before, after = pose_errors(wrong, images), pose_errors(table, images)
    assert after[0] < 0.6 * before[0]
    assert after[1] < 0.5 * before[1]
    np.testing.assert_array_equal(table.half, images.particles.half)


def test_refinement_improves_the_map(refined, images):
    log = RunFolder(refined[0] / "run").metrics()
    assert log[-1]["resolution"] < log[0]["resolution"]
    _, correlation = scale_and_correlation(mean_of(refined[0] / "run"), images.truth(), 0.2)
    assert correlation > 0.95


def test_optics_groups_of_other_pixel_sizes_give_one_map(images, tmp_path):
    """Half the images at 4 Å in 32 pixels, half at 3.5 Å in 36: one map at 3.5 Å."""
    from cryojax_het.particles.new_star import new_star
    from cryojax_het.particles.source import Concatenated
    from cryojax_het.particles.stack_writer import StackWriter

    parts = [simulate(200, 32, 4.0, seed=5), simulate(200, 36, 3.5, seed=6)]
    sources = [ArraySource(part.pixels, part.particles) for part in parts]
    names = []
    for number, part in enumerate(parts):
        name = f"group{number}.mrcs"
        with StackWriter(tmp_path / name, part.pixels.shape[1], 4.0) as stack:
            stack.append(part.pixels)
        names += [f"{i + 1}@{name}" for i in range(len(part.pixels))]
    new_star(tmp_path / "all.star", Concatenated(sources).table(), names)
    summary = run(tmp_path / "all.star", tmp_path / "run")
    assert summary["pixel_size"] == pytest.approx(3.5)
    truth = images.truth(summary["box"], 3.5)
    scale, correlation = scale_and_correlation(mean_of(tmp_path / "run"), truth, 0.2)
    assert scale == pytest.approx(1, abs=EXACT)
    assert correlation > 0.97
