"""cryoSPARC particle tables: `.cs` files with their passthroughs, in and out.

Units in the file: Å, kV, mm, radians. `alignments3D/pose` is a rotation vector ω whose matrix is
the transpose of ours, `R = exp([ω]×)ᵀ`; `alignments3D/shift` is in pixels of
`alignments3D/psize_A`, which may differ from `blob/psize_A`, and has the sign of `rlnOrigin`, so
`shift = -shift_pixels · psize_A`. Pixels are multiplied by `blob/sign` (-1: dark particles).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Integer

from .euler import vector_to_matrix
from .files import replacing
from .source import Particles, make_particles
from .stack import ImageStacks, ReadOptions, StackRows, same_file_rows
from .stack_source import StackSource

# np.load refuses headers above 10 kB by default, against hostile files; tables of large projects
# have them, and no pickle is allowed here.
_HEADER_BYTES = 1 << 24


def read_cryosparc(
    path: Path, passthrough: Sequence[Path] = (), options: ReadOptions | None = None
) -> StackSource:
    """The particles of a `.cs` file; columns it lacks are taken from the passthroughs by `uid`.

    Only metadata is read here. Missing phase shift, B-factor, beam tilt: 0; missing scale: 1; no
    `ctf/df1_A`: no CTF. 2-D alignments give no poses, and a warning.

    Raises `FileNotFoundError`; `ValueError` for a file that is no table, an empty one, a missing
    column, a `uid` that a passthrough lacks.
    """
    options = ReadOptions() if options is None else options
    table = _join(path, passthrough)
    for name in ("blob/path", "blob/idx"):
        _required(table, name, path)
    count = len(table["blob/idx"])
    sign = _column(table, "blob/sign", 1.0) if options.sign is None else np.full(1, options.sign)
    signs = np.ascontiguousarray(np.broadcast_to(sign, count), np.float32)
    shape = table.get("blob/shape", np.zeros((count, 2)))
    if np.any(shape[:, 0] != shape[:, 1]):
        raise ValueError(f"{path}: images are not square: {shape[np.argmax(np.ptp(shape, 1))]}.")
    stacks = ImageStacks(_image_rows(table, path), shape[:, 0].astype(np.int64), signs, options)
    return StackSource(path, _particles(table, stacks, path), stacks)


def load_cs(path: Path) -> np.ndarray:
    """The structured array of a `.cs` file; headers of any length, no pickles.

    Raises `FileNotFoundError`, `ValueError` where it is not a NumPy table of named columns.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist.")
    with open(path, "rb") as file:
        if file.read(6)[1:] == b"CSDAT":
            raise ValueError(
                f"{path} is in cryoSPARC's streaming format: export the job's group, or rewrite it "
                "with cryosparc-tools, `Dataset.load(path).save(new, format=1)`."
            )
    try:
        array = np.load(path, allow_pickle=False, max_header_size=_HEADER_BYTES)
    except ValueError as error:
        raise ValueError(f"{path} is not a .cs file: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype.names is None:
        raise ValueError(f"{path} is not a .cs file: it holds no named columns.")
    if not len(array):
        raise ValueError(f"{path} has no rows.")
    return array


def _join(path: Path, passthrough: Sequence[Path]) -> dict[str, np.ndarray]:
    main = load_cs(path)
    table = {name: main[name] for name in main.dtype.names or ()}
    for extra in passthrough:
        other = load_cs(extra)
        rows = _rows_by_uid(_required(table, "uid", path), other, extra)
        table = {name: other[name][rows] for name in other.dtype.names or ()} | table
    return table


def _rows_by_uid(
    uid: Integer[np.ndarray, " n"], other: np.ndarray, path: Path
) -> Int[np.ndarray, " n"]:
    if "uid" not in (other.dtype.names or ()):
        raise ValueError(f"{path} has no column uid: it cannot be joined.")
    order = np.argsort(other["uid"], kind="stable")
    place = np.minimum(np.searchsorted(other["uid"], uid, sorter=order), len(other) - 1)
    rows = order[place]
    lacking = np.flatnonzero(other["uid"][rows] != uid)
    if lacking.size:
        raise ValueError(
            f"{path} lacks {lacking.size} of the particles, first uid {uid[lacking[0]]} "
            f"(row {lacking[0] + 1}): it belongs to another job."
        )
    return rows


def _required(table: dict[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    if name not in table:
        raise ValueError(
            f"{path} has no column {name}: add the file that has it by `--passthrough`. "
            f"Present: {', '.join(table)}."
        )
    return table[name]


def _column(table: dict[str, np.ndarray], name: str, absent: float) -> np.ndarray:
    count = len(table["blob/idx"])
    return np.asarray(table.get(name, np.full(count, absent)), np.float64)


def _image_rows(table: dict[str, np.ndarray], path: Path) -> StackRows:
    entries = table["blob/path"]
    texts = [e.decode() if isinstance(e, bytes) else str(e) for e in entries.tolist()]
    # A leading `>` marks a path relative to the project; the rest is the path itself.
    names, file = same_file_rows([text.removeprefix(">") for text in texts])
    return StackRows(names, file, table["blob/idx"].astype(np.int64), path)


def _particles(table: dict[str, np.ndarray], stacks: ImageStacks, path: Path) -> Particles:
    warnings: list[str] = []
    if stacks.options.pixel_size is not None:
        pixel_size = np.full(len(stacks), stacks.options.pixel_size)
    else:
        pixel_size = np.asarray(_required(table, "blob/psize_A", path), np.float64)
    ids = np.asarray(_column(table, "ctf/exp_group_id", 0.0), np.int64)
    names, group = np.unique(ids, return_inverse=True)
    split = _column(table, "alignments3D/split", 0.0).astype(np.int64)
    columns = _ctf(table, path, stacks.options, warnings)
    rotation, shift = _poses(table, pixel_size, warnings)
    return make_particles(
        len(stacks),
        **columns,
        rotation=rotation,
        shift=shift,
        group=group,
        group_names=tuple(str(name) for name in names),
        # One value throughout means that no half-sets were made.
        half=split + 1 if len(np.unique(split)) == 2 else 0,
        pixel_size=pixel_size,
        size=stacks.sizes,
        warnings=warnings,
    )


def _poses(
    table: dict[str, np.ndarray], pixel_size: np.ndarray, warnings: list[str]
) -> tuple[Float[np.ndarray, "n 3 3"] | None, Float[np.ndarray, "n 2"] | None]:
    if "alignments3D/pose" not in table:
        two = "alignments2D/pose" in table
        warnings.append("No 3-D poses: " + ("only 2-D alignments." if two else "no alignments3D."))
        return None, None
    rotation = vector_to_matrix(table["alignments3D/pose"].astype(np.float64))
    unit = table.get("alignments3D/psize_A", pixel_size).astype(np.float64)
    shift = table.get("alignments3D/shift", np.zeros((len(unit), 2))).astype(np.float64)
    return rotation.transpose(0, 2, 1), -shift * unit[:, None]


def _ctf(
    table: dict[str, np.ndarray], path: Path, options: ReadOptions, warnings: list[str]
) -> dict[str, np.ndarray]:
    if "ctf/df1_A" not in table:
        warnings.append("No ctf/df1_A: images are taken as free of a CTF.")
        return {}
    needed = {
        "defocus_u": "ctf/df1_A",
        "defocus_v": "ctf/df2_A",
        "astigmatism_angle": "ctf/df_angle_rad",
        "voltage": "ctf/accel_kv",
        "spherical_aberration": "ctf/cs_mm",
        "amplitude_contrast": "ctf/amp_contrast",
    }
    if options.amplitude_contrast is not None and "ctf/amp_contrast" not in table:
        table["ctf/amp_contrast"] = np.full(len(table["ctf/df1_A"]), options.amplitude_contrast)
    columns = {k: np.asarray(_required(table, n, path), np.float64) for k, n in needed.items()}
    columns["phase_shift"] = _column(table, "ctf/phase_shift_rad", 0.0)
    columns["b_factor"] = _column(table, "ctf/bfactor", 0.0)
    columns["scale"] = _column(table, "ctf/scale", 1.0)
    for name in ("ctf/trefoil_A", "ctf/tetra_A", "ctf/shift_A"):
        if np.any(table.get(name, np.zeros(1))):
            warnings.append(f"{name}: higher-order aberrations are not modelled.")
    if np.any(table.get("ctf/tilt_A", np.zeros(1))):
        # The file has Cs · tilt as a length.
        length = columns["spherical_aberration"] * 1e7
        columns["beam_tilt"] = np.arcsin(table["ctf/tilt_A"].astype(np.float64) / length[:, None])
    if np.any(table.get("ctf/anisomag", np.zeros(1))):
        columns["magnification"] = _magnification(table["ctf/anisomag"].astype(np.float64))
        warnings.append("ctf/anisomag was taken as M - 1 or M, whichever is near the identity.")
    return columns


def _magnification(entries: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 2 2"]:
    # All zeros means none, so the entries should be M - 1; converters write M itself.
    matrix = entries.reshape(-1, 2, 2)
    whole = np.abs(np.trace(matrix, axis1=1, axis2=2) - 2) < 1
    return np.where(whole[:, None, None], matrix, matrix + np.eye(2))


def write_cs(
    path: Path,
    original: Path,
    rows: Integer[np.ndarray, " m"],
    columns: Mapping[str, np.ndarray],
) -> None:
    """Rows `rows` (0-based, in that order) of `original`, `columns` replaced or added.

    Every other column, `uid` included, keeps its bytes; a replaced one keeps its type. Whole or
    not at all. Raises `ValueError` for a column of another length or not finite.
    """
    table = load_cs(original)
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(table):
        raise ValueError(f"`rows` must lie in 0 to {len(table) - 1}, the rows of {original}.")
    names = table.dtype.names or ()
    fields = [(name, table.dtype[name]) for name in names]
    for name, column in columns.items():
        if len(column) != len(rows) or not np.isfinite(column).all():
            raise ValueError(f"Column {name} must be {len(rows)} finite values.")
        if name not in names:
            fields.append((name, np.dtype((column.dtype, column.shape[1:]))))
    written = np.empty(len(rows), fields)
    for name in names:
        written[name] = table[name][rows]
    for name, column in columns.items():
        written[name] = column
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.save(file, written, allow_pickle=False)
