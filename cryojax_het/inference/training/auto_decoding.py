"""A step down the negative joint density of a model and its images' latents, for each batch."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch
from ..model import Model
from ..posterior import Point
from ..posteriors.latent_table import LatentTable
from ..requirements import gaussian_noise, local_prior
from ..update import AbstractUpdate
from .balance import norm
from .objective import gain
from .row_adam import RowAdam, RowMoments


class DecodingState(eqx.Module):
    """The optimiser's, of what images share, and the moments of their rows."""

    optimiser: Any
    rows: RowMoments


class AutoDecoding(AbstractUpdate[DecodingState]):
    """One step per batch down `Σ_i -log p(y_i | z_i) + β ½|z_i|²`, the contrast integrated over.

    - `optimiser`: of what is shared, on the mean over the batch; `trainable`: tree like the model,
      True for its arrays that move, the table's not among them;
    - `rows`: of the latents, on each image's own terms; `divergence_weight`: `β`.

    A batch whose gradient is not finite moves nothing, and is counted in the metrics. `TypeError`
    where the posterior is not a `LatentTable`. (Levy et al. 2025, Nat. Methods 22: DRGN-AI.)
    """

    optimiser: optax.GradientTransformation = eqx.field(static=True)
    trainable: PyTree  # of Python's booleans, which `eqx.filter_jit` holds constant
    rows: RowAdam
    divergence_weight: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=1.0)

    def init(self, model):
        moving = eqx.filter(model, self.trainable)
        return DecodingState(self.optimiser.init(moving), self.rows.init(_table(model)))

    def step(self, model, state, batch, grid, key):
        del key
        table = _table(model)
        moving, fixed = eqx.partition(model, self.trainable)
        found, slopes = self._slopes(moving, fixed, table[batch.index], batch, grid)
        (loss, (gains, penalty)), (shared, own) = found, slopes
        finite = jnp.isfinite(norm((shared, own)))
        changes, optimiser = self.optimiser.update(shared, state.optimiser, moving)
        moved = eqx.apply_updates(moving, changes)
        images = jnp.sum(batch.weight)
        # The mean's slope is each image's own over their number.
        rows = self.rows.step(table, state.rows, own * images, batch.index, batch.weight)
        keep = lambda new, old: jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
        moved, optimiser = keep((moved, optimiser), (moving, state.optimiser))
        table, moments = keep(rows, (table, state.rows))
        model = eqx.tree_at(_table, eqx.combine(moved, fixed), table)
        latents = eqx.tree_at(lambda t: t.conformation, batch.latents, table[batch.index])
        metrics = {
            "images": images,
            "gain": batch.weight @ gains,
            "divergence": batch.weight @ penalty,
            "loss": images * loss,
            "not_finite": jnp.where(finite, 0.0, images),
        }
        return model, DecodingState(optimiser, moments), Point(latents), metrics

    def sweep(self, model, state):
        return model, state

    def _slopes(self, moving, fixed, rows, batch: Batch, grid: FourierGrid):
        share = batch.weight / jnp.maximum(jnp.sum(batch.weight), 1)

        def loss(moving, rows):
            gains = gains_at(eqx.combine(moving, fixed), rows, batch, grid)
            penalty = 0.5 * rows**2
            total = self.divergence_weight * jnp.sum(penalty, axis=1) - gains
            return share @ total, (gains, penalty)

        def of_both(both):
            return loss(*both)

        return eqx.filter_value_and_grad(of_both, has_aux=True)((moving, rows))


def gains_at(
    model: Model, conformations: Float[Array, "b d"], batch: Batch, grid: FourierGrid
) -> Float[Array, " b"]:
    """`log p(y | z) - log p(y | no particle)` of each image at these conformations, nats.

    `TypeError` unless noise is Gaussian and the prior local.
    """
    noise = gaussian_noise(model.noise, "gains_at")
    prior = local_prior(model.prior, "gains_at")
    volume: Any = model.volume.prepare(grid)

    def one(image, latents, optics, conformation):
        there = eqx.tree_at(lambda t: t.conformation, latents, conformation)
        return gain(volume, (noise, prior), (image, there, optics), grid)

    return jax.vmap(one)(batch.images, batch.latents, batch.optics, conformations)


def _table(model: Model) -> Any:
    if not isinstance(model.posterior, LatentTable):
        kind = type(model.posterior).__name__
        raise TypeError(f"`AutoDecoding` needs a `LatentTable` for posterior. Got {kind}.")
    return model.posterior.conformation
