"""Covariance of the latents of given volumes, by least squares on images: no prior, no iteration.

With `y = c A (μ + Σ_k z_k U_k) + ε` and, per image, `G = c²<AU, AU>` and `a = c <AU, y - cAμ>`,

    E a aᵀ = G S G + G,   so   Σ_i G_i S G_i = Σ_i (a_i a_iᵀ - G_i),   S = E z zᵀ

an estimate of `S` that is unbiased whatever the distribution of `z`; from images that the volumes
were not made from it tells what of their variance is real. (Katsevich, Katsevich & Singer 2015,
SIAM J. Imaging Sci. 8; Andén & Singer 2018, SIAM J. Imaging Sci. 11; projected, as here: Gilles &
Singer 2025, PNAS 122.)

Symmetric matrices are packed to `p = k(k+1)/2` numbers. The operator `S -> Σ G S G` is a
re-ordering of `Σ pack(G) pack(G)ᵀ`: one matrix product per batch gathers it, nothing is kept of an
image, and the small system is then solved directly. All in float64 on the host: `a aᵀ` and `G`
cancel over many digits, which is also why each image's noise is subtracted from its own product.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from .linear_statistics import LinearStatistics

_RIDGE = 1e-7  # of the mean diagonal of the operator: directions no image saw
_FLOOR = 1e-4  # of the largest variance: no latent has variance zero
_DEPENDENT = 1e-9  # of the largest eigenvalue: volumes that add nothing to the others


@final
@dataclass(frozen=True)
class LatentCovariance:
    """`mean` `[k]` and `second`, `E z zᵀ` `[k, k]`, of the latents of the given volumes."""

    mean: Float[np.ndarray, " k"]
    second: Float[np.ndarray, "k k"]

    @property
    def covariance(self) -> Float[np.ndarray, "k k"]:
        """`E zzᵀ - E z E zᵀ`; symmetric, but with noise not always positive."""
        return self.second - np.outer(self.mean, self.mean)


@final
@dataclass(frozen=True)
class CovarianceEquations:
    """Sums over images, in float64.

    - `images`: how many; `first`: `Σ a`; `gram`: `Σ G`; `right`: `Σ (a aᵀ - G)`;
    - `fourth`: `Σ pack(G) pack(G)ᵀ`, 8 `p²` bytes: 1.3 MB for 28 volumes, 200 MB for 100.
    """

    images: float
    first: Float[np.ndarray, " k"]
    gram: Float[np.ndarray, "k k"]
    right: Float[np.ndarray, "k k"]
    fourth: Float[np.ndarray, "p p"]

    @classmethod
    def zeros(cls, count: int) -> "CovarianceEquations":
        """No image yet, `count` volumes."""
        packed = count * (count + 1) // 2
        square = np.zeros((count, count))
        return cls(0.0, np.zeros(count), square, square, np.zeros((packed, packed)))

    def with_images(
        self,
        gram: Float[np.ndarray, "b k k"],
        projection: Float[np.ndarray, "b k"],
        weight: Float[np.ndarray, " b"],
    ) -> "CovarianceEquations":
        """With `G` and `a` of a batch, each image times its `weight`."""
        gram, a = np.asarray(gram, np.float64), np.asarray(projection, np.float64)
        row, column = np.triu_indices(len(self.first))
        packed = gram[:, row, column]
        excess = a[:, :, None] * a[:, None, :] - gram
        return CovarianceEquations(
            self.images + float(weight.sum()),
            self.first + weight @ a,
            self.gram + np.tensordot(weight, gram, axes=1),
            self.right + np.tensordot(weight, excess, axes=1),
            self.fourth + packed.T @ (weight[:, None] * packed),
        )

    def solve(self) -> LatentCovariance:
        """The least-squares mean and second moment. `ValueError` where there is no image."""
        if self.images == 0:
            raise ValueError("`CovarianceEquations` hold no image: add some first.")
        count = len(self.first)
        row, column = np.triu_indices(count)
        # Off-diagonal entries stand for two: scaled by √2, packing keeps inner products.
        scale = np.where(row == column, 1, np.sqrt(2))
        system = scale[:, None] * scale * self._operator()
        system += _RIDGE * np.trace(system) / len(system) * np.eye(len(system))
        packed = np.linalg.solve(system, scale * self.right[row, column]) / scale
        second = packed[packed_place(count)]
        ridge = _RIDGE * np.trace(self.gram) / count * np.eye(count)
        return LatentCovariance(np.linalg.solve(self.gram + ridge, self.first), second)

    def _operator(self) -> Float[np.ndarray, "p p"]:
        """`(G S G)_ad = Σ_bc G_ab S_bc G_cd`, `(a, d)` by row, the mean over `(b, c)`, `(c, b)`."""
        place = packed_place(len(self.first))
        row, column = np.triu_indices(len(self.first))
        a, d, b, c = row[:, None], column[:, None], row, column
        one = self.fourth[place[a, b], place[c, d]]
        return 0.5 * (one + self.fourth[place[a, c], place[b, d]])


def packed_place(count: int) -> Int[np.ndarray, "k k"]:
    """Where each entry of a symmetric matrix is in its packed form."""
    place = np.zeros((count, count), np.int64)
    row, column = np.triu_indices(count)
    place[row, column] = place[column, row] = np.arange(len(row))
    return place


def without_contrast(
    statistics: LinearStatistics, contrast: tuple[float, float]
) -> tuple[Float[np.ndarray, "b k k"], Float[np.ndarray, "b k"]]:
    """`G` and `a` of each image, from the numbers of a mean and k volumes, the first volume being
    the mean; the contrast integrated over.

    - `contrast`: mean and width ρ of its normal prior.

    What varies with the contrast is foremost `cAμ`, one known direction per image. As noise of
    variance ρ² along it, it is integrated over exactly: with `g = <AU, Aμ>`, `m = <Aμ, Aμ>`,
    `s = <Aμ, y>` and `f = ρ²/(1 + ρ²m)`,

        ĉ = c̄ + f (s - c̄m),   a = ĉ (b - ĉ g),   G = ĉ² (<AU, AU> - f g gᵀ)

    so that an error of a contrast is never taken for a motion. To first order: in front of the
    components it is known as ĉ.
    """
    mean, width = contrast
    gram = np.asarray(statistics.gram, np.float64)
    cross = np.asarray(statistics.cross, np.float64)
    g, power = gram[:, 1:, 0], gram[:, 0, 0]
    share = width**2 / (1 + width**2 * power)
    amplitude = (mean + share * (cross[:, 0] - mean * power))[:, None]
    projection = amplitude * (cross[:, 1:] - amplitude * g)
    left = gram[:, 1:, 1:] - share[:, None, None] * g[:, :, None] * g[:, None, :]
    return amplitude[..., None] ** 2 * left, projection


def pooled(
    found: Sequence[tuple[LatentCovariance, float]],
) -> LatentCovariance:
    """Of volumes side by side, from a part of the images for each set of them: their estimates of
    `U S Uᵀ` averaged by weight."""
    total = sum(weight for _, weight in found)
    count = sum(len(part.mean) for part, _ in found)
    mean, second, start = np.zeros(count), np.zeros((count, count)), 0
    for part, weight in found:
        here = slice(start, start + len(part.mean))
        mean[here] = weight / total * part.mean
        second[here, here] = weight / total * part.covariance
        start = here.stop
    return LatentCovariance(mean, second + np.outer(mean, mean))


def principal_volumes(
    volumes: Float[np.ndarray, "k n n n"], covariance: Float[np.ndarray, "k k"]
) -> Float[np.ndarray, "j n n n"]:
    """`X_j`, orthogonal, the largest first, with `Σ X_j X_jᵀ = U S Uᵀ` for volumes `U` of any
    kind: latents of the `X_j` have covariance 1.

    Variances below 1e-4 of the largest, which noise makes, are raised to it. `ValueError` where
    none is positive: the images then say that nothing varies.
    """
    flat = volumes.reshape(len(volumes), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(flat @ flat.T)
    kept = values > _DEPENDENT * values[-1]
    root = vectors[:, kept] * np.sqrt(values[kept])
    variance, turn = np.linalg.eigh(root.T @ covariance @ root)
    if variance[-1] <= 0:
        raise ValueError(
            "The images show no variance along the volumes found: nothing moves beyond the noise, "
            "or there are too few images."
        )
    deviation = np.sqrt(np.maximum(variance, _FLOOR * variance[-1]))
    mixing = vectors[:, kept] / np.sqrt(values[kept]) @ (turn * deviation)[:, ::-1]
    return (mixing.T @ flat).reshape(-1, *volumes.shape[1:]).astype(volumes.dtype)
