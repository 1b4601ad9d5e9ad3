"""Distances of maps by what it takes to bend one into the other."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from ..structures.elastic_fit import fit_elastic, moved
from ..structures.elastic_model import ElasticModel, elastic_model
from ..structures.pseudo_atoms import Placement
from ..structures.superpose import superposition
from .map_distance import AbstractMapDistance, check_maps


@final
@dataclass(frozen=True, kw_only=True)
class Bending:
    """How maps become elastic models; lengths in voxels.

    - `modes` of each; `width` of a pseudo-atom: the maps are blurred by as much before.
    - `residual`: share of a map that its pseudo-atoms may leave; where they cannot, as of maps with
      noise or ripples, twice and then four times as much.
    """

    modes: int = 12
    width: float = 1.5
    residual: float = 0.05


@final
@dataclass(frozen=True, kw_only=True)
class ElasticDissimilarity(AbstractMapDistance):
    """`S_ij = 1 - max CC(V_j, V_i bent along its own modes)`, `D = (S + Sᵀ) / 2`: StructMap.

    What is left once each map has been fitted to the other by a rigid motion and its normal modes.
    It is no distance in any space: look at the negative eigenvalues and at the stress. (Sánchez
    Sorzano et al. 2016, Biophys. J. 110.)
    """

    mask: Float[np.ndarray, "n n n"]
    bending: Bending = Bending()

    def between(self, maps, pixel_size):
        fits = _fits(maps * self.mask, pixel_size, self.bending)[1]
        return _symmetric(np.stack([1 - np.clip(fit.correlation, 0, 1) for fit in fits]))


@final
@dataclass(frozen=True, kw_only=True)
class ElasticDisplacement(AbstractMapDistance):
    """Root mean square displacement, Å, of the pseudo-atoms of a map bent into another along its
    own modes, superposed; the mean of both ways.

    The elastic part of the way from one to the other, in place of what is left of it: it stands for
    the root mean square deviation of structures, as far as modes and resolution can tell it.
    """

    mask: Float[np.ndarray, "n n n"]
    bending: Bending = Bending()

    def between(self, maps, pixel_size):
        models, fits = _fits(maps * self.mask, pixel_size, self.bending)
        paths = zip(models, fits, strict=True)
        return _symmetric(
            np.stack([[_path(model, q) for q in fit.amplitudes] for model, fit in paths])
        )


def _fits(maps, pixel_size: float, bending: Bending):
    from scipy.ndimage import gaussian_filter

    check_maps(maps)
    smooth = np.stack([gaussian_filter(one.astype(np.float64), bending.width) for one in maps])
    models = [_model(one, pixel_size, bending) for one in smooth]
    return models, fit_elastic(models, smooth, pixel_size)


def _model(voxels, pixel_size: float, bending: Bending) -> ElasticModel:
    for slack in (1, 2):
        how = Placement(bending.width * pixel_size, slack * bending.residual)
        try:
            return elastic_model(voxels, pixel_size, bending.modes, how)
        except ValueError:
            continue
    how = Placement(bending.width * pixel_size, 4 * bending.residual)
    return elastic_model(voxels, pixel_size, bending.modes, how)


def _path(model: ElasticModel, amplitudes) -> float:
    bent = moved(model, amplitudes.astype(np.float64))
    rotation, shift = superposition(bent, model.positions)
    change = bent @ rotation.T + shift - model.positions
    return float(np.sqrt(np.mean(np.sum(change**2, axis=1))))


def _symmetric(table: Float[np.ndarray, "m m"]) -> Float[np.ndarray, "m m"]:
    mean = (table + table.T) / 2
    np.fill_diagonal(mean, 0)
    return mean
