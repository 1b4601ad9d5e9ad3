"""Which of an image's latents are inferred, and how a vector of steps moves them."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging import rotation as so3
from ...imaging.image import Latents


class AbstractUnknowns(eqx.Module):
    """A chart of the latents about where they start: `u` `[p]`, conformation first, 0 the start."""

    @abc.abstractmethod
    def count(self, latent_size: int) -> int:
        """Length `p` of `u` for a conformation of `latent_size` coordinates."""

    @abc.abstractmethod
    def moved(self, start: Latents, step: Float[Array, " p"]) -> Latents:
        """The latents of one image after `step`, in the latents' own units."""

    @abc.abstractmethod
    def between(self, start: Latents, end: Latents) -> Float[Array, " p"]:
        """The `step` from `start` to `end`, turns by at most π; what is not inferred is ignored."""


class ConformationAlone(AbstractUnknowns):
    """`u = z - z₀`; pose and contrast as given."""

    def count(self, latent_size):
        return latent_size

    def moved(self, start, step):
        return eqx.tree_at(lambda t: t.conformation, start, start.conformation + step)

    def between(self, start, end):
        return end.conformation - start.conformation


class ConformationContrast(AbstractUnknowns):
    """`u = (z - z₀, s - s₀)`; the pose as given."""

    def count(self, latent_size):
        return latent_size + 1

    def moved(self, start, step):
        moved = ConformationAlone().moved(start, step[:-1])
        return eqx.tree_at(lambda t: t.contrast, moved, jnp.asarray(start.contrast + step[-1]))

    def between(self, start, end):
        moved = ConformationAlone().between(start, end)
        return jnp.append(moved, end.contrast - start.contrast)


class ConformationPose(AbstractUnknowns):
    """`u = (z - z₀, ω, t - t₀)`, `R = exp([ω]×) R₀`; the contrast as given."""

    def count(self, latent_size):
        return latent_size + 5

    def moved(self, start, step):
        d = len(start.conformation)
        return Latents(
            start.conformation + step[:d],
            so3.exp(step[d : d + 3]) @ start.rotation,
            start.shift + step[d + 3 : d + 5],
            start.contrast,
        )

    def between(self, start, end):
        turn = so3.log(end.rotation @ start.rotation.T)
        moved = ConformationAlone().between(start, end)
        return jnp.concatenate([moved, turn, end.shift - start.shift])


class ConformationPoseContrast(AbstractUnknowns):
    """`u = (z - z₀, ω, t - t₀, s - s₀)`: everything."""

    def count(self, latent_size):
        return latent_size + 6

    def moved(self, start, step):
        posed = ConformationPose().moved(start, step[:-1])
        return eqx.tree_at(lambda t: t.contrast, posed, jnp.asarray(start.contrast + step[-1]))

    def between(self, start, end):
        posed = ConformationPose().between(start, end)
        return jnp.append(posed, end.contrast - start.contrast)
