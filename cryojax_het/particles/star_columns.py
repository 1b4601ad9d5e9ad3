"""One row per particle from a RELION STAR file: its own columns, and its optics group's."""

from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float

from .star import Columns

_NAMES = ("particles", "images", "")


@final
class StarColumns:
    """Columns of the particle table; those of `data_optics` spread over the particles.

    A column in both places is taken from the particles, as RELION does. `group` numbers the optics
    groups from 0 in the order of `data_optics`.

    Raises `ValueError` where there are no particles, or where a row names an optics group that
    `data_optics` lacks.
    """

    def __init__(self, blocks: dict[str, Columns], path: Path):
        self.path = path
        self._particles = _particle_block(blocks, path)
        self._count = len(self._particles["rlnImageName"])
        self._optics = blocks.get("optics", {})
        self.group, self.group_names = self._groups()

    def __len__(self) -> int:
        return self._count

    def has(self, label: str) -> bool:
        """Whether particles or their optics groups have this column."""
        return label in self._particles or label in self._optics

    def texts(self, label: str) -> list[str]:
        """The column as text, one per particle."""
        if label in self._particles:
            return self._particles[label]
        column = self._optics[label]
        return [column[group] for group in self.group]

    def numbers(self, label: str, unit: float = 1.0) -> Float[np.ndarray, " n"] | None:
        """The column times `unit`, one number per particle; None where there is none.

        Raises `ValueError`, naming the row, for a text that is no finite number.
        """
        if label in self._particles:
            return self._parse(label, self._particles[label]) * unit
        if label in self._optics:
            return self._parse(label, self._optics[label])[self.group] * unit
        return None

    def required(self, label: str, remedy: str = "") -> Float[np.ndarray, " n"]:
        """As `numbers`; `ValueError` naming the column and those present where it is missing."""
        column = self.numbers(label)
        if column is None:
            present = sorted({*self._particles, *self._optics})
            raise ValueError(
                f"{self.path} has no column {label}: add it{remedy}. Present: {', '.join(present)}."
            )
        return column

    def _parse(self, label: str, texts: list[str]) -> Float[np.ndarray, " n"]:
        try:
            values = np.array(texts, np.float64)
            if np.isfinite(values).all():
                return values
        except ValueError:
            pass
        row = next(i for i, text in enumerate(texts) if not _is_finite(text))
        raise ValueError(
            f"{self.path}, row {row + 1}: {label} must be a finite number. Got {texts[row]!r}."
        )

    def _groups(self) -> tuple[np.ndarray, tuple[str, ...]]:
        wanted = self._particles.get("rlnOpticsGroup")
        known = self._optics.get("rlnOpticsGroup")
        if known is None:
            known = list(dict.fromkeys(wanted or ["1"]))
        names = tuple(self._optics.get("rlnOpticsGroupName", known))
        if wanted is None:
            if len(known) > 1:
                raise ValueError(
                    f"{self.path} has {len(known)} optics groups but no rlnOpticsGroup per "
                    f"particle. Present: {', '.join(self._particles)}."
                )
            return np.zeros(self._count, np.int64), names
        numbers = {group: number for number, group in enumerate(known)}
        unknown = next((i for i, group in enumerate(wanted) if group not in numbers), None)
        if unknown is not None:
            raise ValueError(
                f"{self.path}, row {unknown + 1}: optics group {wanted[unknown]} is not in "
                f"data_optics, which has {', '.join(known)}."
            )
        return np.array([numbers[group] for group in wanted], np.int64), names


def _particle_block(blocks: dict[str, Columns], path: Path) -> Columns:
    ordered = [n for n in _NAMES if n in blocks] + [n for n in blocks if n not in _NAMES]
    for name in ordered:
        if "rlnImageName" in blocks[name]:
            if not blocks[name]["rlnImageName"]:
                raise ValueError(f"{path}: its table data_{name} has no rows.")
            return blocks[name]
    present = "; ".join(f"data_{n}: {', '.join(blocks[n]) or 'nothing'}" for n in ordered)
    raise ValueError(
        f"{path} has no table of particles (none has the column rlnImageName). "
        f"It holds {present or 'nothing'}."
    )


def _is_finite(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
