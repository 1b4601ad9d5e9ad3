"""What is fixed during a fit of principal volumes, and what follows from it for each box."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Integer

from ..analysis.fourier_resample import resample_box
from ..analysis.mask import spherical_mask
from ..imaging.grid import FourierGrid
from ..imaging.noise import ColouredNoise
from ..inference.devices import own_part, place_batch
from ..inference.posteriors.band_limited import BandLimited
from ..inference.posteriors.linear_gaussian import LinearGaussianPosterior
from ..inference.prior import LocalPrior
from ..inference.updates.block_equations import BlockEquations
from ..inference.updates.exact_blocks import ExactBlockEquations, table_shape
from ..inference.updates.principal_volumes import PrincipalVolumes
from ..particles.loader import Loader, Placement, split_rows
from ..volumes.kernel import quadratic
from .fit_linear import LinearConfig
from .image_preparation import image_loader, initial_noise, particle_radius, prepared_pixels
from .linear_consensus import Consensus
from .reconstruct_data import Data

_SMALLEST, _LARGEST = 16, 64  # pixels of the crops that latents are inferred from
_HELD_OUT, _MOST_HELD_OUT = 0.1, 5000  # of the images, for the number of components

_EXACT = 2e9  # bytes of exact equations, of all devices together; above, diagonal ones


@final
@dataclass(frozen=True)
class LinearSetting:
    """Everything fixed during a fit."""

    config: LinearConfig
    data: Data
    consensus: Consensus
    mesh: Mesh

    @cached_property
    def latent_box(self) -> int:
        """Pixels that latents are inferred from."""
        wanted = self.config.latent_box
        if wanted is None:
            resolved = 2 * (self.consensus.last_shell + 1)
            wanted = int(np.clip(resolved, _SMALLEST, _LARGEST))
        return min(wanted, self.data.size)

    @cached_property
    def noise(self) -> ColouredNoise:
        """The spectrum of the background, per optics group."""
        pixels = prepared_pixels(self.config, self.data, self.data.size)
        return initial_noise(self.config, self.data, pixels)

    @property
    def prior(self) -> LocalPrior:
        """Latents standard normal, contrast about 1; poses do not move."""
        real = lambda x: jnp.asarray(x, jnp.float32)
        return LocalPrior(real(1.0), real(1.0), real(1.0), real(self.config.contrast))

    @cached_property
    def first_shell(self) -> int:
        """The first shell that latents look at."""
        high_pass = self.config.high_pass
        if high_pass is None:
            return 0
        length = self.data.stored * self.data.pixel_size
        return int(np.ceil(length / high_pass))

    def posterior(self, box: int) -> BandLimited:
        """Of latents, from `box` pixels."""
        return BandLimited(LinearGaussianPosterior(), box, self.first_shell)

    def grid(self, box: int) -> FourierGrid:
        """Of images cropped to `box` pixels."""
        return FourierGrid(self.data.stored, self.data.pixel_size).crop(box)

    def loader(self, box: int) -> Loader:
        """Batches of images of `box` pixels."""
        placement = Placement(place_batch(self.mesh), own_part)
        batch = self.data.batch_size(self.config.batch, self.mesh.size)
        return image_loader(self.config, self.data, box, batch, placement)

    def update(self, box: int, count: int) -> PrincipalVolumes:
        """EM for `count` components of `box` voxels: with exact equations, where memory allows."""
        grid, kernel = self.grid(box), quadratic()
        mask = jnp.asarray(self.mask(box), jnp.float32)
        pairs = (count + 1) * (count + 2) // 2
        stored = 4 * np.prod(table_shape(2 * box, pairs, kernel), dtype=float) * self.mesh.size
        equations = ExactBlockEquations if stored <= _EXACT else BlockEquations
        return PrincipalVolumes(grid.pixel_size, mask, box, count, self.mesh, equations, kernel)

    def mask(self, box: int) -> Float[np.ndarray, "b b b"]:
        """Where components may be: the ball of the particle's diameter. A mask of the consensus
        would cut off what moves through places where it is rarely."""
        scale = box / self.data.stored
        radius = particle_radius(self.config, self.data) * scale
        return spherical_mask(box, radius, max(3 * scale, 1.0))

    def mean(self, box: int) -> Float[np.ndarray, "b b b"]:
        """The consensus map at `box` voxels."""
        return resample_box(self.consensus.mean, box)

    @cached_property
    def held_out(self) -> Integer[np.ndarray, " h"]:
        """Images kept apart where the number of components is to be chosen."""
        count = len(self.data.particles)
        if self.config.components is not None:
            return np.zeros(0, np.int64)
        part = min(int(_HELD_OUT * count), _MOST_HELD_OUT)
        chosen = np.random.default_rng(self.config.seed).permutation(count)[:part]
        return np.sort(chosen)

    def plan(self, rows: Integer[np.ndarray, " n"], loader: Loader):
        """Batches of these rows."""
        return split_rows(rows, loader.batch_size)
