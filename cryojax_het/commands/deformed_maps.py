"""Maps of all images, each through a displacement that is known: half-maps, and filtered."""

from dataclasses import dataclass
from typing import final

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int

from ..analysis.fsc import masked_fsc
from ..imaging.grid import FourierGrid
from ..imaging.noise import ColouredNoise
from ..inference.deformed_reconstruction import (
    DeformedReconstruction,
    reconstruct_deformed,
    start,
)
from ..inference.devices import own_part, place_batch
from ..inference.half_maps import plan_batches
from ..inference.updates.deformed_map import DeformedMap
from ..particles.loader import HostLatents, Loader, Placement
from .image_preparation import prepared_pixels
from .image_settings import ImageSettings
from .reconstruct_data import Data

_RATIO = 0.1  # noise over signal, the prior of half-maps; theirs gives the map's
_BATCH = 96


@final
@dataclass(frozen=True)
class SolvedMaps:
    """`whole`, filtered, and both half-maps, of the reference conformation; `passes` over the
    images that they took."""

    whole: Float[np.ndarray, "n n n"]
    halves: tuple[Float[np.ndarray, "n n n"], Float[np.ndarray, "n n n"]]
    passes: int


@final
@dataclass(frozen=True)
class DeformedImages:
    """Images of `box` pixels with the `latents` that move them, on the devices of `mesh`."""

    settings: ImageSettings
    data: Data
    latents: HostLatents
    box: int
    mesh: Mesh

    def loader(self) -> Loader:
        """Their batches."""
        devices = self.mesh.size
        batch = -(-(self.settings.batch or _BATCH) // devices) * devices
        pixels = prepared_pixels(self.settings, self.data, self.box)
        place = Placement(place_batch(self.mesh), own_part)
        return Loader(self.data.source, self.latents, pixels, batch, place)

    def solved(
        self,
        model: DeformedMap,
        noise: ColouredNoise,
        half: Int[np.ndarray, " i"],
        window: Float[np.ndarray, "n n n"],
    ) -> SolvedMaps:
        """By conjugate gradients on the normal equations, half-sets `half`; their FSC within
        `window` filters the whole."""
        loader = self.loader()
        grid = FourierGrid(self.data.stored, jnp.float32(self.data.pixel_size)).crop(self.box)
        ratio = jnp.full(self.box // 2 + 1, _RATIO, jnp.float32)
        how = DeformedReconstruction(model, noise, grid, ratio, self.mesh)
        plan = plan_batches(half, loader.batch_size)
        course, passes = start(how), 0
        compare = lambda first, second: masked_fsc(first, second, window).corrected
        for _ in reconstruct_deformed(how, loader, plan, course, compare):
            passes += course.batch == len(plan)
        first, second = course.half_maps()
        return SolvedMaps(np.asarray(course.whole.x, np.float32), (first, second), passes)
