"""`fit --volume linear` from files to a run folder: what is found, chosen, kept, and taken up."""

import json
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.analysis.calibration import gaussian_coverage
from cryojax_het.commands import linear_fit
from cryojax_het.commands.fit import METHODS, chosen_method
from cryojax_het.commands.fit_linear import LinearConfig, fit_linear
from cryojax_het.commands.image_preparation import image_loader, initial_noise
from cryojax_het.commands.reconstruct_data import load_data
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.posteriors.linear_gaussian import LinearGaussianPosterior
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.particles.loader import Placement, split_rows
from cryojax_het.particles.mrc import read_volume
from cryojax_het.particles.stack import ReadOptions
from cryojax_het.results.run import RunFolder
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.linear import linear_of

from .conftest import asymmetric_molecule, simulate, stopped

pytestmark = pytest.mark.usefixtures("float32")
BOX, PIXEL = 24, 5.2
COUNT, SIGMA, SPREAD = 240, 1.0, 0.2
FAST = {"batch": 60, "iterations": 3, "most_components": 2, "latent_box": 18, "devices": 1}


def linear_images():
    """Images of a mean whose two halves grow and shrink apart, contrast ±20 %; latents, contrast.

    Of 240 images, at an SNR of about 1 per pixel.
    """
    base = simulate(COUNT, BOX, PIXEL, SIGMA)
    whole, table, grid = asymmetric_molecule(), base.particles, FourierGrid(BOX, PIXEL)
    poses = Latents(
        jnp.zeros((COUNT, 0)),
        jnp.asarray(table.rotation),
        jnp.asarray(table.shift),
        jnp.ones(COUNT),
    )
    optics = Optics.from_columns(table.optics())

    def images(kept):
        part = Gaussians(whole.positions[kept], whole.amplitudes[kept], whole.widths[kept])
        draw = jax.jit(jax.vmap(lambda t, o: grid.to_image(render(part, t, o, grid))))
        return np.asarray(draw(poses, optics), np.float32)

    side = np.asarray(whole.positions[:, 0]) > 5
    high = np.asarray(whole.positions[:, 1]) > 0
    rng = np.random.default_rng(8)
    z = rng.normal(size=(COUNT, 2)).astype(np.float32)
    contrast = (1 + SPREAD * rng.normal(size=COUNT)).clip(0.4).astype(np.float32)
    mean, first, second = images(side | ~side), images(side), images(~side & high)
    clean = mean + 0.5 * z[:, :1, None] * first + 0.4 * z[:, 1:, None] * second
    noise = base.pixels - mean
    return replace(base, pixels=contrast[:, None, None] * clean + noise), z, contrast


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """The path of the STAR file, true latents and contrasts."""
    with jax.enable_x64(False):
        images, z, contrast = linear_images()
        return images.write(tmp_path_factory.mktemp("varied")), z, contrast


def run(star, output, **options):
    config = LinearConfig(particles=star, output=output, **{**FAST, **options})
    return fit_linear(config, ["fit", str(star)])


def read(output, name):
    return np.asarray(RunFolder(output).latents().read(name))


@pytest.fixture(scope="module")
def fitted(varied, tmp_path_factory):
    output = tmp_path_factory.mktemp("fit") / "run"
    with jax.enable_x64(False):
        return run(varied[0], output), output


@pytest.fixture(scope="module")
def ideal(varied):
    """Posterior mean latents and contrasts under the true volumes, the best there is; and the
    covariance of the latents."""
    star = varied[0]
    with jax.enable_x64(False):
        whole = asymmetric_molecule()
        side, high = np.asarray(whole.positions[:, 0]) > 5, np.asarray(whole.positions[:, 1]) > 0
        grid = FourierGrid(BOX, PIXEL)
        parts = (side | ~side, 1.0), (side, 0.5), (~side & high, 0.4)
        maps = [
            scale
            * Gaussians(
                *(x[kept] for x in (whole.positions, whole.amplitudes, whole.widths))
            ).density(jnp.zeros(0), grid)
            for kept, scale in parts
        ]
        volume = linear_of(jnp.stack(maps).astype(jnp.float32), grid.pixel_size, quadratic())
        config = LinearConfig(particles=star, output=star.parent / "none")
        data = load_data(config)
        loader = image_loader(
            config, data, BOX, 60, Placement(lambda t: jax.tree.map(jnp.asarray, t))
        )
        noise = initial_noise(config, data, loader.pixels)
        prior = LocalPrior(*map(jnp.float32, (1.0, 1.0, 1.0, SPREAD)))
        method = LinearGaussianPosterior()
        infer = eqx.filter_jit(
            lambda b: method.infer(jax.random.key(0), volume, noise, prior, b, grid)
        )
        plan = split_rows(np.arange(COUNT), 60)
        found = [infer(batch) for batch in loader.batches(plan)]
    parts = lambda of: np.concatenate([np.asarray(of(belief)) for belief in found])
    latents = parts(lambda belief: belief.latents.conformation)
    contrast = parts(lambda belief: belief.latents.contrast)
    return latents, contrast, parts(lambda belief: belief.covariance)


def explained(latents, truth):
    """Share of the variance of `truth` that an affine map of the latents explains, and the map."""
    design = np.column_stack([np.ones(len(latents)), latents])
    slope, *_ = np.linalg.lstsq(design, truth, rcond=None)
    left = truth - design @ slope
    return 1 - np.sum(left**2) / np.sum((truth - truth.mean(axis=0)) ** 2), slope[1:]


def test_latents_are_found_and_the_contrast_is_no_component(varied, fitted, ideal):
    summary, output = fitted
    assert summary["components"] == 2  # chosen: a third would be the contrast
    latents, contrast = read(output, "conformation"), read(output, "contrast")
    share, best = (explained(z, varied[1])[0] for z in (latents, ideal[0]))
    assert best > 0.7
    assert share > 0.9 * best  # 240 images know the components only so well
    known, most = (np.corrcoef(c, varied[2])[0, 1] for c in (contrast, ideal[1]))
    assert most > 0.85
    # Short of the best by a fifth: what passes of EM are left to do shows in the contrast first.
    assert known > 0.7
    # Latents tell nothing of the contrast: no more than two of 240 numbers do by chance.
    assert explained(latents, varied[2][:, None])[0] < 0.03
    gains = summary["held_out"]
    assert 3 <= len(gains) <= FAST["most_components"] + 1  # as many as EM was given
    assert gains[2] - gains[0] > 1


def test_posteriors_under_the_true_volumes_are_as_wide_as_they_are_wrong(varied, ideal):
    """Coverage of 50 % and 90 % regions. (Of the fitted volumes, which 240 images leave uncertain,
    posteriors are too narrow: in these volumes each image has a share of its own noise.)"""
    found = gaussian_coverage(*(x.astype(float) for x in (ideal[0], ideal[2], varied[1])))
    for coverage in found:
        assert abs(coverage.observed - coverage.level) < 4 * coverage.error


def test_the_folder_holds_what_it_should(varied, fitted):
    summary, output = fitted
    folder = RunFolder(output)
    assert folder.finished
    volumes = {path.stem for path in (output / "volumes").glob("*.mrc")}
    assert volumes == {"mean", "component_01", "component_02", "mask", "half1", "half2"}
    assert read_volume(output / "volumes" / "component_01.mrc").data.shape == (BOX,) * 3
    power = summary["variance_over_power_of_mean"]
    assert power[0] > power[1] > 0
    gain, flat = read(output, "log_likelihood"), read(output, "log_likelihood_mean")
    assert np.isfinite(gain).all()
    assert gain.mean() > flat.mean() + 1
    assert np.load(output / "analysis" / "noise.npy").shape == (1, BOX // 2 + 1)
    np.testing.assert_array_equal(
        np.load(output / "analysis" / "half.npy"), np.arange(COUNT) % 2 + 1
    )
    steps = [line["log_likelihood"] for line in folder.metrics()]
    assert steps[-1] > steps[0]  # not by much: EM starts near its end
    covariance = read(output, "conformation_covariance")
    assert np.all(np.linalg.eigvalsh(covariance) > 0)


def test_images_with_nan_pixels_are_refused_or_left_out(varied, fitted, tmp_path):
    star, bad = tmp_path / "particles.star", [7, COUNT - 1]
    star.write_bytes(varied[0].read_bytes())
    pixels = np.fromfile(varied[0].parent / "images.mrcs", np.uint8)
    pixels[1024:].view("<f4").reshape(COUNT, BOX, BOX)[bad, 3, 4] = np.nan
    pixels.tofile(tmp_path / "images.mrcs")
    with pytest.raises(ValueError, match=r"images\.mrcs \(row (8|240) of .*particles\.star\)"):
        run(star, tmp_path / "refused")
    run(star, tmp_path / "run", components=2, read=ReadOptions(skip_nonfinite=True))
    latents, others = read(tmp_path / "run", "conformation"), read(fitted[1], "conformation")
    np.testing.assert_array_equal(latents[bad], 0.0)
    covariance = read(tmp_path / "run", "conformation_covariance")[bad]
    for unseen in covariance:
        np.testing.assert_array_equal(unseen, np.eye(len(unseen)))
    seen = np.setdiff1d(np.arange(COUNT), bad)
    for k in range(2):
        assert abs(np.corrcoef(latents[seen, k], others[seen, k])[0, 1]) > 0.99


def test_a_finished_run_is_left_as_it_is(varied, fitted):
    before = (fitted[1] / "run.json").read_text()
    assert run(varied[0], fitted[1]) == json.loads(before)["summary"]
    assert (fitted[1] / "run.json").read_text() == before


def test_settings_that_cannot_be(tmp_path):
    for options, words in (
        ({"components": 0}, "--components"),
        ({"contrast": -1.0}, "--contrast"),
        ({"latent_box": 9}, "--latent-box"),
        ({"iterations": 0}, "--iterations"),
    ):
        with pytest.raises(ValueError, match=words):
            LinearConfig(particles=tmp_path / "a.star", output=tmp_path / "b", **options)


def test_the_method_is_named_by_flag_or_file(tmp_path):
    assert chosen_method(["a.star"]) is METHODS["linear"]
    assert chosen_method(["a.star", "--volume", "classes"]) is METHODS["classes"]
    assert chosen_method(["--volume=classes"]) is METHODS["classes"]
    (tmp_path / "c.toml").write_text('volume = "classes"\n')
    assert chosen_method(["--config", str(tmp_path / "c.toml")]) is METHODS["classes"]
    with pytest.raises(ValueError, match="one of linear, classes"):
        chosen_method(["--volume", "cubes"])


def test_taken_up_where_it_was_killed_it_ends_with_the_same_result(varied, fitted, tmp_path):
    broken = tmp_path / "broken"
    with stopped(linear_fit, "save_checkpoint", 2):  # after the first pass
        run(varied[0], broken)
    assert not RunFolder(broken).finished
    summary, whole = run(varied[0], broken), fitted[1]
    assert summary["held_out"] == fitted[0]["held_out"]
    for name in ("conformation", "contrast", "log_likelihood"):
        np.testing.assert_array_equal(read(broken, name), read(whole, name))
    for path in (whole / "volumes").glob("*.mrc"):
        other = read_volume(broken / "volumes" / path.name).data
        np.testing.assert_array_equal(read_volume(path).data, other)
