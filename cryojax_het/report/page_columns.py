"""What is known of every image, as columns that a page can plot and colour by."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float

from ..particles.euler import matrix_to_euler
from ..particles.source import Particles
from ..results.latents import LatentTable
from ..simulate.truth import GroundTruth
from .page_blobs import Blobs
from .page_curves import read_csv


@final
@dataclass(frozen=True, kw_only=True)
class Column:
    """One value per image, NaN where there is none.

    - `group`: what it is listed under; empty: only for the page's own use.
    - `kind`: "number", or "class" for whole numbers that are names, negative for none.
    """

    name: str
    label: str
    values: Float[np.ndarray, " n"]
    group: str
    unit: str = ""
    kind: str = "number"


def put_columns(columns: list[Column], blobs: Blobs) -> list[dict[str, Any]]:
    """The columns as the page reads them; one of a name that was there already is left out."""
    found: dict[str, dict[str, Any]] = {}
    for column in columns:
        if column.name not in found:
            about = {"name": column.name, "label": column.label, "unit": column.unit}
            about |= {"group": column.group, "kind": column.kind}
            found[column.name] = about | blobs.column(column.values)
    return list(found.values())


def latent_names(size: int) -> list[str]:
    """Names of the columns of a latent of `size` coordinates."""
    return [f"latent_{k + 1}" for k in range(size)]


def table_columns(table: LatentTable) -> Iterator[Column]:
    """Of the arrays of a run's `latents/`: conformation, classes, contrast, gain, pose."""
    names = table.names()
    read = lambda name: np.asarray(table.read(name), np.float64)
    if "conformation" in names:
        yield from _conformation(read("conformation"))
    if "conformation_covariance" in names:
        yield from _widths(read("conformation_covariance"))
    if "class_probability" in names:
        yield from _classes(read("class_probability"), read("labels"))
    if {"log_likelihood", "log_likelihood_mean"} <= set(names):
        gain = read("log_likelihood") - read("log_likelihood_mean")
        yield Column(name="gain", label="likelihood gain", values=gain, group="Fit", unit="nats")
    for name, label in (("contrast", "contrast"), ("log_density", "log density of latents")):
        if name in names:
            yield Column(name=name, label=label, values=read(name), group="Fit")
    if "rotation" in names:
        shift = read("shift") if "shift" in names else None
        yield from _pose(read("rotation"), shift)


def _conformation(latent) -> Iterator[Column]:
    for k, name in enumerate(latent_names(latent.shape[1])):
        yield Column(name=name, label=f"latent {k + 1}", values=latent[:, k], group="Latents")


def _widths(covariance) -> Iterator[Column]:
    deviation = np.sqrt(np.maximum(np.einsum("nkk->nk", covariance), 0))
    for k, name in enumerate(latent_names(deviation.shape[1])):
        label = f"standard deviation of latent {k + 1}"
        yield Column(name=f"{name}_sd", label=label, values=deviation[:, k], group="Uncertainty")


def _classes(probability, labels) -> Iterator[Column]:
    count = probability.shape[1]
    yield Column(name="label", label="class", values=labels, group="Latents", kind="class")
    # The corners of a regular polygon: an image lies between the classes that it may be of.
    angle = np.pi / 2 + 2 * np.pi * np.arange(count) / count
    for name, corner in (("x", np.cos(angle)), ("y", np.sin(angle))):
        label = f"between classes, {name}"
        yield Column(
            name=f"class_{name}", label=label, values=probability @ corner, group="Latents"
        )
    for k in range(count):
        label = f"probability of class {k + 1}"
        yield Column(name=f"p_{k}", label=label, values=probability[:, k], group="Latents")


def _pose(rotation, shift) -> Iterator[Column]:
    there = np.isfinite(rotation).all(axis=(1, 2))
    euler = np.full((len(rotation), 3), np.nan)
    euler[there] = matrix_to_euler(rotation[there])
    for name, angle in zip(("rot", "tilt", "psi"), euler.T, strict=True):
        yield Column(name=name, label=name, values=angle, group="Pose", unit="°")
    if shift is not None:
        for name, side in zip("xy", shift.T, strict=True):
            label = f"shift {name}"
            yield Column(name=f"shift_{name}", label=label, values=side, group="Pose", unit="Å")


def particle_columns(particles: Particles) -> Iterator[Column]:
    """Of the particle file: defocus, optics group, half-set, pose."""
    numbers = {
        "defocus": ("defocus", (particles.defocus_u + particles.defocus_v) / 2e4, "µm"),
        "astigmatism": ("astigmatism", (particles.defocus_u - particles.defocus_v) / 10, "nm"),
    }
    for name, (label, values, unit) in numbers.items():
        yield Column(name=name, label=label, values=values, group="Microscope", unit=unit)
    for name, label, values in (
        ("group", "optics group", particles.group),
        ("half", "half-set", particles.half),
    ):
        values = values.astype(np.float64)
        yield Column(name=name, label=label, values=values, group="Microscope", kind="class")
    if particles.rotation is not None:
        yield from _pose(particles.rotation, particles.shift)


def analysis_columns(folder: Path, count: int) -> Iterator[Column]:
    """Of `analysis/`: clusters, embeddings, scores, which images were sampled. Those of another
    number of rows than `count` are left out."""
    labels = folder / "clusters" / "labels.npy"
    if labels.is_file():
        values = np.load(labels).astype(np.float64)
        if len(values) == count:
            yield Column(
                name="cluster", label="cluster", values=values, group="Analysis", kind="class"
            )
    for path in sorted((folder / "embeddings").glob("*.npy")):
        points = np.load(path)
        if points.ndim == 2 and len(points) == count:
            yield from _embedding(path.stem, points.astype(np.float64))
    yield from _scores(folder / "image_scores.csv", count)
    if (folder / "sampled.npy").is_file():
        sampled = np.full(count, -1.0)
        sampled[np.load(folder / "sampled.npy").astype(np.int64)] = 1
        yield Column(
            name="sampled", label="sampled", values=sampled, group="Analysis", kind="class"
        )


_EMBEDDINGS = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE", "diffusion": "diffusion map"}


def _embedding(name: str, points) -> Iterator[Column]:
    title = _EMBEDDINGS.get(name, name)
    for k, values in enumerate(points.T):
        label = f"{title} {k + 1}"
        yield Column(name=f"{name}_{k + 1}", label=label, values=values, group="Embeddings")


def _scores(path: Path, count: int) -> Iterator[Column]:
    if not path.is_file():
        return
    for name, values in read_csv(path).items():
        if len(values) != count or name in ("row", "cluster", "log_likelihood_gain"):
            continue
        kind = "class" if name == "flagged" else "number"
        label = name.replace("_", " ")
        yield Column(name=f"score_{name}", label=label, values=values, group="Scores", kind=kind)


def truth_columns(truth: GroundTruth) -> Iterator[Column]:
    """The true coordinates, state and contrast."""
    for k, coordinate in enumerate(truth.states.coordinates):
        values = truth.images.conformation[:, k].astype(np.float64)
        kind = "number"
        if coordinate.categorical:
            values = np.unique(values, return_inverse=True)[1].astype(np.float64)
            kind = "class"
        label = f"true {coordinate.name}"
        yield Column(name=f"true_{k + 1}", label=label, values=values, group="Truth", kind=kind)
    state = truth.images.state.astype(np.float64)
    yield Column(name="true_state", label="true state", values=state, group="Truth")
    contrast = truth.images.contrast.astype(np.float64)
    yield Column(name="true_contrast", label="true contrast", values=contrast, group="Truth")
