"""An encoder whose latents become parameters of their own at the end."""

import json
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from cryojax_het.commands import training_course
from cryojax_het.commands.fit_neural_field import NeuralFieldConfig, fit_neural_field
from cryojax_het.results.run import RunFolder

from .conftest import latents_of, stopped

FAST: dict[str, Any] = {
    "devices": 1,
    "batch": 8,
    "latent": 2,
    "decoder_layers": (64, 2),
    "encoder_layers": (64, 2),
    "feature_width": 1.5,
    "rate": 5e-3,
    "warm_up": 0.0,
}
STEPS = 30  # of an epoch


def fitted(config):
    """As users run it: JAX in single precision."""
    with jax.enable_x64(False):
        return fit_neural_field(config, ["test"])


def curve_of(folder, name):
    """By epoch; one that was begun again counts as it ended."""
    lines = (folder / "log.jsonl").read_text().splitlines()
    return {entry["step"]: entry[name] for entry in map(json.loads, lines) if name in entry}


@pytest.fixture(scope="module")
def whole(finely_hinged, tmp_path_factory):
    output = tmp_path_factory.mktemp("rows") / "whole"
    config = NeuralFieldConfig(
        particles=finely_hinged.particles, output=output, epochs=6, table_epochs=2, **FAST
    )
    return config, fitted(config)


def test_rows_begin_at_the_encoders_and_gain(whole):
    config, summary = whole
    assert summary["posterior"] == "table"
    gains = curve_of(config.output, "gain")
    assert list(gains) == [1, 2, 3, 4, 1001, 1002]
    # Rows that told nothing would gain as little as at the start.
    assert gains[1001] > gains[4] > gains[1]
    assert gains[1002] > gains[1001]
    assert np.all(latents_of(config.output).std(axis=0) > 0.1)
    covariance = latents_of(config.output, "conformation_covariance")
    # Of the decoder's slope, not of a network: no two coordinates are independent.
    assert np.any(np.abs(covariance[:, 0, 1]) > 1e-3)


def test_a_run_killed_among_rows_is_taken_up_on_the_same_curve(whole, tmp_path):
    config, _ = whole
    broken = replace(config, output=tmp_path / "broken")
    with stopped(training_course, "_step", 5 * STEPS + 7):
        fitted(broken)
    assert list(curve_of(broken.output, "loss")) == [1, 2, 3, 4, 1001]
    assert not RunFolder(broken.output).finished
    fitted(broken)
    first, second = (curve_of(c.output, "loss") for c in (config, broken))
    assert list(first) == list(second)
    np.testing.assert_allclose(list(second.values()), list(first.values()), rtol=1e-4)
    np.testing.assert_allclose(latents_of(broken.output), latents_of(config.output), atol=1e-3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"posterior": "table", "table_epochs": 1}, r"`--table-epochs` follow an encoder"),
        ({"epochs": 3, "table_epochs": 3}, r"the last of the 3 epochs.*Got 3"),
        ({"table_epochs": -1}, r"Got -1"),
    ],
)
def test_epochs_that_cannot_be_are_refused(tmp_path, flags, message):
    with pytest.raises(ValueError, match=message):
        NeuralFieldConfig(particles=tmp_path / "none.star", output=tmp_path, **flags)
