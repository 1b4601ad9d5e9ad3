"""`fit --volume neural-field` from files to a run folder: found, kept, killed and taken up."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from cryojax_het.cli import main
from cryojax_het.commands import training_course
from cryojax_het.commands.fit import METHODS, NEURAL_FIELDS
from cryojax_het.commands.fit_neural_field import (
    CryodrgnConfig,
    DrgnAiFixedConfig,
    NeuralFieldConfig,
)
from cryojax_het.particles.mrc import read_volume
from cryojax_het.results.neural_field_store import load_neural_field
from cryojax_het.results.run import RunFolder
from cryojax_het.simulate.truth import open_truth

from .conftest import latents_of, stopped
from .small_field import FAST, STEPS, curve_of, fitted


@pytest.fixture(scope="module", params=["encoder", "table"])
def finished(request, finely_hinged, tmp_path_factory):
    output = tmp_path_factory.mktemp(request.param) / "run"
    config = NeuralFieldConfig(
        particles=finely_hinged.particles,
        output=output,
        posterior=request.param,
        row_rate=0.1,
        epochs=40,
        **FAST,
    )
    return config, fitted(config)


def test_the_latent_tells_the_angle(finished, finely_hinged):
    config, summary = finished
    angle = open_truth(finely_hinged.truth).images.conformation[:, 0]
    z = latents_of(config.output)
    design = np.column_stack([np.ones(len(z)), z, z**2, z[:, :1] * z[:, 1:]])
    found = design @ np.linalg.lstsq(design, angle, rcond=None)[0]
    assert np.corrcoef(found, angle)[0, 1] > 0.8
    covariance = latents_of(config.output, "conformation_covariance")
    assert np.all(np.linalg.eigvalsh(covariance) > 0)
    assert summary["layers"] == [64, 2]
    curve = [json.loads(line) for line in (config.output / "log.jsonl").read_text().splitlines()]
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_maps_are_those_of_the_states(finished, finely_hinged, tmp_path):
    config, _ = finished
    truth = open_truth(finely_hinged.truth)
    rows = np.sort(np.argsort(latents_of(config.output)[:, 0])[[5, -5]])
    command = ["volumes", str(config.output), "--particles", ",".join(map(str, rows))]
    main([*command, "-o", str(tmp_path / "maps")])
    maps = [read_volume(path).data.ravel() for path in sorted((tmp_path / "maps").glob("*.mrc"))]
    assert maps[0].size == 24**3
    consensus = RunFolder(config.output).volume("mean").data.ravel()
    for row, found in zip(rows, maps, strict=True):
        own, other = (
            truth.map(int(truth.images.state[r])).ravel() for r in (row, rows.sum() - row)
        )
        score = lambda exact, found=found: np.corrcoef(exact, found)[0, 1]
        # Noise is no less than in the consensus: nearly as like the truth, and of the right state.
        assert score(own) > 0.9 * np.corrcoef(own, consensus)[0, 1]
        assert score(own) > score(other)


def test_a_run_leaves_an_early_look_and_latents_for_cryodrgn(finished):
    config, _ = finished
    looked = sorted(path.name for path in (config.output / "early_look").glob("map_*.mrc"))
    assert looked == [f"map_{number:03d}.mrc" for number in range(5)]
    with open(config.output / "latents" / "z.pkl", "rb") as file:
        z = pickle.load(file)
    np.testing.assert_array_equal(z, latents_of(config.output))
    assert z.dtype == np.float32
    field = load_neural_field(RunFolder(config.output))
    assert field.latent_size == 2
    middle = RunFolder(config.output).volume("middle").data
    assert middle.shape == (24, 24, 24)


def test_killed_it_is_taken_up_on_the_same_curve(finished, tmp_path):
    """In the middle of the third epoch."""
    whole = replace(finished[0], output=tmp_path / "whole", epochs=4)
    fitted(whole)
    broken = replace(whole, output=tmp_path / "broken")
    with stopped(training_course, "_step", 2 * STEPS + 7):
        fitted(broken)
    assert len(curve_of(broken.output)) == 2
    assert not RunFolder(broken.output).finished
    fitted(broken)
    first, second = curve_of(whole.output), curve_of(broken.output)
    assert list(first) == list(second)
    np.testing.assert_allclose(list(second.values()), list(first.values()), rtol=1e-4)
    np.testing.assert_allclose(latents_of(broken.output), latents_of(whole.output), atol=1e-3)


def test_known_names_have_their_programs_defaults(tmp_path):
    assert {METHODS[name].settings for name in NEURAL_FIELDS} == {
        NeuralFieldConfig,
        CryodrgnConfig,
        DrgnAiFixedConfig,
    }
    given = {"particles": tmp_path / "particles.star", "output": tmp_path}
    theirs = CryodrgnConfig(**given)
    assert (theirs.latent, theirs.batch, theirs.epochs, theirs.rate) == (8, 16, 20, 1e-4)
    assert (theirs.decoder_layers, theirs.features) == ((1024, 3), "gaussian")
    other = DrgnAiFixedConfig(**given)
    assert (other.posterior, other.latent, other.row_rate) == ("table", 4, 1e-2)
    with pytest.raises(ValueError, match=r"`--divergence` must not be negative\. Got -1\.0"):
        NeuralFieldConfig(divergence=-1.0, **given)
    with pytest.raises(ValueError, match=r"`--group` must be at least 1\. Got 0"):
        NeuralFieldConfig(group=0, **given)


def test_a_finished_run_is_analysed(finished):
    config, _ = finished
    main(["analyse", str(config.output), "--components", "1", "--clusters", "2", "--maps", "3"])
    summary = json.loads((config.output / "analysis" / "summary.json").read_text())
    assert len(summary["variance_over_power_of_mean"]) == 2
    assert (config.output / "analysis" / "clusters" / "map_001.mrc").is_file()
