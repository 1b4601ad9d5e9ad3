"""Image stacks on disk: the rows of a table, wherever their MRC files lie."""

import logging
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float32, Int, Integer

from .files import find_stack
from .mrc import MrcHeader, read_header
from .pixels import Run, read_runs, run_bounds
from .source import check_index

LOG = logging.getLogger("cryojax_het")


@final
@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How stacks and the tables that name them are read.

    - `data_dir`: the folder that image paths start from; the table's own folder is tried too.
    - `pixel_size`: Å per stored pixel, in place of what the files say.
    - `amplitude_contrast`: for files that have a defocus but no amplitude contrast.
    - `sign`: multiplies every pixel; -1 makes dark particles bright. None: as the file says
      (cryoSPARC's `blob/sign`), else 1.
    - `replace_nonfinite`: put in place of NaN and infinite pixels; None makes them an error.
    - `skip_nonfinite`: images with such pixels are read as NaN throughout, with a warning that
      names each: `Loader` gives them weight 0. `ValueError` together with `replace_nonfinite`.
    - `threads`: concurrent reads of one batch.
    """

    data_dir: Path | None = None
    pixel_size: float | None = None
    amplitude_contrast: float | None = None
    sign: float | None = None
    replace_nonfinite: float | None = None
    skip_nonfinite: bool = False
    threads: int = 8

    def __post_init__(self):
        if self.skip_nonfinite and self.replace_nonfinite is not None:
            raise ValueError(
                "`--skip-nonfinite` leaves images out, `--replace-nonfinite` mends them: set one. "
                f"Got both, the latter as {self.replace_nonfinite}."
            )


@final
@dataclass(frozen=True)
class StackRows:
    """Where each image of a table lies: stack `names[file]`, 0-based `image` within it.

    `table` is the file that named them: paths are looked for beside it, and errors cite it.
    """

    names: tuple[str, ...]
    file: Int[np.ndarray, " n"]
    image: Int[np.ndarray, " n"]
    table: Path


@final
class ImageStacks:
    """The pixels of all rows of a table.

    `sizes` are pixels per side as the table has them, 0 where it does not say; `signs` multiply
    the pixels. Nothing is opened before the first `read` or `header`.
    """

    def __init__(
        self,
        rows: StackRows,
        sizes: Int[np.ndarray, " n"],
        signs: Float32[np.ndarray, " n"],
        options: ReadOptions,
    ):
        self.rows = rows
        self.sizes = sizes
        self.signs = signs
        self.options = options
        self._headers: dict[int, MrcHeader] = {}
        self._skipped: set[int] = set()  # rows that were told of

    def __len__(self) -> int:
        return len(self.rows.image)

    def header(self, file: int) -> MrcHeader:
        """Header of stack number `file`; read once.

        Warns (`UserWarning`) where the header counts more images than the file holds. Raises
        `FileNotFoundError`, `ValueError` as `find_stack` and `read_header` do.
        """
        if file not in self._headers:
            path = find_stack(self.rows.names[file], self.rows.table, self.options.data_dir)
            header = read_header(path)
            if header.shape[1] != header.shape[2]:
                raise ValueError(f"{path} holds images of {header.shape[1:]} pixels, not square.")
            self._headers[file] = header
            if header.stored < header.shape[0]:
                warnings.warn(_truncation(header), stacklevel=3)
        return self._headers[file]

    def read(self, index: Integer[np.ndarray, " b"]) -> Float32[np.ndarray, "b n n"]:
        """Images `index`, in that order, times their sign.

        Raises `ValueError` (sizes differ within the batch or from the table; an image beyond the
        stored ones; pixels that are not finite), `FileNotFoundError`, `IndexError`.
        """
        check_index(index, len(self))
        if not len(index):
            return np.empty((0, 0, 0), np.float32)
        order = np.lexsort((self.rows.image[index], self.rows.file[index]))
        files, images = self.rows.file[index][order], self.rows.image[index][order]
        size = self._common_size(index)
        batch = np.empty((len(index), size, size), np.float32)
        runs = [
            Run(self.header(int(files[a])), int(images[a]), order[a:b])
            for a, b in run_bounds(files, images, size)
        ]
        self._treat_nonfinite(batch, index, read_runs(runs, batch, self.options.threads))
        signs = self.signs[index]
        if not np.all(signs == 1):
            batch *= signs[:, None, None]
        return batch

    def problems(self) -> tuple[str, ...]:
        """Everything wrong with the stacks that their headers and lengths show, in sentences:
        missing files, wrong sizes, truncated files and how many rows lie beyond their end. Of each
        kind the first is told in full, the others are counted."""
        kinds: dict[str, list[str]] = {}
        order = np.argsort(self.rows.file, kind="stable")
        rows = np.split(order, np.flatnonzero(np.diff(self.rows.file[order])) + 1)
        with warnings.catch_warnings(), ThreadPoolExecutor(self.options.threads) as pool:
            warnings.simplefilter("ignore")
            for part in pool.map(self._problems_of_file, rows):
                for kind, sentence in part.items():
                    kinds.setdefault(kind, []).append(sentence)
        return tuple(
            found[0] + (f" (And {len(found) - 1} more stacks {kind}.)" if found[1:] else "")
            for kind, found in kinds.items()
        )

    def _problems_of_file(self, rows: Int[np.ndarray, " r"]) -> dict[str, str]:
        try:
            header = self.header(int(self.rows.file[rows[0]]))
        except (ValueError, OSError) as error:
            return {"not found or not readable": str(error)}
        found = {}
        if header.stored < header.shape[0]:
            found["shorter than their header says"] = _truncation(header)
        beyond = np.count_nonzero(self.rows.image[rows] >= header.stored)
        if beyond:
            found["with rows beyond their end"] = (
                f"{beyond} of {len(rows)} rows lie beyond the end of {header.path}."
            )
        wrong = self.sizes[rows][(self.sizes[rows] > 0) & (self.sizes[rows] != header.shape[1])]
        if wrong.size:
            found["of another size"] = _mismatch(header, int(wrong[0]), self.rows.table)
        return found

    def _common_size(self, index) -> int:
        files, first = np.unique(self.rows.file[index], return_index=True)
        sizes = []
        for file, row in zip(files, index[first], strict=True):
            header = self.header(int(file))
            size = int(self.sizes[row])
            if size and size != header.shape[1]:
                raise ValueError(_mismatch(header, size, self.rows.table))
            sizes.append(header.shape[1])
        if len(set(sizes)) > 1:
            raise ValueError(
                f"A batch cannot mix images of {sorted(set(sizes))} pixels: wrap the source of "
                f"{self.rows.table} in `Resampled`."
            )
        return sizes[0]

    def _treat_nonfinite(self, batch, index, suspects: list[int]) -> None:
        for i in suspects:
            bad = ~np.isfinite(batch[i])
            if self.options.replace_nonfinite is not None:
                batch[i][bad] = self.options.replace_nonfinite
            elif bad.any():
                row = int(index[i])
                found = (
                    f"Image {self.rows.image[row] + 1} of {self.rows.names[self.rows.file[row]]} "
                    f"(row {row + 1} of {self.rows.table}) has {np.count_nonzero(bad)} pixels that "
                    "are not finite"
                )
                if not self.options.skip_nonfinite:
                    raise ValueError(
                        f"{found}. Leave the row out, or set `--skip-nonfinite` or "
                        "`--replace-nonfinite 0`."
                    )
                batch[i] = np.nan
                if row not in self._skipped:
                    self._skipped.add(row)
                    LOG.warning("%s: it is left out.", found)


def same_file_rows(names: Sequence[str]) -> tuple[tuple[str, ...], Int[np.ndarray, " n"]]:
    """Distinct names in order of first appearance, and for each row the number of its name."""
    numbers: dict[str, int] = {}
    file = [numbers.setdefault(name, len(numbers)) for name in names]
    return tuple(numbers), np.array(file, np.int64)


def _truncation(header: MrcHeader) -> str:
    return (
        f"{header.path}: the header counts {header.shape[0]} images, the file holds "
        f"{header.stored}. Those it holds can be read."
    )


def _mismatch(header: MrcHeader, size: int, table: Path) -> str:
    return (
        f"{header.path} holds images of {header.shape[1]} pixels per side where {table} says "
        f"{size}: the table belongs to another stack, or the stack was rescaled."
    )
