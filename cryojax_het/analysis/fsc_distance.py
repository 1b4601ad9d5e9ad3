"""Distance of maps by their Fourier shell correlation."""

from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from .fsc import volume_shells
from .map_distance import AbstractMapDistance, check_maps, from_products


@final
@dataclass(frozen=True, kw_only=True)
class FSCDistance(AbstractMapDistance):
    """`D²_ij = 2 Σ_s w_s (1 - FSC_ij(s))`, FSC of the maps times `mask`, `Σ_s w_s = 1`.

    Each shell is a unit vector, so that `D` is Euclidean, whatever the spectrum of the maps. A
    shell weighs `w_s` what the maps there have in common with others: the mean over maps of the
    best FSC with any other, on a scale from what independent noise reaches by chance, 0, to 1.
    Shells of noise alone weigh nothing. The noise that is left adds nearly one constant to all
    `D²_ij`, which moves no coordinate of classical scaling.

    - `last`: shell of the finest detail compared; None: n//2 - 1.
    """

    mask: Float[np.ndarray, "n n n"]
    last: int | None = None

    def between(self, maps, pixel_size):
        del pixel_size
        check_maps(maps)
        curves = shell_correlations(maps, self.mask, self.last or maps.shape[1] // 2 - 1)
        weight = reproduced(curves, _independent(self.mask))
        return from_products(np.tensordot(weight, curves, axes=1))


def shell_correlations(
    maps: Float[np.ndarray, "m n n n"], mask: Float[np.ndarray, "n n n"], last: int
) -> Float[np.ndarray, "s m m"]:
    """FSC of every map with every other in shells 1 to `last`.

    Raises `ValueError` where `last` is no shell of the box or the mask is of another size.
    """
    size = maps.shape[1]
    if not 1 <= last <= size // 2 or mask.shape != maps.shape[1:]:
        raise ValueError(
            f"`last` must be a shell from 1 to {size // 2} and the mask one of {maps.shape[1:]}. "
            f"Got {last} and {mask.shape}."
        )
    shells = volume_shells(mask.shape)
    band = (shells >= 1) & (shells <= last)
    # Each stored frequency stands for itself and its mirror, except on the two self-paired planes.
    mirrored = np.full(shells.shape, 2.0)
    mirrored[..., [0, size // 2]] = 1.0
    shell, weight = shells[band], np.sqrt(mirrored[band])
    waves = np.stack([np.fft.rfftn(one * mask)[band] * weight for one in maps])
    found = np.zeros((last, len(maps), len(maps)))
    for number in range(last):
        part = waves[:, shell == number + 1]
        norm = np.linalg.norm(part, axis=1, keepdims=True)
        part = part / np.where(norm > 0, norm, 1)
        found[number] = np.real(part @ part.conj().T)
    return found


def reproduced(curves: Float[np.ndarray, "s m m"], share: float) -> Float[np.ndarray, " s"]:
    """Weight of each shell from 1 on, adding up to 1. Equal ones where no shell stands out.

    - `share` of the box that the mask leaves: of so many waves of a shell noise is independent.
    """
    count = curves.shape[1]
    others = np.where(np.eye(count, dtype=bool), -1.0, curves)
    best = others.max(axis=2).mean(axis=1)
    # Independent noise: normal about 0 with a variance of one over the pairs of a shell.
    pairs = np.maximum(share * 2 * np.pi * np.arange(1, len(curves) + 1) ** 2, 1)
    chance = np.sqrt(2 * np.log(max(count - 1, 2)) / pairs)
    # Of the few waves of the first shells chance may make anything.
    chance = np.minimum(chance, 0.9)
    weight = np.maximum((best - chance) / (1 - chance), 0)
    return weight / weight.sum() if weight.any() else np.full(len(curves), 1 / len(curves))


def _independent(mask: Float[np.ndarray, "n n n"]) -> float:
    """Share of the box under a soft mask: `(Σ m²)² / (n³ Σ m⁴)`."""
    square = np.square(mask, dtype=np.float64)
    return float(square.sum() ** 2 / max(mask.size * np.sum(square**2), 1e-300))
