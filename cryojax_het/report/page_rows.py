"""The particle file inside a page, so that any choice of its rows can be saved."""

from pathlib import Path
from typing import Any

from ..particles.star import star_lines
from .page_blobs import Blobs


def star_rows(path: Path, count: int, blobs: Blobs) -> dict[str, Any] | None:
    """Head, rows and tail of a STAR file as blobs, every byte as it is; None for another format, or
    where the table has not `count` rows."""
    if path.suffix.lower() != ".star" or not path.is_file():
        return None
    star = star_lines(path, "rlnImageName")
    if len(star.rows) != count:
        return None
    head, tail = [*star.before, *star.heads(star.labels)], star.after
    return {
        "name": path.name,
        "head": blobs.put(_lines(head)),
        "body": blobs.put(_lines(star.rows)),
        "tail": blobs.put(_lines(tail)),
    }


def _lines(lines: list[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")
