"""`fit --volume flex` and `zernike` from files to a run folder: what is found and kept."""

from typing import Any

import jax
import numpy as np
import pytest

from cryojax_het.cli import main
from cryojax_het.commands.fit import METHODS
from cryojax_het.commands.fit_flow import FlexConfig, ZernikeConfig, fit_flow
from cryojax_het.particles.mrc import read_volume
from cryojax_het.results.flow_store import load_flow
from cryojax_het.results.run import RunFolder
from cryojax_het.simulate.truth import open_truth

from .conftest import latents_of

FAST: dict[str, Any] = {
    "devices": 1,
    "batch": 32,
    "latent_box": 12,
    "decoder_layers": (32, 2),
    "encoder_layers": (64, 2),
}


def fitted(config):
    """As users run it: JAX in single precision."""
    with jax.enable_x64(False):
        return fit_flow(config, ["test"])


@pytest.fixture(scope="module")
def finished(hinged, tmp_path_factory):
    output = tmp_path_factory.mktemp("fit") / "run"
    config = FlexConfig(
        particles=hinged.particles,
        output=output,
        epochs=10,
        rounds=2,
        cells=150,
        rigidity=1.0,
        **FAST,
    )
    return config, fitted(config)


def test_the_latent_tells_the_angle(finished, hinged):
    config, summary = finished
    angle = open_truth(hinged.truth).images.conformation[:, 0]
    z = latents_of(config.output)
    design = np.column_stack([np.ones(len(z)), z, z**2])
    found = design @ np.linalg.lstsq(design, angle, rcond=None)[0]
    assert np.corrcoef(found, angle)[0, 1] > 0.8
    gained, rest = (latents_of(config.output, n) for n in ("log_likelihood", "log_likelihood_mean"))
    assert np.mean(gained - rest) > 1
    assert summary["displacement"] > 0.5
    assert summary["smallest_determinant"] > 0.2


def test_half_maps_beyond_the_cutoff_are_kept_and_told(finished):
    config, summary = finished
    folder = RunFolder(config.output)
    table = np.genfromtxt(folder.path / "analysis" / "flow_fsc.csv", delimiter=",", names=True)
    assert len(table) == 9
    for where in ("molecule", "moving"):
        curve = table[f"flow_{where}"]
        assert summary[f"fsc_beyond_cutoff_flow_{where}"] == pytest.approx(
            curve[6:].mean(), abs=1e-4
        )
    halves = [folder.volume(f"reference_half{n}").data.ravel() for n in (1, 2)]
    assert np.corrcoef(*halves)[0, 1] > 0.5
    volume = load_flow(folder)
    assert float(np.sum(volume.reference.amplitudes)) > 0


def test_maps_come_of_the_model_and_of_all_images_bent(finished, hinged):
    config, _ = finished
    truth = open_truth(hinged.truth)
    rows = np.sort(np.argsort(truth.images.conformation[:, 0])[[5, -5]])
    for way in ("model", "deformed"):
        out = config.output.with_name(way)
        command = ["volumes", str(config.output), "--particles", ",".join(map(str, rows))]
        main([*command, "--by", way, "-o", str(out)])
        maps = [read_volume(path).data.ravel() for path in sorted(out.glob("*.mrc"))]
        for row, found in zip(rows, maps, strict=True):
            # Its own state more than the other one's.
            own, other = (
                truth.map(int(truth.images.state[r])).ravel() for r in (row, rows.sum() - row)
            )
            score = lambda exact, found=found: np.corrcoef(exact, found)[0, 1]
            assert score(own) > score(other)


def test_a_smooth_field(hinged, tmp_path):
    """Four epochs: images gain already, and all is written and can be read."""
    config = ZernikeConfig(
        particles=hinged.particles,
        output=tmp_path / "run",
        epochs=4,
        rounds=1,
        order=(3, 2),
        regions=2,
        **{**FAST, "batch": 16},
    )
    summary = fitted(config)
    volume = load_flow(RunFolder(config.output))
    assert len(volume.displacement.motion.weights) == 26
    assert np.isfinite(latents_of(config.output)).all()
    assert np.isfinite(summary["smallest_determinant"])
    gain, rest = (latents_of(config.output, n) for n in ("log_likelihood", "log_likelihood_mean"))
    assert (gain - rest).mean() > 1


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (FlexConfig, {"cells": 0}, "`--cells` must be at least 1"),
        (FlexConfig, {"strain": 0.0}, "`--strain` must be positive"),
        (FlexConfig, {"rigidity": -1.0}, "`--rigidity` must not be negative"),
        (FlexConfig, {"rounds": 50}, "`--rounds` must not exceed"),
        (ZernikeConfig, {"order": (2, 3)}, "radial >= angular"),
        (ZernikeConfig, {"regions": 0}, "`--regions` must be at least 1"),
        (ZernikeConfig, {"smallness": -1.0}, "`--smallness` must not be negative"),
    ],
)
def test_settings_that_cannot_be_are_refused(kind, wrong, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        kind(particles=tmp_path / "a.star", output=tmp_path, **wrong)


def test_fit_knows_them():
    assert METHODS["flex"].settings is FlexConfig
    assert METHODS["zernike"].settings is ZernikeConfig
