"""Scores on disk: plain JSON, whole or not at all, with the figures that belong to them."""

import json
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.report.score_report import ScoreReport, plain


def drawing(text):
    return lambda path: path.write_text(text)


def read(folder):
    return json.loads((folder / "scores.json").read_text())


def test_numbers_are_plain():
    scores = {
        "a": np.float32(0.5),
        "b": np.array([[1.0, np.nan], [np.inf, 2.0]]),
        "c": (np.int64(3), float("nan"), None, True),
        "d": {1: Path("x/y")},
    }
    found = plain(scores)
    assert found == {
        "a": 0.5,
        "b": [[1.0, None], [None, 2.0]],
        "c": [3, None, None, True],
        "d": {"1": "x/y"},
    }
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_parts_are_joined():
    one = ScoreReport({"a": 1, "b": 1}, {"x.png": drawing("x")})
    both = one.with_part(ScoreReport({"b": 2}, {"y.png": drawing("y")}))
    assert both.scores == {"a": 1, "b": 2}
    assert list(both.figures) == ["x.png", "y.png"]


def test_an_earlier_validation_is_replaced_whole(tmp_path):
    folder = tmp_path / "new" / "scores"
    ScoreReport({"a": 1}, {"x.png": drawing("1"), "y.png": drawing("1")}).write(folder)
    (folder / "mine.txt").write_text("kept")
    ScoreReport({"a": 2}, {"x.png": drawing("2")}).write(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["mine.txt", "scores.json", "x.png"]
    assert (folder / "x.png").read_text() == "2"
    assert read(folder) == {"a": 2, "figures": ["x.png"]}


def test_a_figure_that_fails_leaves_what_was_there(tmp_path):
    ScoreReport({"a": 1}, {"x.png": drawing("1")}).write(tmp_path)

    def fails(path):
        path.write_text("half")
        raise ValueError("no ink")

    with pytest.raises(ValueError, match="no ink"):
        ScoreReport({"a": 2}, {"x.png": drawing("2"), "y.png": fails}).write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.json", "x.png"]
    assert (tmp_path / "x.png").read_text() == "1"
    assert read(tmp_path)["a"] == 1


def test_scores_of_something_else_are_left_alone(tmp_path):
    (tmp_path / "scores.json").write_text('{"goals": 3}')
    with pytest.raises(FileExistsError, match=r"choose another output by `-o`"):
        ScoreReport({"a": 1}, {"x.png": drawing("1")}).write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]
