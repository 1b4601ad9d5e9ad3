"""`fit --volume classes` from files to a run folder: what is found, chosen, kept, and taken up."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.commands import classes_run
from cryojax_het.commands.fit_classes import ClassesConfig, fit_classes
from cryojax_het.commands.reconstruct_data import load_data
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.particles.mrc import read_volume
from cryojax_het.results.run import RunFolder
from cryojax_het.volumes.gaussians import Gaussians

from .conftest import asymmetric_molecule, first_of, simulate, stopped

pytestmark = pytest.mark.usefixtures("float32")
BOX, PIXEL, COUNT = 24, 5.2, 300
FAST = {"batch": 60, "iterations": 5, "low_iterations": 2, "resolution": 12.0, "contrast": 0.0}
FAST |= {"devices": 1, "classes": (1, 2), "held_out": 0.2}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The path of a STAR file of two compositions, a third of the images of the smaller, and the
    true labels."""
    base = simulate(COUNT, BOX, PIXEL, noise=1.0)
    whole = asymmetric_molecule()
    kept = np.asarray(whole.positions[:, 0] < 12)
    part = Gaussians(whole.positions[kept], whole.amplitudes[kept], whole.widths[kept])
    label = (np.random.default_rng(4).uniform(size=COUNT) < 1 / 3).astype(int)
    table, grid = base.particles, FourierGrid(BOX, PIXEL)
    shift, rotation = jnp.asarray(table.shift), jnp.asarray(table.rotation)
    latents = Latents(jnp.zeros((COUNT, 0)), rotation, shift, jnp.ones(COUNT))
    optics = Optics.from_columns(table.optics())
    draw = lambda v: jax.jit(jax.vmap(lambda t, o: grid.to_image(render(v, t, o, grid))))(
        latents, optics
    )
    missing = np.asarray(draw(whole) - draw(part), np.float32)
    pixels = base.pixels - np.where(label[:, None, None] == 1, missing, 0)
    images = replace(base, pixels=pixels.astype(np.float32))
    return images.write(tmp_path_factory.mktemp("two")), label


def run(star, output, **options):
    config = ClassesConfig(particles=star, output=output, **{**FAST, **options})
    return fit_classes(config, ["fit", str(star)])


def read(output, name):
    return np.asarray(RunFolder(output).latents().read(name))


@pytest.fixture(scope="module")
def fitted(two, tmp_path_factory):
    output = tmp_path_factory.mktemp("fit") / "run"
    with jax.enable_x64(False):
        return run(two[0], output), output


def test_compositions_are_found(two, fitted):
    """And how many there are, by the likelihood of images kept apart, which are classed too."""
    summary, output = fitted
    scores = {entry["classes"]: entry["log_likelihood"] for entry in summary["held_out"]}
    assert scores[2] > scores[1] + 1
    assert summary["classes"] == 2
    labels = read(output, "labels").astype(int)
    assert np.mean(labels == two[1]) > 0.97  # the larger class is the first
    np.testing.assert_allclose(summary["population"], np.bincount(two[1]) / COUNT, atol=0.02)
    probability = read(output, "class_probability")
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(np.argmax(probability, axis=1), labels)


def test_the_folder_holds_what_it_should(fitted):
    _, output = fitted
    found = {path.stem for path in (output / "volumes").glob("*.mrc")}
    each = [f"class_00{k}{half}" for k in (0, 1) for half in ("", "_half1", "_half2")]
    assert found == {*each, "mean", "mask"}
    for name in ("rotation", "shift", "contrast", "log_likelihood"):
        assert np.isfinite(read(output, name)).all()
    lines = RunFolder(output).metrics()
    assert [line["iteration"] for line in lines if line["classes"] == 2] == [1, 2, 3, 4, 5]
    for name in ("log_likelihood", "population", "effective_classes", "entropy"):
        assert np.isfinite(lines[-1][name]).all()
    maps = [read_volume(output / "volumes" / f"class_00{k}.mrc").data for k in (0, 1)]
    assert np.sum(maps[0]) > np.sum(maps[1])


def test_the_same_command_again_does_nothing(two, fitted):
    assert run(two[0], fitted[1]) == fitted[0]


def test_a_run_starts_from_labels_or_from_latents_of_another(two, fitted, tmp_path):
    start = tmp_path / "start"
    (start / "latents").mkdir(parents=True)
    spread = np.random.default_rng(0).normal(size=(COUNT, 2)) * 0.3
    spread[:, 0] += 2 * two[1]
    np.save(start / "latents" / "conformation.npy", spread.astype(np.float32))
    summary = run(two[0], tmp_path / "run", classes=(2,), start=start, iterations=1)
    assert np.mean(read(tmp_path / "run", "labels") == two[1]) > 0.97
    assert summary["held_out"][0]["passes"] == 1
    np.save(tmp_path / "labels.npy", np.zeros(10))
    with pytest.raises(ValueError, match="one row for each of the 300"):
        run(two[0], tmp_path / "other", start=tmp_path / "labels.npy")
    assert not (tmp_path / "other").exists()


def test_an_empty_class_is_reported_and_leaves_no_nan(two, tmp_path):
    labels = np.zeros(COUNT)
    labels[:5] = 2
    np.save(tmp_path / "labels.npy", labels)
    options = {"classes": (3,), "start": tmp_path / "labels.npy", "iterations": 3}
    summary = run(two[0], tmp_path / "run", **options, tolerance=0.0)
    said = [text for line in RunFolder(tmp_path / "run").metrics() for text in line["empty"]]
    assert said
    assert summary["reseeded"] >= 1
    for name in ("class_probability", "log_likelihood"):
        assert np.isfinite(read(tmp_path / "run", name)).all()
    for path in (tmp_path / "run" / "volumes").glob("*.mrc"):
        assert np.isfinite(read_volume(path).data).all()


def test_poses_are_refined(two, tmp_path):
    """That they come nearer to the truth is shown where one image is refined."""
    star, label = first_of(two[0], 120), two[1][:120]
    np.save(tmp_path / "labels.npy", label)
    options = {"refine": True, "refine_angle": 3.0, "iterations": 2, "classes": (2,)}
    run(star, tmp_path / "run", start=tmp_path / "labels.npy", **options)
    assert np.mean(read(tmp_path / "run", "labels") == label) > 0.95
    turned = read(tmp_path / "run", "rotation")
    square = turned @ turned.transpose(0, 2, 1)
    np.testing.assert_allclose(square, np.broadcast_to(np.eye(3), square.shape), atol=1e-4)
    given = load_data(ClassesConfig(particles=star, output=tmp_path)).particles.rotation
    assert 0.001 < np.abs(turned - given).max() < 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ()}, "--classes"),
        ({"seeds": 0}, "--seeds"),
        ({"held_out": 1.0}, "--held-out"),
        ({"contrast": -1.0}, "--contrast"),
        ({"low_pass": 0.0}, "--low-pass"),
        ({"sharpness": 0.0}, "--sharpness"),
    ],
)
def test_settings_without_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ClassesConfig(particles=Path("a.star"), output=Path("b"), **options)


# The run is killed.


def assert_the_same_ends(broken, whole):
    assert RunFolder(broken).finished
    for path in (whole / "volumes").glob("*.mrc"):
        found = read_volume(broken / "volumes" / path.name).data
        np.testing.assert_array_equal(found, read_volume(path).data)
    for name in ("class_probability", "labels", "contrast", "log_likelihood"):
        np.testing.assert_array_equal(read(broken, name), read(whole, name))
    ends = [RunFolder(p).record()["summary"] for p in (broken, whole)]
    assert ends[0]["held_out"] == ends[1]["held_out"]
    assert not list((broken / "checkpoints").glob(".*"))


def test_killed_and_taken_up_it_ends_with_the_same_result(two, fitted, tmp_path):
    with stopped(classes_run, "save", fitted[0]["held_out"][0]["passes"] + 3):  # in the second fit
        run(two[0], tmp_path / "run")
    run(two[0], tmp_path / "run")
    assert_the_same_ends(tmp_path / "run", fitted[1])


def test_so_it_does_with_volumes_from_mini_batches(two, tmp_path):
    options = {"algorithm": "stochastic", "classes": (2,), "low_iterations": 0, "iterations": 2}
    star = first_of(two[0], 120)
    run(star, tmp_path / "whole", **options)
    with stopped(classes_run, "save", 1):
        run(star, tmp_path / "run", **options)
    run(star, tmp_path / "run", **options)
    assert_the_same_ends(tmp_path / "run", tmp_path / "whole")
