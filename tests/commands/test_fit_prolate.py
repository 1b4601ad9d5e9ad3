"""`fit --volume prolate` from files to a run folder: what is found, kept, and taken up."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from cryojax_het.analysis.expanded_maps import expanded_maps
from cryojax_het.cli import main
from cryojax_het.commands import prolate_course
from cryojax_het.commands.fit import METHODS
from cryojax_het.commands.fit_prolate import ProlateConfig, fit_prolate
from cryojax_het.commands.sample import SampleConfig, sample
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.particles.mrc import read_volume
from cryojax_het.results.hyper_molecule_store import load_hyper_molecule
from cryojax_het.results.run import RunFolder
from cryojax_het.simulate.truth import open_truth

from .conftest import latents_of, stopped

FAST: dict[str, Any] = {"devices": 1, "batch": 60, "iterations": 3, "order": 2, "latent_box": 12}
SHORT = {**FAST, "iterations": 1, "order": 1}


@pytest.fixture(scope="module")
def finished(hinged, tmp_path_factory):
    output = tmp_path_factory.mktemp("fit") / "run"
    config = ProlateConfig(particles=hinged.particles, output=output, **FAST)
    return config, fitted(config)


def fitted(config):
    """As users run it: JAX in single precision."""
    with jax.enable_x64(False):
        return fit_prolate(config, ["test"])


def test_the_latent_tells_the_angle(finished, hinged):
    config, summary = finished
    tau = latents_of(config.output)
    angle = open_truth(hinged.truth.parent).images.conformation
    assert abs(spearmanr(tau[:, 0], np.asarray(angle)[:, 0]).statistic) > 0.9
    assert np.abs(tau).max() <= 1
    assert summary["functions_of_latents"] == 3
    weights = latents_of(config.output, "node_log_weight")
    np.testing.assert_allclose(np.exp(weights).sum(axis=1), 1, rtol=1e-4)
    gain = latents_of(config.output, "log_likelihood") - latents_of(
        config.output, "log_likelihood_mean"
    )
    assert gain.mean() > 1


def test_what_the_run_folder_holds(finished):
    config, _ = finished
    folder = RunFolder(config.output)
    names = sorted(path.stem for path in (folder.path / "volumes").glob("*.mrc"))
    assert names == ["half1", "half2", "mask", "mean", "term_01", "term_02"]
    assert folder.volume("term_01").data.shape == (16, 16, 16)
    molecule = load_hyper_molecule(folder)
    assert molecule.coefficients.shape == (molecule.basis.size, 3)
    maps = expanded_maps(folder)
    ends = np.stack(list(maps(np.array([[-0.9], [0.9]]))))
    change = np.linalg.norm(ends[1] - ends[0]) / np.linalg.norm(ends)
    assert change > 0.3


def test_maps_and_analysis_of_the_run(finished, tmp_path):
    config, _ = finished
    run = str(config.output)
    main(["volumes", run, "--particles", "0,5", "-o", str(tmp_path / "maps")])
    assert read_volume(tmp_path / "maps" / "particle_000005.mrc").data.shape == (16, 16, 16)
    main(["analyse", run])
    assert (config.output / "analysis").is_dir()


def test_images_of_the_run_can_be_sampled(finished, tmp_path):
    config, _ = finished
    few = {"chains": 2, "warmup": 10, "draws": 20, "starts": 2}
    said = sample(
        SampleConfig(
            run=config.output,
            output=tmp_path / "draws",
            particles="3,17,40,41",
            unknowns=("conformation", "contrast"),
            **few,
        ),
        ["test"],
    )
    assert said["images"] == 4
    drawn = latents_of(tmp_path / "draws")[[3, 17, 40, 41]]
    known = latents_of(config.output)[[3, 17, 40, 41]]
    width = np.sqrt(latents_of(config.output, "conformation_covariance")[[3, 17, 40, 41], 0])
    assert np.abs(drawn).max() <= 1
    assert np.abs(drawn - known).max() < 3 * width.max() + 0.2


def test_where_the_crop_is_the_box_maps_are_the_molecules(first_hinged, tmp_path):
    config = ProlateConfig(
        particles=first_hinged,
        output=tmp_path / "whole",
        **{**SHORT, "latent_box": 16, "start": "random", "draws": 8},
    )
    summary = fitted(config)
    folder = RunFolder(config.output)
    assert summary["draws_kept"] == 6
    deviation = folder.volume("mean_deviation").data
    assert deviation.shape == (16, 16, 16)
    assert 0 < deviation.max() < np.abs(folder.volume("mean").data).max()
    drawn = np.load(config.output / "draws" / "conformation.npy")
    assert drawn.shape == (8, 96, 1)
    assert np.isfinite(drawn).all()
    molecule = load_hyper_molecule(folder)
    with jax.enable_x64(False):
        at_rest = molecule.density(jnp.zeros(1, jnp.float32), FourierGrid(16, jnp.float32(13.5)))
    np.testing.assert_allclose(
        folder.volume("mean").data, at_rest, atol=1e-4 * np.abs(at_rest).max()
    )


def test_a_circle_is_told_by_two_coordinates(first_hinged, tmp_path):
    config = ProlateConfig(
        particles=first_hinged,
        output=tmp_path / "circle",
        **{**SHORT, "path": "circle"},
    )
    fitted(config)
    tau = latents_of(config.output)
    assert tau.shape == (96, 2)
    assert (np.linalg.norm(tau, axis=1) <= 1 + 1e-5).all()
    folder = RunFolder(config.output)
    molecule, maps = load_hyper_molecule(folder), expanded_maps(folder)
    assert molecule.coefficients.shape[1] == molecule.functions.count == 3
    around = np.array([[1.0, 0.0], [-1.0, 0.0], [0.3, 0.0]])
    right, left, same = maps(around)
    np.testing.assert_allclose(same, right, atol=1e-6 * np.abs(right).max())
    opposite = 2 * folder.volume("mean").data - right
    np.testing.assert_allclose(left, opposite, atol=1e-5 * np.abs(right).max())
    main(["volumes", str(config.output), "--particles", "0", "-o", str(tmp_path / "maps")])
    main(["analyse", str(config.output)])


def test_taken_up_where_it_was_killed(finished, tmp_path):
    whole, _ = finished
    broken = replace(whole, output=tmp_path / "broken")
    with stopped(prolate_course, "_save", 4):  # in the passes of the second order
        fitted(broken)
    assert not RunFolder(broken.output).finished
    fitted(broken)
    np.testing.assert_array_equal(latents_of(broken.output), latents_of(whole.output))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"latents": 4}, "1, 2 or 3. Got 4"),
        ({"order": 0}, "at least 1"),
        ({"share": 1.0}, "between 0 and 1"),
        ({"nodes": 2}, "more than `--order`"),
        ({"draws": 3}, "8 or more. Got 3"),
        ({"contrast": -1.0}, "must not be negative"),
        ({"latent_box": 15}, "even, from 8"),
    ],
)
def test_bad_settings_are_told(wrong, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        ProlateConfig(particles=tmp_path / "a.star", output=tmp_path, **wrong)


def test_the_command_line_knows_it():
    assert METHODS["prolate"].settings is ProlateConfig
