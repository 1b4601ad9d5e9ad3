"""`fit --volume gaussians` from files to a run folder: what is found, kept, and taken up."""

import json
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.cli import main
from cryojax_het.commands import training_course
from cryojax_het.commands.fit import METHODS
from cryojax_het.commands.fit_gaussians import (
    DeepModesConfig,
    DynamightConfig,
    GaussiansConfig,
    RegionsConfig,
    fit_trained,
)
from cryojax_het.commands.trained_stages import Neutral
from cryojax_het.particles.mrc import read_volume
from cryojax_het.results.mixture_store import load_mixture
from cryojax_het.results.run import RunFolder
from cryojax_het.simulate.truth import open_truth

from .conftest import latents_of, stopped

FAST: dict[str, Any] = {
    "devices": 1,
    "batch": 16,
    "epochs": 12,
    "neutral_epochs": 1,
    "latent": 2,
    "bodies": 8,
}
SHORT: dict[str, Any] = {**FAST, "epochs": 1, "neutral_epochs": 0}


@pytest.fixture(scope="module")
def finished(finely_hinged, tmp_path_factory):
    config = GaussiansConfig(
        particles=finely_hinged.particles, output=tmp_path_factory.mktemp("fit") / "run", **FAST
    )
    return config, fitted(config)


def fitted(config):
    """As users run it: JAX in single precision."""
    with jax.enable_x64(False):
        return fit_trained(config, ["test"])


def test_the_latent_tells_the_angle(finished, finely_hinged):
    config, summary = finished
    angle = open_truth(finely_hinged.truth).images.conformation[:, 0]
    z = latents_of(config.output)
    design = np.column_stack([np.ones(len(z)), z, z**2])
    fitted = design @ np.linalg.lstsq(design, angle, rcond=None)[0]
    assert np.corrcoef(fitted, angle)[0, 1] > 0.9
    gained = latents_of(config.output, "log_likelihood") - latents_of(
        config.output, "log_likelihood_mean"
    )
    assert np.mean(gained) > 1
    assert summary["images"] == 240
    assert summary["gaussians"] > 10


def test_maps_come_of_the_model_of_near_images_and_of_all_images_bent(finished, finely_hinged):
    config, _ = finished
    truth = open_truth(finely_hinged.truth)
    rows = np.sort(np.argsort(latents_of(config.output)[:, 0])[[5, -5]])
    for way in ("model", "regression", "deformed"):
        out = config.output.with_name(way)
        command = ["volumes", str(config.output), "--particles", ",".join(map(str, rows))]
        main([*command, "--by", way, "-o", str(out)])
        maps = [read_volume(path).data.ravel() for path in sorted(out.glob("*.mrc"))]
        assert maps[0].size == 24**3
        for row, found in zip(rows, maps, strict=True):
            # Its own state more than the other one's.
            own, other = (
                truth.map(int(truth.images.state[r])).ravel() for r in (row, rows.sum() - row)
            )
            score = lambda exact, found=found: np.corrcoef(exact, found)[0, 1]
            assert score(own) > score(other)


def test_killed_and_taken_up_it_ends_with_the_same_result(finished, tmp_path):
    whole, _ = finished
    broken = replace(whole, output=tmp_path / "broken")
    with stopped(training_course, "_save", 2):
        fitted(broken)
    assert not RunFolder(broken.output).finished
    fitted(broken)
    np.testing.assert_array_equal(latents_of(broken.output), latents_of(whole.output))


def test_what_runs_away_says_so(first_hinged, tmp_path):
    config = GaussiansConfig(
        output=tmp_path / "wild", particles=first_hinged, **{**SHORT, "epochs": 3, "rate": 1e6}
    )
    with pytest.raises(FloatingPointError, match="Lower `--rate`"):
        fitted(config)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"latent": 0}, "`--latent` must be at least 1. Got 0"),
        ({"warm_up": 2.0}, "`--warm-up` must lie between 0 and 1"),
        ({"stiffening": -0.1}, "`--stiffening` must lie between 0 and 1"),
        ({"loose": 0.0}, "`--loose` must be above 0"),
        ({"displacement": "segments"}, "needs `--structure`"),
        ({"latent_box": 9}, "`--latent-box` must be even"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        GaussiansConfig(particles=tmp_path / "a.star", output=tmp_path, **wrong)


def test_restraints_stiffen_in_equal_factors():
    stage = Neutral(name="any", epochs=10, loose=0.01, stiffening=4.0)
    found = [float(stage.restraint_weight(epoch)) for epoch in (0, 2, 4, 9)]
    np.testing.assert_allclose(found, [0.01, 0.1, 1, 1], rtol=1e-6)
    assert float(Neutral(name="any", epochs=10).restraint_weight(0)) == 1


def test_fit_knows_it():
    assert METHODS["gaussians"].settings is GaussiansConfig


def test_as_dynamight_neighbours_hold_together(first_hinged, tmp_path):
    """One epoch; the energy of its elastic network is in the log."""
    options = {**SHORT, "decoder_layers": (16, 2)}
    config = DynamightConfig(particles=first_hinged, output=tmp_path / "run", **options)
    fitted(config)
    assert np.isfinite(latents_of(config.output)).all()
    last = json.loads((config.output / "log.jsonl").read_text().splitlines()[-1])
    assert last["energy"] > 0


def test_modes_are_taught(first_hinged, tmp_path):
    """By the mode of each image's posterior; that lessons teach is shown where there is a loss."""
    config = DeepModesConfig(
        particles=first_hinged,
        output=tmp_path / "modes",
        lesson_images=32,
        lesson_epochs=2,
        lesson_starts=2,
        **SHORT,
    )
    fitted(config)
    lines = RunFolder(config.output).metrics()
    assert [line["step"] for line in lines] == [1]
    assert np.isfinite(lines[0]["gain"])
    assert np.isfinite(latents_of(config.output)).all()


def test_regions_follow_modes(first_hinged, tmp_path):
    config = RegionsConfig(particles=first_hinged, output=tmp_path / "regions", **SHORT)
    fitted(config)
    moved = load_mixture(RunFolder(config.output)).volume
    assert moved.latent_size == 2
    assert np.isfinite(moved.at(jnp.array([3.0, -3.0], jnp.float32)).positions).all()
