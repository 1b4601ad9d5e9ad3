"""An encoder whose latents become parameters of their own at the end."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.commands import training_course
from cryojax_het.commands.fit_neural_field import NeuralFieldConfig
from cryojax_het.commands.fit_start import opened_data
from cryojax_het.commands.latent_rows import with_rows
from cryojax_het.commands.linear_consensus import consensus_of
from cryojax_het.commands.neural_field_setting import NeuralFieldSetting
from cryojax_het.commands.neural_field_stages import stages_of
from cryojax_het.inference.devices import data_mesh
from cryojax_het.results.run import RunFolder

from .conftest import latents_of, stopped
from .small_field import FAST, STEPS, curve_of, fitted


@pytest.fixture(scope="module")
def whole(finely_hinged, tmp_path_factory):
    output = tmp_path_factory.mktemp("rows") / "whole"
    config = NeuralFieldConfig(
        particles=finely_hinged.particles,
        output=output,
        epochs=6,
        table_epochs=2,
        warm_up=0.0,
        **FAST,
    )
    return config, fitted(config)


def test_rows_begin_at_the_encoders(whole):
    config, _ = whole
    with jax.enable_x64(False):
        consensus = consensus_of(config, ["test"])
        setting = NeuralFieldSetting(config, opened_data(config), consensus, data_mesh())
        model = setting.untrained()
        rows = np.asarray(with_rows(setting, model).posterior.conformation)
        (batch,) = setting.loader(setting.box).batches([np.array([17, 3, 200])])
        given = (model.volume, model.noise, model.prior, batch, setting.grid(setting.box))
        belief = model.posterior.infer(jax.random.key(0), *given)
    own = np.asarray(belief.latents.conformation)[:3]
    assert np.ptp(own, axis=0).min() > 1e-3
    np.testing.assert_allclose(rows[[17, 3, 200]], own, atol=1e-5)


def test_rows_gain(whole):
    config, summary = whole
    assert summary["posterior"] == "table"
    gains = curve_of(config.output, "gain")
    assert list(gains) == [1, 2, 3, 4, 1001, 1002]
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
    assert list(curve_of(broken.output)) == [1, 2, 3, 4, 1001]
    assert not RunFolder(broken.output).finished
    fitted(broken)
    first, second = (curve_of(c.output) for c in (config, broken))
    assert list(first) == list(second)
    np.testing.assert_allclose(list(second.values()), list(first.values()), rtol=1e-4)
    np.testing.assert_allclose(latents_of(broken.output), latents_of(config.output), atol=1e-3)


def test_the_learning_rate_falls_once_over_both(tmp_path, monkeypatch):
    config = NeuralFieldConfig(
        particles=tmp_path / "none.star", output=tmp_path, epochs=5, table_epochs=2, rate=0.1
    )
    setting, lengths = object.__new__(NeuralFieldSetting), []  # without its images
    object.__setattr__(setting, "config", config)
    monkeypatch.setattr(NeuralFieldSetting, "steps", lambda self: 4)
    for stage in stages_of(config):
        optimiser = stage.optimiser(setting)
        state = optimiser.init(jnp.zeros(()))
        for _ in range(4 * stage.epochs):
            # Under a slope that stays, Adam goes as far as its rate.
            change, state = optimiser.update(jnp.ones(()), state)
            lengths.append(-float(change))
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(20) / 20))
    np.testing.assert_allclose(lengths, expected, rtol=1e-5)


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
