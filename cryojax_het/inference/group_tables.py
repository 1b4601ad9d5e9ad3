"""Normal equations of each group of images apart, from one pass: any weighting of them is then a
sum of tables and one solution.

    B(ξ) = Σ_g w_g B_g(ξ),   L(ξ) = Σ_g w_g L_g(ξ)

An image of weight ½ counts as one of twice the noise.
"""

import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32, Int, Integer
from tqdm import tqdm

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch
from ..imaging.noise import AbstractGaussianNoise
from ..particles.loader import split_rows
from ..volumes.kernel import Kernel
from .updates.block_equations import BlockEquations
from .updates.normal_equations import NormalEquations

_LEAST = 1e-4  # weights below this share of the largest are not worth reading their table
_LARGEST = 4e9  # bytes of tables that are held in memory; more go to a file
_READ = 2.5e8  # bytes of tables that are weighted at a time

Batches = Callable[[Sequence[Integer[np.ndarray, " _"]]], Iterator[Batch]]


@final
@dataclass(frozen=True, kw_only=True)
class GroupTables:
    """Normal equations of G groups of images, on the host or in a file that vanishes with them.

    - `tables`: as in `NormalEquations`, `[g, z, y, x, 3]`; `counts`: images in each group.
    - `size`: voxels per side of the volume; `pixel_size`: Å per voxel.
    """

    tables: Float32[np.ndarray, "g z y x 3"]
    counts: Int[np.ndarray, " g"]
    size: int
    pixel_size: float
    kernel: Kernel

    def __len__(self) -> int:
        return len(self.counts)

    def sums(self, weights: Float[np.ndarray, "w g"]) -> Float32[np.ndarray, "w z y x 3"]:
        """Weighted sums of the tables; each table is read once, whatever the number of weightings.

        `ValueError` for negative weights.
        """
        if np.any(weights < 0):
            raise ValueError(f"`weights` must not be negative. Got {weights.min():g}.")
        largest = weights.max(axis=1, keepdims=True)
        kept = np.where(weights > _LEAST * largest, weights, 0)
        return self._mixed(kept, slice(0, 3))

    def moments(
        self, first: Float[np.ndarray, "g q"], second: Float[np.ndarray, "g q q"]
    ) -> BlockEquations:
        """The equations of q volumes of which each image is a mixture.

        - `first`, `second`: mean over each group of the coefficients `h` and of `h hᵀ`; exact
          where a group's images have equal ones.
        """
        count = first.shape[1]
        upper = np.triu_indices(count)
        right = np.moveaxis(self._mixed(first.T, slice(0, 2)), 0, 3)
        left = np.moveaxis(self._mixed(second[:, upper[0], upper[1]].T, slice(2, 3)), 0, 3)
        table = np.concatenate([right.reshape(*right.shape[:3], -1), left[..., 0]], axis=-1)
        return BlockEquations(
            table=_real(table),
            spacing=_real(self.pixel_size),
            count=count,
            size=self.size,
            kernel=self.kernel,
        )

    def _mixed(self, weights, channels):
        """`Σ_g w_g T_g` of some channels; each table is read once, for all weightings."""
        used = np.flatnonzero(weights.any(axis=0) & (self.counts > 0))
        shape = self.tables[0, ..., channels].shape
        cells = int(np.prod(shape))
        total = np.zeros((len(weights), cells), np.float32)
        for groups in split_rows(used, max(1, int(_READ / (4 * cells)))):
            part = self.tables[groups][..., channels].reshape(len(groups), cells)
            total += weights[:, groups].astype(np.float32) @ part
        return total.reshape(len(weights), *shape)

    def equations(self, weights: Float[np.ndarray, " g"]) -> NormalEquations:
        """The weighted sum of the groups' equations. `ValueError` for negative weights."""
        return self.as_equations(self.sums(weights[None])[0])

    def as_equations(self, table: Float32[np.ndarray, "z y x 3"]) -> NormalEquations:
        """A sum of tables as the normal equations that it is."""
        return NormalEquations(_real(table), _real(self.pixel_size), self.size, self.kernel)


def gather(
    batches: Batches,
    groups: Int[np.ndarray, " n"],
    count: int,
    batch: int,
    how: tuple[AbstractGaussianNoise, FourierGrid, Kernel],
    description: str = "sums",
) -> GroupTables:
    """The tables of groups 0 to `count` - 1, in one pass; images of group -1 are left out.

    - `batches`: from the rows of each batch to the batches, with the latents to lay them down by.
    - `batch`: images laid down at a time, all of one group: a short last batch costs a whole one.
    - `how`: the noise, the grid of the images and the kernel.

    Tables of more than 4 GB are written to the folder for temporary files (`TMPDIR`).
    """
    noise, grid, kernel = how
    # A spacing of its own each time: it is donated with the table.
    empty = lambda: NormalEquations.zeros(grid.size, _real(np.asarray(grid.pixel_size)), kernel)
    tables = host_tables((count, *jax.eval_shape(empty).table.shape))
    plans = [split_rows(np.flatnonzero(groups == group), batch) for group in range(count)]
    coming = batches([rows for plan in plans for rows in plan])
    total = int(np.sum(groups >= 0))
    with tqdm(total=total, unit=" images", desc=description, disable=None) as bar:
        for group, plan in enumerate(plans):
            equations = empty()
            for rows in plan:
                equations = _add(equations, next(coming), noise, grid)
                bar.update(len(rows))
            if plan:
                tables[group] = np.asarray(equations.table, np.float32)
    return GroupTables(
        tables=tables,
        counts=np.array([sum(map(len, plan)) for plan in plans], np.int64),
        size=grid.size,
        pixel_size=float(grid.pixel_size),
        kernel=kernel,
    )


def host_tables(shape: tuple[int, ...]) -> Float32[np.ndarray, "..."]:
    """Zeros in memory; beyond 4 GB in a file without a name."""
    if 4.0 * np.prod(shape, dtype=np.float64) <= _LARGEST:
        return np.zeros(shape, np.float32)
    # Without a name: the system removes it with the last array that looks into it.
    with tempfile.TemporaryFile(prefix="cryojax_het_") as file:
        return np.memmap(file, np.float32, "w+", shape=shape)


@functools.partial(jax.jit, donate_argnums=0)
def _add(equations, batch, noise, grid):
    return equations.add(batch, batch.latents, noise, grid)


def _real(values):
    return jnp.asarray(values, jnp.result_type(float))
