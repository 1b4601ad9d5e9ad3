"""The run folder: what is on disk at every moment, and what each refusal says."""

import contextlib
import errno
import json
import logging
import os
import re
import subprocess
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryojax_het.particles.mrc import MrcVolume
from cryojax_het.results.disk import explained
from cryojax_het.results.run import RunFolder, RunRecord, open_run

CONFIG = {"pixel_size": 2.0, "seed": 1, "mask": {"edge": 3.0}}


@pytest.fixture
def record(tmp_path):
    (tmp_path / "input.star").write_text("data_\n")
    return RunRecord(
        command=["cryojax-het", "reconstruct"], seed=1, inputs=[tmp_path / "input.star"]
    )


def test_a_new_run_says_where_it_came_from(tmp_path, record):
    run = open_run(tmp_path / "a" / "run", CONFIG, record)
    about = json.loads((run.path / "run.json").read_text())
    assert about["status"] == "running"
    assert about["command"] == ["cryojax-het", "reconstruct"]
    assert about["inputs"][0]["bytes"] == 6
    assert re.match(r"\d+\.\d+", about["versions"]["jax"])
    assert run.config() == CONFIG
    assert not run.finished
    run.finish({"resolution": 8.5})
    assert run.finished
    assert RunFolder(run.path).record()["summary"] == {"resolution": 8.5}
    assert [p.name for p in run.path.iterdir() if p.name.startswith(".")] == []


def test_the_same_settings_take_the_run_up(tmp_path, record):
    open_run(tmp_path / "run", CONFIG, record).log(1, loss=2.0)
    run = open_run(tmp_path / "run", CONFIG, record)
    assert len(run.record()["resumed"]) == 1
    assert run.metrics()[0]["loss"] == 2.0


def test_other_settings_are_refused_by_name(tmp_path, record):
    open_run(tmp_path / "run", CONFIG, record)
    other = CONFIG | {"mask": {"edge": 4.0}}
    with pytest.raises(FileExistsError, match=r"`mask\.edge` was 3\.0, now 4\.0.*`--overwrite`"):
        open_run(tmp_path / "run", other, record)


def test_a_setting_that_an_earlier_version_did_not_know_may_be_at_its_default(tmp_path, record):
    old = CONFIG | {"cap": None}
    open_run(tmp_path / "run", old, record)
    defaults = {"cap": 5, "mask": {"soft": False}}
    soft = lambda value: old | {"mask": {"edge": 3.0, "soft": value}}
    assert open_run(tmp_path / "run", soft(False), record, defaults).config() == CONFIG
    with pytest.raises(FileExistsError, match=r"`mask\.soft` was None, now True"):
        open_run(tmp_path / "run", soft(True), record, defaults)
    # The earlier run knew this one, and was told to leave it open.
    with pytest.raises(FileExistsError, match="`cap` was None, now 5"):
        open_run(tmp_path / "run", old | {"cap": 5}, record, defaults)


def test_a_changed_input_is_refused(tmp_path, record):
    open_run(tmp_path / "run", CONFIG, record)
    record.inputs[0].write_text("data_particles\n")
    with pytest.raises(FileExistsError, match=r"input\.star has changed since \(6 bytes"):
        open_run(tmp_path / "run", CONFIG, record)


def test_folders_that_are_no_run_are_left_alone(tmp_path, record):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="is no run folder"):
        open_run(tmp_path, CONFIG, record)
    with pytest.raises(FileNotFoundError, match=r"no run\.json"):
        RunFolder(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_newer_format_is_refused(tmp_path, record):
    run = open_run(tmp_path / "run", CONFIG, record)
    (run.path / "run.json").write_text(json.dumps(run.record() | {"format": 99}))
    with pytest.raises(ValueError, match="run format 99"):
        RunFolder(run.path)


def test_metrics_survive_a_torn_line_and_steps_done_twice(tmp_path, record):
    run = open_run(tmp_path / "run", CONFIG, record)
    for step in range(4):
        run.log(step, loss=np.float32(step), nan=float("nan"), curve=np.arange(2.0))
    with open(run.path / "log.jsonl", "a") as file:
        file.write('{"step": 4, "lo')
    assert [line["step"] for line in run.metrics()] == [0, 1, 2, 3]
    run = open_run(tmp_path / "run", CONFIG, record)
    run.log(2, loss=7)
    lines = run.metrics()
    assert [(line["step"], line["loss"]) for line in lines] == [(0, 0), (1, 1), (2, 7)]
    assert lines[0]["nan"] is None
    assert lines[0]["curve"] == [0, 1]


def test_volumes_are_read_by_an_independent_reader(tmp_path, record):
    run = open_run(tmp_path / "run", CONFIG, record)
    data = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    path = run.write_volume("mean", MrcVolume(data, (2.0, 2.0, 2.0), (1.0, 2.0, 3.0)))
    with mrcfile.open(path) as file:
        np.testing.assert_array_equal(file.data, data)
        assert file.voxel_size.x == 2.0
        assert file.header.origin.z == 3.0
    np.testing.assert_array_equal(run.volume("mean").data, data)


def test_messages_go_to_the_plain_log_while_it_is_open(tmp_path, record):
    run = open_run(tmp_path / "run", CONFIG, record)
    logger = logging.getLogger("cryojax_het.test")
    with run.logging():
        logger.warning("half-set %d is empty", 2)
    logger.warning("not here")
    text = (run.path / "run.log").read_text()
    assert "WARNING half-set 2 is empty" in text
    assert "not here" not in text
    assert "Command: cryojax-het reconstruct" in text


def test_a_disk_error_names_the_reason_and_keeps_its_kind(tmp_path):
    for number, kind, words in (
        (errno.ENOSPC, OSError, "disk is full"),
        (errno.EACCES, PermissionError, "no permission"),
        (errno.EROFS, OSError, "read-only"),
    ):
        with pytest.raises(kind, match=words) as caught, explained(tmp_path):
            raise OSError(number, os.strerror(number), str(tmp_path / "x"))
        assert caught.value.errno == number
        assert str(tmp_path / "x") in str(caught.value)
    with pytest.raises(OSError, match="Interrupted"), explained(tmp_path):
        raise OSError(errno.EINTR, "Interrupted")


def test_a_path_through_a_file_is_explained(tmp_path, record):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file, not a folder"):
        open_run(tmp_path / "file" / "run", CONFIG, record)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB; skips where none may be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_under_a_final_name(small_disk: Path, record):
    run = open_run(small_disk / "run", CONFIG, record)
    run.log(1, loss=1.0)
    big = MrcVolume(np.ones((64, 64, 64), np.float32), (1.0, 1.0, 1.0))
    with pytest.raises(OSError, match="disk is full"):
        run.write_volume("mean", big)
    with pytest.raises(OSError, match="disk is full"):
        run.latents().create("rotation", (10**5, 3, 3))
    assert list((run.path / "volumes").iterdir()) == []
    assert list((run.path / "latents").iterdir()) == []
    fill(small_disk / "filler")
    with pytest.raises(OSError, match="disk is full"):
        log_much(run)
    assert run.metrics()[0]["loss"] == 1.0
    assert not run.finished
    with pytest.raises(OSError, match="disk is full"):
        run.finish()
    assert not run.finished


def fill(path):
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 4096)


def log_much(run):
    for step in range(1, 2000):
        run.log(step, text="x" * 100)
