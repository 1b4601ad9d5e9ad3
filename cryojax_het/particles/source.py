"""Particle images and what is known of each: the table `Particles` and the source of the pixels."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, final

import numpy as np
from jaxtyping import Float, Float32, Int, Integer


@final
@dataclass(frozen=True, kw_only=True)
class Particles:
    """What is known of N particle images; every array has one row per image.

    - `rotation`: molecule frame to microscope, RELION's `A(rot, tilt, psi)`; None without poses.
    - `shift`: where the particle is from the box centre (x, y), Å; None where not known.
    - `defocus_u`, `defocus_v` Å (underfocus positive); `astigmatism_angle` rad, from x towards y.
    - `voltage` kV; `spherical_aberration` mm; `amplitude_contrast`; `phase_shift` rad;
      `b_factor` Å²; `scale` multiplies the transfer function; `beam_tilt` (x, y) rad;
      `magnification`: the image's transform at `k` is the ideal one's at `M k`.
    - `group`: optics group, an index into `group_names`; `half`: half-set 1 or 2, 0 unknown.
    - `pixel_size` Å and `size` pixels per side of the stored image (0 where no file told it).
    - `warnings`: sentences on what was assumed or ignored when the table was read.

    Raises `ValueError`, naming column and row, for a wrong shape or a value that is not finite.
    """

    rotation: Float[np.ndarray, "n 3 3"] | None = None
    shift: Float[np.ndarray, "n 2"] | None = None
    defocus_u: Float[np.ndarray, " n"]
    defocus_v: Float[np.ndarray, " n"]
    astigmatism_angle: Float[np.ndarray, " n"]
    voltage: Float[np.ndarray, " n"]
    spherical_aberration: Float[np.ndarray, " n"]
    amplitude_contrast: Float[np.ndarray, " n"]
    phase_shift: Float[np.ndarray, " n"]
    b_factor: Float[np.ndarray, " n"]
    scale: Float[np.ndarray, " n"]
    beam_tilt: Float[np.ndarray, "n 2"]
    magnification: Float[np.ndarray, "n 2 2"]
    group: Int[np.ndarray, " n"]
    half: Int[np.ndarray, " n"]
    pixel_size: Float[np.ndarray, " n"]
    size: Int[np.ndarray, " n"]
    group_names: tuple[str, ...] = ("1",)
    warnings: tuple[str, ...] = ()

    def __post_init__(self):
        for name, column in self.columns().items():
            _check_column(name, column, len(self))
        for name, least in (("pixel_size", 0.0), ("voltage", 0.0)):
            bad = np.flatnonzero(getattr(self, name) <= least)
            if bad.size:
                value = getattr(self, name)[bad[0]]
                raise ValueError(f"`{name}` must be positive. Row {bad[0] + 1} has {value}.")
        if len(self) and not 0 <= self.group.min() <= self.group.max() < len(self.group_names):
            raise ValueError(
                f"`group` must index the {len(self.group_names)} `group_names`. "
                f"It runs from {self.group.min()} to {self.group.max()}."
            )

    def __len__(self) -> int:
        return len(self.pixel_size)

    def columns(self) -> dict[str, np.ndarray]:
        """The arrays that are present, by name."""
        present = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: v for name, v in present.items() if isinstance(v, np.ndarray)}

    def optics(self) -> dict[str, np.ndarray]:
        """The microscope's columns; beam tilt and magnification are left out where no image of
        the table has any, so that nothing is spent on them."""
        trivial = {
            "beam_tilt": not self.beam_tilt.any(),
            "magnification": np.array_equal(
                self.magnification, np.broadcast_to(np.eye(2), self.magnification.shape)
            ),
        }
        names = [name for name in _OPTICS if not trivial.get(name, False)]
        return {name: getattr(self, name) for name in names}

    def take(self, rows: Integer[np.ndarray, " m"]) -> "Particles":
        """The table of these rows, in this order."""
        return replace(self, **{name: column[rows] for name, column in self.columns().items()})


_OPTICS = ("defocus_u", "defocus_v", "astigmatism_angle", "voltage", "spherical_aberration")
_OPTICS += ("amplitude_contrast", "phase_shift", "b_factor", "scale", "group")
_OPTICS += ("beam_tilt", "magnification")
_SHAPES = {"rotation": (3, 3), "shift": (2,), "beam_tilt": (2,), "magnification": (2, 2)}


def _check_column(name: str, column: np.ndarray, count: int) -> None:
    shape = (count, *_SHAPES.get(name, ()))
    if column.shape != shape:
        raise ValueError(f"`{name}` must have the shape {shape}. Got {column.shape}.")
    finite = np.isfinite(column).all(axis=tuple(range(1, column.ndim)))
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"`{name}` of row {row + 1} is not finite: {column[row]}.")


def make_particles(count: int, **columns: Any) -> Particles:
    """A table of `count` rows from some columns; a column may be one value for all rows.

    Those left out are neutral: no poses, one optics group, no half-sets, and, without a defocus,
    the transfer function exactly 1 (`sin(asin(w))` with amplitude contrast `w = 1`).
    `pixel_size` (Å) and `size` are required; a defocus needs voltage, Cs and amplitude contrast.
    """
    neutral = {
        "defocus_u": 0.0,
        "defocus_v": columns.get("defocus_u", 0.0),
        "astigmatism_angle": 0.0,
        "phase_shift": 0.0,
        "b_factor": 0.0,
        "scale": 1.0,
        "beam_tilt": np.zeros(2),
        "magnification": np.eye(2),
        "group": 0,
        "half": 0,
    }
    no_ctf = {"voltage": 300.0, "spherical_aberration": 0.0, "amplitude_contrast": 1.0}
    if "defocus_u" not in columns:
        neutral |= no_ctf
    missing = [n for n in ("pixel_size", "size", *no_ctf) if n not in {**neutral, **columns}]
    if missing:
        raise ValueError(f"`make_particles` needs {', '.join(missing)}. Got {sorted(columns)}.")
    full = {n: _fill(n, v, count) for n, v in {**neutral, **columns}.items() if v is not None}
    return Particles(**full)


def _fill(name: str, value: Any, count: int) -> Any:
    if name in ("group_names", "warnings"):
        return tuple(value)
    kind = np.int64 if name in ("group", "half", "size") else np.float64
    value = np.asarray(value, kind)
    shape = (count, *_SHAPES.get(name, ()))
    if value.ndim == len(shape) and value.shape != shape:
        raise ValueError(f"`{name}` must have the shape {shape}. Got {value.shape}.")
    return np.ascontiguousarray(np.broadcast_to(value, shape))


class AbstractImageSource(abc.ABC):
    """Particle images that may be larger than memory, with their table."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Number of images."""

    @abc.abstractmethod
    def table(self) -> Particles:
        """What is known of every image, in the order of `read`'s indices."""

    @abc.abstractmethod
    def read(self, index: Integer[np.ndarray, " b"]) -> Float32[np.ndarray, "b n n"]:
        """Pixels `[image, y, x]` of these images (0-based, any order, repeats allowed); NaN
        throughout where an image is to be left out.

        Raises `ValueError` where the images differ in size, `IndexError` beyond the source.
        """


def check_index(index: Integer[np.ndarray, " b"], count: int) -> None:
    """`IndexError` where an index lies outside `0 <= i < count`."""
    if len(index) and not 0 <= index.min() <= index.max() < count:
        bad = index.min() if index.min() < 0 else index.max()
        raise IndexError(f"`index` must lie in 0 to {count - 1}. Got {bad}.")


@final
class Subset(AbstractImageSource):
    """The images `rows` of another source, in that order."""

    def __init__(self, source: AbstractImageSource, rows: Integer[np.ndarray, " m"]):
        check_index(rows, len(source))
        self.source = source
        self.rows = np.asarray(rows, np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def table(self) -> Particles:
        """The source's table at `rows`."""
        return self.source.table().take(self.rows)

    def read(self, index: Integer[np.ndarray, " b"]) -> Float32[np.ndarray, "b n n"]:
        """Images `rows[index]` of the source."""
        check_index(index, len(self))
        return self.source.read(self.rows[index])


@final
class Concatenated(AbstractImageSource):
    """Several sources one after another; their optics groups stay apart."""

    def __init__(self, sources: Sequence[AbstractImageSource]):
        if not sources:
            raise ValueError("`sources` is empty: give at least one.")
        self.sources = tuple(sources)
        self.starts = np.cumsum([0, *(len(s) for s in self.sources)])
        self._table = _concatenate([s.table() for s in self.sources])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def table(self) -> Particles:
        """All rows; poses only where every part has them."""
        return self._table

    def read(self, index: Integer[np.ndarray, " b"]) -> Float32[np.ndarray, "b n n"]:
        """Images by their place in the whole. `ValueError` where the parts' sizes differ."""
        check_index(index, len(self))
        part = np.searchsorted(self.starts, index, side="right") - 1
        images: np.ndarray | None = None
        for p in np.unique(part):
            rows = np.flatnonzero(part == p)
            read = self.sources[p].read(np.asarray(index)[rows] - self.starts[p])
            if images is None:
                images = np.empty((len(index), *read.shape[1:]), np.float32)
            if read.shape[1:] != images.shape[1:]:
                raise ValueError(
                    f"Images of {images.shape[1]} and {read.shape[1]} pixels cannot share a "
                    "batch: wrap the source in `Resampled`."
                )
            images[rows] = read
        return np.empty((0, 0, 0), np.float32) if images is None else images


def _concatenate(tables: list[Particles]) -> Particles:
    names = set.intersection(*(set(t.columns()) for t in tables))
    columns: dict[str, Any] = {
        name: np.concatenate([t.columns()[name] for t in tables]) for name in names
    }
    offsets = np.cumsum([0, *(len(t.group_names) for t in tables)])
    groups = [t.group + o for t, o in zip(tables, offsets[:-1], strict=True)]
    warnings = [w for t in tables for w in t.warnings]
    for name in ("rotation", "shift"):
        if name not in names and any(name in t.columns() for t in tables):
            warnings.append(f"Some parts have no {name}: it was dropped for all.")
    columns |= {
        "group": np.concatenate(groups),
        "group_names": tuple(f"{i}:{g}" for i, t in enumerate(tables) for g in t.group_names),
        "warnings": tuple(dict.fromkeys(warnings)),
    }
    return Particles(**columns)


def assign_halves(particles: Particles, seed: int) -> Particles:
    """The table with every row in half-set 1 or 2.

    Rows that have one keep it; the others are drawn by `seed` so that the halves' sizes differ by
    as little as possible. The same table and seed give the same halves.
    """
    half = particles.half.copy()
    free = np.flatnonzero((half != 1) & (half != 2))
    want = (len(half) + 1) // 2 - np.count_nonzero(half == 1)
    first = np.random.default_rng(seed).permutation(len(free)) < np.clip(want, 0, len(free))
    half[free] = np.where(first, 1, 2)
    return replace(particles, half=half)
