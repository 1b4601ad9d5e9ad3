"""The rows of a run that a selection is of, and the file that they are written to."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from ..analysis.outliers import log_density
from ..analysis.selections import in_clusters, in_polygon, in_quantiles, in_range, of_rows
from ..particles.cryosparc import load_cs
from ..particles.export import export_rows
from ..particles.star import star_lines
from ..results.disk import write_text
from ..results.run import RunFolder
from .run_images import settings_of_run
from .select import SelectConfig


def write_selection(config: SelectConfig) -> Int[np.ndarray, " m"]:
    """Write the wanted rows, print how many hold each condition; returns them, from 0.

    Raises `ValueError` where no image is left, where a condition does not fit the run, or where the
    output would replace the particle file; `FileNotFoundError` where the analysis that a condition
    is on was not made.
    """
    config.check()
    run = RunFolder(config.run)
    latent = np.array(run.latents().read("conformation"), np.float64)
    inside = np.ones(len(latent), bool)
    lines = []
    for name, holds in _conditions(config, run.path / "analysis", latent):
        lines.append(f"  {name}: {holds.sum():,} images")
        inside &= holds
    if config.invert_selection:
        inside = ~inside
    if not inside.any():
        raise ValueError(
            f"No image of {len(latent):,} is left by all conditions:\n" + "\n".join(lines)
        )
    rows = np.flatnonzero(inside)
    _write(config, run, rows, len(latent))
    print("\n".join([*lines, f"{config.output}: {len(rows):,} of {len(latent):,} images."]))
    return rows


def _conditions(
    config: SelectConfig, analysis: Path, latent: Float[np.ndarray, "n d"]
) -> Iterator[tuple[str, Bool[np.ndarray, " n"]]]:
    """Each condition that is given, by name, and the images that it holds of."""
    count = len(latent)
    if config.cluster:
        label = _rows_of(analysis / "clusters" / "labels.npy", count)
        wanted = " ".join(map(str, config.cluster))
        yield f"cluster {wanted}", in_clusters(label, np.array(config.cluster))
    for axis, low, high in config.box:
        yield f"z{axis} in {low:g} to {high:g}", in_range(_axis(latent, axis), low, high)
    if config.density_above is not None or config.density_below is not None:
        low = 0.0 if config.density_above is None else config.density_above
        high = 1.0 if config.density_below is None else config.density_below
        density = in_quantiles(log_density(latent), low, high)
        yield f"density from quantile {low:g} to {high:g}", density
    if config.lasso is not None:
        plane = _plane(config, analysis, latent)
        yield f"in {config.lasso}", in_polygon(plane, read_polygon(config.lasso))
    table = _scores(analysis / "image_scores.csv", count) if config.score else {}
    for column, low, high in config.score:
        if column not in table:
            raise ValueError(f"No score {column!r}. Columns: {', '.join(table)}.")
        yield f"{column} in {low:g} to {high:g}", in_range(table[column], low, high)
    if config.rows is not None:
        yield f"in {config.rows}", of_rows(read_rows(config.rows), count)


def _axis(latent, number: int) -> Float[np.ndarray, " n"]:
    if not 1 <= number <= latent.shape[1]:
        raise ValueError(f"Latent coordinates run from 1 to {latent.shape[1]}. Got {number}.")
    return latent[:, number - 1]


def _plane(config: SelectConfig, analysis: Path, latent) -> Float[np.ndarray, "n 2"]:
    if config.embedding is None:
        return np.stack([_axis(latent, number) for number in config.axes], axis=1)
    path = analysis / "embeddings" / f"{config.embedding}.npy"
    if not path.is_file():
        made = sorted(found.stem for found in path.parent.glob("*.npy"))
        raise FileNotFoundError(
            f"{path} does not exist. Embeddings of this run: {', '.join(made) or 'none'}; others "
            f"by `cryojax-het analyse {config.run} --embeddings {config.embedding}`."
        )
    return _rows_of(path, len(latent)).astype(np.float64)


def _rows_of(path: Path, count: int) -> np.ndarray:
    """An array of an analysis, one row per image."""
    _check_made(path)
    array = np.load(path)
    if len(array) != count:
        raise ValueError(f"{path} has {len(array)} rows, the run {count}: analyse it again.")
    return array


def _scores(path: Path, count: int) -> dict[str, Float[np.ndarray, " n"]]:
    _check_made(path)
    with open(path, newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    columns = dict(zip(table[0], np.array(table[1:], np.float64).T, strict=True))
    if len(table) - 1 != count:
        raise ValueError(f"{path} has {len(table) - 1} rows, the run {count}: analyse it again.")
    return columns


def _check_made(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: `cryojax-het analyse` makes it.")


def read_polygon(path: Path) -> Float[np.ndarray, "c 2"]:
    """Corners from a .json list of `[x, y]`, or from lines of `x,y`, a heading or not."""
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix.lower() == ".json":
            corners = np.array(json.loads(text), np.float64)
        else:
            lines = [line.split(",") for line in text.splitlines() if line.strip()]
            heading = int(any(not _is_number(word) for word in lines[0]))
            corners = np.array(lines[heading:], np.float64)
        if corners.shape[1:] != (2,):
            raise ValueError
    except (ValueError, TypeError, IndexError):
        raise ValueError(
            f"{path} is no polygon: it must be a .json list of [x, y], or lines of x,y."
        ) from None
    return corners


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_rows(path: Path) -> Int[np.ndarray, " r"]:
    """Row numbers, one a line; empty lines and those that start with # are left out."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    words = [line for line in lines if line and line[0] != "#"]
    bad = [word for word in words if not word.removeprefix("-").isdigit()]
    if bad:
        raise ValueError(f"{path} must have one row number a line, from 0. Got {bad[0]!r}.")
    return np.array([int(word) for word in words], np.int64)


def _write(config: SelectConfig, run: RunFolder, rows, count: int) -> None:
    if config.output.suffix.lower() == ".txt":
        write_text(config.output, "".join(f"{row}\n" for row in rows.tolist()))
        return
    original = settings_of_run(run, config.particles).particles
    if original.suffix.lower() not in (".star", ".cs"):
        raise ValueError(
            f"{original} is neither .star nor .cs, and cannot be written back: name the output "
            f"{config.output.with_suffix('.txt')} for the row numbers."
        )
    if not original.is_file():
        raise FileNotFoundError(f"{original} does not exist: give its place by `--particles`.")
    if config.output.exists() and config.output.samefile(original):
        raise ValueError(f"{config.output} is the particle file of the run: name another output.")
    known = _count_rows(original)
    if known != count:
        raise ValueError(f"{original} has {known} images, the run {count}: it is another file.")
    config.output.parent.mkdir(parents=True, exist_ok=True)
    export_rows(config.output, original, rows)


def _count_rows(original: Path) -> int:
    if original.suffix.lower() == ".cs":
        return len(load_cs(original))
    return len(star_lines(original, "rlnImageName").rows)
