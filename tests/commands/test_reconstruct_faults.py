"""What a user gets when something is wrong: a clear error or a right result, nothing half done."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.commands.reconstruct import ReconstructConfig, reconstruct
from cryojax_het.particles.mrc import MrcVolume, read_volume, write_volume
from cryojax_het.particles.stack import ReadOptions
from cryojax_het.results.run import RunFolder

from .conftest import BOX, COUNT, PIXEL, finish, start

pytestmark = pytest.mark.usefixtures("float32")


def run(particles, output, **options):
    config = ReconstructConfig(particles=particles, output=output, **{"batch": 50, **options})
    return reconstruct(config, ["reconstruct", str(particles)])


def assert_unfinished(output):
    """Nothing there looks like a result."""
    assert not list(Path(output).rglob("*.mrc"))
    assert not list(Path(output).rglob("*.part"))
    if (output / "run.json").exists():
        assert not RunFolder(output).finished


def edited(star, old, new, count=1):
    text = star.read_text()
    assert old in text
    star.write_text(text.replace(old, new, count))
    return star


# The input is at fault.


@pytest.mark.filterwarnings("ignore:.*the header counts 400 images:UserWarning")
def test_a_truncated_stack_is_named(images, tmp_path):
    star = images.write(tmp_path)
    stack = tmp_path / "images.mrcs"
    with open(stack, "r+b") as file:
        file.truncate(1024 + 350 * BOX**2 * 4)
    with pytest.raises(ValueError, match=r"images.mrcs.*350"):
        run(star, tmp_path / "run")
    assert_unfinished(tmp_path / "run")


@pytest.fixture
def with_nan(images, tmp_path):
    star = images.write(tmp_path)
    pixels = np.memmap(tmp_path / "images.mrcs", "<f4", "r+", 1024, (COUNT, BOX, BOX))
    pixels[123, 4, 5] = np.nan
    pixels.flush()
    return star


def test_nan_pixels_are_named_with_their_row(with_nan, tmp_path):
    with pytest.raises(ValueError, match=r"row 124 .*1 pixels.*not finite") as error:
        run(with_nan, tmp_path / "run")
    assert "--replace-nonfinite" in str(error.value)
    assert_unfinished(tmp_path / "run")


def test_nan_pixels_can_be_replaced(with_nan, images, tmp_path):
    run(with_nan, tmp_path / "run", read=ReadOptions(replace_nonfinite=0.0))
    found = np.asarray(read_volume(tmp_path / "run" / "volumes" / "mean.mrc").data)
    assert np.corrcoef(found.ravel(), images.truth().ravel())[0, 1] > 0.97


def test_a_missing_column_is_named(images, tmp_path):
    star = edited(images.write(tmp_path), "_rlnImageName ", "_rlnSomethingElse ")
    with pytest.raises(ValueError, match="rlnImageName"):
        run(star, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_optics_group_is_named(images, tmp_path):
    star = images.write(tmp_path)
    edited(star, " 7@images.mrcs 1 ".strip(), "7@images.mrcs 9")
    with pytest.raises(ValueError, match=r"optics group.*9|9.*optics group"):
        run(star, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_table_of_another_box_is_refused(images, tmp_path):
    other = images.changed(size=np.full(COUNT, 2 * BOX))
    with pytest.raises(ValueError, match=r"32 pixels per side where .* says 64"):
        run(images.write(tmp_path, other), tmp_path / "run")
    assert_unfinished(tmp_path / "run")


def test_an_empty_table_is_refused(images, tmp_path):
    star = images.write(tmp_path)
    lines = [line for line in star.read_text().splitlines() if "@" not in line]
    star.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=str(star)):
        run(star, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_without_poses_are_refused(images, tmp_path):
    star = images.write(tmp_path, images.changed(rotation=None, shift=None))
    with pytest.raises(ValueError, match="no poses: refine the particles first"):
        run(star, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_empty_half_set_is_refused(images, tmp_path):
    star = images.write(tmp_path, images.changed(half=np.ones(COUNT, np.int64)))
    with pytest.raises(ValueError, match="one half-set is empty"):
        run(star, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_stack_is_named(images, tmp_path):
    star = images.write(tmp_path)
    (tmp_path / "images.mrcs").unlink()
    with pytest.raises(FileNotFoundError, match=r"images\.mrcs"):
        run(star, tmp_path / "run")
    assert_unfinished(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box": 40}, "--box.*Got 40"),
        ({"box": 15}, "--box.*Got 15"),
        ({"diameter": BOX * PIXEL}, "--diameter.*Got 128"),
    ],
)
def test_options_beyond_the_images_are_refused(star, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run(star, tmp_path / "run", **options)
    assert_unfinished(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 0}, "--passes"),
        ({"contrast": True}, "--passes 2"),
        ({"refine": True}, "--passes 2"),
        ({"refine": True, "contrast": True, "passes": 2}, "leave `--contrast` out"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ReconstructConfig(particles=Path("a.star"), output=Path("b"), **options)


def test_a_mask_of_another_box_is_refused_before_any_image_is_read(star, tmp_path):
    write_volume(tmp_path / "mask.mrc", MrcVolume(np.ones((24,) * 3, np.float32), (PIXEL,) * 3))
    with pytest.raises(ValueError, match=r"mask.mrc has \(24, 24, 24\) voxels"):
        run(star, tmp_path / "run", mask=tmp_path / "mask.mrc")
    assert not (tmp_path / "run").exists()


# The disk is at fault.


@pytest.fixture
def disk(tmp_path):
    """Mounts a small file system; a function remounts it with other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")

    mount("size=1m")
    yield place, mount
    subprocess.run(["umount", str(place)], check=True)


def test_a_read_only_disk_is_named(star, disk):
    place, mount = disk
    mount("remount,ro")
    with pytest.raises(OSError, match="read-only: choose another output"):
        run(star, place / "run")


def test_an_output_below_a_file_is_named(star, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="is a file, not a folder: choose another output"):
        run(star, tmp_path / "file" / "run")


def test_a_full_disk_is_named_and_the_run_taken_up_when_there_is_room(star, disk, tmp_path):
    place, mount = disk
    with pytest.raises(OSError, match="the disk is full: free some space"):
        run(star, place / "run", checkpoint_seconds=0.0)
    assert_unfinished(place / "run")
    mount("remount,size=50m")
    run(star, place / "run", checkpoint_seconds=0.0)
    run(star, tmp_path / "run")
    np.testing.assert_array_equal(*(maps(p / "run")["mean"] for p in (place, tmp_path)))


def test_a_disk_that_fills_at_the_end_leaves_no_map_that_looks_finished(star, disk):
    place, mount = disk
    mount("remount,size=400k")
    with pytest.raises(OSError, match="the disk is full: free some space"):
        run(star, place / "run")
    assert not RunFolder(place / "run").finished
    for path in (place / "run").rglob("*.mrc"):
        assert read_volume(path).data.shape == (BOX,) * 3


def maps(output):
    """All volumes of a run by name."""
    paths = sorted((Path(output) / "volumes").glob("*.mrc"))
    return {path.stem: np.asarray(read_volume(path).data) for path in paths}


# The process is killed.

KILL_AT_CHECKPOINT = """
import os, signal
import numpy
from cryojax_het.results import checkpoint
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
KILL_AT_VOLUMES = """
import os, signal
from cryojax_het.results import run
written = run.write_volume
def write_volume(path, volume):
    if path.stem == "mean":
        path.with_name(".mean.mrc.part").write_bytes(bytes(5000))
        os.kill(os.getpid(), signal.SIGKILL)
    written(path, volume)
run.write_volume = write_volume
"""


def test_killed_again_and_again_the_same_command_ends_with_the_same_result(images, tmp_path):
    few = replace(
        images, particles=images.particles.take(np.arange(120)), pixels=images.pixels[:120]
    )
    star = few.write(tmp_path)
    # Three passes: the noise of the third comes from residuals of the second.
    options = {"passes": 3, "contrast": True, "batch": 20, "checkpoint_seconds": 0.0}
    # First the whole: those after it find its programs.
    status, expected, err = finish(start(star, tmp_path / "whole", **options))
    assert status == 0, err
    broken = tmp_path / "broken"
    # In the first pass, in the second (resumed from the fourth of six batches), among the volumes.
    kills = [KILL_AT_CHECKPOINT.format(number=4), KILL_AT_CHECKPOINT.format(number=6)]
    for kill in [*kills, KILL_AT_VOLUMES]:
        status, _, err = finish(start(star, broken, before=kill, **options))
        assert status == -9, err
        assert not RunFolder(broken).finished
        assert not (broken / "volumes" / "mean.mrc").exists()
    status, out, err = finish(start(star, broken, **options))
    assert status == 0, err
    assert "Taken up at pass 3" in err
    for name, expected_map in maps(tmp_path / "whole").items():
        np.testing.assert_array_equal(maps(broken)[name], expected_map)
    for name in ("rotation", "shift", "contrast"):
        tables = [RunFolder(p).latents().read(name) for p in (broken, tmp_path / "whole")]
        np.testing.assert_array_equal(*tables)
    last = [json.loads(text.splitlines()[-1]) for text in (out, expected)]
    assert last[0]["resolution"] == last[1]["resolution"]
    assert len(RunFolder(broken).record()["resumed"]) == 3
    assert [line["step"] for line in RunFolder(broken).metrics()] == [1, 2, 3]
    assert not list((broken / "checkpoints").glob(".*"))
