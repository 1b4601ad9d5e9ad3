"""STAR text in and out: nothing is lost, whatever the table holds."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryojax_het.particles.star import read_star, write_star

_STAR = """
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
1 "the first"
2 second


# version 30001

data_particles

loop_
_rlnImageName #1
_rlnAngleRot #2
_rlnOpticsGroup #3
000001@a.mrcs   1.230000e-07  1
000002@a.mrcs  -0.5           2
000003@b.mrcs   100           1

"""


def _split(path: Path) -> dict[str, dict[str, list[str]]]:
    """An independent parse of loops by plain splitting; good for files without quotes."""
    blocks: dict[str, dict[str, list[str]]] = {}
    labels: list[str] = []
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0].startswith("data_"):
            block, labels = blocks.setdefault(words[0][5:], {}), []
        elif words[0].startswith("_"):
            labels.append(words[0][1:])
            block[labels[-1]] = words[1:2] if len(words) > 1 and words[1][0] != "#" else []
        elif words[0] != "loop_":
            assert len(words) == len(labels)
            for label, word in zip(labels, words, strict=True):
                block[label].append(word)
    return blocks


def test_every_file_as_by_plain_splitting(data: Path):
    paths = sorted((data / "particles").glob("*/*.star"))
    assert len(paths) > 15
    for path in paths:
        assert read_star(path) == _split(path), path


@pytest.fixture
def star(tmp_path: Path) -> Path:
    path = tmp_path / "in.star"
    path.write_text(_STAR)
    return path


def test_blocks_and_quotes(star: Path):
    blocks = read_star(star)
    assert blocks["optics"]["rlnOpticsGroupName"] == ["the first", "second"]
    assert blocks["particles"]["rlnAngleRot"] == ["1.230000e-07", "-0.5", "100"]


def test_all_rows_unchanged_is_the_same_text(star: Path, tmp_path: Path):
    write_star(tmp_path / "out.star", star, np.arange(3), {})
    assert (tmp_path / "out.star").read_text() == _STAR.rstrip("\n") + "\n\n"


def test_every_file_comes_back(data: Path, tmp_path: Path):
    for path in sorted((data / "particles").glob("*/*.star")):
        blocks = read_star(path)
        if not any("rlnImageName" in columns for columns in blocks.values()):
            continue
        count = max(len(c.get("rlnImageName", [])) for c in blocks.values())
        rows = np.random.default_rng(0).permutation(count)[: max(1, count // 2)]
        latent = np.linspace(-1, 1, len(rows))
        write_star(tmp_path / "out.star", path, rows, {"cryojaxHetLatent1": latent})
        written = read_star(tmp_path / "out.star")
        assert written.keys() == blocks.keys()
        for name, columns in blocks.items():
            if "rlnImageName" not in columns:
                assert written[name] == columns
                continue
            np.testing.assert_allclose(
                np.array(written[name].pop("cryojaxHetLatent1"), float), latent, atol=1e-9
            )
            assert written[name] == {n: [c[r] for r in rows] for n, c in columns.items()}


def test_columns_are_replaced_in_place_and_others_keep_their_text(star: Path, tmp_path: Path):
    columns = {"rlnAngleRot": np.array([1 / 3, 2e-11]), "rlnNew": ["x", "two words"]}
    write_star(tmp_path / "out.star", star, np.array([2, 0]), columns)
    particles = read_star(tmp_path / "out.star")["particles"]
    assert particles["rlnImageName"] == ["000003@b.mrcs", "000001@a.mrcs"]
    assert particles["rlnAngleRot"] == ["0.333333333", "2e-11"]
    assert particles["rlnNew"] == ["x", "two words"]
    assert "_rlnNew #4" in (tmp_path / "out.star").read_text()
    assert read_star(tmp_path / "out.star")["optics"] == read_star(star)["optics"]


def test_particles_before_optics(data: Path, tmp_path: Path):
    path = data / "particles" / "cryodrgn" / "relion31.v2.star"
    write_star(tmp_path / "out.star", path, np.array([1]), {"new": np.array([1])})
    written = read_star(tmp_path / "out.star")
    assert list(written) == ["particles", "optics"]
    assert written["optics"] == read_star(path)["optics"]
    assert written["particles"]["new"] == ["1"]


_WORD = st.from_regex(
    re.compile(r"[A-Za-z0-9.+-][A-Za-z0-9_.@/+-]{0,12}", re.ASCII), fullmatch=True
)
_RESERVED = ("data_", "loop_", "global_", "save_", "stop_")


@given(
    words=st.lists(
        st.tuples(_WORD, _WORD).filter(
            lambda t: not any(w.lower().startswith(_RESERVED) for w in t)
        ),
        min_size=1,
        max_size=8,
    ),
    values=st.lists(st.floats(-1e30, 1e30), min_size=8, max_size=8),
    data=st.data(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_round_trip_of_any_words(tmp_path: Path, words, values, data):
    lines = "\n".join(f"  {a}   {b}" for a, b in words)
    path, out = tmp_path / "in.star", tmp_path / "out.star"
    path.write_text(f"data_\n\nloop_\n_rlnImageName\n_rlnOdd\n{lines}\n")
    rows = np.array(data.draw(st.lists(st.integers(0, len(words) - 1), min_size=1)))
    added = np.array([values[row] for row in rows])
    write_star(out, path, rows, {"z": added})
    written = read_star(out)[""]
    assert written["rlnImageName"] == [words[row][0] for row in rows]
    assert written["rlnOdd"] == [words[row][1] for row in rows]
    np.testing.assert_allclose(np.array(written["z"], float), added, rtol=1e-8)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"z": np.array([1.0])}, "Column z has 1 values for 2 rows"),
        ({"z": np.array([1.0, np.nan])}, "Column z, row 2, is not finite"),
    ],
)
def test_bad_columns_leave_nothing(star: Path, tmp_path: Path, columns, message):
    with pytest.raises(ValueError, match=message):
        write_star(tmp_path / "out.star", star, np.array([0, 1]), columns)
    assert list(tmp_path.iterdir()) == [star]


def test_rows_beyond_the_table(star: Path, tmp_path: Path):
    with pytest.raises(ValueError, match="0 to 2"):
        write_star(tmp_path / "out.star", star, np.array([3]), {})


def test_a_row_over_two_lines_is_refused_not_mangled(star: Path, tmp_path: Path):
    star.write_text(_STAR.replace("-0.5           2", "-0.5\n   2"))
    with pytest.raises(ValueError, match="several lines"):
        write_star(tmp_path / "out.star", star, np.array([0, 1]), {})


def test_no_file_and_no_star(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"none\.star"):
        read_star(tmp_path / "none.star")
    (tmp_path / "bad.star").write_text("data_\nloop_\n_a\n_b\n1 2 3\n")
    with pytest.raises(ValueError, match=r"bad\.star is not a STAR file"):
        read_star(tmp_path / "bad.star")
