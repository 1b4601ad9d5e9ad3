"""Estimates of a run written back beside the columns of the file that its images came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Int, Integer

from .cryosparc import load_cs, write_cs
from .euler import matrix_to_euler, matrix_to_vector
from .star import star_lines, write_star


@final
@dataclass(frozen=True, kw_only=True)
class Estimates:
    """What a run found for M images; None leaves the file's columns as they are.

    - `rotation`, `shift` (Å) as in `Particles`; `half` 1 or 2;
    - `pixel_size` (Å) of the stored images, needed with a shift where the file counts in pixels;
    - `latent`: conformation, one column per coordinate.
    """

    rotation: Float[np.ndarray, "m 3 3"] | None = None
    shift: Float[np.ndarray, "m 2"] | None = None
    pixel_size: Float[np.ndarray, " m"] | None = None
    half: Int[np.ndarray, " m"] | None = None
    latent: Float[np.ndarray, "m d"] | None = None


def export_particles(
    path: Path, original: Path, rows: Integer[np.ndarray, " m"], estimates: Estimates
) -> None:
    """Rows `rows` of `original` (`.star` or `.cs`) with the estimates, in the same format.

    Latents become `cryojaxHetLatent1`, ... in a STAR, `cryojax_het/latent_1`, ... in a `.cs`.
    Raises `ValueError` for another format, and as `write_star` and `write_cs` do.
    """
    suffix = Path(original).suffix.lower()
    if suffix != Path(path).suffix.lower():
        raise ValueError(f"{path} must end as {original} does: the format is kept.")
    if suffix == ".star":
        labels = star_lines(original, "rlnImageName").labels
        write_star(path, original, rows, relion_columns(labels, estimates))
    elif suffix == ".cs":
        write_cs(path, original, rows, cryosparc_columns(load_cs(original), rows, estimates))
    else:
        raise ValueError(f"{original}: only .star and .cs tables can be written back.")


def export_rows(path: Path, original: Path, rows: Integer[np.ndarray, " m"]) -> None:
    """Rows `rows` of `original` (`.star` or `.cs`), every column as it is. Image names keep the
    folder that they start from: read the subset with the same `--data-dir`, and a `.cs` with the
    same passthrough files, as the whole. Raises as `export_particles`."""
    export_particles(path, original, rows, Estimates())


def relion_columns(labels: Sequence[str], estimates: Estimates) -> dict[str, np.ndarray]:
    """Columns for `write_star` on a table that has `labels`.

    Origins replace those the table has, in Å, in pixels, or both; a table with neither gets Å
    where it has optics groups (RELION 3.1 and later), else pixels.
    """
    columns: dict[str, np.ndarray] = {}
    if estimates.rotation is not None:
        angles = matrix_to_euler(estimates.rotation)
        columns |= dict(zip(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), angles.T, strict=True))
    if estimates.shift is not None:
        in_pixels = "rlnOriginX" in labels
        in_angstroms = "rlnOriginXAngst" in labels
        if not (in_pixels or in_angstroms):
            in_angstroms = "rlnOpticsGroup" in labels
            in_pixels = not in_angstroms
        if in_angstroms:
            columns["rlnOriginXAngst"], columns["rlnOriginYAngst"] = -estimates.shift.T
        if in_pixels:
            pixels = -estimates.shift / _pixel_size(estimates)[:, None]
            columns["rlnOriginX"], columns["rlnOriginY"] = pixels.T
    if estimates.half is not None:
        columns["rlnRandomSubset"] = estimates.half
    if estimates.latent is not None:
        columns |= {f"cryojaxHetLatent{i}": z for i, z in enumerate(estimates.latent.T, 1)}
    return columns


def cryosparc_columns(
    table: np.ndarray, rows: Integer[np.ndarray, " m"], estimates: Estimates
) -> dict[str, np.ndarray]:
    """Columns for `write_cs` on rows `rows` of `table`; shifts in pixels of the table's own
    `alignments3D/psize_A`, else of `pixel_size`, which is then written with them."""
    columns: dict[str, np.ndarray] = {}
    if estimates.rotation is not None:
        vectors = matrix_to_vector(estimates.rotation.transpose(0, 2, 1))
        columns["alignments3D/pose"] = vectors.astype(np.float32)
    if estimates.shift is not None:
        if "alignments3D/psize_A" in (table.dtype.names or ()):
            unit = table["alignments3D/psize_A"][rows].astype(np.float64)
        else:
            unit = _pixel_size(estimates)
            columns["alignments3D/psize_A"] = unit.astype(np.float32)
        columns["alignments3D/shift"] = (-estimates.shift / unit[:, None]).astype(np.float32)
    if estimates.half is not None:
        columns["alignments3D/split"] = (estimates.half - 1).astype(np.uint32)
    if estimates.latent is not None:
        latents = enumerate(estimates.latent.T, 1)
        columns |= {f"cryojax_het/latent_{i}": z.astype(np.float32) for i, z in latents}
    return columns


def _pixel_size(estimates: Estimates) -> Float[np.ndarray, " m"]:
    if estimates.pixel_size is None:
        raise ValueError("`pixel_size` is needed to write shifts in pixels: give it with `shift`.")
    return estimates.pixel_size
