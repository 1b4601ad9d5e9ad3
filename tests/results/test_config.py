"""Settings: written TOML is read back by the standard library, and differences are named."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryojax_het.results.config import (
    check_keys,
    config_table,
    default_table,
    differences,
    format_toml,
    read_toml,
)


@dataclass
class Inner:
    width: float = 2.5


@dataclass
class Settings:
    particles: Path = Path("a b/c.star")
    name: str = 'quote " and \\ and é\n'
    count: int = 3
    tolerance: float = 1e-7
    limit: float = float("inf")
    cap: float | None = None
    flag: bool = True
    levels: tuple[float, ...] = (1.0, 2.0)
    mask: Inner = field(default_factory=Inner)


def test_a_dataclass_goes_through_toml_unchanged(tmp_path):
    table = config_table(Settings())
    text = format_toml(table)
    parsed = tomllib.loads(text)
    assert parsed == {k: v for k, v in table.items() if v is not None}
    assert parsed["particles"] == "a b/c.star"
    assert parsed["mask"] == {"width": 2.5}
    assert "# cap is not set" in text
    (tmp_path / "c.toml").write_text(text)
    assert differences(read_toml(tmp_path / "c.toml"), table) == []


def test_defaults_are_those_of_fields_that_have_one():
    @dataclass
    class Given:
        particles: Path
        levels: tuple[int, ...] = (1, 2)
        mask: Inner = field(default_factory=Inner)

    assert default_table(Given(Path("a"), (3,))) == {"levels": [1, 2], "mask": {"width": 2.5}}


@given(st.text(), st.floats(allow_nan=False), st.integers(-(2**62), 2**62), st.lists(st.text()))
def test_any_value_survives(text, number, integer, texts):
    table = {"text": text, "number": number, "integer": integer, "texts": texts}
    assert tomllib.loads(format_toml(table)) == table


def test_differences_name_nested_keys_and_take_none_as_absent():
    old, new = {"a": 1, "m": {"w": 1.0}}, {"a": 1, "m": {"w": 2.0}, "b": None, "c": "x"}
    assert differences(old, new) == [("m.w", 1.0, 2.0), ("c", None, "x")]


def test_unknown_keys_name_the_nearest():
    with pytest.raises(ValueError, match=r"x\.toml has the unknown key `cuont`.*`count`"):
        check_keys({"cuont": 1}, Settings, Path("x.toml"))
    with pytest.raises(ValueError, match="Known keys: particles"):
        check_keys({"zzzzzz": 1}, Settings, Path("x.toml"))
    check_keys({"count": 1}, Settings, Path("x.toml"))


def test_what_is_no_toml_is_named(tmp_path):
    (tmp_path / "bad.toml").write_text("a = = 1\n")
    with pytest.raises(ValueError, match=r"bad\.toml is not valid TOML.*line 1"):
        read_toml(tmp_path / "bad.toml")
    with pytest.raises(TypeError, match="`thing` holds a set"):
        config_table(Odd())


@dataclass
class Odd:
    thing: set = field(default_factory=set)
