"""`fit --volume gaussians` from files to a run folder: what is found, kept, and taken up."""

import json
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from cryojax_het.cli import main
from cryojax_het.commands import reconstruct_run, training_course, training_run
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

from .conftest import latents_of

FAST: dict[str, Any] = {
    "devices": 1,
    "batch": 32,
    "epochs": 12,
    "neutral_epochs": 1,
    "latent": 2,
    "bodies": 8,
}


@pytest.fixture(scope="module")
def finished(hinged, tmp_path_factory):
    config = GaussiansConfig(
        particles=hinged.particles, output=tmp_path_factory.mktemp("fit") / "run", **FAST
    )
    return config, fitted(config)


def fitted(config):
    """As users run it: JAX in single precision."""
    with jax.enable_x64(False):
        return fit_trained(config, ["test"])


def test_the_latent_tells_the_angle(finished, hinged):
    config, summary = finished
    angle = open_truth(hinged.truth).images.conformation[:, 0]
    z = latents_of(config.output)
    design = np.column_stack([np.ones(len(z)), z, z**2])
    fitted = design @ np.linalg.lstsq(design, angle, rcond=None)[0]
    assert np.corrcoef(fitted, angle)[0, 1] > 0.9
    gained = latents_of(config.output, "log_likelihood") - latents_of(
        config.output, "log_likelihood_mean"
    )
    assert np.mean(gained) > 1
    assert summary["images"] == 480
    assert summary["gaussians"] > 10


def test_maps_come_of_the_model_of_near_images_and_of_all_images_bent(finished, hinged):
    config, _ = finished
    truth = open_truth(hinged.truth)
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


def fitted_up_to(saves, config):
    """Stopped after so many checkpoints."""
    saved, kept = [], training_course._save

    def killed(*arguments):
        kept(*arguments)
        saved.append(1)
        if len(saved) == saves:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_course, "_save", killed)
        with pytest.raises(KeyboardInterrupt):
            fitted(config)
    assert not RunFolder(config.output).finished


def test_killed_and_taken_up_it_ends_with_the_same_result(first_hinged, tmp_path, monkeypatch):
    short: dict[str, Any] = {**FAST, "epochs": 2, "particles": first_hinged}
    whole = GaussiansConfig(output=tmp_path / "whole", **short)
    alone = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
    # Sums over several devices come in any order.
    for module in (training_run, reconstruct_run):
        monkeypatch.setattr(module, "data_mesh", lambda: alone)
    fitted(whole)
    broken = replace(whole, output=tmp_path / "broken")
    fitted_up_to(2, broken)
    fitted(broken)
    np.testing.assert_array_equal(latents_of(broken.output), latents_of(whole.output))


def test_what_runs_away_says_so(first_hinged, tmp_path):
    config = GaussiansConfig(
        output=tmp_path / "wild", particles=first_hinged, **{**FAST, "rate": 1e6}
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
    options = {**FAST, "epochs": 1, "neutral_epochs": 0, "decoder_layers": (16, 2)}
    config = DynamightConfig(particles=first_hinged, output=tmp_path / "run", **options)
    fitted(config)
    assert np.isfinite(latents_of(config.output)).all()
    last = json.loads((config.output / "log.jsonl").read_text().splitlines()[-1])
    assert last["energy"] > 0


def gains(folder):
    """Per image, epoch by epoch."""
    return [json.loads(line)["gain"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_modes_are_taught_and_regions_follow_them(hinged, first_hinged, tmp_path):
    options = {**FAST, "epochs": 4, "neutral_epochs": 0}
    taught = DeepModesConfig(
        particles=hinged.particles,
        output=tmp_path / "modes",
        lesson_images=96,
        lesson_epochs=30,
        lesson_starts=4,
        **options,
    )
    fitted(taught)
    untaught = replace(taught, output=tmp_path / "untaught", lesson_images=0)
    fitted_up_to(1, untaught)
    assert gains(taught.output)[0] > gains(untaught.output)[0] + 0.5  # of the first epoch
    found, rest = (latents_of(taught.output, n) for n in ("log_likelihood", "log_likelihood_mean"))
    assert np.mean(found - rest) > 1
    options |= {"epochs": 1}
    regions = RegionsConfig(particles=first_hinged, output=tmp_path / "regions", **options)
    fitted(regions)
    moved = load_mixture(RunFolder(regions.output)).volume
    assert moved.latent_size == 2
    assert np.isfinite(moved.at(jnp.array([3.0, -3.0], jnp.float32)).positions).all()
