"""Settings of a run: a dataclass, its TOML file and its command-line flags are one thing.

A field's name is its TOML key; a field that is itself a dataclass is a TOML table. TOML has no
null: `None` is left out of the file, and the key's absence means the default.
"""

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_NOT_SET = " is not set"


def config_table(config: Any) -> dict[str, Any]:
    """The settings of a dataclass as plain TOML values, nested ones as tables."""
    names = [field.name for field in dataclasses.fields(config)]
    return {name: _plain(name, getattr(config, name)) for name in names}


def default_table(config: Any) -> dict[str, Any]:
    """The settings that a dataclass has by default, as `config_table` gives them; those that must
    be given are left out."""
    found = {}
    for field in dataclasses.fields(config):
        if field.default is not dataclasses.MISSING:
            found[field.name] = _plain(field.name, field.default)
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = _plain(field.name, field.default_factory())
    return found


def format_toml(table: Mapping[str, Any]) -> str:
    """TOML text of a table as `config_table` makes it; `None` becomes a comment."""
    lines = [_line(k, v) for k, v in table.items() if not isinstance(v, Mapping)]
    for name, part in table.items():
        if isinstance(part, Mapping):
            lines += ["", f"[{name}]", *(_line(k, v) for k, v in part.items())]
    return "\n".join(lines) + "\n"


def read_toml(path: Path) -> dict[str, Any]:
    """The table of a TOML file. `ValueError`, naming file and place, where it is not TOML."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from error


def check_keys(table: Mapping[str, Any], config: type, origin: Path) -> None:
    """`ValueError` for a key of `table` that the dataclass `config` lacks, naming the nearest."""
    names = [field.name for field in dataclasses.fields(config)]
    for key in table:
        if key not in names:
            near = difflib.get_close_matches(key.replace("-", "_"), names, 1, 0.5)
            hint = f"Did you mean `{near[0]}`?" if near else f"Known keys: {', '.join(names)}."
            raise ValueError(f"{origin} has the unknown key `{key}`. {hint}")


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
    """`(key, old value, new value)` of every setting in which two tables differ; an absent key
    and `None` are equal, since a file holds no null."""
    found = []
    for key in [*old, *(k for k in new if k not in old)]:
        a, b = old.get(key), new.get(key)
        if isinstance(a, Mapping) or isinstance(b, Mapping):
            found += differences(a or {}, b or {}, f"{prefix}{key}.")
        elif a != b:
            found.append((prefix + key, a, b))
    return found


def known_then(
    path: Path, found: list[tuple[str, Any, Any]], defaults: Mapping[str, Any]
) -> list[tuple[str, Any, Any]]:
    """The differences `found` from the file `path`, as `format_toml` wrote it, without settings
    that its version did not know and that are at their `defaults`."""
    unset, flat = _not_set(path.read_text()), dict(_flat(defaults))
    added = lambda key, old, new: old is None and key not in unset and (key, new) in flat.items()
    return [one for one in found if not added(*one)]


def _not_set(text: str) -> set[str]:
    """Keys, after their table's name, of which a file says that they are not set."""
    found, table = set(), ""
    for line in text.splitlines():
        if line.startswith("["):
            table = line.strip("[]") + "."
        elif line.startswith("# ") and line.endswith(_NOT_SET):
            found.add(table + line.removeprefix("# ").removesuffix(_NOT_SET))
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _plain(name: str, value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return config_table(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(name, item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"`{name}` holds a {type(value).__name__}, which TOML cannot express.")


def _line(key: str, value: Any) -> str:
    return f"# {key}{_NOT_SET}" if value is None else f"{key} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    return repr(value)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    # TOML strings hold no raw control characters.
    return (
        '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
    )
