"""A RELION 3.1 table made from scratch: for simulated images, and for those of other formats."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .export import Estimates, relion_columns
from .files import replacing
from .source import Particles
from .star import format_column

_PER_GROUP = {
    "rlnVoltage": "voltage",
    "rlnSphericalAberration": "spherical_aberration",
    "rlnAmplitudeContrast": "amplitude_contrast",
    "rlnImagePixelSize": "pixel_size",
    "rlnImageSize": "size",
}


def new_star(
    path: Path,
    particles: Particles,
    image_names: Sequence[str],
    columns: Mapping[str, Sequence | np.ndarray] | None = None,
) -> None:
    """Write `particles` as `data_optics` and `data_particles`, `columns` (by label) added.

    `image_names` are `number@stack` with numbers from 1, the stack's path relative to this file
    or to the project. `read_relion` gives the same table back, to nine digits. Whole or not at
    all. Raises `ValueError` where the rows of an optics group differ in voltage, Cs, amplitude
    contrast, pixel size, image size, beam tilt or magnification, which RELION keeps per group.
    """
    table = {"rlnImageName": list(image_names), "rlnOpticsGroup": particles.group + 1}
    table |= {
        "rlnDefocusU": particles.defocus_u,
        "rlnDefocusV": particles.defocus_v,
        "rlnDefocusAngle": np.rad2deg(particles.astigmatism_angle),
        "rlnPhaseShift": np.rad2deg(particles.phase_shift),
        "rlnCtfBfactor": particles.b_factor,
        "rlnCtfScalefactor": particles.scale,
    }
    half = particles.half if particles.half.any() else None
    poses = Estimates(rotation=particles.rotation, shift=particles.shift, half=half)
    table |= relion_columns(list(table), poses) | dict(columns or {})
    blocks = {"optics": _optics(particles), "particles": table}
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for name, block in blocks.items():
            file.write("\n".join(_block_lines(name, block)) + "\n")


def _optics(particles: Particles) -> dict[str, Sequence | np.ndarray]:
    groups, first = np.unique(particles.group, return_index=True)
    columns: dict[str, Sequence | np.ndarray] = {
        "rlnOpticsGroup": groups + 1,
        "rlnOpticsGroupName": [particles.group_names[group] for group in groups],
        "rlnImageDimensionality": np.full(len(groups), 2),
    }
    held = {label: getattr(particles, name) for label, name in _PER_GROUP.items()}
    extra = particles.optics()
    if "beam_tilt" in extra:
        tilt = particles.beam_tilt * 1e3
        held |= {"rlnBeamTiltX": tilt[:, 0], "rlnBeamTiltY": tilt[:, 1]}
    if "magnification" in extra:
        entries = [(i, j) for i in (0, 1) for j in (0, 1)]
        held |= {f"rlnMagMat{i}{j}": particles.magnification[:, i, j] for i, j in entries}
    for label, values in held.items():
        columns[label] = values[first]
        row = np.flatnonzero(values != values[first][np.searchsorted(groups, particles.group)])
        if row.size:
            raise ValueError(
                f"Row {row[0] + 1} has {label} {values[row[0]]:g}, unlike others of its optics "
                "group: RELION keeps one per group, so give it a group of its own."
            )
    return columns


def _block_lines(name: str, block: Mapping[str, Sequence | np.ndarray]) -> list[str]:
    count = len(next(iter(block.values())))
    texts = [format_column(label, column, count) for label, column in block.items()]
    heads = [f"_{label} #{number}" for number, label in enumerate(block, 1)]
    rows = [" ".join(row) for row in zip(*texts, strict=True)]
    return ["", "# version 30001", "", f"data_{name}", "", "loop_", *heads, *rows, ""]
