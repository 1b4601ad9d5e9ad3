"""How strong and how blurred a model of beads is, against a map or against images.

    min over a, v of  Σ_k w(|k|) |M(k) - a exp(-2π² v |k|²) B(k)|²

`B` the transform of beads, `a` the density of an electron, `v` a variance added to that of every
bead. Only sums over frequencies of one length are needed: of `Re M* B` and of `|B|²`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from .beads import Beads

_FARTHEST = 400.0  # Å²: more blur than this leaves no molecule
_TRIALS = 200


class Envelope(NamedTuple):
    """`scale` a, density·Å³ per unit of weight; `variance` v, Å², negative where beads are too wide
    as they are."""

    scale: float
    variance: float


class ShellSums(NamedTuple):
    """Over frequencies of one length, weighted: `Re Σ M* B`, `Σ |B|²`, and `|k|²`, 1/Å²."""

    cross: Float[np.ndarray, " s"]
    power: Float[np.ndarray, " s"]
    square: Float[np.ndarray, " s"]


def fitted_envelope(sums: ShellSums, least: float) -> Envelope:
    """The best scale and variance, `v >= least` Å². Raises `ValueError` where no positive scale
    explains anything."""
    from scipy.optimize import minimize_scalar

    factor = lambda v: np.exp(-2 * np.pi**2 * v * sums.square)

    def unexplained(v):
        g = factor(v)
        return -np.square(g @ sums.cross) / max(g**2 @ sums.power, 1e-300)

    trials = np.linspace(least, _FARTHEST, _TRIALS)
    best = int(np.argmin([unexplained(v) for v in trials]))
    around = trials[max(best - 1, 0)], trials[min(best + 1, _TRIALS - 1)]
    found = minimize_scalar(unexplained, bounds=around, method="bounded", options={"xatol": 1e-3})
    variance = float(found.x)  # pyright: ignore[reportAttributeAccessIssue]
    g = factor(variance)
    scale = float(g @ sums.cross) / max(float(g**2 @ sums.power), 1e-300)
    if scale <= 0:
        raise ValueError(
            "The model does not correlate with the map: it is misplaced, or the map is dark on "
            "bright (`--invert`)."
        )
    return Envelope(scale, variance)


def map_sums(
    voxels: Float[np.ndarray, "n n n"],
    pixel_size: float,
    model: Beads,
    weight: Float[np.ndarray, " s"],
) -> ShellSums:
    """Of a map and beads in its frame; shells 0 to n//2 - 1 of `weight` that is not 0 count."""
    size = len(voxels)
    last = int(np.flatnonzero(weight[: size // 2]).max(initial=1))
    index = np.r_[: last + 1, -last:0]
    half = np.arange(last + 1)
    step = 1 / (size * pixel_size)
    theirs = np.fft.rfftn(voxels)[np.ix_(index, index, half)] * pixel_size**3
    parity = index[:, None, None] + index[:, None] + half
    theirs = theirs * (1 - 2 * (parity % 2))  # the origin is voxel n // 2
    ours = bead_transform(model, index * step, half * step)
    square = index[:, None, None] ** 2 + index[:, None] ** 2 + half**2
    shell = np.rint(np.sqrt(square)).astype(np.int64)
    counted = np.where(half > 0, 2.0, 1.0) * np.where(
        shell <= last, weight[np.minimum(shell, last)], 0
    )
    total = lambda values: np.bincount(square.ravel(), (counted * values).ravel())
    cross, power = total((theirs.conj() * ours).real), total(np.abs(ours) ** 2)
    return ShellSums(cross, power, np.arange(len(cross)) * step**2)


def bead_transform(
    model: Beads, full: Float[np.ndarray, " k"], half: Float[np.ndarray, " h"]
) -> Complex[np.ndarray, "k k h"]:
    """`Σ_b w_b exp(-2π² s_b² |k|² - 2πi k·r_b)` at frequencies, 1/Å, `full` along z and y,
    `half` along x."""

    def waves(k, places):
        damped = np.exp(-2 * np.pi**2 * np.outer(k**2, model.widths**2))
        return damped * np.exp(-2j * np.pi * np.outer(k, places))

    x, y, z = model.positions.T
    along_x, along_y = waves(half, x).T, waves(full, y) * model.weights
    return np.stack([(row * along_y) @ along_x for row in waves(full, z)])
