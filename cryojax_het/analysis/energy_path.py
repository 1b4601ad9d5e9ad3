"""Paths of least free energy between two wells, by the string method, with bands by resampling.

A string of points relaxes down the slope of F while it is kept evenly spaced, until F falls to
both sides of it everywhere: `(∇F)⊥ = 0`. It then leads over the pass between its ends.

E, Ren & Vanden-Eijnden 2007, J. Chem. Phys. 126, 164103 (the simplified string method).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from .density import Density, LatentPosteriors
from .energy_string import string_at_rest
from .energy_surface import EnergySurface, energy_surface, wells, widest_channel

_STEP = 0.1  # of descent, times the squared distance of nodes: F changes by a few k_B T a node
_ENOUGH = 2e-3  # movement of a round, times the same
_AGAIN = 600  # rounds, at most, from the path of all images to that of a resample


@final
@dataclass(frozen=True, kw_only=True)
class Profile:
    """F along a string, k_B T over that at its lower end."""

    points: Float64[np.ndarray, "m 2"]
    energy: Float64[np.ndarray, " m"]

    @property
    def barrier(self) -> float:
        """The highest F over that at the lower end."""
        return float(self.energy.max())

    @property
    def difference(self) -> float:
        """F at the last point over that at the first."""
        return float(self.energy[-1] - self.energy[0])


@final
@dataclass(frozen=True, kw_only=True)
class EnergyPath:
    """The path of all images, and those of the resamples: `low` and `high`, where 90 % of their F
    lie at the same share of the length."""

    profile: Profile
    resampled: Sequence[Profile]

    def along(self) -> Float64[np.ndarray, " m"]:
        """Share of the length at each point."""
        return np.linspace(0, 1, len(self.profile.energy))

    def band(self) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """`low` and `high`. `ValueError` where there are no resamples."""
        return _band([profile.energy for profile in self.resampled])

    def barrier_band(self) -> tuple[float, float]:
        """Of the barrier."""
        low, high = _band([profile.barrier for profile in self.resampled])
        return float(low), float(high)

    def difference_band(self) -> tuple[float, float]:
        """Of the difference between the ends."""
        low, high = _band([profile.difference for profile in self.resampled])
        return float(low), float(high)


def _band(values):
    if not values:
        raise ValueError("This path has no resamples, and so no band.")
    return tuple(np.quantile(np.array(values), (0.05, 0.95), axis=0))


class SingleWell(ValueError):
    """A landscape has one well only: there is no path between two."""


@final
@dataclass(frozen=True, kw_only=True)
class StringMethod:
    """The path of least free energy over a density in two coordinates.

    - `points` of the string; `rounds` of relaxation, at most.
    - `least`: k_B T that a well must be below the lowest pass to a deeper one.
    """

    points: int = 60
    rounds: int = 4000
    least: float = 0.5

    def between_wells(self, density: Density) -> EnergyPath:
        """From the deepest well to the next deepest, both ends relaxed into them.

        Raises `SingleWell` where there is one well only.
        """
        surface = energy_surface(density)
        found = wells(surface.energy, self.least)
        if len(found) < 2:
            raise SingleWell(
                f"The landscape has a single well: no other is {self.least} k_B T below its pass."
            )
        ends = np.array(found[:2])
        return self._path(density, surface, ends, np.ones(self.points, bool))

    def between(self, density: Density, ends: Float[np.ndarray, "2 2"]) -> EnergyPath:
        """From one place to another, held there. `ValueError` where both are near one node."""
        surface = energy_surface(density)
        nodes = np.stack([_nearest_node(surface, end) for end in ends])
        free = np.ones(self.points, bool)
        free[[0, -1]] = False
        return self._path(density, surface, nodes, free, ends.astype(np.float64))

    def _path(self, density, surface, nodes, free, ends=None) -> EnergyPath:
        string = widest_channel(surface, nodes[0], nodes[1], self.points)
        if ends is not None:
            string[[0, -1]] = ends
        string = relaxed(surface, string, free, self.rounds)
        again = []
        for value in () if density.draws is None else density.draws:
            other = energy_surface(Density(grid=density.grid, value=value))
            again.append(_profile(other, relaxed(other, string, free, _AGAIN)))
        return EnergyPath(profile=_profile(surface, string), resampled=again)


def relaxed(
    surface: EnergySurface,
    string: Float[np.ndarray, "m 2"],
    free: Bool[np.ndarray, " m"],
    rounds: int,
) -> Float64[np.ndarray, "m 2"]:
    """The string after as many rounds of descent, or when it has come to rest; points that are not
    `free` stay where they are, all stay on the grid."""
    spline, step = surface.spline(), surface.step
    low, high = (np.array([axis[end] for axis in surface.grid.axes]) for end in (0, -1))

    def downhill(held):
        slope = np.stack([spline.ev(*held.T, dx=1), spline.ev(*held.T, dy=1)], axis=1)
        move = -_STEP * step**2 * slope * free[:, None]
        length = np.linalg.norm(move, axis=1, keepdims=True)
        move *= np.minimum(1, 0.25 * step / np.maximum(length, 1e-12))
        return np.clip(held + move, low, high)

    return string_at_rest(downhill, string.astype(np.float64), rounds, _ENOUGH * step**2)


def _profile(surface: EnergySurface, string) -> Profile:
    energy = surface.spline().ev(*string.T)
    return Profile(points=string, energy=energy - min(energy[0], energy[-1]))


def _nearest_node(surface: EnergySurface, place) -> Int[np.ndarray, " 2"]:
    axes = surface.grid.axes
    return np.array([np.abs(axis - z).argmin() for axis, z in zip(axes, place, strict=True)])


def with_other_coordinates(
    points: Float[np.ndarray, "m 2"], axes: tuple[int, int], posteriors: LatentPosteriors
) -> Float64[np.ndarray, "m d"]:
    """Whole latents at points of the plane of two coordinates: there, the others are the mean over
    images, weighted by `N(point; m_i, C_i + h² S)` in the plane, S their covariance and `h` of
    Scott's rule, `n^(-1/6)`."""
    plane = posteriors.along(axes)
    spread = np.cov(plane.mean.T) * len(plane) ** (-1 / 3)
    width = plane.covariance.astype(np.float64) + spread
    inverse, size = np.linalg.inv(width), np.linalg.slogdet(width)[1]
    latent = np.empty((len(points), posteriors.mean.shape[1]))
    for row, point in zip(latent, points, strict=True):
        apart = plane.mean - point
        log = -0.5 * (np.einsum("ni,nij,nj->n", apart, inverse, apart) + size)
        weight = np.exp(log - log.max())
        row[:] = weight @ posteriors.mean / weight.sum()
    latent[:, list(axes)] = points
    return latent
