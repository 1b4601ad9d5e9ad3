"""Any part of an image's latents as its unknowns, chosen by one boolean each."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ...imaging import rotation as so3
from ...imaging.image import Latents
from .unknowns import AbstractUnknowns


class ChosenUnknowns(AbstractUnknowns):
    """`u` of the chosen of `(z - z₀, ω, t - t₀, s - s₀)`, `R = exp([ω]×) R₀`; the rest as given.

    The fields are those of `Latents`: a tree of booleans of its structure.
    """

    conformation: bool = eqx.field(static=True, default=True)
    rotation: bool = eqx.field(static=True, default=False)
    shift: bool = eqx.field(static=True, default=False)
    contrast: bool = eqx.field(static=True, default=False)

    def sizes(self, latent_size: int) -> tuple[int, int, int, int]:
        """Coordinates of conformation, rotation, shift and contrast among the unknowns."""
        chosen = (self.conformation, self.rotation, self.shift, self.contrast)
        full = (latent_size, 3, 2, 1)
        return tuple(n if c else 0 for n, c in zip(full, chosen, strict=True))  # pyright: ignore

    def names(self, latent_size: int) -> list[str]:
        """Of each coordinate, in order."""
        parts = self.sizes(latent_size)
        full = [f"conformation {i + 1}" for i in range(parts[0])]
        full += [f"turn {axis}" for axis in "xyz"[: parts[1]]]
        full += [f"shift {axis}" for axis in "xy"[: parts[2]]]
        return full + ["contrast"][: parts[3]]

    def count(self, latent_size):
        return sum(self.sizes(latent_size))

    def moved(self, start, step):
        z, turn, shift, contrast = self._parts(start, step)
        return Latents(
            start.conformation + z if self.conformation else start.conformation,
            so3.exp(turn) @ start.rotation if self.rotation else start.rotation,
            start.shift + shift if self.shift else start.shift,
            jnp.asarray(start.contrast + contrast[0]) if self.contrast else start.contrast,
        )

    def between(self, start, end):
        parts = []
        if self.conformation:
            parts.append(end.conformation - start.conformation)
        if self.rotation:
            parts.append(so3.log(end.rotation @ start.rotation.T))
        if self.shift:
            parts.append(end.shift - start.shift)
        if self.contrast:
            parts.append((end.contrast - start.contrast)[None])
        return jnp.concatenate([*parts, jnp.zeros(0, start.contrast.dtype)])

    def inside(self, start: Latents, step: Float[Array, " p"]) -> Bool[Array, ""]:
        """Whether the turn is less than half of one: beyond, a rotation would have two vectors."""
        turn = self._parts(start, step)[1]
        return jnp.sum(turn**2) < jnp.pi**2

    def _parts(self, start, step):
        sizes = self.sizes(len(start.conformation))
        ends = [sum(sizes[: i + 1]) for i in range(3)]
        return jnp.split(step, ends)
