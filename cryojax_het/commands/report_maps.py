"""The maps of a report: the run's own, its series, and which of them each image has."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..analysis.latent_paths import component_path
from ..report.page_blobs import Blobs
from ..report.page_columns import Column, latent_names
from ..report.page_maps import MapBook
from ..report.page_series import (
    MixBasis,
    folder_series,
    latent_series,
    list_series,
    series_folders,
)
from .report import ReportConfig
from .report_against import Beside
from .report_run import Reported, analysis_summary, main_map, map_basis, map_book

_ASIDE = ("mask", "moving")  # masks, not densities
_STATES = 11  # of a series that the page makes itself
_MOST = 6  # of such series


def report_maps(
    reported: Reported, config: ReportConfig, blobs: Blobs, compared: Beside
) -> tuple[dict[str, Any] | None, list[dict[str, Any]], list[Column]]:
    """Maps, series, and hidden columns of the weights that images have; None, [], [] where the run
    has no map yet."""
    book = map_book(reported, config, blobs)
    main = main_map(reported.base)
    if book is None or main is None:
        reported.notes.append("The run has left no map yet: there is no volume to show.")
        return None, [], []
    basis, latent = map_basis(reported, book), _latents(reported)
    series = _series(reported, config, book, basis, latent)
    series += [_own_maps(reported, book), *compared.series(book)]
    volume = reported.base.volume(main).data
    at, hidden = _tie(reported, basis, latent, series, book)
    first = book.add(main, volume)
    more = {"at": at, "first": first, "exact": basis is not None}
    return book.described(volume) | more, series, hidden


def _latents(reported: Reported):
    table = reported.estimates
    if "conformation" not in table.names():
        return None
    return np.asarray(table.read("conformation"), np.float64)


def _series(reported: Reported, config, book: MapBook, basis: MixBasis | None, latent):
    by_model = analysis_summary(reported).get("maps_by", "model") == "model"
    found = []
    roots = dict.fromkeys((reported.run.path / "analysis", reported.base.path / "analysis"))
    for root, folder in ((place, folder) for place in roots for folder in series_folders(place)):
        # Other maps than the model's are shown as they are.
        named = folder.name.startswith("component") or folder.name in ("path", "clusters")
        exact = basis if (by_model and named) or folder.match("side_by_side/model") else None
        found.append(folder_series(folder, root, book, exact, config.series))
    if not found and basis is not None and latent is not None:
        found = latent_series(_along_each(latent), basis)
    if not found and reported.kind not in ("", "classes"):
        reported.notes.append(
            f"There are no trajectories, clusters or free energies: `cryojax-het analyse "
            f"{reported.base.path}` makes them; then write this page again."
        )
    return found


def _along_each(latent) -> Iterator[tuple[str, np.ndarray]]:
    known = latent[np.isfinite(latent).all(axis=1)]
    for k in range(min(latent.shape[1], _MOST) if len(known) > 2 else 0):
        yield f"Along latent {k + 1}", component_path(known, k, _STATES)


def _own_maps(reported: Reported, book: MapBook) -> dict[str, Any]:
    names = sorted(path.stem for path in (reported.base.path / "volumes").glob("*.mrc"))
    shown = [n for n in names if n not in _ASIDE and not n.startswith(("component_", "term_"))]
    # Half-maps of each class are many, and noise to look at.
    shown = [n for n in shown if not (n.startswith("class_") and "_half" in n)]
    shown.sort(key=lambda name: (name != "mean", "half" in name, name))
    numbers = {n: book.add(n, reported.base.volume(n).data) for n in shown}
    return list_series("Maps of the run", numbers)


def _tie(reported: Reported, basis: MixBasis | None, latent, series, book: MapBook):
    """How the page finds the map of an image, and the columns that it needs for that."""
    if basis is not None and latent is not None:
        columns = latent_names(latent.shape[1])
        hidden = []
        if not basis.free:
            columns = [f"weight_{k + 1}" for k in range(len(basis.parts))]
            weights = np.full((len(latent), len(columns)), np.nan)
            there = np.isfinite(latent).all(axis=1)
            weights[there] = basis.coefficients(latent[there])
            hidden = [
                Column(name=n, label=n, values=w, group="")
                for n, w in zip(columns, weights.T, strict=True)
            ]
        at = {"kind": "combination", "mean": basis.mean, "parts": basis.parts}
        return at | {"columns": columns, "free": basis.free}, hidden
    if reported.kind == "classes":
        named = {entry["name"]: k for k, entry in enumerate(book.entries)}
        classes = sorted(name for name in named if name.startswith("class_"))
        return {"kind": "label", "column": "label", "maps": [named[n] for n in classes]}, []
    tied = any(state["latent"] is not None for one in series for state in one["states"])
    if latent is not None and tied:
        spread = np.nanstd(latent, axis=0)
        return {"kind": "nearest", "spread": np.where(spread > 0, spread, 1.0)}, []
    return {"kind": "single"}, []
