"""Every notebook runs from its first cell to its last, in a folder of its own, and is clean."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


@each_notebook
def test_it_is_committed_without_outputs_and_is_short(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(notebook.cells) <= 25
    assert notebook.cells[0].source.startswith("# ")
    assert not any(cell.outputs or cell.execution_count for cell in code)


@each_notebook
def test_it_names_no_path_of_one_machine(path):
    text = path.read_text()
    assert not any(word in text for word in ("/work/", "/home/", "/Users/"))


@each_notebook
def test_its_links_lead_to_notebooks(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for target in (part.split(")")[0] for part in cell.source.split("](")[1:]):
            assert not target.endswith(".ipynb") or (path.parent / target).is_file(), target


@each_notebook
@pytest.mark.filterwarnings("ignore:Kernel is running over TCP")
def test_it_runs(path, tmp_path, monkeypatch):
    """Without shared data, in float32 as a user has it; compiled as the other tests are."""
    monkeypatch.delenv("CRYOJAX_HET_DATA", raising=False)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder).execute()
    pictures = [
        output
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert pictures, "a notebook shows something"
