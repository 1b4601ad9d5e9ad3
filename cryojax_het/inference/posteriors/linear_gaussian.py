"""Latents of a linear volume: normal in closed form, the contrast integrated over.

    y = c A (μ + W z) + ε,   z ~ N(0, I),   c ~ N(c̄, ρ²)

Given the contrast, with `G = <AW, AW>`, `b = <AW, y>`, `g = <AW, Aμ>`, `m = <Aμ, Aμ>`,
`s = <Aμ, y>`, the latent is normal of covariance `M⁻¹ = (I + c²G)⁻¹` and mean `M⁻¹ a`,
`a = c (b - c g)`, and

    log p(y | c) = c s - ½ c² m + ½ aᵀ M⁻¹ a - ½ log det M + log p(y | 0)

One eigen-decomposition of `G` serves every contrast. (Tagare et al. 2015, J. Struct. Biol. 191.)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ...volumes.linear import FourierLinear
from ..linear_statistics import LinearStatistics, linear_statistics
from ..posterior import AbstractPosterior, LinearGaussian
from ..requirements import gaussian_noise, linear_volume, local_prior
from ..symmetric_eigen import symmetric_eigen

_COARSE, _FINE = 33, 17  # contrasts tried over the prior, then about the posterior
_REACH = 3.5  # standard deviations


class LinearGaussianPosterior(AbstractPosterior[LinearGaussian]):
    """Exact posterior of conformation and contrast at the poses given, under a `LocalPrior`.

    The contrast is integrated on a grid: over the prior first, then about where the posterior
    lies. A prior of width 0 fixes it. `TypeError` for a volume that is not linear in its latent,
    another prior, or noise that is not Gaussian.
    """

    def infer(self, key, volume, noise, prior, batch, grid):
        del key
        noise = gaussian_noise(noise, "LinearGaussianPosterior")
        prior = local_prior(prior, "LinearGaussianPosterior")
        prepared = linear_volume(volume, "LinearGaussianPosterior").prepare(grid)
        assert isinstance(prepared, FourierLinear)
        found = linear_statistics(prepared, noise, batch, grid)
        return of_statistics(found, (prior.contrast_mean, prior.contrast_width), batch.latents)


def of_statistics(statistics: LinearStatistics, contrast, latents) -> LinearGaussian:
    """The posterior of each image from its numbers alone.

    - `contrast`: mean and width of the contrast's normal prior; `latents`: what else the belief
      shall say, poses above all.
    """
    centre, width = contrast
    one = jax.vmap(lambda s: _infer(s, centre, width))
    mean, covariance, amplitude, first, second, log_likelihood = one(statistics)
    latents = eqx.tree_at(lambda t: (t.conformation, t.contrast), latents, (mean, amplitude))
    return LinearGaussian(latents, covariance, first, second, log_likelihood)


def _infer(statistics, centre, width):
    """Of one image: moments of the latent and the contrast, and `log p(y) - log p(y | 0)`."""
    gram, cross = statistics.gram, statistics.cross
    values, basis = symmetric_eigen(gram[1:, 1:])
    values = jnp.maximum(values, 0)
    turned = (basis.T @ cross[1:], basis.T @ gram[1:, 0], values, gram[0, 0], cross[0])
    density = lambda c: _log_density(c, turned) - 0.5 * ((c - centre) / _positive(width)) ** 2
    coarse = centre + width * jnp.linspace(-_REACH, _REACH, _COARSE)
    weight = jax.nn.softmax(density(coarse))
    about = jnp.sum(weight * coarse)
    spread = jnp.sqrt(jnp.sum(weight * (coarse - about) ** 2))
    reach = _REACH * jnp.maximum(spread, width * _REACH / _COARSE)
    fine = about + reach * jnp.linspace(-1, 1, _FINE)
    log_weight = density(fine)
    step = 2 * reach / (_FINE - 1) / (_positive(width) * np.sqrt(2 * np.pi))
    evidence = jax.nn.logsumexp(log_weight) + jnp.log(step)
    fixed = width <= 0
    evidence = jnp.where(fixed, _log_density(centre[None], turned)[0], evidence)
    weight = jax.nn.softmax(jnp.where(fixed, 0.0, log_weight))
    return (*_moments(fine, weight, turned, basis), evidence)


def _positive(width):
    return jnp.where(width > 0, width, 1)


def _log_density(c, turned):
    """`log p(y | c) - log p(y | 0)` at each contrast of `c` `[j]`."""
    b, g, values, m, s = turned
    a = c[:, None] * (b - c[:, None] * g)
    p = 1 + c[:, None] ** 2 * values
    gain = 0.5 * jnp.sum(a**2 / p - jnp.log(p), axis=1)
    return c * s - 0.5 * c**2 * m + gain


def _moments(c, weight, turned, basis):
    """Mean and covariance of z, mean of c, `E[c h]` and `E[c² h hᵀ]` with `h = (1, z)`."""
    b, g, values, _, _ = turned
    p = 1 + c[:, None] ** 2 * values
    z = c[:, None] * (b - c[:, None] * g) / p
    second = lambda w: jnp.einsum("j,ja,jb->ab", w, z, z) + jnp.diag(jnp.sum(w[:, None] / p, 0))
    mean, amplitude, square = weight @ z, weight @ c, weight @ c**2
    covariance = basis @ (second(weight) - jnp.outer(mean, mean)) @ basis.T
    mixed = basis @ ((weight * c**2) @ z)
    first = jnp.append(amplitude, basis @ ((weight * c) @ z))
    block = basis @ second(weight * c**2) @ basis.T
    upper = jnp.append(square, mixed)[None]
    lower = jnp.concatenate([mixed[:, None], block], axis=1)
    return basis @ mean, covariance, amplitude, first, jnp.concatenate([upper, lower])
