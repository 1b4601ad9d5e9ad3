"""Voxels of Gaussians narrower than a voxel: their values there would alias."""

import numpy as np
from jaxtyping import Float

from ..imaging.grid import FourierGrid
from ..structures.beads import Beads
from ..structures.envelope import bead_transform
from .gaussian_mixture import GaussianMixture
from .gaussians import Gaussians


def band_limited_density(
    mixture: GaussianMixture | Gaussians, grid: FourierGrid
) -> Float[np.ndarray, "n n n"]:
    """Voxels `[z, y, x]` of what lies inside the Nyquist sphere of `grid`, exact there: what images
    of this pixel size can tell. On the host; `density` gives values at voxels."""
    size, half = grid.size, grid.size // 2
    model = Beads(
        np.asarray(mixture.positions, np.float64),
        np.asarray(mixture.amplitudes, np.float64),
        np.asarray(_each_width(mixture), np.float64),
    )
    index, columns = np.r_[:half, -half:0], np.arange(half + 1)
    length = float(grid.length)
    transform = bead_transform(model, index / length, columns / length)
    square = index[:, None, None] ** 2 + index[:, None] ** 2 + columns**2
    parity = index[:, None, None] + index[:, None] + columns
    kept = np.where(square < half**2, 1 - 2 * (parity % 2), 0)
    return np.fft.irfftn(transform * kept, s=(size,) * 3, axes=(0, 1, 2)) / (length / size) ** 3


def _each_width(mixture):
    return mixture.widths if isinstance(mixture, Gaussians) else mixture.each_width()
