"""Series of maps in a page, each state a mix of maps that the page has: a map of its own, or the
mean and components at a latent."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float

from ..particles.mrc import read_volume
from .figures import evenly_chosen
from .page_maps import MapBook

Mix = list[tuple[int, float]]
_ORDER = ("path", "energy_path", "component")  # others after these, by name; centres last


@final
@dataclass(frozen=True, kw_only=True)
class MixBasis:
    """A model that is linear in few maps: `V(z) = mean + Σ_k c_k(z) part_k`.

    - `mean`, `parts`: numbers of maps in a `MapBook`; `coefficients`: `c` at latents `[m, d]`.
    - `free`: the coefficients are the latents themselves.
    """

    mean: int
    parts: list[int]
    coefficients: Callable[[Float[np.ndarray, "m d"]], Float[np.ndarray, "m k"]]
    free: bool

    def mixes(self, latent: Float[np.ndarray, "m d"]) -> list[Mix]:
        """The mix that is the map at each point."""
        weights = np.asarray(self.coefficients(latent), np.float64)
        return [[(self.mean, 1.0), *zip(self.parts, row.tolist(), strict=True)] for row in weights]


def series_folders(folder: Path) -> list[Path]:
    """Folders under `folder` that hold a series (`map_000.mrc`), in the order they are shown."""
    found = {path.parent for path in folder.rglob("map_*.mrc")}

    def rank(path: Path):
        names = [k for k, name in enumerate(_ORDER) if path.name.startswith(name)]
        place = names[0] if names else len(_ORDER) + of_centres(path)
        return place, str(path)

    return sorted(found, key=rank)


def of_centres(folder: Path) -> bool:
    """Whether the maps of a folder are at the centres of clusters: between them lies nothing."""
    return folder.name == "clusters" or folder.parent.name == "side_by_side"


def folder_series(
    folder: Path, root: Path, book: MapBook, basis: MixBasis | None, most: int
) -> dict[str, Any]:
    """The series of a folder: exact where there is a `basis`, else of its maps.

    - `most`: maps kept of one series, evenly chosen where there are more, the ends always.
    """
    paths = sorted(folder.glob("map_*.mrc"))
    latent = _latents(folder, len(paths))
    keep = evenly_chosen(len(paths), most)
    rows = _rows(folder, len(paths))
    if basis is not None and latent is not None:
        keep, mixes = np.arange(len(paths)), basis.mixes(latent)
    else:
        name = lambda i: f"{folder.relative_to(root)}/{paths[i].name}"
        mixes = [[(book.add(name(i), read_volume(paths[i]).data), 1.0)] for i in keep]
    smooth = not of_centres(folder)
    kind = "state" if smooth else "cluster"
    states = [
        {
            "text": f"{kind} {i + 1} of {len(paths)}" if smooth else f"{kind} {i}",
            "mix": mix,
            "latent": None if latent is None else latent[i],
            "row": None if rows is None else int(rows[i]),
        }
        for i, mix in zip(keep.tolist(), mixes, strict=True)
    ]
    label = series_label(str(folder.relative_to(root)))
    return {"label": label, "smooth": smooth, "states": states}


def series_label(name: str) -> str:
    """What a folder of maps is called: "component_02" is "Along latent 2"."""
    number = re.fullmatch(r"component_(\d+)", name)
    if number:
        return f"Along latent {int(number[1])}"
    known = {"path": "Path along the density", "clusters": "Cluster centres"}
    known |= {"energy_path": "Path of least free energy"}
    known |= {"side_by_side/model": "Cluster centres, by the model"}
    known |= {"side_by_side/regression": "Cluster centres, by kernel regression"}
    return known.get(name, name.replace("_", " ").replace("/", ": "))


def _latents(folder: Path, count: int) -> Float[np.ndarray, "m d"] | None:
    path = folder / "latents.npy"
    if not path.is_file():
        return None
    found = np.load(path).astype(np.float64)
    return found if found.ndim == 2 and len(found) == count else None


def _rows(folder: Path, count: int):
    """Rows of the images that states are at, where a file tells as many as there are maps."""
    for name in ("nearest.npy", "images.npy"):
        if (folder / name).is_file() and len(found := np.load(folder / name)) == count:
            return found
    return None


def latent_series(
    paths: Iterator[tuple[str, Float[np.ndarray, "m d"]]], basis: MixBasis
) -> list[dict[str, Any]]:
    """Exact series at points of the latents, by label: no map need have been written."""
    found = []
    for label, points in paths:
        mixes = basis.mixes(points)
        states = [
            {"text": f"state {i + 1} of {len(points)}", "mix": mix, "latent": point, "row": None}
            for i, (mix, point) in enumerate(zip(mixes, points, strict=True))
        ]
        found.append({"label": label, "smooth": True, "states": states})
    return found


def list_series(label: str, numbers: dict[str, int]) -> dict[str, Any]:
    """Single maps by name, as a series without an order."""
    states = [
        {"text": name, "mix": [(number, 1.0)], "latent": None, "row": None}
        for name, number in numbers.items()
    ]
    return {"label": label, "smooth": False, "states": states}
