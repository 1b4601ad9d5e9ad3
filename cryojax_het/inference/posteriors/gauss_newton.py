"""Conformation, pose and contrast of each image by damped Gauss-Newton from several starts.

The posterior of a moving molecule has several modes: a motion along the beam is seen only by its
square, so that `z` and `-z` explain an image alike. Each mode found is a normal belief (see
`laplace_modes.py`).
"""

import equinox as eqx
import jax

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ...imaging.noise import AbstractNoise
from ...volumes.base import AbstractVolume
from ..posterior import AbstractPosterior, Hypotheses
from ..prior import AbstractPrior
from ..requirements import gaussian_noise
from .laplace_modes import Modes, descended, ranked, spread
from .scaled_objective import ScaledObjective
from .unknowns import AbstractUnknowns, ConformationPoseContrast


class GaussNewton(AbstractPosterior[Hypotheses]):
    """Levenberg-Marquardt on `½|whitened residual|² - log prior` from `starts` conformations.

    The first start is what the batch says; the others are spread like the prior, at the pose
    given. All are followed for `steps` steps, each in units of the prior's widths there; starts
    that end in one mode count once. Gradients do not pass through. `TypeError` for noise that is
    not Gaussian.

    - `unknowns`: what is inferred; the rest is as given.
    """

    unknowns: AbstractUnknowns = ConformationPoseContrast()
    starts: int = eqx.field(static=True, default=8)
    steps: int = eqx.field(static=True, default=20)

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
        """The modes of each image with all that is known of them."""
        known = gaussian_noise(noise, "GaussNewton"), prior, volume.prepare(grid)

        def one(image, start, optics):
            problem = ScaledObjective.of(self.unknowns, known, (image, start, optics), grid)
            first = spread(self.starts, len(start.conformation)).astype(image.real.dtype)
            rests = jax.vmap(lambda q: descended(problem, q, self.steps))(first)
            return ranked(problem, rests)

        found = jax.vmap(one)(batch.images, batch.latents, batch.optics)
        return jax.lax.stop_gradient(Modes(*found))
