"""What is true of a simulated data set, and its file: one HDF5, read map by map.

```
/            attributes: size, pixel_size (Å), sigma, signal_variance, snr, seed ...
/images/     conformation, state, rotation, shift, contrast, half      one row per image
/states/     conformation, population, coordinates, maps [s, n, n, n]
/states/atoms/  positions [s, j, 3] (Å), occupancies [s, j]            absent for maps
/noise/      power, signal_power                                       per shell
```
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float, Float32, Int, Integer

from ..particles.files import replacing
from .states import Coordinate, States

FORMAT = "cryojax_het truth 1"
_LEVEL = ("sigma", "signal_variance", "footprint_variance")
_SPECTRA = ("power", "signal_power")


@final
@dataclass(frozen=True, kw_only=True)
class Truth:
    """The latents of N images, on the host: conformation and the row `state` of `States` that it
    is, rotation (molecule to microscope), shift in Å and contrast."""

    conformation: Float[np.ndarray, "n d"]
    state: Int[np.ndarray, " n"]
    rotation: Float[np.ndarray, "n 3 3"]
    shift: Float[np.ndarray, "n 2"]
    contrast: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.contrast)

    def take(self, rows: Integer[np.ndarray, " m"]) -> "Truth":
        """The truth of these images."""
        return Truth(**{name: column[rows] for name, column in asdict(self).items()})


@final
@dataclass(frozen=True, kw_only=True)
class NoiseLevel:
    """Noise and signal of a data set.

    - `sigma`: standard deviation of the noise of one pixel; `signal_variance`: of clean pixels;
    - `footprint_variance`: of clean pixels under the molecule (see `images.signal_statistics`);
    - `power`, `signal_power`: spectral densities of both per shell 0 to n//2, as in
      `imaging/noise.py`.
    """

    sigma: float
    signal_variance: float
    footprint_variance: float
    power: Float[np.ndarray, " s"]
    signal_power: Float[np.ndarray, " s"]


@final
@dataclass(frozen=True, kw_only=True)
class StateAtoms:
    """Atoms of every state: positions in Å and occupancies (0 where a subunit is absent)."""

    positions: Float[np.ndarray, "s j 3"]
    occupancies: Float[np.ndarray, "s j"]


@final
@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """A truth file that was opened: everything but the maps, which are read one at a time.

    - `half`: 1 or 2 per image; `about`: the remaining attributes, by name.
    """

    path: Path
    images: Truth
    half: Int[np.ndarray, " n"]
    states: States
    level: NoiseLevel
    size: int
    pixel_size: float
    about: Mapping[str, Any]

    @property
    def particles(self) -> Path:
        """The STAR file that was written beside it."""
        return self.path.with_name("particles.star")

    def map(self, state: int) -> Float32[np.ndarray, "n n n"]:
        """The exact map of a state, band-limited to the images' Nyquist sphere."""
        import h5py

        with h5py.File(self.path, "r") as file:
            return file["states/maps"][state]  # pyright: ignore

    def atoms(self) -> StateAtoms | None:
        """Atoms of all states; None where a map was simulated."""
        import h5py

        with h5py.File(self.path, "r") as file:
            if "atoms" not in file["states"]:  # pyright: ignore
                return None
            held = file["states/atoms"]
            names = [f.name for f in fields(StateAtoms)]
            return StateAtoms(**{n: np.asarray(held[n], np.float64) for n in names})  # pyright: ignore


@final
@dataclass(frozen=True, kw_only=True)
class NewTruth:
    """All that `write_truth` writes; `maps` are those of the states in order, made as they go."""

    images: Truth
    half: Int[np.ndarray, " n"]
    states: States
    level: NoiseLevel
    atoms: StateAtoms | None
    maps: Iterable[Float32[np.ndarray, "n n n"]]
    size: int
    pixel_size: float
    about: Mapping[str, Any]


def write_truth(path: Path, truth: NewTruth) -> None:
    """Write the file, whole or not at all; one map is in memory at a time."""
    import h5py

    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        scalars = {name: getattr(truth.level, name) for name in _LEVEL}
        scalars |= {"format": FORMAT, "size": truth.size, "pixel_size": truth.pixel_size}
        file.attrs.update({**truth.about, **scalars})
        columns = {**asdict(truth.images), "half": truth.half}
        _fill(file, "images", columns)
        _fill(file, "noise", {name: getattr(truth.level, name) for name in _SPECTRA})
        states = truth.states
        _fill(file, "states", {n: getattr(states, n) for n in ("conformation", "population")})
        _write_coordinates(file["states"], states.coordinates)
        if truth.atoms is not None:
            held = {name: column.astype(np.float32) for name, column in asdict(truth.atoms).items()}
            _fill(file, "states/atoms", held)
        shape = (len(states), *[truth.size] * 3)
        maps = file.create_dataset("states/maps", shape, np.float32, chunks=(1, *shape[1:]))
        for number, volume in enumerate(truth.maps):
            maps[number] = volume


def open_truth(path: Path) -> GroundTruth:
    """Open what `write_truth` wrote; `path` may be the folder that holds `truth.h5`.

    Raises `FileNotFoundError`; `ValueError` for any other file.
    """
    import h5py

    path = Path(path) / "truth.h5" if Path(path).is_dir() else Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: give the truth.h5 that `cryojax-het simulate` wrote."
        )
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError(
                    f"{path} is no truth of this version ({FORMAT}): its format is "
                    f"{file.attrs.get('format', 'not given')}. Simulate the data set again."
                )
            return _read(path, file)
    except (OSError, KeyError) as error:
        raise ValueError(f"{path} is not a whole truth file: {error}") from error


def _read(path: Path, file: Any) -> GroundTruth:
    about = {name: _python(value) for name, value in file.attrs.items()}
    arrays = lambda group, names: {name: file[group][name][()] for name in names}
    states = States(
        coordinates=_read_coordinates(file["states"]),
        **arrays("states", ("conformation", "population")),
    )
    scalars = {name: about.pop(name) for name in _LEVEL}
    about.pop("format")
    return GroundTruth(
        path=path,
        images=Truth(**arrays("images", [f.name for f in fields(Truth)])),
        half=file["images/half"][()],
        states=states,
        level=NoiseLevel(**scalars, **arrays("noise", _SPECTRA)),
        size=about.pop("size"),
        pixel_size=about.pop("pixel_size"),
        about=about,
    )


def _fill(file: Any, group: str, columns: Mapping[str, np.ndarray]) -> None:
    folder = file.require_group(group)
    for name, column in columns.items():
        folder.create_dataset(name, data=column)


def _write_coordinates(group: Any, coordinates: tuple[Coordinate, ...]) -> None:
    import h5py

    kind = [("name", h5py.string_dtype()), ("period", "<f8"), ("categorical", "?")]
    rows = [(c.name, np.nan if c.period is None else c.period, c.categorical) for c in coordinates]
    group.create_dataset("coordinates", data=np.array(rows, dtype=kind))


def _read_coordinates(group: Any) -> tuple[Coordinate, ...]:
    return tuple(
        Coordinate(
            name=row["name"].decode(),
            period=None if np.isnan(row["period"]) else float(row["period"]),
            categorical=bool(row["categorical"]),
        )
        for row in group["coordinates"][()]
    )


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
