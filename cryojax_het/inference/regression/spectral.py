"""Laplacian spectral volumes: `V_i = Σ_j φ_j(i) S_j`, smooth functions of the latents times maps.

    min_S Σ_i ‖y_i - A_i Σ_j φ_j(i) S_j‖²_Λ + Σ_j Σ_k |S_j(k)|²/τ_j²(|k|)

`φ` are the smoothest functions on the graph of the latents (`graph.py`), built from all images; the
equations are sums over groups of images near each other, on which `φ` hardly varies. How many terms
are used is told by the residuals of one half-set under the volumes of the other.

Moscovich, Halevi, Andén & Singer 2020, Inverse Problems 36, 024003.
"""

from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Float32, Int

from ..group_tables import GroupTables
from ..updates.block_equations import BlockEquations
from ..updates.wiener import FLOOR, shells_inside
from .cloud import Target
from .graph import GraphBasis
from .shells import cross, transforms

_LEAST = 1e-3  # of the signal: the power that each term keeps at least


@final
@dataclass(frozen=True, kw_only=True)
class SpectralVolumes:
    """Terms `S_j`, and the functions that mix them.

    - `held_out`: misfit of held-out images with 1, 2 ... terms, less that of no volume, per
      image; the fewest are used whose misfit is the least.
    """

    basis: GraphBasis
    terms: Float32[np.ndarray, "r n n n"]
    held_out: Float[np.ndarray, " t"]

    def volume(self, target: Target) -> Float32[np.ndarray, "n n n"]:
        """The map at `target`."""
        phi = self.basis.at(target.latent[None], target.covariance[None])[0, : len(self.terms)]
        return np.tensordot(phi, self.terms, 1).astype(np.float32)

    def image(self, row: int) -> Float32[np.ndarray, "n n n"]:
        """The map of an image that was on the graph."""
        phi = self.basis.values[row, : len(self.terms)]
        return np.tensordot(phi, self.terms, 1).astype(np.float32)


def spectral_volumes(
    tables: GroupTables,
    groups: Int[np.ndarray, " i"],
    half: Int[np.ndarray, " g"],
    basis: GraphBasis,
    about: tuple[Float[np.ndarray, " s"], Float32[np.ndarray, "n n n"]],
) -> SpectralVolumes:
    """Volumes for as many terms, of those of `basis`, as held-out images ask for.

    - `groups`, `half`: as in `KernelRegression`; `about`: the signal `τ²` per shell, the mask.
    """
    signal, mask = about
    halves = [_equations(tables, groups, half == number, basis.values) for number in (0, 1)]
    power = _powers(halves, signal, mask)
    held_out = _held_out(halves, power) / max(int(tables.counts.sum()), 1)
    used = int(np.argmin(held_out)) + 1
    whole = halves[0].plus(halves[1])
    found = _solve(leading(whole, used), jnp.asarray(power[:used], whole.table.dtype))
    return SpectralVolumes(
        basis=basis, terms=np.asarray(found, np.float32), held_out=np.asarray(held_out)
    )


def leading(equations: BlockEquations, count: int) -> BlockEquations:
    """The equations of the first `count` volumes, as if there were no others."""
    row, column = np.triu_indices(equations.count)
    kept = 2 * equations.count + np.flatnonzero((row < count) & (column < count))
    channels = np.concatenate([np.arange(2 * count), kept])
    return BlockEquations(
        table=equations.table[..., channels],
        spacing=equations.spacing,
        count=count,
        size=equations.size,
        kernel=equations.kernel,
    )


def _equations(tables, groups, chosen, values) -> BlockEquations:
    """Of the groups `chosen`, from the means of `φ` and `φ φᵀ` over each."""
    real = groups >= 0
    size, count = len(tables), values.shape[1]
    share = chosen / np.maximum(np.bincount(groups[real], minlength=size), 1)
    means = lambda x: np.bincount(groups[real], x[real], minlength=size) * share
    first = np.stack([means(column) for column in values.T], axis=1)
    second = np.zeros((size, count, count))
    for a, b in zip(*np.triu_indices(count), strict=True):
        second[:, a, b] = second[:, b, a] = means(values[:, a] * values[:, b])
    return tables.moments(first, second)


def _powers(halves, signal, mask) -> Float[np.ndarray, "r s"]:
    """`τ_j²`: what the terms of the two half-sets have in common, shell by shell, where the
    molecule is; a weak prior of the mean's power on each to begin with."""
    start = jnp.asarray(np.tile(signal, (halves[0].count, 1)), halves[0].table.dtype)
    found = [_solve(equations, start) * jnp.asarray(mask, start.dtype) for equations in halves]
    first, second = (jax.lax.map(transforms, terms) for terms in found)
    common = np.asarray(jax.vmap(cross)(first, second), np.float64)
    # Relative to the mean, whose own power is the signal's: what the mask takes away cancels.
    ratio = common / np.maximum(common[:1], 1e-12 * common[0].max())
    return np.asarray(signal) * np.clip(_smooth(ratio), _LEAST, 1)


def _smooth(ratio):
    padded = np.pad(ratio, [(0, 0), (1, 1)], mode="edge")
    return (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3


def _held_out(halves, power) -> Float[np.ndarray, " t"]:
    cells = [_cells(equations) for equations in halves]
    losses = np.zeros(halves[0].count)
    for count in range(1, halves[0].count + 1):
        for fitted, other in (cells, cells[::-1]):
            losses[count - 1] += misfit(fitted.solved(count, power), other)
    return losses


@final
@dataclass(frozen=True, kw_only=True)
class Cells:
    """The equations of each frequency of the padded half-grid inside Nyquist's sphere.

    - `times`: 2 where a frequency stands for its conjugate too; `finer`: see `BlockEquations`.
    """

    right: Complex[np.ndarray, "c q"]
    left: Float[np.ndarray, "c q q"]
    shell: Int[np.ndarray, " c"]
    times: Float[np.ndarray, " c"]
    finer: float

    def solved(self, count: int, power: Float[np.ndarray, "q s"]) -> Complex[np.ndarray, "c t"]:
        """The first `count` unknowns, as `BlockEquations.solve_cells` has them before the gridding
        is corrected: unknowns of which these equations are the diagonal approximation."""
        scale = np.maximum(power[:count], 1e-9 * power.max())
        weight = np.bincount(self.shell, np.trace(self.left, axis1=1, axis2=2))
        mean = (weight / np.maximum(np.bincount(self.shell), 1) / self.left.shape[1])[self.shell]
        prior = np.maximum(1 / (self.finer * scale.T[self.shell]), FLOOR * mean[:, None])
        system = self.left[:, :count, :count] + prior[:, :, None] * np.eye(count)
        return np.linalg.solve(system, self.right[:, :count, None])[..., 0]


def _cells(equations: BlockEquations) -> Cells:
    right, triangle = jax.jit(BlockEquations.folded)(equations)
    shells, inside = (np.asarray(x) for x in shells_inside(right.shape[0], equations.size))
    times = np.broadcast_to(np.where(np.arange(right.shape[2]) == 0, 1.0, 2.0), inside.shape)
    row, column = np.triu_indices(equations.count)
    left = np.zeros((int(inside.sum()), equations.count, equations.count))
    left[:, row, column] = left[:, column, row] = np.asarray(triangle)[inside]
    return Cells(
        right=np.asarray(right, np.complex128)[inside],
        left=left,
        shell=shells[inside].astype(np.int64),
        times=times[inside],
        finer=equations.finer,
    )


def misfit(found: Complex[np.ndarray, "c t"], cells: Cells) -> float:
    """`½ Σ_i ‖y_i - A_i V_i‖²_Λ` of the images of `cells`, less `½ Σ_i ‖y_i‖²_Λ`, by the diagonal
    of their normal operator."""
    count = found.shape[1]
    left, right = cells.left[:, :count, :count], cells.right[:, :count]
    square = np.einsum("ca,cab,cb->c", found.conj(), left, found).real
    return float(np.sum(cells.times * (0.5 * square - np.sum(found.conj() * right, axis=1).real)))


@jax.jit
def _solve(equations: BlockEquations, power: Float[Array, "r s"]) -> Float[Array, "r n n n"]:
    return equations.solve_cells(power).voxels
