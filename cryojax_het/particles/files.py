"""Paths: writing a file whole or not at all, and finding the stacks that a table names."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of `path`, renamed to it at the end; removed after an error.

    A reader never sees half a file, and a full disk or a kill leaves what was there before.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def find_stack(name: str, table: Path, data_dir: Path | None) -> Path:
    """Where the stack `name` of the table file lies; `candidate_paths` are tried in turn.

    Raises `FileNotFoundError` that lists every path tried.
    """
    tried = candidate_paths(name, table, data_dir)
    for path in tried:
        if path.is_file():
            return path
    listing = "\n  ".join(map(str, tried))
    raise FileNotFoundError(
        f"The stack {name} named by {table} was not found. Tried:\n  {listing}\n"
        "Give the folder that its path starts from by `--data-dir`."
    )


def candidate_paths(name: str, table: Path, data_dir: Path | None) -> list[Path]:
    """With a data folder: the whole path inside it, then the bare name inside it. Then the path
    itself (from the working folder), the same two inside the folder of the table, and the path
    from each folder above the table, where project-relative paths of RELION jobs begin."""
    inside = Path(name)
    folders = [] if data_dir is None else [Path(data_dir)]
    here = Path(table).resolve().parent
    # Joining an absolute path onto a folder gives the path itself, which is listed once.
    paths = [p for f in folders for p in (f / inside, f / inside.name)]
    paths += [inside, here / inside, here / inside.name]
    paths += [parent / inside for parent in here.parents]
    return list(dict.fromkeys(paths))
