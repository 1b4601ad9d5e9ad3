"""Writing that survives a kill and explains a full, read-only or vanished disk."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..particles.files import replacing

_REASONS = {
    errno.ENOSPC: "the disk is full: free some space, or choose another output by `-o`",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another output by `-o`",
    errno.EROFS: "the file system is read-only: choose another output by `-o`",
    errno.EACCES: "no permission to write there: choose another output by `-o`",
    errno.EPERM: "no permission to write there: choose another output by `-o`",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another output by `-o`",
}


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the system's errors of writing inside `folder` into sentences with a remedy.

    The `OSError` keeps its class and number. What was written before stays; the same command
    takes the run up once there is room.
    """
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0)
        if reason is None or str(error.strerror or "").startswith("cannot write"):
            raise
        where = error.filename or folder
        raise type(error)(error.errno, f"cannot write {where}: {reason}") from error


def write_text(path: Path, text: str) -> None:
    """Write `text` as the whole file `path`, or leave what was there."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        flush(file.fileno(), file)
    sync_folder(path.parent)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `arrays` as the whole `.npz` file `path`, or leave what was there."""
    with explained(path.parent), replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)  # pyright: ignore[reportArgumentType]


def flush(descriptor: int, file) -> None:
    """Hand Python's buffer to the system and wait until the disk has it."""
    file.flush()
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in `folder`: a rename alone may not outlive a crash."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
