"""`fit --volume classes` from files to a run folder: what is found, chosen, kept, and taken up."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryojax_het.commands.fit_classes import ClassesConfig, fit_classes
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.particles.mrc import read_volume
from cryojax_het.results.run import RunFolder
from cryojax_het.volumes.gaussians import Gaussians

from .conftest import BOX, PIXEL, asymmetric_molecule, environment, finish, first_of, simulate

pytestmark = pytest.mark.usefixtures("float32")
COUNT = 360
FAST = {"batch": 60, "iterations": 6, "low_iterations": 3, "resolution": 12.0, "contrast": 0.0}


@pytest.fixture(scope="session")
def two(tmp_path_factory):
    """The path of a STAR file of two compositions, a third of the images of the smaller, and the
    true labels."""
    base = simulate(COUNT, noise=1.5)
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
    config = ClassesConfig(particles=star, output=output, **{"classes": (2,), **FAST, **options})
    return fit_classes(config, ["fit", str(star)])


def read(output, name):
    return np.asarray(RunFolder(output).latents().read(name))


@pytest.fixture(scope="session")
def fitted(two, tmp_path_factory):
    output = tmp_path_factory.mktemp("fit") / "run"
    with jax.enable_x64(False):
        return run(two[0], output), output


def test_compositions_are_found(two, fitted):
    summary, output = fitted
    labels = read(output, "labels").astype(int)
    assert np.mean(labels == two[1]) > 0.97  # the larger class is the first
    assert summary["classes"] == 2
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
    assert [line["iteration"] for line in lines] == [line["step"] for line in lines]
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
    summary = run(two[0], tmp_path / "run", start=start, iterations=2)
    assert np.mean(read(tmp_path / "run", "labels") == two[1]) > 0.97
    assert summary["held_out"][0]["passes"] == 2
    np.save(tmp_path / "labels.npy", np.zeros(10))
    with pytest.raises(ValueError, match="one row for each of the 360"):
        run(two[0], tmp_path / "other", start=tmp_path / "labels.npy")
    assert not (tmp_path / "other").exists()


def test_the_number_of_classes_is_that_of_the_best_held_out_likelihood(two, tmp_path):
    summary = run(two[0], tmp_path / "run", classes=(1, 2), held_out=0.2)
    scores = {entry["classes"]: entry["log_likelihood"] for entry in summary["held_out"]}
    assert scores[2] > scores[1] + 1
    assert summary["classes"] == 2
    # Those kept apart are classed too.
    assert np.mean(read(tmp_path / "run", "labels") == two[1]) > 0.95


def test_an_empty_class_is_reported_and_leaves_no_nan(two, tmp_path):
    labels = np.zeros(COUNT)
    labels[:5] = 2
    np.save(tmp_path / "labels.npy", labels)
    options = {"classes": (3,), "start": tmp_path / "labels.npy", "iterations": 5}
    summary = run(two[0], tmp_path / "run", **options, tolerance=0.0)
    said = [text for line in RunFolder(tmp_path / "run").metrics() for text in line["empty"]]
    assert said
    assert summary["reseeded"] >= 1
    for name in ("class_probability", "log_likelihood"):
        assert np.isfinite(read(tmp_path / "run", name)).all()
    for path in (tmp_path / "run" / "volumes").glob("*.mrc"):
        assert np.isfinite(read_volume(path).data).all()


def test_refined_poses_come_nearer_to_the_truth(two, tmp_path):
    star, label = two
    options = {"refine": True, "refine_angle": 3.0, "iterations": 4}
    run(star, tmp_path / "run", **options)
    assert np.mean(read(tmp_path / "run", "labels") == label) > 0.95
    turned = read(tmp_path / "run", "rotation")
    square = turned @ turned.transpose(0, 2, 1)
    np.testing.assert_allclose(square, np.broadcast_to(np.eye(3), square.shape), atol=1e-4)


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


# The process is killed.

DRIVER = """
import json, logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
from cryojax_het.commands.fit_classes import ClassesConfig, fit_classes
options = json.loads(sys.argv[1])
{before}
options["particles"], options["output"] = Path(options["particles"]), Path(options["output"])
options["classes"] = tuple(options["classes"])
print(json.dumps(fit_classes(ClassesConfig(**options), ["fit", *sys.argv[1:]])))
"""
KILL_AT_CHECKPOINT = """
import os, signal
import numpy
saved, number = numpy.savez, {number}
def savez(file, *arrays, **options):
    global number
    number -= 1
    if not number:
        file.write(bytes(5000))
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    saved(file, *arrays, **options)
numpy.savez = savez
"""


def start(star, output, before="", **options):
    given = {"particles": str(star), "output": str(output), "devices": 1, **FAST, **options}
    code = DRIVER.format(before=before)
    return subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(given)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("algorithm", "checkpoint"),
    [("em", 3), ("stochastic", 2)],  # in the second of two fits; in the first
)
def test_killed_and_taken_up_it_ends_with_the_same_result(two, tmp_path, algorithm, checkpoint):
    star = first_of(two[0], 120)
    options = {"algorithm": algorithm, "classes": [2], "seeds": 2, "batch": 60}
    options |= {"iterations": 2, "low_iterations": 1}
    broken = tmp_path / "broken"
    kill = KILL_AT_CHECKPOINT.format(number=checkpoint)
    # One after the other: each finds the programs of those before it.
    for folder, before, end in ((tmp_path / "whole", "", 0), (broken, kill, -9), (broken, "", 0)):
        status, _, err = finish(start(star, folder, before=before, **options))
        assert status == end, err
        assert RunFolder(folder).finished == (end == 0)
    for path in (tmp_path / "whole" / "volumes").glob("*.mrc"):
        found = read_volume(broken / "volumes" / path.name).data
        np.testing.assert_array_equal(found, read_volume(path).data)
    for name in ("class_probability", "labels", "contrast", "log_likelihood"):
        np.testing.assert_array_equal(read(broken, name), read(tmp_path / "whole", name))
    ends = [RunFolder(p).record()["summary"] for p in (broken, tmp_path / "whole")]
    assert ends[0]["held_out"] == ends[1]["held_out"]
    assert not list((broken / "checkpoints").glob(".*"))
