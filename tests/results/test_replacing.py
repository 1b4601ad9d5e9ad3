"""Overwriting: the old run is gone only when the new one stands."""

import pytest

from cryojax_het.results.replacing import set_aside, settle
from cryojax_het.results.run import RunFolder, RunRecord, open_run

RECORD = RunRecord(command=["x"], seed=0)


def test_the_new_run_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "run"
    open_run(path, {"a": 1}, RECORD)
    aside = set_aside(path)
    open_run(path, {"a": 2}, RECORD)
    settle(path, aside)
    assert RunFolder(path).config() == {"a": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_the_old_run_comes_back_if_nothing_took_its_place(tmp_path):
    path = tmp_path / "run"
    open_run(path, {"a": 1}, RECORD)
    aside = set_aside(path)
    path.mkdir()
    settle(path, aside)
    assert RunFolder(path).config() == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_after_a_kill_in_between_the_old_run_is_found_again(tmp_path):
    path = tmp_path / "run"
    open_run(path, {"a": 1}, RECORD)
    set_aside(path)
    aside = set_aside(path)
    settle(path, aside)
    assert RunFolder(path).config() == {"a": 1}


def test_absent_and_empty_folders_are_fine_and_others_are_left_alone(tmp_path):
    assert set_aside(tmp_path / "absent") is None
    settle(tmp_path / "absent", None)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="leaves it alone"):
        set_aside(tmp_path)
    assert (tmp_path / "thesis.txt").exists()
