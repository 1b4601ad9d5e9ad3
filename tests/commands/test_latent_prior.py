"""`cryojax-het latent-prior` on a run whose latents are of two clusters."""

import json

import equinox as eqx
import jax
import numpy as np
import pytest

from cryojax_het.analysis.two_sample import two_sample_p
from cryojax_het.commands.latent_prior import LatentPriorConfig, run_latent_prior
from cryojax_het.inference.latent_diffusion.diffusion import AbstractDiffusion
from cryojax_het.inference.latent_diffusion.latent_density import LatentDensity
from cryojax_het.results.latent_density_store import load_latent_density, save_latent_density
from cryojax_het.results.run import RunFolder, RunRecord, open_run

IMAGES, WIDTH, ERROR = 2000, 0.15, 0.25
PLACE, SHARE = np.array([[-1.0, 0.0], [1.0, 0.5]]), (0.6, 0.4)


class Unkept(AbstractDiffusion):
    """A density without a network."""

    size: int = eqx.field(static=True, default=2)

    def noise(self, x, level):
        return x


def write_run(path, covariance=True):
    """Posteriors under the standard normal prior, as a fit leaves them, and the truth."""
    rng = np.random.default_rng(0)
    truth = PLACE[rng.choice(2, IMAGES, p=SHARE)] + WIDTH * rng.normal(size=(IMAGES, 2))
    seen = truth + ERROR * rng.normal(size=truth.shape)
    shrunk = 1 / (1 + ERROR**2)
    folder = open_run(path, {}, RunRecord(command=["test"], seed=0, devices=[], inputs=[]))
    columns = {"conformation": shrunk * seen}
    if covariance:
        columns["conformation_covariance"] = np.tile(shrunk * ERROR**2 * np.eye(2), (IMAGES, 1, 1))
    for name, values in columns.items():
        folder.latents().create(name, values.shape)
        folder.latents().write(name, np.arange(IMAGES), values.astype(np.float32))
    folder.finish({})
    return truth


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    root = tmp_path_factory.mktemp("prior")
    truth = write_run(root / "run")
    config = LatentPriorConfig(
        run=root / "run", output=root / "out", steps=800, draws=256, layers=(64, 2), samples=1000
    )
    return config, truth, run_latent_prior(config, ["test"])


def test_the_density_is_better_than_a_normal_one_and_draws_are_like_latents(told):
    config, _, summary = told
    assert summary["held_out_loss"] < summary["normal_loss"]
    assert summary["two_sample_p"] > 0.05 > summary["normal_two_sample_p"]
    samples = np.load(config.output / "analysis" / "samples.npy")
    share = np.mean(samples[:, 0] < 0)
    assert abs(share - SHARE[0]) < 0.07
    kept = json.loads((config.output / "analysis" / "latent_prior.json").read_text())
    assert kept == summary
    assert (config.output / "plots" / "latent_prior.png").stat().st_size > 5000


def test_latents_under_it_are_nearer_to_the_truth(told):
    config, truth, _ = told
    before = RunFolder(config.run).latents().read("conformation")
    table = RunFolder(config.output).latents()
    error = lambda found: np.mean(np.sum((np.asarray(found) - truth) ** 2, axis=1))
    assert error(table.read("conformation_mean")) < 0.9 * error(before)
    assert np.isfinite(table.read("conformation")).all()
    assert np.median(table.read("effective_draws")) > 30


def test_the_density_is_kept(told):
    config, _, _ = told
    density = load_latent_density(RunFolder(config.output))
    samples = np.load(config.output / "analysis" / "samples.npy")[:3]
    kept = np.load(config.output / "analysis" / "latent_prior.npz")["log_density"][:3]
    with jax.enable_x64(False):
        found = [float(density.log_prob(np.float32(z) + jax.numpy.zeros(2))) for z in samples]
    np.testing.assert_allclose(found, kept, atol=2e-3)
    other = LatentDensity(Unkept(), density.mean, density.factor)
    with pytest.raises(TypeError, match="Unkept"):
        save_latent_density(RunFolder(config.output), other)


def test_a_finished_run_is_left_as_it_is(told):
    config, _, summary = told
    assert run_latent_prior(config, ["test"]) == summary


def test_what_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--steps"):
        LatentPriorConfig(run=tmp_path, output=tmp_path, steps=0)
    with pytest.raises(ValueError, match="--layers"):
        LatentPriorConfig(run=tmp_path, output=tmp_path, layers=(0, 1))
    write_run(tmp_path / "bare", covariance=False)
    config = LatentPriorConfig(run=tmp_path / "bare", output=tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="conformation_covariance"):
        run_latent_prior(config, ["test"])
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="10 points"):
        two_sample_p(np.zeros((3, 2)), np.zeros((20, 2)))


def test_two_samples_of_one_density_are_told_apart_at_their_level():
    rng = np.random.default_rng(0)
    p = [two_sample_p(rng.normal(size=(40, 2)), rng.normal(size=(40, 2)), s) for s in range(40)]
    assert 0.3 < np.mean(p) < 0.7
    assert two_sample_p(rng.normal(size=(80, 2)), 1 + rng.normal(size=(80, 2))) < 0.01
