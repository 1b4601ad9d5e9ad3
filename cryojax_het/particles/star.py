"""STAR text: blocks of columns in, and the original rows out again with columns replaced or added.

Reading goes through gemmi. Writing filters the original lines, so that whatever a table holds,
known here or not, comes back character for character.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Integer

from .files import replacing

Columns = dict[str, list[str]]
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|\S+")


def read_star(path: Path) -> dict[str, Columns]:
    """Every block of a STAR file as columns of text, labels without their underscore.

    A block without a loop is a table of one row. Raises `FileNotFoundError`, and `ValueError` with
    gemmi's message where the syntax is wrong or gemmi is not installed.
    """
    try:
        from gemmi import cif
    except ImportError as error:
        raise ImportError("Reading STAR files needs gemmi: pip install gemmi") from error
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    try:
        document = cif.read_file(str(path))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path} is not a STAR file: {error}") from error
    # gemmi calls the block of a bare `data_` by a blank.
    return {block.name.strip(): _columns_of(block) for block in document}


def _columns_of(block) -> Columns:
    from gemmi import cif

    columns: Columns = {}
    for item in block:
        if item.pair is not None:
            label, value = item.pair
            columns[label[1:]] = [cif.as_string(value)]
        elif item.loop is not None:
            width, values = item.loop.width(), item.loop.values
            for number, label in enumerate(item.loop.tags):
                column = values[number::width]
                if any(value[:1] in "'\"" for value in column):
                    column = [cif.as_string(value) for value in column]
                columns[label[1:]] = column
    return columns


@final
@dataclass(frozen=True)
class StarLines:
    """The lines of a STAR file around one loop: those before its labels, the labels, whether they
    are numbered (`_rlnVoltage #5`), one line per row, and everything after the last row."""

    before: list[str]
    labels: list[str]
    numbered: bool
    rows: list[str]
    after: list[str]

    def heads(self, labels: list[str]) -> list[str]:
        """Lines of these labels, numbered where the file's are."""
        return [f"_{n} #{i}" if self.numbered else f"_{n}" for i, n in enumerate(labels, 1)]


def star_lines(path: Path, label: str) -> StarLines:
    """The first loop of `path` that has the column `label`, as lines.

    Raises `ValueError` where no loop has it.
    """
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().splitlines()
    for start, line in enumerate(lines):
        if line.strip().lower() != "loop_":
            continue
        stop = start + 1
        while stop < len(lines) and _is_label_or_empty(lines[stop]):
            stop += 1
        heads = [text for text in lines[start + 1 : stop] if text.strip().startswith("_")]
        labels = [text.split()[0][1:] for text in heads]
        if label in labels:
            numbered = "#" in heads[0]
            return StarLines(lines[: start + 1], labels, numbered, *_split_rows(lines, stop))
    raise ValueError(f"No table of {path} has a column {label}.")


def _is_label_or_empty(line: str) -> bool:
    text = line.strip()
    return not text or text[0] in "_#"


def _split_rows(lines: list[str], start: int) -> tuple[list[str], list[str]]:
    rows, last = [], start
    for number in range(start, len(lines)):
        text = lines[number].strip()
        if text.startswith(("_", "data_", "loop_")):
            break
        if text and text[0] != "#":
            rows.append(lines[number].rstrip())
            last = number + 1
    return rows, lines[last:]


def write_star(
    path: Path,
    original: Path,
    rows: Integer[np.ndarray, " m"],
    columns: Mapping[str, Sequence | np.ndarray],
) -> None:
    """The particle table of `original`, rows `rows` (0-based) in that order, with `columns`.

    Columns that the table has are replaced in place, new ones appended; every other value, column
    and block (optics groups too) keeps its text. Numbers are written to nine significant digits.
    Whole or not at all. Raises `ValueError` for a column of another length, a value that is not
    finite, or a row that does not fit the table's labels.
    """
    star = star_lines(original, "rlnImageName")
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(star.rows):
        raise ValueError(f"`rows` must lie in 0 to {len(star.rows) - 1}, the rows of {original}.")
    texts = {label: format_column(label, column, len(rows)) for label, column in columns.items()}
    replaced = {star.labels.index(n): t for n, t in texts.items() if n in star.labels}
    added = {name: text for name, text in texts.items() if name not in star.labels}
    body = [_checked(star.rows[row], row, len(star.labels), original) for row in rows.tolist()]
    if replaced:
        body = [_replace(line, i, replaced) for i, line in enumerate(body)]
    if added:
        body = [" ".join(parts) for parts in zip(body, *added.values(), strict=True)]
    heads = star.heads([*star.labels, *added])
    with (
        replacing(path) as temporary,
        open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file,
    ):
        file.write("\n".join([*star.before, *heads, *body, *star.after]) + "\n")


def _checked(line: str, row: int, count: int, original: Path) -> str:
    if len(_tokens(line)) != count:
        raise ValueError(
            f"Row {row + 1} of {original} has {len(_tokens(line))} values for {count} labels, or "
            "runs over several lines, which is not supported."
        )
    return line


def _tokens(line: str) -> list[str]:
    return _TOKEN.findall(line) if "'" in line or '"' in line else line.split()


def _replace(line: str, number: int, columns: dict[int, list[str]]) -> str:
    tokens = _tokens(line)
    for place, texts in columns.items():
        tokens[place] = texts[number]
    return " ".join(tokens)


def format_column(label: str, column: Sequence | np.ndarray, count: int) -> list[str]:
    """The values as text, numbers to nine significant digits. `ValueError` where there are not
    `count`, or a number is not finite."""
    if len(column) != count:
        raise ValueError(f"Column {label} has {len(column)} values for {count} rows.")
    values = np.asarray(column)
    if values.dtype.kind in "iub":
        return [str(int(value)) for value in values]
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise ValueError(f"Column {label}, row {row + 1}, is not finite: {values[row]}.")
        return [f"{value:.9g}" for value in values.tolist()]
    return [_quoted(str(value)) for value in column]


def _quoted(text: str) -> str:
    # RELION reads words between spaces and knows no quotes; CIF readers need them for spaces.
    return text if text and not re.search(r"\s", text) else f'"{text}"'
