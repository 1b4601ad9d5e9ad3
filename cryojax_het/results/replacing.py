"""Replacing an earlier run: out of the way first, gone only when the new one stands."""

import os
import shutil
from pathlib import Path

from .disk import explained


def set_aside(path: Path) -> Path | None:
    """Rename the run folder `path` to a hidden name beside it, for `--overwrite`.

    Returns where it is now; None where there was none. Raises `FileExistsError` where `path` is
    not empty and no run folder: nothing is touched.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.replaced")
    with explained(path):
        if aside.exists() and not path.exists():
            # A kill in mid-replacement: the earlier run still waits under its hidden name.
            os.rename(aside, path)
        if not path.is_dir() or not any(path.iterdir()):
            return None
        if not (path / "run.json").is_file():
            raise FileExistsError(
                f"{path} is no run folder, so `--overwrite` leaves it alone: choose another output."
            )
        if aside.exists():
            shutil.rmtree(aside)
        os.rename(path, aside)
    return aside


def settle(path: Path, aside: Path | None) -> None:
    """Remove what was set aside if a new run took its place, else put it back."""
    if aside is None:
        return
    with explained(path):
        if (path / "run.json").is_file():
            shutil.rmtree(aside)
            return
        if path.is_dir():
            shutil.rmtree(path)
        os.rename(aside, path)
