"""The estimators of principal volumes, as a run makes them, on a planted set."""

import shutil
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.commands.fit_linear import LinearConfig
from cryojax_het.commands.linear_consensus import consensus_of
from cryojax_het.commands.linear_estimators import ESTIMATORS
from cryojax_het.commands.linear_setting import LinearSetting
from cryojax_het.commands.reconstruct_data import load_data
from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.devices import data_mesh
from cryojax_het.particles.new_star import new_star
from cryojax_het.particles.source import make_particles
from cryojax_het.particles.stack_writer import StackWriter
from cryojax_het.results.config import config_table
from cryojax_het.results.run import RunRecord, open_run
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.linear import linear_of

COUNT, BOX, PIXEL, SNR = 800, 16, 4.0, 0.5
FITS = {
    "covariance": {"estimator": "covariance", "components": None, "most_components": 3},
    "bootstrap": {"estimator": "bootstrap"},
}


def components():
    """Mean and two components `[3, n, n, n]`: blobs, and how they move along y and z."""
    rng, r = np.random.default_rng(7), (np.arange(BOX) - BOX // 2) * PIXEL
    centres = rng.uniform(-12, 12, (20, 3))
    profile = lambda axis: np.exp(-((r[:, None] - centres[:, axis]) ** 2) / (2 * 6.0**2))
    mean = np.einsum("zj,yj,xj->zyx", profile(2), profile(1), profile(0))
    return np.stack([mean, *(0.35 * (np.roll(mean, 1, axis) - mean) for axis in (0, 1))])


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """A planted set on disk, contrasts spread by 0.15; its components."""
    rng, grid, voxels = np.random.default_rng(0), FourierGrid(BOX, PIXEL), components()
    volume = linear_of(jnp.asarray(voxels), grid.pixel_size, quadratic()).prepare(grid)
    defocus = rng.uniform(8e3, 2e4, COUNT)
    columns = {"defocus_u": defocus, "defocus_v": defocus, "half": np.arange(COUNT) % 2 + 1}
    columns |= {"voltage": 300.0, "spherical_aberration": 2.7, "amplitude_contrast": 0.1}
    columns["rotation"] = np.asarray(
        jax.vmap(so3.random)(jax.random.split(jax.random.key(0), COUNT))
    )
    columns["shift"] = 3 * rng.normal(size=(COUNT, 2))
    particles = make_particles(COUNT, pixel_size=PIXEL, size=BOX, **columns)
    z = rng.choice([-1.0, 1.0], (COUNT, 2)) * rng.uniform(0.5, 1.4, (COUNT, 2))
    contrast = 1 + 0.15 * rng.normal(size=COUNT)
    known = (z, particles.rotation, particles.shift, contrast)
    draw = jax.jit(jax.vmap(lambda t, o: grid.to_image(render(volume, t, o, grid))))
    optics = Optics.from_columns(particles.optics())
    clean = np.asarray(draw(Latents(*map(jnp.asarray, known)), optics))
    pixels = clean + np.sqrt(np.mean(clean**2) / SNR) * rng.normal(size=clean.shape)
    folder = tmp_path_factory.mktemp("planted")
    with StackWriter(folder / "images.mrcs", BOX, PIXEL) as stack:
        stack.append(pixels.astype(np.float32))
    new_star(folder / "particles.star", particles, [f"{i + 1}@images.mrcs" for i in range(COUNT)])
    return folder, voxels[1:]


@pytest.fixture(scope="module")
def fits(truth):
    """By estimator: volumes, powers, gains of held-out images, and whether further calls, from the
    last checkpoint and the one before it, give the same; of one consensus."""
    with jax.enable_x64(False):
        given = {"particles": truth[0] / "particles.star", "diameter": 52.0, "batch": 100}
        config = LinearConfig(output=truth[0] / "shared", components=2, seed=1, **given)
        data, consensus = load_data(config), consensus_of(config, ["fit"])
        return {
            name: fitted(replace(config, output=truth[0] / name, **options), data, consensus)
            for name, options in FITS.items()
        }


def fitted(config, data, consensus):
    record = RunRecord(command=["fit"], seed=1)
    run = open_run(config.output, config_table(config.result_settings()), record)
    setting = LinearSetting(config, data, consensus, data_mesh())
    fit = ESTIMATORS[config.estimator].fit
    first, done = fit(setting, run), fit(setting, run)
    shutil.rmtree(run.checkpoints / "000002")  # as after a kill in the last stage
    halfway = fit(setting, run)
    same = [np.array_equal(first.volumes, other.volumes) for other in (done, halfway)]
    kept = {"volumes": first.volumes, "power": first.power, "held_out": first.held_out}
    return {"same": same, **kept}


def captured(volumes, truth):
    """Share of each true component's power in the span of the components found."""
    basis = np.linalg.qr(volumes[1:].reshape(len(volumes) - 1, -1).T.astype(float))[0]
    flat = truth.reshape(len(truth), -1)
    return np.sum((flat @ basis) ** 2, axis=1) / np.sum(flat**2, axis=1)


def variance(components):
    return np.sum(components.reshape(len(components), -1).astype(float) ** 2, axis=1)


def test_they_find_what_was_planted_and_resampling_is_the_bluntest(fits, truth):
    covariance, resampled = (captured(fits[name]["volumes"], truth[1]) for name in FITS)
    assert np.all(covariance > 0.5)
    assert np.all(resampled > 0.2)
    assert covariance.sum() > resampled.sum()


def test_variances_are_those_planted(fits, truth):
    """Within the part that is found; noise, in a basis of other images, adds none."""
    found, planted = fits["covariance"]["volumes"], variance(truth[1])
    assert np.all(variance(found[1:]) < 1.2 * np.sort(planted)[::-1])
    assert np.all(variance(found[1:]) > 0.4 * np.sort(planted)[::-1])


def test_stages_that_are_done_are_taken_up(fits):
    for name in FITS:
        assert all(fits[name]["same"])


def test_the_number_of_components_is_told_by_held_out_images(fits):
    held_out = fits["covariance"]["held_out"]
    assert len(fits["covariance"]["volumes"]) == 3  # a third would be the contrast
    assert len(held_out) == 4
    assert held_out[2] > held_out[0]
    assert len(fits["bootstrap"]["held_out"]) == 0


def test_powers_are_per_volume_and_shell(fits):
    for name in FITS:
        assert fits[name]["power"].shape == (3, BOX // 2 + 1)
        assert np.all(fits[name]["power"] >= 0)
