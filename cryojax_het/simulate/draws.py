"""What differs between simulated images: poses, contrast, defocus. Host side, by seed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ..particles.open import open_particles
from ..particles.pickles import load_arrays
from ..particles.source import Particles
from .settings import CtfDistribution, PoseError, Views


def haar_rotations(rng: np.random.Generator, count: int) -> Float[np.ndarray, "n 3 3"]:
    """Uniform rotations: normalised Gaussian quaternions."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(rng.normal(size=(count, 4))).as_matrix()


def view_rotations(
    rng: np.random.Generator, count: int, views: Views
) -> Float[np.ndarray, "n 3 3"]:
    """Rotations of the wanted viewing directions: uniform, or von Mises-Fisher about
    `view_clusters` random directions, of concentration `1 / view_spread²` (radians)."""
    from scipy.spatial.transform import Rotation
    from scipy.stats import vonmises_fisher

    uniform = haar_rotations(rng, count)
    if views.view_clusters == 0:
        return uniform
    centres = haar_rotations(rng, views.view_clusters)[:, 2]
    concentration = np.deg2rad(views.view_spread) ** -2
    chosen = rng.integers(views.view_clusters, size=count)
    direction = np.empty((count, 3))
    for number, centre in enumerate(centres):
        mine = np.flatnonzero(chosen == number)
        if mine.size:
            law = vonmises_fisher(centre, concentration)
            direction[mine] = law.rvs(mine.size, random_state=rng)
    # The viewing direction is the third row of R: with R = Rz(γ) Ry(-tilt) Rz(-rot), that is
    # (sin tilt cos rot, sin tilt sin rot, cos tilt).
    rot = np.arctan2(direction[:, 1], direction[:, 0])
    tilt = np.arccos(np.clip(direction[:, 2], -1, 1))
    angles = np.stack([-rot, -tilt, rng.uniform(-np.pi, np.pi, count)], axis=1)
    clustered = Rotation.from_euler("zyz", angles).as_matrix()
    background = rng.uniform(size=count) < views.view_background
    return np.where(background[:, None, None], uniform, clustered)


def disturbed_poses(
    rng: np.random.Generator,
    poses: tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 2"]],
    error: PoseError,
) -> tuple[Float[np.ndarray, "n 3 3"], Float[np.ndarray, "n 2"]]:
    """Rotations `exp([ω]×) R` and shifts, each with normal errors about every axis."""
    from scipy.spatial.transform import Rotation

    rotation, shift = poses
    vectors = rng.normal(scale=np.deg2rad(error.rotation_error), size=(len(shift), 3))
    turn = Rotation.from_rotvec(vectors).as_matrix()
    return turn @ rotation, shift + rng.normal(scale=error.shift_error, size=shift.shape)


def uniform_shifts(rng: np.random.Generator, count: int, extent: float) -> Float[np.ndarray, "n 2"]:
    """Shifts (x, y) in Å, each coordinate uniform within `±extent`."""
    return rng.uniform(-extent, extent, size=(count, 2))


def normal_contrast(rng: np.random.Generator, count: int, spread: float) -> Float[np.ndarray, " n"]:
    """Contrast factors of mean 1 and standard deviation `spread`, drawn again below 0.1."""
    return _truncated(rng, 1.0, spread, (0.1, np.inf), count)


def draw_ctf(
    rng: np.random.Generator, count: int, distribution: CtfDistribution
) -> dict[str, np.ndarray]:
    """CTF columns of a particle table, one defocus per `distribution.micrograph` images.

    Raises `ValueError` where the allowed range of defocus is empty or too far from the mean.
    """
    d = distribution
    micrographs = -(-count // d.micrograph)
    mean = 1e4 * _truncated(rng, d.defocus, d.defocus_spread, d.defocus_range, micrographs)
    difference = np.abs(rng.normal(d.astigmatism, d.astigmatism / 4, micrographs))
    angle = rng.uniform(0, np.pi, micrographs)
    shared = np.arange(count) // d.micrograph
    return {
        "defocus_u": (mean + difference / 2)[shared],
        "defocus_v": (mean - difference / 2)[shared],
        "astigmatism_angle": angle[shared],
        "voltage": np.full(count, d.voltage),
        "spherical_aberration": np.full(count, d.spherical_aberration),
        "amplitude_contrast": np.full(count, d.amplitude_contrast),
        "phase_shift": np.zeros(count),
    }


def read_ctf(rng: np.random.Generator, count: int, path: Path) -> dict[str, np.ndarray]:
    """CTF columns of `count` random rows, none twice as long as there are enough, of cryoDRGN's
    `ctf.pkl` (nine columns) or of a particle file. B-factors and scales are left out.

    Raises `FileNotFoundError`, `ValueError` for a file of another kind.
    """
    columns = _pickled_ctf(path) if Path(path).suffix == ".pkl" else _table_ctf(path)
    held = len(columns["defocus_u"])
    rows = rng.choice(held, count, replace=count > held)
    return {name: column[rows] for name, column in columns.items()}


def optics_groups(columns: Mapping[str, np.ndarray]) -> Int[np.ndarray, " n"]:
    """Group of each image: one per combination of voltage, Cs and amplitude contrast."""
    names = ("voltage", "spherical_aberration", "amplitude_contrast")
    settings = np.stack([columns[name] for name in names], axis=1)
    return np.unique(settings, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def read_poses(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations `[n, 3, 3]` and shifts `[n, 2]` (Å; 0 where the file has none) of the first `count`
    images of a particle file. Raises `ValueError` where it has no poses or too few."""
    table: Particles = open_particles(path).table()
    if table.rotation is None or len(table) < count:
        held = "no poses" if table.rotation is None else f"{len(table)} poses"
        raise ValueError(f"{path} has {held}; {count} images were asked for.")
    shift = np.zeros((len(table), 2)) if table.shift is None else table.shift
    return table.rotation[:count], shift[:count]


_CTF = ("defocus_u", "defocus_v", "astigmatism_angle", "voltage", "spherical_aberration")
_CTF += ("amplitude_contrast", "phase_shift")


def _pickled_ctf(path: Path) -> dict[str, np.ndarray]:
    table = np.asarray(load_arrays(path), np.float64)
    if table.ndim != 2 or table.shape[1] != 9:
        raise ValueError(f"{path} must hold cryoDRGN's nine CTF columns. Got {table.shape}.")
    columns = dict(zip(_CTF, table.T[2:], strict=True))
    angles = {name: np.deg2rad(columns[name]) for name in ("astigmatism_angle", "phase_shift")}
    return columns | angles


def _table_ctf(path: Path) -> dict[str, np.ndarray]:
    table = open_particles(path).table()
    if not table.defocus_u.any():
        raise ValueError(f"{path} has no defocus values to draw from.")
    return {name: getattr(table, name) for name in _CTF}


def _truncated(
    rng: np.random.Generator, mean: float, spread: float, limits: tuple[float, float], count: int
) -> Float[np.ndarray, " n"]:
    values = rng.normal(mean, spread, count)
    for _ in range(1000):
        outside = (values < limits[0]) | (values > limits[1])
        if not outside.any():
            return values
        values[outside] = rng.normal(mean, spread, np.count_nonzero(outside))
    raise ValueError(
        f"A normal distribution of mean {mean:g} and spread {spread:g} almost never falls between "
        f"{limits[0]:g} and {limits[1]:g}: widen the limits."
    )
