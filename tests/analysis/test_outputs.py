"""Folders of results: ours, plain ones, and unusable ones."""

import json

import numpy as np
import pytest

from cryojax_het.analysis.outputs import open_outputs
from cryojax_het.particles.mrc import MrcVolume, write_volume

COUNT = 12


def write_map(path):
    path.parent.mkdir(exist_ok=True)
    write_volume(path, MrcVolume(np.ones((8, 8, 8), np.float32), (2.0, 2.0, 2.0)))


def test_a_plain_folder(tmp_path):
    np.save(tmp_path / "latents.npy", np.arange(COUNT, dtype=np.float32))
    np.save(tmp_path / "labels.npy", np.arange(COUNT) % 2)
    np.save(tmp_path / "latents_covariance.npy", np.ones((COUNT, 1, 1)))
    for name in ("class_000.mrc", "class_001.mrc"):
        write_map(tmp_path / "maps" / name)
    found = open_outputs(tmp_path, COUNT)
    np.testing.assert_array_equal(found.latents, np.arange(COUNT)[:, None])
    assert found.covariance.shape == (COUNT, 1, 1)
    assert found.samples is None
    np.testing.assert_array_equal(found.maps(COUNT, 8, 2.0).of_image, np.arange(COUNT) % 2)


def test_a_run_folder(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"format": 1}))
    (tmp_path / "latents").mkdir()
    np.save(tmp_path / "latents" / "conformation.npy", np.zeros((COUNT, 3)))
    for name in ("half1", "half2", "mean"):
        write_map(tmp_path / "volumes" / f"{name}.mrc")
    found = open_outputs(tmp_path, COUNT)
    assert found.latents.shape == (COUNT, 3)
    assert len(found.maps(COUNT, 8, 2.0)) == 1


def test_maps_elsewhere(tmp_path):
    (tmp_path / "run").mkdir()
    np.save(tmp_path / "run" / "latents.npy", np.zeros((COUNT, 3)))
    write_map(tmp_path / "states" / "particle_000002.mrc")
    assert open_outputs(tmp_path / "run", COUNT).maps(COUNT, 8, 2.0) is None
    found = open_outputs(tmp_path / "run", COUNT, maps=tmp_path / "states")
    np.testing.assert_array_equal(found.maps(COUNT, 8, 2.0).rows(), [2])


def test_what_cannot_be_scored(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing to score"):
        open_outputs(tmp_path, COUNT)
    np.save(tmp_path / "latents.npy", np.zeros((COUNT + 1, 2)))
    with pytest.raises(ValueError, match="13 rows; the data set has 12"):
        open_outputs(tmp_path, COUNT)
    np.save(tmp_path / "latents.npy", np.zeros((COUNT, 2, 2)))
    with pytest.raises(ValueError, match="must have 2 axes"):
        open_outputs(tmp_path, COUNT)
    np.save(tmp_path / "latents.npy", np.array([{}] * COUNT), allow_pickle=True)
    with pytest.raises(ValueError, match="no array of numbers"):
        open_outputs(tmp_path, COUNT)
