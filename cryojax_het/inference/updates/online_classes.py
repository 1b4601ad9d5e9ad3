"""Stochastic EM for classes: sums averaged over the past, with weights that fade.

    S_t = (1 - γ_t) S_(t-1) + γ_t ⟨sums per image of mini-batch t⟩,   γ_t = (t + 1)^-0.6

Volumes and populations are solved from `S_t` after each mini-batch. The first one (t = 0) is taken
whole. Cappé & Moulines 2009, J. R. Statist. Soc. B 71:593.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..model import Model
from .class_equations import ClassSignal
from .classes import AbstractClassUpdate, ClassSums, example_model

FADING = 0.6  # between ½, noisy and fast, and 1, which forgets the start too slowly


class OnlineState(eqx.Module):
    """`sums`: of this mini-batch; `average`: of all so far, per image; both `[device, ...]`.

    - `number`: of mini-batches done; `signal`: the priors of the volumes.
    """

    sums: ClassSums
    average: ClassSums
    number: Float[Array, ""]
    signal: ClassSignal


class OnlineClasses(AbstractClassUpdate[OnlineState]):
    """Stochastic EM: a pass is one mini-batch, of one batch or several."""

    def init(self, model: Model) -> OnlineState:
        """No mini-batch yet, and no prior."""
        number = jnp.zeros((), self.spacing.dtype)
        return OnlineState(self.empty(model), self.empty(model), number, self.no_prior(model))

    def closed(self, state):
        images = state.sums.members.sum()
        step = (state.number + 1) ** -FADING
        step = jnp.where(images > 0, step, 0)  # nothing seen, nothing learnt
        new = step / jnp.maximum(images, 1)
        blend = lambda old, sums: (1 - step) * old + new * sums
        average = jax.tree.map(blend, state.average, state.sums)
        return OnlineState(state.sums, average, state.number + 1, state.signal)

    def total(self, state):
        return jax.tree.map(lambda x: x.sum(axis=0), state.average)

    def opened(self, state, signal):
        cleared = jax.tree.map(jnp.zeros_like, state.sums)
        return OnlineState(cleared, state.average, state.number, signal)


def example(voxels, noise, prior, mesh) -> tuple[OnlineClasses, Model]:
    """For the laws of updates."""
    mask = jnp.ones_like(voxels.voxels)
    update = OnlineClasses(voxels.spacing, mask, len(mask), mesh)
    return update, example_model(voxels, noise, prior)
