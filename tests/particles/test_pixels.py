"""Coalesced reads: few calls, and calls that give less than was asked for."""

import os
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.particles.mrc import read_header
from cryojax_het.particles.pixels import Run, read_runs, run_bounds
from cryojax_het.particles.stack_writer import StackWriter


def test_neighbours_are_one_run_and_long_runs_are_cut():
    files = np.array([0, 0, 0, 0, 1, 1])
    images = np.array([3, 4, 4, 5, 6, 7])
    assert run_bounds(files, images, 64) == [(0, 2), (2, 4), (4, 6)]
    many = np.arange(3000)
    bounds = run_bounds(0 * many, many, 8)
    assert [b - a for a, b in bounds] == [1024, 1024, 952]
    assert [b - a for a, b in run_bounds(0 * many[:9], many[:9], 512)] == [4, 4, 1]


def test_short_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = np.random.default_rng(0).normal(size=(5, 6, 6)).astype(np.float32)
    with StackWriter(tmp_path / "a.mrcs", 6, 1.0) as stack:
        stack.append(images)
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: whole(fd, [views[0][:50]], at))
    batch = np.zeros((4, 6, 6), np.float32)
    run = Run(read_header(tmp_path / "a.mrcs"), 1, np.array([2, 0, 3]))
    assert read_runs([run], batch, 1) == []
    np.testing.assert_array_equal(batch[[2, 0, 3]], images[1:4])
    assert not batch[1].any()
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: 0)
    with pytest.raises(ValueError, match="changed while being read"):
        read_runs([run], batch, 1)


def test_threads_give_the_same_and_name_suspects(tmp_path: Path):
    images = np.random.default_rng(0).normal(size=(40, 128, 128)).astype(np.float32)
    with StackWriter(tmp_path / "a.mrcs", 128, 1.0) as stack:
        stack.append(images)
    with open(tmp_path / "a.mrcs", "r+b") as file:
        file.seek(1024 + 4 * 128 * 128 * 7 + 400)
        file.write(np.float32(np.inf).tobytes())
    header = read_header(tmp_path / "a.mrcs")
    order = np.random.default_rng(1).permutation(40)
    runs = [Run(header, int(image), np.array([place])) for place, image in enumerate(order)]
    batch = np.empty((40, 128, 128), np.float32)
    suspect = int(np.flatnonzero(order == 7)[0])
    assert read_runs(runs, batch, 4) == [suspect]
    keep = np.arange(40) != suspect
    np.testing.assert_array_equal(batch[keep], images[order][keep])
