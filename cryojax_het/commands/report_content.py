"""All that a report shows, as `report/page/main.js` reads it."""

from typing import Any

import numpy as np

from .. import __version__
from ..report.page_blobs import Blobs
from ..report.page_centres import centres_section
from ..report.page_columns import (
    Column,
    analysis_columns,
    latent_names,
    particle_columns,
    put_columns,
    table_columns,
)
from ..report.page_curves import (
    convergence_charts,
    energy_charts,
    fsc_charts,
    posterior_charts,
)
from ..report.page_record import command_line, record_section, run_facts
from ..report.page_rows import star_rows
from .report import ReportConfig
from .report_against import Beside
from .report_images import images_section
from .report_maps import report_maps
from .report_run import Reported

_EXPLORE = (
    "Walk through the images: click or drag in the scatter and the molecule there is shown; or "
    "play a series. Drag the molecule to turn it, shift-drag to move it, wheel to zoom. Lasso and "
    "box choose images."
)


def report_content(
    reported: Reported, config: ReportConfig, blobs: Blobs, compared: Beside
) -> dict[str, Any]:
    """The content of the page; its numbers go to `blobs`."""
    maps, series, hidden = report_maps(reported, config, blobs, compared)
    particles, latents = _particles(reported, [*hidden, *compared.columns], blobs)
    rows = None
    if particles is not None and reported.particles is not None and reported.count is not None:
        rows = star_rows(reported.particles, reported.count, blobs)
    return {
        "title": f"{reported.run.path.resolve().name}: {reported.method}",
        "subtitle": command_line(reported.run),
        "facts": run_facts(reported.run, reported.method),
        "maps": maps,
        "series": series,
        "particles": particles,
        "latents": latents,
        "rows": rows,
        "exploreTitle": "Images and volumes"
        if maps and particles
        else "Images"
        if particles
        else "Volumes",
        "exploreNote": _EXPLORE if maps and particles else None,
        "sections": _sections(reported, config, compared),
        "notes": _notes(reported),
        "footer": f"Written by cryojax_het {__version__}; all in this file, nothing is loaded.",
    }


def _notes(reported: Reported) -> list[str]:
    if not reported.run.finished:
        again = command_line(reported.run)
        return [f"The run is not finished: `{again}` takes it up where it was.", *reported.notes]
    return reported.notes


def _particles(reported: Reported, more: list[Column], blobs: Blobs):
    """The table of images as the page reads it, and the names of its latents."""
    columns = _columns(reported)
    if reported.count is None or not columns:
        return None, []
    found = put_columns([c for c in [*columns, *more] if len(c.values) == reported.count], blobs)
    names = [column["name"] for column in found]
    table = reported.estimates
    width = table.read("conformation").shape[1] if "conformation" in table.names() else 0
    axes, colour = _axes(reported, names, width)
    return {
        "count": reported.count,
        "columns": found,
        "axes": axes,
        "colour": colour,
    }, latent_names(width)


def _columns(reported: Reported) -> list[Column]:
    columns = list(table_columns(reported.run.latents()))
    if reported.base is not reported.run:
        columns += table_columns(reported.base.latents())
    if reported.source is not None:
        columns += particle_columns(reported.source.table())
    if reported.count is not None:
        for run in dict.fromkeys((reported.run.path, reported.base.path)):
            columns += analysis_columns(run / "analysis", reported.count)
    return columns


def _axes(reported: Reported, names: list[str], width: int) -> tuple[list[str], str]:
    """What the scatter shows at first: the two latents of which images tell most."""
    first = lambda wanted: next((n for n in wanted if n in names), names[0])
    told = [f"latent_{k + 1}" for k in _most_told(reported, width)]
    pose = ["rot", "tilt", "defocus"]
    if width:
        pair = [*told, "gain", "contrast", *pose]
    elif "class_x" in names:
        pair = ["class_x", "class_y"]
    else:
        pair = pose
    pair = [n for n in pair if n in names][:2] or names[:1]
    colour = first(["run2_apart", "sampled", "cluster", "label", "gain", "defocus", "contrast"])
    return [pair[0], pair[-1]], colour


def _most_told(reported: Reported, width: int) -> list[int]:
    """Coordinates of the latents, those first whose estimates vary most over their uncertainty."""
    table = reported.estimates
    if "conformation_covariance" not in table.names() or not width:
        return list(range(width))
    latent = np.asarray(table.read("conformation"), np.float64)
    noise = np.einsum("nkk->nk", np.asarray(table.read("conformation_covariance"), np.float64))
    ratio = np.nanvar(latent, axis=0) / np.maximum(np.nanmean(noise, axis=0), 1e-30)
    # Where all are told, their own order, in which the first matters most.
    order = sorted(
        range(width), key=lambda k: (ratio[k] < 0.25, k if ratio[k] >= 0.25 else -ratio[k])
    )
    return order


def _sections(reported: Reported, config: ReportConfig, compared: Beside) -> list[dict[str, Any]]:
    run, base = reported.run, reported.base
    found: list[dict[str, Any] | None] = list(compared.sections)
    summary = run.path / "analysis" / "summary.csv"
    charts = {
        ("energy", "Free energy"): energy_charts(run.path / "analysis")
        or energy_charts(base.path / "analysis"),
        ("posterior", "Posteriors"): posterior_charts(summary) if summary.is_file() else [],
        ("convergence", "Convergence"): convergence_charts(run.metrics()),
        ("resolution", "Fourier shell correlation"): fsc_charts(base),
    }
    for (name, title), drawn in charts.items():
        if drawn:
            found.append({"id": name, "title": title, "charts": drawn})
    found.append(centres_section(reported.folder("analysis")))
    found.append(images_section(reported, config, compared.apart))
    found.append(record_section(run))
    return [section for section in found if section is not None]
