"""Two processes on loopback give the reconstruction of one."""

import socket
import subprocess
import sys

import numpy as np
import pytest

from cryojax_het.particles.mrc import read_volume
from cryojax_het.results.run import RunFolder

from .conftest import environment, first_of

COMMAND = "import sys; from cryojax_het.cli import main; sys.exit(main())"
OPTIONS = ["--batch", "50", "--devices", "1", "--passes", "2", "--contrast"]


def launch(star, output, *cluster):
    line = ["reconstruct", str(star), "-o", str(output), *OPTIONS, *cluster]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *line],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )


def launch_two(star, output):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cluster = ["--distributed", "--coordinator", f"127.0.0.1:{port}", "--processes", "2"]
    return [launch(star, output, *cluster, "--process-id", str(i)) for i in range(2)]


@pytest.fixture(scope="module")
def runs(star, tmp_path_factory):
    """Folders of the same command by one process and by two."""
    folder, star = tmp_path_factory.mktemp("processes"), first_of(star, 120)
    processes = [launch(star, folder / "one"), *launch_two(star, folder / "two")]
    messages = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], "\n".join(messages)
    return folder / "one", folder / "two"


@pytest.mark.parametrize("name", ["half1", "half2", "mean"])
def test_maps_are_equal(runs, name):
    one, two = (np.asarray(read_volume(r / "volumes" / f"{name}.mrc").data, float) for r in runs)
    assert np.linalg.norm(one - two) < 1e-5 * np.linalg.norm(one)


def test_latents_of_all_images_are_written(runs):
    one, two = (RunFolder(r).latents().read("contrast") for r in runs)
    assert np.isfinite(two).all()
    np.testing.assert_allclose(one, two, atol=1e-4)


def test_one_folder_is_kept_by_one_process(runs):
    folder = RunFolder(runs[1])
    assert folder.finished
    assert folder.record()["resumed"] == []
    assert [line["step"] for line in folder.metrics()] == [1, 2]
    assert (runs[1] / "run.log").read_text().count("Pass 1:") == 1


def test_all_stop_where_the_folder_cannot_be_used(star, tmp_path):
    (tmp_path / "something.txt").write_text("")
    processes = launch_two(star, tmp_path)
    messages = [process.communicate()[1] for process in processes]
    assert all(process.returncode != 0 for process in processes)
    assert "is no run folder: choose another output" in messages[0]
