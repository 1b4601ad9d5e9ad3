"""The images of a report that are least, and most usually, what the model expects."""

import logging
from typing import Any

import numpy as np
from jaxtyping import Float

from ..report.page_curves import read_csv
from ..report.page_pictures import pictures
from .report import ReportConfig
from .report_run import Reported

LOG = logging.getLogger("cryojax_het")


def images_section(
    reported: Reported, config: ReportConfig, apart: Float[np.ndarray, " n"] | None
) -> dict[str, Any] | None:
    """Worst and typical images by disagreement with other runs (`apart`) where there are any, else
    by junk score, likelihood gain or likelihood; None where there are no images or nothing to rank
    them by."""
    ranked = _ranking(reported) if apart is None else ("disagreement", apart)
    if reported.source is None or ranked is None or not config.images:
        return None
    name, badness = ranked
    order = np.argsort(np.where(np.isfinite(badness), -badness, np.inf), kind="stable")
    order = order[: int(np.isfinite(badness).sum())]
    middle = max(0, len(order) // 2 - config.images // 2)
    groups = []
    chosen = {
        f"Worst by {name}": order[: config.images],
        "Typical": order[middle : middle + config.images],
    }
    try:
        for title, rows in chosen.items():
            captions = [f"{row}: {abs(badness[row]):.3g}" for row in rows]
            groups.append({"title": title, "items": pictures(reported.source, rows, captions)})
    except (OSError, ValueError) as error:
        reported.notes.append(f"Images could not be read: {str(error).splitlines()[0]}")
        return None
    note = (
        f"Below each its row from 0 and its {name}. Detail finer than 20 Å is filtered out; the "
        "transfer function is as recorded. A click shows the image's place and volume above."
    )
    return {"id": "images", "title": "Images", "note": note, "images": groups}


def _ranking(reported: Reported):
    """A score by name of which large is bad, one row per image."""
    path = reported.folder("analysis", "image_scores.csv")
    if path.is_file():
        table = read_csv(path)
        if "junk" in table and len(table["junk"]) == reported.count:
            return "junk score", table["junk"]
    latents = reported.run.latents()
    names = latents.names()
    if {"log_likelihood", "log_likelihood_mean"} <= set(names):
        gain = latents.read("log_likelihood") - latents.read("log_likelihood_mean")
        return "lack of likelihood gain", -np.asarray(gain, np.float64)
    if "log_likelihood" in names:
        return "low likelihood", -np.asarray(latents.read("log_likelihood"), np.float64)
    return None
