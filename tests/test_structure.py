"""The rules of the house: who imports whom, how long things are, what is abstract."""

import ast
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import pytest

import cryojax_het

ROOT = Path(cryojax_het.__file__).parent
ROOMS = ["imaging", "structures", "volumes", "particles", "inference", "simulate"]
ROOMS += ["results", "analysis", "report", "commands", "cli"]
FILES = sorted(ROOT.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))


def room_of(parts):
    """Rank of the room of a module `cryojax_het.<parts>`; the package's own file is above all."""
    return ROOMS.index(parts[0]) if parts else -1


def imported_rooms(path):
    """(line, module parts) of every import from within the package, wherever it stands."""
    here = path.relative_to(ROOT).with_suffix("").parts
    package = here[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            named = tuple(node.module.split(".")) if node.module else ()
            targets = [(*base, *named)] if base + named else [(a.name,) for a in node.names]
            yield from ((node.lineno, target) for target in targets)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cryojax_het"):
            yield node.lineno, tuple(node.module.split(".")[1:])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "cryojax_het":
                    yield node.lineno, tuple(alias.name.split(".")[1:])


def test_every_file_is_in_a_room_or_at_the_door():
    names = {path.relative_to(ROOT).with_suffix("").parts[0] for path in FILES}
    assert names <= {*ROOMS, "__init__", "__main__"}


@each_file
def test_imports_come_from_this_room_or_from_rooms_before_it(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    own = room_of(() if parts[0].startswith("__") else parts)
    own = len(ROOMS) if parts[0] == "__main__" else own
    wrong = [
        f"line {line} imports {'.'.join(target)}"
        for line, target in imported_rooms(path)
        if target and target[0] in ROOMS and room_of(target) > own
    ]
    assert not wrong, f"{path.relative_to(ROOT)}: {wrong}"


def test_the_import_test_sees_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "imaging").mkdir()
    file = tmp_path / "imaging" / "grid.py"
    file.write_text(
        "from ..volumes.base import X\nfrom .. import report\nfrom .optics import Y\n"
        "import cryojax_het.cli\ndef f():\n    from cryojax_het.results import run\n"
    )
    targets = [target for _, target in imported_rooms(file)]
    assert sorted(targets) == [
        ("cli",),
        ("imaging", "optics"),
        ("report",),
        ("results",),
        ("volumes", "base"),
    ]


@each_file
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 300


@each_file
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = ast.get_docstring(node) is not None
            doc = first.end_lineno - first.lineno + 1 if documented else 0
            lines = node.end_lineno - node.lineno + 1 - doc
            assert lines <= 40, f"{node.name} (line {node.lineno}) has {lines} lines"


@each_file
def test_nothing_asks_what_an_object_has(path):
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "hasattr"
    ]
    assert not calls, f"hasattr on lines {calls}"


@each_file
def test_every_file_says_what_it_is(path):
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text))


@each_file
def test_no_path_of_one_machine(path):
    assert "/work/" not in path.read_text()


@pytest.mark.parametrize("heavy", ["jax", "flax", "numpyro", "matplotlib", "gemmi", "equinox"])
def test_importing_the_package_is_light(heavy):
    program = f"import sys, cryojax_het; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT.parent).returncode == 0


def modules():
    for info in pkgutil.walk_packages(cryojax_het.__path__, "cryojax_het."):
        if not info.name.endswith("__main__"):
            yield importlib.import_module(info.name)


def package_classes():
    """Every class written in this package that is an equinox module."""
    found = set()
    for module in modules():
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__.startswith("cryojax_het") and issubclass(kind, eqx.Module):
                found.add(kind)
    return found


def test_every_class_is_abstract_or_final():
    for kind in package_classes():
        for base in kind.__bases__:
            if base.__module__.startswith("cryojax_het"):
                assert base.__name__.startswith("Abstract"), f"{kind} extends concrete {base}"


def test_abstract_classes_cannot_be_made():
    for kind in package_classes():
        if kind.__name__.startswith("Abstract"):
            with pytest.raises(TypeError):
                kind()


def test_no_concrete_method_is_overridden():
    for kind in package_classes():
        own = {name for name, value in vars(kind).items() if inspect.isfunction(value)}
        for base in kind.__mro__[1:]:
            if not base.__module__.startswith("cryojax_het"):
                continue
            for name in own & set(vars(base)):
                if name.startswith("__"):
                    continue
                inherited = vars(base)[name]
                assert getattr(inherited, "__isabstractmethod__", False), (
                    f"{kind.__name__}.{name} overrides {base.__name__}'s"
                )


STARTS_NOTHING = """
import importlib, pkgutil
import jax
import cryojax_het

for found in pkgutil.walk_packages(cryojax_het.__path__, "cryojax_het."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
jax.config.update("jax_num_cpu_devices", 3)  # refused once a backend runs
assert jax.device_count() == 3
"""


def test_no_import_starts_a_backend():
    """A command asks for its devices after it has imported what it needs."""
    ran = subprocess.run(
        [sys.executable, "-c", STARTS_NOTHING],
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
