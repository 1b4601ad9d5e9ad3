"""Pose, shift and contrast of each image by damped Gauss-Newton from where they are."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging import rotation as so3
from ...imaging.image import Latents, render
from ..posterior import AbstractPosterior, Point
from ..requirements import gaussian_noise, local_prior


class LocalRefinement(AbstractPosterior[Point]):
    """Levenberg-Marquardt on `(ω, t, s)` with `R = exp([ω]×) R₀`, under a `LocalPrior`.

    Minimises `½|whitened residual|² - log prior`. A step that does not lower it is refused and the
    damping raised (×4), else lowered (×0.3). The unknowns are scaled by the prior's widths, so
    that one damping suits them all. Each image is on its own; gradients do not pass through.
    `TypeError` for another prior, or noise that is not Gaussian.
    """

    steps: int = eqx.field(static=True, default=6)

    def infer(self, key, volume, noise, prior, batch, grid):
        del key
        volume = volume.prepare(grid)
        noise = gaussian_noise(noise, "LocalRefinement")
        prior = local_prior(prior, "LocalRefinement")

        def one(image, start, optics):
            own = noise.of_group(optics.group)
            scale = _scales(prior)

            def residual(u):
                mean = render(volume, _moved(start, u * scale), optics, grid)
                return jnp.concatenate([own.whiten(image - mean, grid), u - _centre(prior, start)])

            u = _levenberg_marquardt(residual, jnp.zeros_like(scale), self.steps)
            return _moved(start, u * scale)

        latents = jax.vmap(one)(batch.images, batch.latents, batch.optics)
        return Point(jax.lax.stop_gradient(latents))


def _scales(prior) -> Float[Array, "6"]:
    return jnp.stack([prior.angle] * 3 + [prior.shift] * 2 + [prior.contrast_width])


def _centre(prior, start):
    """Where the prior wants the scaled unknowns: no turn, no move, contrast at its mean."""
    offset = (prior.contrast_mean - start.contrast) / prior.contrast_width
    return jnp.zeros(6, offset.dtype).at[5].set(offset)


def _moved(start: Latents, step: Float[Array, "6"]) -> Latents:
    return Latents(
        start.conformation,
        so3.exp(step[:3]) @ start.rotation,
        start.shift + step[3:5],
        start.contrast + step[5],
    )


def _levenberg_marquardt(residual, start, steps):
    """Minimises `½|residual(u)|²` by `steps` damped steps; returns the best `u`."""

    def body(_, state):
        u, r, cost, damping = state
        jacobian = jax.jacfwd(residual)(u)
        normal = jnp.matmul(jacobian.T, jacobian, precision="highest")
        gradient = jnp.matmul(jacobian.T, r, precision="highest")
        damped = normal + damping * jnp.diag(jnp.diagonal(normal))
        trial = u - jnp.linalg.solve(damped, gradient)
        r_trial = residual(trial)
        cost_trial = 0.5 * r_trial @ r_trial
        better = cost_trial < cost
        keep = lambda new, old: jnp.where(better, new, old)
        return (
            keep(trial, u),
            keep(r_trial, r),
            keep(cost_trial, cost),
            jnp.where(better, 0.3 * damping, 4 * damping),
        )

    r = residual(start)
    state = (start, r, 0.5 * r @ r, jnp.asarray(1e-2, r.dtype))
    return jax.lax.fori_loop(0, steps, body, state)[0]
