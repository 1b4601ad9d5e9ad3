"""What follows from a consensus for every fit that begins with one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Integer

from ..analysis.fourier_resample import resample_box
from ..analysis.mask import spherical_mask
from ..imaging.grid import FourierGrid
from ..imaging.noise import ColouredNoise
from ..inference.devices import own_part, place_batch
from ..inference.updates.block_equations import AbstractBlockEquations, BlockEquations
from ..inference.updates.exact_blocks import ExactBlockEquations, table_shape
from ..inference.updates.principal_volumes import shell_power
from ..particles.loader import Loader, Placement, split_rows
from ..volumes.kernel import quadratic
from .image_preparation import image_loader, initial_noise, particle_radius, prepared_pixels
from .image_settings import ImageSettings
from .linear_consensus import Consensus
from .reconstruct_data import Data

_EXACT = 2e9  # bytes of exact equations, of all devices together; above, diagonal ones
_REFERENCE = 4  # shells of spectra that unknown ones are extrapolated from
_SMALLEST, _LARGEST = 16, 64  # pixels of the crops that latents are inferred from


@dataclass(frozen=True)
class ConsensusSetting:
    """Images, the map of all of them, and the devices: fixed during a fit."""

    config: ImageSettings
    data: Data
    consensus: Consensus
    mesh: Mesh

    def resolved_box(self, wanted: int | None, largest: int = _LARGEST) -> int:
        """Pixels that latents are inferred from: those `wanted`, or up to the resolution of the
        half-maps, at most `largest`."""
        if wanted is None:
            resolved = 2 * (self.consensus.last_shell + 1)
            wanted = int(np.clip(resolved, _SMALLEST, max(_SMALLEST, largest)))
        return min(wanted, self.data.size)

    @cached_property
    def noise(self) -> ColouredNoise:
        """The spectrum of the background, per optics group."""
        pixels = prepared_pixels(self.config, self.data, self.data.size)
        return initial_noise(self.config, self.data, pixels)

    def grid(self, box: int) -> FourierGrid:
        """Of images cropped to `box` pixels."""
        return FourierGrid(self.data.stored, self.data.pixel_size).crop(box)

    def loader(self, box: int) -> Loader:
        """Batches of images of `box` pixels."""
        placement = Placement(place_batch(self.mesh), own_part)
        batch = self.data.batch_size(self.config.batch, self.mesh.size)
        return image_loader(self.config, self.data, box, batch, placement)

    def mask(self, box: int) -> Float[np.ndarray, "b b b"]:
        """The ball of the particle's diameter. A mask of the consensus would cut off what moves
        through places where it is rarely."""
        scale = box / self.data.stored
        radius = particle_radius(self.config, self.data) * scale
        return spherical_mask(box, radius, max(3 * scale, 1.0))

    def mean(self, box: int) -> Float[np.ndarray, "b b b"]:
        """The consensus map at `box` voxels."""
        return resample_box(self.consensus.mean, box)

    def block_equations(self, box: int, count: int) -> type[AbstractBlockEquations]:
        """Of `count` volumes of `box` voxels: exact where memory allows, else diagonal."""
        pairs = count * (count + 1) // 2
        shape = table_shape(2 * box, pairs, quadratic())
        stored = 4 * np.prod(shape, dtype=float) * self.mesh.size
        return ExactBlockEquations if stored <= _EXACT else BlockEquations

    def power_beyond(self, power: Float[np.ndarray, "q s"], known: int) -> np.ndarray:
        """Spectra of volumes of the full box, `power` up to the shell `known`: beyond, the mean's
        spectrum, scaled to the last known shells of each."""
        size = self.data.size
        voxels = jnp.asarray(self.mean(size)[None], jnp.float32)
        mean = np.asarray(shell_power(voxels, self.grid(size).pixel_size))
        ends = slice(max(known - _REFERENCE, 1), known)
        ratio = power[:, ends].mean(axis=1) / max(mean[0, ends].mean(), 1e-30)
        full = ratio[:, None] * mean
        full[:, :known] = power[:, :known]
        return full

    def plan(
        self, rows: Integer[np.ndarray, " n"], loader: Loader
    ) -> Sequence[Integer[np.ndarray, " _"]]:
        """Batches of these rows."""
        return split_rows(rows, loader.batch_size)
