"""Files are written whole or not at all; stacks are found where users have them."""

from pathlib import Path

import pytest

from cryojax_het.particles.files import candidate_paths, find_stack, replacing


def _fail_halfway(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "a.star"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        _fail_halfway(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_success_replaces(tmp_path: Path):
    path = tmp_path / "a.star"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("place", "data_dir"),
    [
        ("data/Extract/job1/a.mrcs", "data"),
        ("data/a.mrcs", "data"),
        ("project/Refine3D/job2/Extract/job1/a.mrcs", None),
        ("project/Refine3D/job2/a.mrcs", None),
        ("project/Extract/job1/a.mrcs", None),
    ],
)
def test_a_stack_is_found(tmp_path: Path, place: str, data_dir: str | None):
    stack = tmp_path / place
    stack.parent.mkdir(parents=True)
    stack.touch()
    table = tmp_path / "project/Refine3D/job2/run_data.star"
    folder = None if data_dir is None else tmp_path / data_dir
    assert find_stack("Extract/job1/a.mrcs", table, folder).samefile(stack)


def test_a_missing_stack_lists_every_path(tmp_path: Path):
    table = tmp_path / "run_data.star"
    with pytest.raises(FileNotFoundError, match="--data-dir") as error:
        find_stack("Extract/a.mrcs", table, tmp_path / "data")
    for path in candidate_paths("Extract/a.mrcs", table, tmp_path / "data"):
        assert str(path) in str(error.value)
