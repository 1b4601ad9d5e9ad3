"""`fit --volume modes` from files to a run folder: amplitudes found, kept, taken up."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.cli import main
from cryojax_het.commands import modes_round
from cryojax_het.commands.fit_modes import ModesConfig, fit_modes
from cryojax_het.commands.mixture_reference import GRAINS
from cryojax_het.commands.mode_basis import residue_nodes
from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.particles.mrc import read_volume
from cryojax_het.particles.new_star import new_star
from cryojax_het.particles.source import make_particles
from cryojax_het.particles.stack_writer import StackWriter
from cryojax_het.results.mixture_store import load_mixture
from cryojax_het.results.run import RunFolder
from cryojax_het.structures.beads import beads
from cryojax_het.structures.collective_modes import collective_modes
from cryojax_het.structures.network import UniformSprings
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.gaussian_mixture import by_width
from cryojax_het.volumes.normal_modes import NormalModes

from .conftest import stopped
from .mixture_world import PIXEL, SIZE, chain, write_structure

pytestmark = pytest.mark.usefixtures("float32")
COUNT, CUTOFF = 128, 16.0
WIDTHS = np.array([2.5, 1.8])  # Å, of the amplitudes
FAST = {"modes": 2, "cutoff": CUTOFF, "in_frame": True, "starts": 4, "steps": 6, "batch": 32}
FAST |= {
    "kept": 2,
    "calibrations": 1,
    "calibration_images": 64,
    "checkpoint_batches": 1,
    "devices": 1,
    "angle": 1.0,
    "shift": 1.0,
}


def moving():
    """The chain's beads, and its two softest collective modes, Å of root mean square."""
    atoms = chain()
    model = beads(atoms, GRAINS["residue"].groups(atoms))
    widths = np.full(len(model.weights), 2.5)
    mixture, order = by_width(model.positions, 0.4 * model.weights, widths)
    network = UniformSprings(CUTOFF).network(atoms.positions[residue_nodes(atoms)])
    vectors = np.sqrt(len(order)) * collective_modes(network, 2)[0].vectors[:, order]
    return DisplacedMixture(mixture, NormalModes(jnp.asarray(vectors)))


def written(folder: Path, count=COUNT, noise=0.6):
    """Images of it as users have them; the path of the STAR file and the amplitudes."""
    rng = np.random.default_rng(1)
    amplitudes = WIDTHS * rng.normal(size=(count, 2))
    defocus = rng.uniform(8e3, 2e4, count)
    turns = jax.vmap(so3.random)(jax.random.split(jax.random.key(1), count))
    particles = make_particles(
        count,
        pixel_size=PIXEL,
        size=SIZE,
        rotation=np.asarray(turns, float),
        shift=rng.normal(size=(count, 2)) * 2,
        defocus_u=defocus,
        defocus_v=defocus - rng.uniform(0, 1e3, count),
        astigmatism_angle=rng.uniform(0, np.pi, count),
        voltage=300.0,
        spherical_aberration=2.7,
        amplitude_contrast=0.1,
        half=np.arange(count) % 2 + 1,
    )
    latents = Latents(
        jnp.asarray(amplitudes),
        jnp.asarray(particles.rotation),
        jnp.asarray(particles.shift),
        jnp.asarray(1 + 0.1 * rng.normal(size=count)),
    )
    grid, volume = FourierGrid(SIZE, PIXEL), moving()
    draw = jax.jit(jax.vmap(lambda l, o: grid.to_image(render(volume, l, o, grid))))
    clean = np.asarray(draw(latents, Optics.from_columns(particles.optics())), np.float32)
    pixels = clean + noise * clean.std() * rng.normal(size=clean.shape).astype(np.float32)
    with StackWriter(folder / "images.mrcs", SIZE, PIXEL) as stack:
        stack.append(pixels)
    new_star(folder / "particles.star", particles, [f"{i + 1}@images.mrcs" for i in range(count)])
    return folder / "particles.star", amplitudes


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """STAR file, amplitudes, structure."""
    folder = tmp_path_factory.mktemp("modes")
    star, amplitudes = written(folder)
    return star, amplitudes, write_structure(folder / "chain.pdb", chain())


@pytest.fixture(scope="module")
def fitted(files, tmp_path_factory):
    output = tmp_path_factory.mktemp("fit") / "run"
    star, _, structure = files
    with jax.enable_x64(False):
        config = ModesConfig(particles=star, output=output, structure=structure, **FAST)
        return fit_modes(config, ["fit", str(star)]), output


def read(output, name):
    return np.asarray(RunFolder(output).latents().read(name))


def test_amplitudes_are_found_with_honest_widths(files, fitted):
    summary, output = fitted
    truth = files[1]
    unit = np.array(summary["widths"])
    mean = read(output, "conformation") * unit
    covariance = read(output, "conformation_covariance") * np.outer(unit, unit)
    for k in range(2):
        assert np.corrcoef(mean[:, k], truth[:, k])[0, 1] > 0.9
    width = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    certain = width < 0.5 * WIDTHS
    assert certain.mean() > 0.6
    z = ((truth - mean) / width)[certain]
    assert 0.8 < z.std() < 1.3
    # The prior came from the images: the search began with 4 Å.
    assert 1.6 < summary["widths"][0] < 3.2
    assert np.isfinite(read(output, "hypothesis_log_evidence")[:, 0]).all()
    assert abs(read(output, "contrast").mean() - 1) < 0.1


def test_the_folder_holds_what_later_steps_need(fitted):
    summary, output = fitted
    names = {path.stem for path in (output / "volumes").glob("*.mrc")}
    assert names == {"mean", "mask", "half1", "half2"}
    for name in ("noise.npy", "half.npy", "population.npz", "latent_components.csv"):
        assert (output / "analysis" / name).is_file()
    for name in summary["trajectories"]:
        assert (output / "trajectories" / f"{name}.cif").is_file()
    stored = load_mixture(RunFolder(output))
    assert stored.volume.latent_size == 2
    lines = RunFolder(output).metrics()
    assert [line["step"] for line in lines] == [1, 2]
    assert all(np.isfinite(line["log_evidence"]) for line in lines)


def test_maps_of_the_model(fitted, tmp_path):
    _, output = fitted
    assert main(["volumes", str(output), "--particles", "3", "-o", str(tmp_path / "maps")]) == 0
    found = read_volume(tmp_path / "maps" / "particle_000003.mrc").data
    mean = read_volume(output / "volumes" / "mean.mrc").data
    assert np.corrcoef(found.ravel(), mean.ravel())[0, 1] > 0.6


def test_the_same_command_again_does_nothing(files, fitted):
    star, _, structure = files
    summary, output = fitted
    config = ModesConfig(particles=star, output=output, structure=structure, **FAST)
    assert fit_modes(config, ["fit", str(star)]) == summary


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modes": 0}, "--modes"),
        ({"fine_steps": 0}, "--fine-steps"),
        ({"softest": 0.0}, "--softest"),
        ({"calibrations": -1}, "--calibrations"),
        ({"cutoff": -1.0}, "--cutoff"),
        ({"coarse_box": 7}, "--coarse-box"),
    ],
)
def test_settings_without_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ModesConfig(particles=Path("a.star"), output=Path("b"), **options)


def test_a_missing_structure_is_named_before_anything_is_written(files, tmp_path):
    lost = tmp_path / "lost.pdb"
    config = ModesConfig(particles=files[0], output=tmp_path / "run", structure=lost)
    with pytest.raises(FileNotFoundError, match=r"lost\.pdb"):
        fit_modes(config, ["fit"])
    assert not (tmp_path / "run").exists()


def test_more_modes_than_the_molecule_has_are_refused(files, tmp_path):
    star, _, structure = files
    options = {**FAST, "modes": 170}
    config = ModesConfig(particles=star, output=tmp_path / "run", structure=structure, **options)
    with pytest.raises(ValueError, match="--modes"):
        fit_modes(config, ["fit"])


def test_taken_up_where_it_was_killed_it_ends_with_the_same_result(files, fitted, tmp_path):
    """In the second round, whose first batch is kept."""
    star, _, structure = files
    config = ModesConfig(particles=star, output=tmp_path / "run", structure=structure, **FAST)
    with stopped(modes_round, "_keep", 4):
        fit_modes(config, ["fit"])
    assert not RunFolder(config.output).finished
    assert fit_modes(config, ["fit"])["widths"] == fitted[0]["widths"]
    for name in ("conformation", "conformation_covariance", "log_likelihood", "rotation"):
        np.testing.assert_array_equal(read(config.output, name), read(fitted[1], name))


def test_an_analysis_of_the_run(fitted):
    _, output = fitted
    line = ["analyse", str(output), "--clusters", "2", "--maps", "3", "--resamples", "0"]
    assert main([*line, "--components", "1"]) == 0
    summary = json.loads((output / "analysis" / "summary.json").read_text())
    assert summary["images"] == COUNT
    assert len(summary["variance_over_power_of_mean"]) == 2
    assert (output / "analysis" / "component_01" / "map_002.mrc").is_file()
    # The model explains its images: nearly all are kept.
    assert summary["flagged"] < 0.2 * COUNT
