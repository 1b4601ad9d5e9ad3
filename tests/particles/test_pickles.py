"""Pickles give arrays, and nothing that could run code."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.particles.pickles import load_arrays


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_every_protocol(tmp_path: Path, protocol: int):
    arrays = (np.arange(6.0).reshape(2, 3), np.arange(3, dtype=np.float32), [1, 2.5, np.float64(3)])
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(arrays, protocol))
    held = load_arrays(tmp_path / "a.pkl")
    np.testing.assert_array_equal(held[0], arrays[0])
    np.testing.assert_array_equal(held[1], arrays[1])
    assert held[2] == arrays[2]


class _Attack:
    def __reduce__(self):
        return os.system, ("touch attacked",)


def test_code_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps((np.zeros(2), _Attack())))
    with pytest.raises(ValueError, match=r"a\.pkl is not a pickle of arrays.*system"):
        load_arrays(tmp_path / "a.pkl")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps(np.zeros(9))[:-20]])
def test_no_pickle(tmp_path: Path, content: bytes):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pkl is not a pickle"):
        load_arrays(tmp_path / "a.pkl")


def test_every_pickle_of_the_data_folder(data: Path):
    paths = sorted((data / "particles").glob("*/*.pkl"))
    assert len(paths) > 10
    for path in paths:
        held = load_arrays(path)
        with open(path, "rb") as file:
            plain = pickle.load(file)
        pairs = zip(held, plain, strict=True) if isinstance(plain, tuple) else [(held, plain)]
        for mine, expected in pairs:
            np.testing.assert_array_equal(mine, expected)
