"""The density of molecules in a latent space, freed of what noise and prior do to estimates."""

from dataclasses import dataclass
from math import comb
from typing import final

import numpy as np
from jaxtyping import Float, Float32

from .density import Density, LatentGrid, LatentPosteriors, kernel_density

_ROWS = 2000  # images whose likelihoods are computed at a time, in float64
_ORDER = 3
# Stiffness in units of the latent, from stiff to soft.
_STIFFNESS = tuple(10.0**power for power in range(2, -6, -1))


@final
@dataclass(frozen=True, kw_only=True)
class Deconvolution:
    """The penalised maximum-likelihood mixing density on a grid (a smooth NPMLE):

        Σ_i w_i ln Σ_m p_m p(y_i | z_m) - ½ λ ∫ |D³ G|² dz,     p ∝ exp(-G)

    G is the free energy, and all its third derivatives are penalised: the stiffer, the nearer is p
    to a normal density, of whatever mean and covariance (Silverman 1982, Ann. Stat. 10). The
    stiffness λ is the largest whose likelihood of held-out images is within one standard error of
    the best one. It is the maximum that EM for the mixture climbs to; quasi-Newton steps,
    preconditioned by the curvature of EM's own bound, get there where EM, slow in deconvolution,
    stops short.

    - `resamples`: of the images, for 90 % bands (Bayesian bootstrap, Rubin 1981: weights `w_i`
      exponential); 0: none. They tell of the finite sample, not of what smoothing takes away.
    - `folds`: parts that the images are divided into to choose λ; `steps`: at most, per maximum.

    Koenker & Mizera 2014, J. Am. Stat. Assoc. 109; Efron 2016, Biometrika 103.
    """

    resamples: int = 30
    folds: int = 4
    steps: int = 200
    seed: int = 0

    def density(self, posteriors: LatentPosteriors, grid: LatentGrid) -> Density:
        """The density at the nodes of `grid`; memory `4 n m` bytes for n images and m nodes.

        Raises `ValueError` where grid and posteriors differ in coordinates.
        """
        if len(grid.axes) != posteriors.mean.shape[1]:
            raise ValueError(
                f"A grid of {len(grid.axes)} coordinates does not fit latents of "
                f"{posteriors.mean.shape[1]}: take `posteriors.along(...)`."
            )
        likelihood = _likelihoods(posteriors, grid.points())
        penalty = third_derivatives(grid)
        rng = np.random.default_rng(self.seed)
        start = -np.log(kernel_density(posteriors.mean, grid).value.ravel() + 1e-6)
        stiffness, start = self._choose(likelihood, penalty, start, rng)
        penalty = stiffness * penalty
        ones = np.ones(len(posteriors))
        best = self._maximum(likelihood, ones, penalty, start)
        draws = rng.exponential(size=(self.resamples, len(posteriors)))
        again = [
            self._maximum(likelihood, draw * (draw.size / draw.sum()), penalty, best)
            for draw in draws
        ]
        value = lambda energy: (_normalised(energy) / grid.cell).reshape(grid.shape)
        if not again:
            return Density(grid=grid, value=value(best))
        held = np.stack([value(energy) for energy in again])
        low, high = np.quantile(held, (0.05, 0.95), axis=0)
        return Density(grid=grid, value=value(best), low=low, high=high, draws=held)

    def _choose(self, likelihood, penalty, start, rng) -> tuple[float, Float[np.ndarray, " m"]]:
        """The stiffness, and a free energy near the one it implies."""
        fold = rng.permutation(len(likelihood)) % self.folds
        energies = [start] * self.folds
        table, found = [], []
        for stiffness in _STIFFNESS:
            held = np.empty(len(likelihood))
            for number in range(self.folds):
                inside = fold != number
                known = likelihood[inside]
                energies[number] = self._maximum(
                    known, np.ones(len(known)), stiffness * penalty, energies[number]
                )
                held[~inside] = _log_mixed(likelihood[~inside], _normalised(energies[number]))
            table.append(held)
            found.append(energies[0])
            # Past the best, softer ones only follow noise more closely, and take longest.
            if len(table) > 2 and table[-1].sum() < table[-2].sum() < table[-3].sum():
                break
        best = int(np.argmax([held.sum() for held in table]))
        for place, held in enumerate(table):
            loss = table[best] - held
            if loss.sum() <= loss.std() * np.sqrt(len(loss)):
                return _STIFFNESS[place], found[place]
        return _STIFFNESS[best], found[best]

    def _maximum(self, likelihood, weights, penalty, start) -> Float[np.ndarray, " m"]:
        from scipy.linalg import cholesky, solve_triangular
        from scipy.optimize import minimize

        total = weights.sum()
        near = _normalised(start)
        # EM's bound has the curvature of counts, W (diag p - p pᵀ), whose diagonal is enough.
        factor = cholesky(penalty + total * np.diag(near + 1e-3 / near.size))

        def objective(turned):
            energy = solve_triangular(factor, turned, check_finite=False)
            p = _normalised(energy)
            mixed = np.maximum((likelihood @ p.astype(np.float32)).astype(np.float64), 1e-30)
            expected = p * ((weights / mixed).astype(np.float32) @ likelihood)
            stiff = penalty @ energy
            value = -weights @ np.log(mixed) + 0.5 * energy @ stiff
            # Counts that images imply against those of the model.
            slope = expected - total * p + stiff
            return float(value), solve_triangular(factor, slope, trans=1, check_finite=False)

        options = {"maxiter": self.steps, "ftol": 1e-8}
        found = minimize(objective, factor @ start, jac=True, method="L-BFGS-B", options=options)
        energy = solve_triangular(factor, found.x)
        return energy - energy.mean()


def third_derivatives(grid: LatentGrid) -> Float[np.ndarray, "m m"]:
    """The matrix A with `Gᵀ A G = ∫ |D³ G|² dz`, all third derivatives counted, mixed ones as often
    as they occur: zero for quadratics alone."""
    count = len(grid.axes)
    steps = [axis[1] - axis[0] for axis in grid.axes]
    orders = [(_ORDER,)] if count == 1 else [(k, _ORDER - k) for k in range(_ORDER + 1)]
    total = np.zeros((int(np.prod(grid.shape)),) * 2)
    for order in orders:
        operator = np.eye(1)
        for nodes, step, k in zip(grid.shape, steps, order, strict=True):
            operator = np.kron(operator, np.diff(np.eye(nodes), n=k, axis=0) / step**k)
        total += comb(_ORDER, order[0]) * (operator.T @ operator)
    return total * grid.cell


def _likelihoods(posteriors, points) -> Float32[np.ndarray, "n m"]:
    likelihood = np.empty((len(posteriors), len(points)), np.float32)
    for start in range(0, len(posteriors), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(posteriors)))
        likelihood[rows] = np.exp(posteriors.take(rows).log_likelihood(points))
    return likelihood


def _log_mixed(likelihood, p) -> Float[np.ndarray, " n"]:
    return np.log(np.maximum(likelihood @ p, 1e-30))


def _normalised(energy):
    p = np.exp(energy.min() - energy)
    return p / p.sum()
