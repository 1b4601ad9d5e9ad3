"""RELION particle tables: STAR of RELION 3.0, 3.1, 4 and 5, and those that Warp and M write.

Units in the file: Å, kV, mm, degrees, mrad for the beam tilt; `rlnOriginX/Y` in pixels,
`rlnOriginX/YAngst` in Å, both where the box centre lies from the particle, so `shift = -origin`.
Priors (`rlnAngle*Prior`) are never taken for poses.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from .euler import euler_to_matrix
from .mrc import MrcHeader
from .source import make_particles
from .stack import ImageStacks, ReadOptions, StackRows, same_file_rows
from .stack_source import StackSource
from .star import read_star
from .star_columns import StarColumns

_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")


def read_relion(path: Path, options: ReadOptions | None = None) -> StackSource:
    """The particles of a STAR file. Only metadata is read here.

    The pixel size is `options.pixel_size`, else `rlnImagePixelSize`, `rlnPixelSize`,
    `rlnDetectorPixelSize · 10⁴ / rlnMagnification`, else the stack's header. Missing
    `rlnPhaseShift`, B-factor, beam tilt: 0; missing scale: 1; no `rlnDefocusU`: no CTF.

    Raises `FileNotFoundError`; `ValueError` for an empty table, a missing column, a value that is
    no number (with its row), an optics group that `data_optics` lacks (with its row).
    """
    options = ReadOptions() if options is None else options
    star = StarColumns(read_star(path), path)
    _refuse_tomograms(star)
    rows = _image_rows(star)
    warnings: list[str] = []
    ctf = _ctf(star, options, warnings)
    sign = 1.0 if options.sign is None else options.sign
    signs = np.full(len(star), sign, np.float32)
    stacks = ImageStacks(rows, np.zeros(len(star), np.int64), signs, options)
    stacks.sizes = _sizes(star, stacks, warnings)
    pixel_size = _pixel_sizes(star, stacks, warnings)
    particles = make_particles(
        len(star),
        **ctf,
        rotation=_rotation(star, warnings),
        shift=_shift(star, pixel_size),
        group=star.group,
        group_names=star.group_names,
        half=_halves(star),
        pixel_size=pixel_size,
        size=stacks.sizes,
        warnings=tuple(warnings + _notes(star)),
    )
    return StackSource(path, particles, stacks)


def _refuse_tomograms(star: StarColumns) -> None:
    dimension = star.numbers("rlnImageDimensionality")
    if star.has("rlnTomoVisibleFrames") or (dimension is not None and np.any(dimension == 3)):
        raise ValueError(
            f"{star.path} lists sub-tomograms. Only 2-D images are read: export the tilt images "
            "as a particle STAR (for instance from Warp/M)."
        )


def _image_rows(star: StarColumns) -> StackRows:
    names, images = [], []
    for row, entry in enumerate(star.texts("rlnImageName")):
        number, at, name = entry.partition("@")
        if not at:
            number, name = "1", entry
        if not number.isdigit() or int(number) < 1 or not name:
            raise ValueError(
                f"{star.path}, row {row + 1}: rlnImageName must be `number@stack` with numbers "
                f"from 1. Got {entry!r}."
            )
        names.append(name)
        images.append(int(number) - 1)
    stacks, file = same_file_rows(names)
    return StackRows(stacks, file, np.array(images, np.int64), star.path)


def _ctf(star: StarColumns, options: ReadOptions, warnings: list[str]) -> dict[str, np.ndarray]:
    columns = {
        "voltage": star.numbers("rlnVoltage"),
        "b_factor": star.numbers("rlnCtfBfactor"),
        "scale": star.numbers("rlnCtfScalefactor"),
        "magnification": _magnification(star),
        "beam_tilt": _pair(star, "rlnBeamTiltX", "rlnBeamTiltY", 1e-3),
    }
    if star.has("rlnDefocusU"):
        columns |= {
            "defocus_u": star.required("rlnDefocusU"),
            "defocus_v": star.required("rlnDefocusV"),
            "astigmatism_angle": np.deg2rad(star.required("rlnDefocusAngle")),
            "voltage": star.required("rlnVoltage"),
            "spherical_aberration": star.required("rlnSphericalAberration"),
            "amplitude_contrast": _amplitude_contrast(star, options),
            "phase_shift": star.numbers("rlnPhaseShift", np.pi / 180),
        }
    else:
        warnings.append("No rlnDefocusU: images are taken as free of a CTF.")
    return {name: column for name, column in columns.items() if column is not None}


def _amplitude_contrast(star: StarColumns, options: ReadOptions) -> Float[np.ndarray, " n"]:
    if not star.has("rlnAmplitudeContrast") and options.amplitude_contrast is not None:
        return np.full(len(star), options.amplitude_contrast)
    return star.required("rlnAmplitudeContrast", " or give it by `--amplitude-contrast`")


def _pair(star: StarColumns, x: str, y: str, unit: float) -> Float[np.ndarray, "n 2"] | None:
    if not (star.has(x) or star.has(y)):
        return None
    return np.stack([star.required(x), star.required(y)], axis=1) * unit


def _magnification(star: StarColumns) -> Float[np.ndarray, "n 2 2"] | None:
    labels = [f"rlnMagMat{i}{j}" for i in (0, 1) for j in (0, 1)]
    if not any(star.has(label) for label in labels):
        return None
    return np.stack([star.required(label) for label in labels], axis=1).reshape(-1, 2, 2)


def _rotation(star: StarColumns, warnings: list[str]) -> Float[np.ndarray, "n 3 3"] | None:
    absent = [label for label in _ANGLES if not star.has(label)]
    if absent:
        warnings.append(f"No poses: {', '.join(absent)} missing.")
        return None
    angles = np.stack([star.required(label) for label in _ANGLES], axis=1)
    if len(angles) > 1 and np.ptp(angles, axis=0).max() == 0:
        warnings.append("All poses are the same: they were probably never refined.")
    return euler_to_matrix(angles)


def _shift(star: StarColumns, pixel_size: np.ndarray) -> Float[np.ndarray, "n 2"] | None:
    origin = _pair(star, "rlnOriginXAngst", "rlnOriginYAngst", 1.0)
    if origin is None:
        pixels = _pair(star, "rlnOriginX", "rlnOriginY", 1.0)
        origin = None if pixels is None else pixels * pixel_size[:, None]
    if origin is not None:
        return -origin
    # RELION takes absent origins for zero wherever there are angles.
    return np.zeros((len(star), 2)) if all(map(star.has, _ANGLES)) else None


def _halves(star: StarColumns) -> Int[np.ndarray, " n"]:
    half = star.numbers("rlnRandomSubset")
    return (
        np.zeros(len(star), np.int64)
        if half is None
        else np.where((half == 1) | (half == 2), half, 0).astype(np.int64)
    )


def _pixel_sizes(
    star: StarColumns, stacks: ImageStacks, warnings: list[str]
) -> Float[np.ndarray, " n"]:
    if stacks.options.pixel_size is not None:
        return np.full(len(star), stacks.options.pixel_size)
    for label in ("rlnImagePixelSize", "rlnPixelSize"):
        if star.has(label):
            return star.required(label)
    if star.has("rlnDetectorPixelSize") and star.has("rlnMagnification"):
        return star.required("rlnDetectorPixelSize") * 1e4 / star.required("rlnMagnification")
    sizes = _header_values(star, stacks, lambda header: header.voxel_size[0])
    if sizes is None or np.any(sizes <= 0):
        raise ValueError(
            f"{star.path} tells no pixel size (no rlnImagePixelSize, rlnPixelSize, or "
            "rlnDetectorPixelSize with rlnMagnification), nor do its stacks' headers: give it by "
            "`--pixel-size`."
        )
    warnings.append(
        f"The pixel size comes from the stacks' headers, {np.unique(sizes.round(6)).tolist()} Å, "
        "which many programs leave at 1: check it, or give `--pixel-size`."
    )
    return sizes


def _sizes(star: StarColumns, stacks: ImageStacks, warnings: list[str]) -> Int[np.ndarray, " n"]:
    sizes = star.numbers("rlnImageSize")
    if sizes is None:
        sizes = _header_values(star, stacks, lambda header: header.shape[2])
    if sizes is None:
        warnings.append("No rlnImageSize and no stack found: the image size is not known.")
        return np.zeros(len(star), np.int64)
    return sizes.astype(np.int64)


def _header_values(
    star: StarColumns, stacks: ImageStacks, value: Callable[[MrcHeader], float]
) -> Float[np.ndarray, " n"] | None:
    """`value` of one header per optics group, for within a group RELION has one pixel size and
    one image size; None where a stack is not found. Reading checks every other header."""
    groups, first, group = np.unique(star.group, return_index=True, return_inverse=True)
    values = np.empty(len(groups))
    for number, row in enumerate(first):
        try:
            values[number] = value(stacks.header(int(stacks.rows.file[row])))
        except FileNotFoundError:
            return None
    return values[group]


def _notes(star: StarColumns) -> list[str]:
    """What the table says that the image model here leaves out."""
    notes = []
    for label in ("rlnOddZernike", "rlnEvenZernike"):
        if star.has(label) and any(set(text) & set("123456789") for text in star.texts(label)):
            notes.append(f"{label}: higher-order aberrations are not modelled.")
    for label, what in (
        ("rlnCtfDataAreCtfPremultiplied", "multiplied by their CTF"),
        ("rlnCtfDataArePhaseFlipped", "phase-flipped"),
    ):
        flags = star.numbers(label)
        if flags is not None and np.any(flags != 0):
            notes.append(f"{label}: the images are {what}, which is not modelled.")
    return notes
