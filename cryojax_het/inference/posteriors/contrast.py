"""The contrast of each image, its pose as given."""

import equinox as eqx
import jax

from ...imaging.image import render
from ...imaging.marginal import contrast_posterior
from ..posterior import AbstractPosterior, Point
from ..requirements import gaussian_noise, local_prior


class ContrastMean(AbstractPosterior[Point]):
    """Posterior mean of the contrast in closed form, under a `LocalPrior`.

    `TypeError` for another prior, or noise that is not Gaussian."""

    def infer(self, key, volume, noise, prior, batch, grid):
        del key
        volume = volume.prepare(grid)
        noise, prior = gaussian_noise(noise, "ContrastMean"), local_prior(prior, "ContrastMean")
        belief = (prior.contrast_mean, prior.contrast_width)

        def one(image, latents, optics):
            unit = eqx.tree_at(lambda t: t.contrast, latents, latents.contrast * 0 + 1)
            mean = render(volume, unit, optics, grid)
            own = noise.of_group(optics.group)
            contrast, _ = contrast_posterior(own, image, mean, belief, grid)
            return eqx.tree_at(lambda t: t.contrast, latents, contrast)

        return Point(jax.vmap(one)(batch.images, batch.latents, batch.optics))
