"""cryoDRGN's inputs: an image stack, `poses.pkl` and `ctf.pkl`.

Rotations are RELION's matrices, as ours; translations are fractions of the box with the sign of
`rlnOrigin`, so `shift = -translation · n · pixel_size`. CTF columns are box, Å per pixel, defocus U
and V (Å), astigmatism angle (degrees), kV, Cs (mm), amplitude contrast, phase shift (degrees).

cryoDRGN's CTF has the opposite sign of ours and its loader inverts the images by default: together
that is the same image model as here with `sign` 1. Images that it needs `--uninvert-data` for,
with a CTF, need `sign` -1 here.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .cryosparc import read_cryosparc
from .pickles import load_arrays
from .relion import read_relion
from .source import make_particles
from .stack import ImageStacks, ReadOptions, StackRows, same_file_rows
from .stack_source import StackSource


def read_cryodrgn(
    stack: Path,
    poses: Path | None = None,
    ctf: Path | None = None,
    options: ReadOptions | None = None,
) -> StackSource:
    """Images of `stack` (`.mrcs`, `.mrc`, a `.txt` list of such, `.star` or `.cs`) with the poses
    and CTFs of the pickles, which hold arrays only: others are refused.

    The pixel size is `options.pixel_size`, else that of `ctf` times its box over the true one,
    else the stack's header. Raises `FileNotFoundError`; `ValueError` where numbers of rows or
    shapes do not fit, a rotation is none, no pixel size is known.
    """
    options = ReadOptions() if options is None else options
    table = None if ctf is None else _ctf_table(ctf)
    stacks = _open_stacks(stack, options, table)
    warnings: list[str] = []
    columns = {} if table is None else _ctf_columns(table, warnings)
    size = stacks.header(0).shape[1]
    pixel_size = _pixel_size(stacks, table, size, warnings)
    if poses is not None:
        rotation, fraction = _poses(poses, warnings)
        columns["rotation"] = rotation
        if fraction is not None:
            columns["shift"] = -fraction * size * pixel_size[:, None]
    for path, name in ((ctf, "defocus_u"), (poses, "rotation")):
        if path is not None and len(columns[name]) != len(stacks):
            raise ValueError(f"{path} has {len(columns[name])} rows, {stack} {len(stacks)} images.")
    if np.any(stacks.sizes == 0):
        stacks.sizes = np.full(len(stacks), size, np.int64)
    particles = make_particles(
        len(stacks), pixel_size=pixel_size, size=stacks.sizes, warnings=warnings, **columns
    )
    return StackSource(stack, particles, stacks)


def _open_stacks(path: Path, options: ReadOptions, table: np.ndarray | None) -> ImageStacks:
    suffix = Path(path).suffix.lower()
    # Of a table only the places of its images are wanted, so what it may lack is filled in.
    lenient = replace(options, pixel_size=options.pixel_size or 1.0, amplitude_contrast=0.1)
    if suffix == ".star":
        stacks = read_relion(path, lenient).stacks
    elif suffix == ".cs":
        stacks = read_cryosparc(path, options=lenient).stacks
    elif suffix in (".mrc", ".mrcs", ".txt"):
        return _plain_stacks(path, options, table)
    else:
        raise ValueError(f"{path} is no stack: expected .mrcs, .mrc, .txt, .star or .cs.")
    stacks.options = options
    return stacks


def _plain_stacks(path: Path, options: ReadOptions, table: np.ndarray | None) -> ImageStacks:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    if Path(path).suffix.lower() == ".txt":
        names = [line.strip() for line in Path(path).read_text().splitlines() if line.strip()]
    else:
        names = [str(path)]
    names, _ = same_file_rows(names)
    files = np.arange(len(names))
    empty = StackRows(names, files, 0 * files, path)
    probe = ImageStacks(empty, 0 * files, np.ones(len(names), np.float32), options)
    counts = [probe.header(int(file)).shape[0] for file in files]
    # A header may claim more images than the file holds; a table of one stack knows better.
    if len(names) == 1 and table is not None:
        counts = [min(counts[0], len(table))]
    rows = StackRows(
        names,
        np.repeat(files, counts),
        np.concatenate([np.arange(count) for count in counts]),
        path,
    )
    sign = 1.0 if options.sign is None else options.sign
    total = len(rows.image)
    return ImageStacks(rows, np.zeros(total, np.int64), np.full(total, sign, np.float32), options)


def _ctf_table(path: Path) -> Float[np.ndarray, "n 9"]:
    """The nine columns. Eight, without the box or without the phase shift, are told apart by
    where the voltage is; a missing box is 0, a missing phase shift 0."""
    table = np.asarray(load_arrays(path), np.float64)
    if table.ndim != 2 or table.shape[1] not in (8, 9):
        raise ValueError(f"{path} must have 8 or 9 columns. Its shape is {table.shape}.")
    if table.shape[1] == 9:
        return table
    zero = np.zeros((len(table), 1))
    return np.hstack([table, zero] if table[0, 5] > 20 else [zero, table])


def _ctf_columns(table: Float[np.ndarray, "n 9"], warnings: list[str]) -> dict[str, np.ndarray]:
    _, _, u, v, angle, voltage, cs, w, phase = table.T
    return {
        "defocus_u": u,
        "defocus_v": v,
        "astigmatism_angle": np.deg2rad(angle),
        "voltage": voltage,
        "spherical_aberration": cs,
        "amplitude_contrast": w,
        "phase_shift": np.deg2rad(phase),
    }


def _pixel_size(
    stacks: ImageStacks, table: np.ndarray | None, size: int, warnings: list[str]
) -> Float[np.ndarray, " n"]:
    if stacks.options.pixel_size is not None:
        return np.full(len(stacks), stacks.options.pixel_size)
    if table is not None:
        box = np.where(table[:, 0] > 0, table[:, 0], size)
        if np.any(box != size):
            warnings.append(
                f"The CTF table is for a box of {box[0]:g} pixels, the images have {size}: the "
                "pixel size was scaled so that the box length stays."
            )
        return table[:, 1] * box / size
    voxel = stacks.header(0).voxel_size[0]
    if voxel <= 0:
        raise ValueError(
            f"{stacks.header(0).path} has no pixel size: give a CTF table or `--pixel-size`."
        )
    warnings.append(f"The pixel size comes from the stack's header, {voxel:g} Å: check it.")
    return np.full(len(stacks), voxel)


def _poses(
    path: Path, warnings: list[str]
) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 2"] | None]:
    held = load_arrays(path)
    pair = held if isinstance(held, tuple | list) else (held, None)
    rotation = np.asarray(pair[0], np.float64)
    if rotation.ndim != 3 or rotation.shape[1:] != (3, 3):
        raise ValueError(f"{path}: rotations must be [n, 3, 3]. Got {rotation.shape}.")
    error = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    if error.max() > 1e-2 or np.linalg.det(rotation).min() < 0:
        row = int(np.argmax(error))
        raise ValueError(f"{path}, row {row + 1} is no rotation: {rotation[row].tolist()}.")
    if len(pair) < 2 or pair[1] is None:
        return rotation, None
    fraction = np.asarray(pair[1], np.float64)
    if fraction.shape != (len(rotation), 2):
        raise ValueError(f"{path}: translations must be [n, 2]. Got {fraction.shape}.")
    if np.abs(fraction).max() > 0.5:
        warnings.append(
            f"Translations of {path} reach {np.abs(fraction).max():.3g} boxes: they look like "
            "pixels, but cryoDRGN's are fractions of the box and were taken as such."
        )
    return rotation, fraction
