"""The documentation's pages are all there, lead where they say, and name flags that exist."""

import importlib.util
import re
import shlex
import sys
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from cryojax_het.cli import COMMANDS
from cryojax_het.commands.fit import METHODS
from cryojax_het.particles.stack import ReadOptions

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = DOCS / "pages"
TEXT = sorted(path for path in PAGES.rglob("*.md"))
each_page = pytest.mark.parametrize("page", TEXT, ids=lambda p: str(p.relative_to(PAGES)))


@pytest.fixture(scope="module")
def generate():
    """The script that writes the other pages."""
    sys.path.insert(0, str(DOCS))
    try:
        where = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
        module = importlib.util.module_from_spec(where)
        where.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


@pytest.fixture(scope="module")
def generated(generate):
    """Pages and pictures that a build makes."""
    made = {PAGES / "commands.md", PAGES / "api" / "index.md"}
    made |= {PAGES / "api" / f"{room}.md" for room in generate.ROOMS}
    return made | {PAGES / "pictures" / f"{name}.svg" for name in generate.pictures.DRAWINGS}


def entries(nav):
    for entry in nav:
        for value in entry.values():
            yield from entries(value) if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_page(name):
    text = (PAGES / "methods" / f"{name}.md").read_text()
    for part in ("**Survey row:**", "$$", "## When to use it", "## What it costs", "## References"):
        assert part in text, part
    assert f"--volume {name}" in text or name == "linear"


def test_every_command_after_the_fit_is_told():
    text = (PAGES / "after.md").read_text()
    others = {"demo", "inspect", "simulate", "reconstruct", "fit"}
    assert not [name for name in COMMANDS if name not in others and f"`{name}" not in text]


def test_navigation_has_every_page_once(generated):
    nav = tomllib.loads((DOCS.parent / "zensical.toml").read_text())["project"]["nav"]
    named = [PAGES / entry for entry in entries(nav)]
    assert len(named) == len(set(named))
    assert set(named) == {*TEXT, *(path for path in generated if path.suffix == ".md")}


@each_page
def test_links_lead_somewhere(page, generated):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there in generated or there.is_file(), target
        if anchor and there not in generated:
            heads = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert anchor in {head.lower().replace(" ", "-") for head in heads}, target


def flags(settings):
    """Of a class of settings, nested ones included."""
    for field in fields(settings):
        yield f"--{field.name.replace('_', '-')}"
        if isinstance(field.type, type) and is_dataclass(field.type):
            yield from flags(field.type)


@each_page
def test_fit_is_given_flags_that_it_has(page):
    for line in re.findall(r"^cryojax-het fit .*$", page.read_text(), re.MULTILINE):
        words = shlex.split(line, comments=True)
        name = words[words.index("--volume") + 1] if "--volume" in words else "linear"
        known = {*flags(METHODS[name].settings), *flags(ReadOptions), "-o"}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_equations_can_be_drawn():
    convert = pytest.importorskip("latex2mathml.converter").convert
    for page in TEXT:
        for formula in re.findall(r"\$\$(.+?)\$\$", page.read_text(), re.DOTALL):
            assert "<math" in convert(formula)


def test_pictures_are_small_and_whole(generate):
    for drawing in generate.pictures.DRAWINGS.values():
        drawn = drawing()
        assert drawn.startswith("<svg")
        assert drawn.rstrip().endswith("</svg>")
        assert len(drawn) < 10_000


def test_the_api_names_every_public_module_of_a_room(generate):
    page = generate.api_page("imaging", "about")
    assert "::: cryojax_het.imaging.grid" in page
    assert "::: cryojax_het.volumes.prolate.basis" in generate.api_page("volumes", "about")
