"""A rigid structure placed in a map, where its blurred density correlates best with it.

    max over (R, t) of  Σ_j w_j M_s(R r_j + t),   M_s the map blurred by a Gaussian of width s

which is the correlation of the map with the structure blurred by `s`, since neither norm changes.
First on a grid of rotations, each with all translations at once by Fourier transforms; then by
gradients.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from ..imaging.rotation import uniform_grid

_BLUR = 0.225  # width s for a resolution of 1 Å: its transform falls to 1/e at 1 / resolution
_VOXELS = 3.0  # of the search to a resolution
_REACH = 8.0  # widths: pairs further apart overlap by less than e⁻¹⁶
_SPLINE = 5  # degree: cubic ones lose 0.3 % of the overlap at 2.2 Å voxels and 8 Å


class Placement(NamedTuple):
    """`r -> R r + t`, Å from the voxel at `n // 2`, and the correlation there, from -1 to 1."""

    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, "3"]
    correlation: float

    def applied(self, positions: Float[np.ndarray, "j 3"]) -> Float[np.ndarray, "j 3"]:
        """Positions in the map's frame."""
        return positions @ self.rotation.T + self.shift


class Search(NamedTuple):
    """How a map is searched.

    - `resolution` of the map, Å: the structure is blurred to it.
    - `order` of `uniform_grid`: 1 is 576 rotations. `refined`: how many of the best are refined.
    """

    resolution: float
    order: int = 1
    refined: int = 8


def placed(
    positions: Float[np.ndarray, "j 3"],
    weights: Float[np.ndarray, " j"],
    voxels: Float[np.ndarray, "n n n"],
    pixel_size: float,
    how: Search,
) -> Placement:
    """The best placement of points of these weights (electrons, say), wherever they are given.

    The search wraps around at the faces of the box: pad a map whose density comes near them.
    """
    centre = np.average(positions, axis=0, weights=weights)
    points, blur = positions - centre, _BLUR * how.resolution
    starts = _searched(points, weights, voxels, pixel_size, how)
    field = _Field.of(voxels, pixel_size, blur)
    found = [_refined(points, weights, field, *start) for start in starts]
    score, rotation, shift = max(found, key=lambda one: one[0])
    norms = np.linalg.norm(voxels) * np.sqrt(_self_overlap(points, weights, blur) / pixel_size**3)
    return Placement(rotation, shift - rotation @ centre, float(score / pixel_size**3 / norms))


def _searched(points, weights, voxels, pixel_size, how):
    """The best rotations of the grid, and the best shift of each."""
    size = len(voxels)
    small = min(size, 2 * int(np.ceil(_VOXELS * size * pixel_size / how.resolution / 2)))
    step = size * pixel_size / small
    # Where box and origin are in the small grid: origins stay at `n // 2` full voxels.
    origin = (size // 2) * pixel_size - (small // 2) * step
    target = _cropped(np.fft.rfftn(voxels), size, small)
    # Trilinear shares blur the points by sinc², which is taken out here once for all.
    shares = np.prod(
        np.broadcast_arrays(*(np.sinc(k * step) for k in _frequencies(small, step))), 0
    )
    target = target * _gaussian(small, step, _BLUR * how.resolution) / shares**2
    turns = uniform_grid(how.order).astype(np.float64)
    scores, shifts = np.zeros(len(turns)), np.zeros((len(turns), 3))
    for number, turn in enumerate(turns):
        model = _spread(points @ turn.T + origin, weights, small, step)
        overlap = np.fft.irfftn(target * model.conj(), (small,) * 3, axes=(0, 1, 2))
        best = np.unravel_index(overlap.argmax(), overlap.shape)
        scores[number] = overlap[best]
        shifts[number] = (np.array(best[::-1]) + small // 2) % small - small // 2
    order = np.argsort(-scores)[: how.refined]
    return [(turns[row], shifts[row] * step) for row in order]


class _Field(NamedTuple):
    """Splines `[4, z, y, x]` of the blurred map and of its derivatives along x, y, z."""

    splines: Float[np.ndarray, "4 n n n"]
    pixel_size: float

    @classmethod
    def of(cls, voxels, pixel_size, blur) -> "_Field":
        from scipy.ndimage import spline_filter

        size = len(voxels)
        smooth = np.fft.rfftn(voxels) * _gaussian(size, pixel_size, blur)
        kx, ky, kz = _frequencies(size, pixel_size)
        back = lambda transform: np.fft.irfftn(transform, (size,) * 3, axes=(0, 1, 2))
        fields = [back(smooth), *(back(2j * np.pi * k * smooth) for k in (kx, ky, kz))]
        return cls(np.stack([spline_filter(field, _SPLINE) for field in fields]), pixel_size)

    def at(self, points: Float[np.ndarray, "j 3"]) -> Float[np.ndarray, "4 j"]:
        """The map and its derivatives; zero outside the box."""
        from scipy.ndimage import map_coordinates

        place = points.T[::-1] / self.pixel_size + self.splines.shape[1] // 2
        one = lambda spline: map_coordinates(spline, place, order=_SPLINE, prefilter=False)
        return np.stack([one(spline) for spline in self.splines])


def _refined(points, weights, field, rotation, shift):
    """The maximum near a start: its overlap, rotation and shift."""
    from scipy.optimize import minimize
    from scipy.spatial.transform import Rotation

    # Turns as the path of a typical point, Å, so that all six numbers weigh alike.
    radius = np.sqrt(np.average(np.sum(points**2, axis=1), weights=weights))
    started = points @ rotation.T

    def cost(move):
        turn = move[:3] / radius
        turned = Rotation.from_rotvec(turn).apply(started)
        values = weights * field.at(turned + shift + move[3:])
        torque = _left_jacobian(turn).T @ np.cross(turned, values[1:].T).sum(axis=0)
        return -values[0].sum(), -np.concatenate([torque / radius, values[1:].sum(axis=1)])

    scale = np.abs(cost(np.zeros(6))[0]) + 1e-30
    scaled = lambda move: tuple(part / scale for part in cost(move))
    found = minimize(scaled, np.zeros(6), jac=True, method="BFGS", options={"gtol": 1e-6})
    turn = Rotation.from_rotvec(found.x[:3] / radius).as_matrix()
    return -found.fun * scale, turn @ rotation, shift + found.x[3:]


def _left_jacobian(vector):
    """`J` with `exp(ω + δ) ≈ exp(J δ) exp(ω)`."""
    from scipy.spatial.transform import Rotation

    angle = np.linalg.norm(vector)
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-4:
        return np.eye(3) + cross / 2
    along = np.outer(vector, vector) / angle**2
    turn = Rotation.from_rotvec(vector).as_matrix()
    # (exp(ω) - 1) = [ω]× J, and J leaves ω as it is.
    return along + cross.T @ (turn - np.eye(3)) / angle**2


def _spread(points, weights, size, step) -> Complex[np.ndarray, "z y h"]:
    """Transform of point masses, from trilinear shares of the eight voxels around each."""
    place = points[:, ::-1] / step + size // 2
    floor = np.floor(place).astype(np.int64)
    corners = np.array(list(np.ndindex(2, 2, 2)))[:, None]
    shares = np.prod(np.where(corners, place - floor, 1 - place + floor), axis=2)
    index = np.ravel_multi_index(tuple(np.moveaxis((floor + corners) % size, 2, 0)), (size,) * 3)
    grid = np.bincount(index.ravel(), (shares * weights).ravel(), size**3)
    return np.fft.rfftn(grid.reshape((size,) * 3))


def _frequencies(size, step):
    """`(kx, ky, kz)` of a half transform `[z, y, x]`, 1/Å, for broadcasting."""
    whole, half = np.fft.fftfreq(size, step), np.fft.rfftfreq(size, step)
    return half, whole[:, None], whole[:, None, None]


def _gaussian(size, step, blur):
    square = sum(k**2 for k in _frequencies(size, step))
    return np.exp(-2 * np.pi**2 * blur**2 * square)


def _cropped(transform, size, small):
    """The low frequencies, as the transform of a `small` grid over the same box."""
    keep = np.r_[: (small + 1) // 2, size - small // 2 : size]
    return transform[np.ix_(keep, keep, np.arange(small // 2 + 1))]


def _self_overlap(points, weights, blur):
    """`∫ (Σ_j w_j N(r - r_j; s²))² dr`: pairs of points, blurred by `√2 s`."""
    from scipy.spatial import KDTree

    first, second = KDTree(points).query_pairs(_REACH * blur, output_type="ndarray").T
    square = np.sum((points[first] - points[second]) ** 2, axis=1)
    pairs = weights[first] * weights[second] * np.exp(-square / (4 * blur**2))
    return (np.sum(weights**2) + 2 * np.sum(pairs)) / (4 * np.pi * blur**2) ** 1.5
