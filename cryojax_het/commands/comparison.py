"""Several runs on the same images: agreement of latents, maps and labels, two by two, and the
images they disagree on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ..analysis.chance import some_rows
from ..analysis.composition import adjusted_rand_index
from ..analysis.correlation import canonical_correlations, linear_correlation
from ..analysis.latent_alignment import align, disagreement, known_in_both, redrawn
from ..analysis.neighbours import neighbour_overlap
from ..report.page_columns import Column
from .compared_run import ComparedRun

_NEIGHBOURS, _IMAGES, _PARTS = 30, 4000, 4


def agreement_section(runs: Sequence[ComparedRun], maps: dict[str, Any]) -> dict[str, Any]:
    """Matrices and tables of all pairs; `maps`: the charts and tables of maps."""
    shares, rows = _of_latents(runs)
    charts, tables = [], []
    if rows:
        charts.append(_matrix("Neighbours in common", runs, shares, "share beyond chance"))
        head = ["runs", "neighbours in common", "± (4 parts)", "by chance"]
        head += ["canonical correlations", "shared variance"]
        note = (
            f"Of the {_NEIGHBOURS} nearest images in each latent, the share found in both; "
            "canonical correlations of the latents; their mean square. Runs on the same images "
            "share noise, and so agree on more than is true."
        )
        tables.append({"title": "Latents", "note": note, "head": head, "rows": rows})
    labels, pairs = _of_labels(runs)
    if pairs:
        charts.append(_matrix("Classes or clusters", runs, labels, "adjusted Rand index"))
    note = (
        "1: the same; 0: chance. On the diagonal of the first, two draws from the run's own "
        "posteriors: how far the images tell who is near whom. Estimates of two runs can agree "
        "better than that, since they share the noise of the images."
    )
    found = {"id": "agreement", "title": "Agreement", "note": note}
    return found | {"charts": charts + maps["charts"], "tables": tables + maps["tables"]}


def _matrix(title: str, runs, values, label: str) -> dict[str, Any]:
    names = [run.name for run in runs]
    found = {"title": title, "values": values, "rows": names, "columns": names}
    return found | {"label": label, "range": [0, 1]}


def _of_latents(runs: Sequence[ComparedRun]):
    """Shares of neighbours beyond chance `[r, r]`, and a row of numbers for each pair."""
    shares, rows = np.full((len(runs),) * 2, np.nan), []
    for i, one in enumerate(runs):
        if one.latent is not None and one.covariance is not None:
            draws = [redrawn(key, one.latent, one.covariance) for key in (0, 1)]
            shares[i, i] = _overlap(*draws)[0].share()
        for j, other in enumerate(runs[:i]):
            if one.latent is None or other.latent is None or _classes_alone(one, other):
                continue
            score, spread = _overlap(other.latent, one.latent)
            shares[i, j] = shares[j, i] = score.share()
            both = known_in_both(other.latent, one.latent)
            pair = other.latent[both], one.latent[both]
            canonical = ", ".join(f"{c:.2f}" for c in canonical_correlations(*pair)[:5])
            fewer, more = sorted(pair, key=lambda latent: latent.shape[1])
            linear = linear_correlation(more, fewer).value
            name = f"{other.name}, {one.name}"
            rows.append([name, score.value, spread, score.chance, canonical, linear])
    return shares, rows


def _classes_alone(*runs: ComparedRun) -> bool:
    """Whether a latent has so few places that most neighbours are at the same one: drawn by lot,
    they could not agree; labels tell what there is to tell."""
    latents = [run.latent for run in runs if run.latent is not None]
    return any(len(np.unique(latent, axis=0)) <= _NEIGHBOURS for latent in latents)


def _overlap(first, second):
    """Common neighbours on some images, and the deviation of the same among four parts of them."""
    both = known_in_both(first, second)
    rows = both[some_rows(len(both), _IMAGES, 0)]
    count = min(_NEIGHBOURS, max(1, len(rows) // 10))
    score = neighbour_overlap(first[rows], second[rows], count, 0)
    parts = np.array_split(np.random.default_rng(0).permutation(rows), _PARTS)
    fewer = max(1, min(count, len(parts[-1]) // 10))
    shares = [neighbour_overlap(first[p], second[p], fewer, 0).share() for p in parts]
    # The whole has four times the images of a part.
    return score, float(np.std(shares, ddof=1) / np.sqrt(_PARTS))


def _of_labels(runs: Sequence[ComparedRun]):
    found, pairs = np.full((len(runs),) * 2, np.nan), 0
    for i, one in enumerate(runs):
        for j, other in enumerate(runs[:i]):
            if one.labels is not None and other.labels is not None:
                found[i, j] = found[j, i] = adjusted_rand_index(one.labels, other.labels).value
                pairs += 1
    return found, pairs


def aligned_columns(first: ComparedRun, others: Sequence[ComparedRun]) -> list[Column]:
    """The latents of other runs in the coordinates of the first, and how far each image's are from
    its own, in standard deviations of both posteriors; their labels."""
    columns = []
    for number, other in enumerate(others, 2):
        if first.latent is not None and other.latent is not None:
            columns += _aligned(first, other, number)
        if other.labels is not None:
            columns.append(
                Column(
                    name=f"run{number}_label",
                    label=f"class in {other.name}",
                    values=other.labels.astype(np.float64),
                    group=f"{other.name}",
                    kind="class",
                )
            )
    return columns


def _aligned(first: ComparedRun, other: ComparedRun, number: int) -> list[Column]:
    assert first.latent is not None
    assert other.latent is not None
    try:
        found = align(other.latent, first.latent)
    except ValueError:  # hardly an image has a latent in both
        return []
    apart = disagreement(found, first.latent, other.covariance, first.covariance)
    columns = [
        Column(
            name=f"run{number}_apart",
            label=f"disagreement with {other.name}",
            values=apart,
            group="Disagreement",
            unit="standard deviations",
        )
    ]
    for k, values in enumerate(found.latent.T):
        label = f"{other.name} as latent {k + 1} (R² {found.explained[k]:.2f})"
        column = Column(
            name=f"run{number}_latent_{k + 1}",
            label=label,
            values=values,
            group=f"{other.name}, aligned",
        )
        columns.append(column)
    return columns


def most_apart(columns: Sequence[Column]) -> Float[np.ndarray, " n"] | None:
    """The largest disagreement of each image with any other run; None where none is told."""
    apart = [column.values for column in columns if column.name.endswith("_apart")]
    return np.nanmax(np.stack(apart), axis=0) if apart else None
