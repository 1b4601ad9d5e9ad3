"""Gaussians of one width that add up to a map: the nodes of a network where there is no structure.

    V(r) ≈ Σ_a w_a N(r; c_a, σ²),  w_a >= 0

Nogales-Cadenas et al. 2013, Nucleic Acids Res. 41; Jin et al. 2014, Structure 22 (HEMNMA of maps).
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

_LEAST_GAIN = 0.999  # of the residual: what a round must bring it below
_REACH = 4.5  # widths: 4e-5 of a Gaussian's height is cut


class PseudoAtoms(NamedTuple):
    """Positions (x, y, z) Å from the voxel at `n // 2`, weights in density·Å³, their width σ, Å,
    and `|V - model| / |V|` over the box."""

    positions: Float[np.ndarray, "a 3"]
    weights: Float[np.ndarray, " a"]
    width: float
    residual: float


class Placement(NamedTuple):
    """How pseudo-atoms are placed.

    - `width` σ, Å: 1 to 1.5 voxels. `tolerance`: relative residual at which to stop.
    - `most`: pseudo-atoms at most. `share`: peaks lower than this share of the highest wait for
      the next round.
    """

    width: float
    tolerance: float = 0.05
    most: int = 20_000
    share: float = 0.5


def pseudo_atoms(
    voxels: Float[np.ndarray, "n n n"], pixel_size: float, how: Placement
) -> PseudoAtoms:
    """Greedy: Gaussians at the peaks of what is left of the map, found in it by a matched filter
    and placed between voxels; all weights anew by least squares; and again.

    Solvent should be masked to zero before: noise has peaks as well. Raises `ValueError` for a map
    with no positive density, and where `most` do not reach the tolerance or a round gains nothing.
    """
    size, sigma = len(voxels), how.width / pixel_size
    points, weights, left = np.zeros((0, 3)), np.zeros(0), voxels.astype(np.float64)
    before, residual = np.inf, 1.0
    while residual > how.tolerance:
        new = _peaks(left, sigma, how.share)[: how.most - len(points)]
        if not len(new) or residual > _LEAST_GAIN * before:
            raise ValueError(
                f"{len(points)} pseudo-atoms leave {residual:.3f} of the map, above "
                f"{how.tolerance:g}, and no more are allowed or help: mask the map, allow more, or "
                "a larger residual."
            )
        points = np.concatenate([points, new])
        design = _design(points, sigma, size)
        weights = non_negative_weights(design, voxels.ravel())
        held = weights > 1e-6 * weights.max()
        left = voxels - (design[:, held] @ weights[held]).reshape(voxels.shape)
        points, weights = points[held], weights[held]
        before, residual = residual, float(np.linalg.norm(left) / np.linalg.norm(voxels))
    positions = (points[:, ::-1] - size // 2) * pixel_size
    return PseudoAtoms(positions, weights * pixel_size**3, how.width, residual)


def non_negative_weights(design: Any, values: Float[np.ndarray, " v"]) -> Float[np.ndarray, " a"]:
    """`w >= 0` of least `|A w - v|²`, `A` a sparse matrix of non-negative entries."""
    from scipy.optimize import minimize

    gram, right = (design.T @ design).tocsr(), design.T @ values
    scale = 1 / np.sqrt(gram.diagonal())
    curvature = lambda x: scale * (gram @ (scale * x))
    cost = lambda x: (0.5 * x @ curvature(x) - x @ (scale * right), curvature(x) - scale * right)
    found = minimize(
        cost,
        np.maximum(scale * right, 0),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * len(right),
        options={"maxiter": 1000, "ftol": 1e-12, "gtol": 1e-6 * np.abs(scale * right).max()},
    )
    return scale * found.x


def _peaks(left, sigma, share) -> Float[np.ndarray, "p 3"]:
    """Local maxima (z, y, x), in voxels, of the residual filtered by the Gaussian itself."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    filtered = gaussian_filter(left, sigma, mode="constant")
    apart = 2 * int(np.ceil(sigma)) + 1
    highest = maximum_filter(filtered, apart, mode="constant")
    inside = np.zeros(filtered.shape, bool)
    inside[1:-1, 1:-1, 1:-1] = True
    found = (filtered == highest) & inside & (filtered > max(share * filtered[inside].max(), 0))
    place = np.argwhere(found)
    place = place[np.argsort(-filtered[tuple(place.T)], kind="stable")]
    return place + _summits(filtered, place)


def _summits(filtered, place: Int[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 3"]:
    """Where between voxels: the top of a parabola through three logarithms, which is exact for a
    Gaussian alone."""
    offsets = np.zeros(place.shape)
    floor = 1e-3 * filtered[tuple(place.T)]
    height = lambda at: np.log(np.maximum(filtered[tuple(at.T)], floor))
    for axis, step in enumerate(np.eye(3, dtype=np.int64)):
        below, here, above = height(place - step), height(place), height(place + step)
        bend = 2 * here - below - above
        offsets[:, axis] = (above - below) / (2 * np.where(bend > 0, bend, np.inf))
    return np.clip(offsets, -0.5, 0.5)


def _design(points, sigma, size) -> Any:
    """`[n³, a]`: values at voxels of normalised Gaussians at `points` (z, y, x), in voxels."""
    from scipy.sparse import csc_array

    reach = int(np.ceil(_REACH * sigma))
    near = np.arange(-reach, reach + 1)
    index = np.rint(points).astype(np.int64)[:, :, None] + near
    profile = np.exp(-((index - points[:, :, None]) ** 2) / (2 * sigma**2))
    profile = np.where((index >= 0) & (index < size), profile, 0) / (np.sqrt(2 * np.pi) * sigma)
    index = np.clip(index, 0, size - 1)
    z, y, x = np.moveaxis(profile, 1, 0)
    values = z[:, :, None, None] * y[:, None, :, None] * x[:, None, None, :]
    a, b, c = np.moveaxis(index, 1, 0)
    rows = (a[:, :, None, None] * size + b[:, None, :, None]) * size + c[:, None, None, :]
    columns = np.repeat(np.arange(len(points)), len(near) ** 3)
    shape = (size**3, len(points))
    return csc_array((values.ravel(), (rows.ravel(), columns)), shape=shape)
