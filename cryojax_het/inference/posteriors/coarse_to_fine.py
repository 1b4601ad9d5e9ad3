"""Modes searched for at low frequencies, where there are few, and followed to all frequencies."""

import equinox as eqx
import jax

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ...imaging.noise import AbstractNoise
from ...volumes.base import AbstractVolume
from ..posterior import AbstractPosterior, Hypotheses
from ..prior import AbstractPrior
from ..requirements import gaussian_noise
from .gauss_newton import GaussNewton
from .laplace_modes import Modes, best_ends, descended, ranked, spread
from .levenberg_marquardt import minimise
from .scaled_objective import ScaledObjective


class CoarseToFine(AbstractPosterior[Hypotheses]):
    """As `GaussNewton`, whose descents see the images cropped to `size` pixels; the `kept` most
    likely distinct ends then descend again, for `steps`, seeing all of the images.

    Detail adds wrong minima, each about as wide as it is fine; a search that begins without it
    misses them, and its steps cost a fraction.
    """

    search: GaussNewton = GaussNewton()
    size: int = eqx.field(static=True, default=16)
    kept: int = eqx.field(static=True, default=4)
    steps: int = eqx.field(static=True, default=8)

    def infer(self, key, volume, noise, prior, batch, grid):
        del key
        return self.modes(volume, noise, prior, batch, grid).hypotheses()

    def modes(
        self,
        volume: AbstractVolume,
        noise: AbstractNoise,
        prior: AbstractPrior,
        batch: Batch,
        grid: FourierGrid,
    ) -> Modes:
        """The modes of each image with all that is known of them, at most `kept`."""
        own = gaussian_noise(noise, "CoarseToFine")
        small = grid.crop(min(self.size, grid.size))
        blurred, sharp = ((own, prior, volume.prepare(g)) for g in (small, grid))
        unknowns = self.search.unknowns

        def one(image, start, optics):
            low = grid.crop_transform(image, small.size)
            coarse = ScaledObjective.of(unknowns, blurred, (low, start, optics), small)
            first = spread(self.search.starts, len(start.conformation)).astype(image.real.dtype)
            rests = jax.vmap(lambda q: descended(coarse, q, self.search.steps))(first)
            points = best_ends(rests, min(self.kept, len(first)))
            fine = ScaledObjective.of(unknowns, sharp, (image, start, optics), grid)
            finer = lambda v: minimise(fine.residual, fine.penalty, v, self.steps)
            return ranked(fine, jax.vmap(finer)(points))

        found = jax.vmap(one)(batch.images, batch.latents, batch.optics)
        return jax.lax.stop_gradient(Modes(*found))
