"""A step down the evidence bound for each batch."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from ...imaging.grid import FourierGrid
from ...volumes.displaced import DisplacedMixture
from ..model import Model
from ..update import AbstractUpdate
from .balance import AbstractBalance, AsGivenBalance, norm
from .conformation_energy import AbstractConformationEnergy
from .objective import evidence_terms, expected_loss

_MEMORY = 0.98  # of running means, per batch
_EVERY = 4  # image whose conformation is restrained: those of a batch are much alike


class TrainingState(eqx.Module):
    """The optimiser's, and running means of the norms of the gradients of data and restraints."""

    optimiser: Any
    data: Float[Array, ""]
    restraints: Float[Array, ""]
    steps: Float[Array, ""]


class StochasticGradient(AbstractUpdate[TrainingState]):
    """One step of `optimiser` per batch down `-ELBO + τ λ E(z)`; nothing at a pass's end.

    - `trainable`: tree like the model, True for arrays that move; the rest is fixed;
    - `divergence_weight`: `β` of the divergence, for a slow start; `free`: nats per latent
      coordinate that cost nothing;
    - `restraint`: energy of a displaced mixture's conformation, `None` for none, and `balance`, its
      `λ`; the mean energy is estimated from every fourth image of a batch;
    - `restraint_weight`: `τ`, for restraints that come to their full strength late;
    - `units`: tree of factors of the optimiser's steps, like what trains; `None`: all 1.

    A batch whose gradient is not finite moves nothing, and is counted in the metrics. `TypeError`
    where there is a restraint and the volume is not a `DisplacedMixture`.
    """

    optimiser: optax.GradientTransformation = eqx.field(static=True)
    trainable: PyTree  # of Python's booleans, which `eqx.filter_jit` holds constant
    divergence_weight: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=1.0)
    free: float = eqx.field(static=True, default=0.0)
    restraint: AbstractConformationEnergy | None = None
    balance: AbstractBalance = AsGivenBalance()
    units: PyTree = None
    restraint_weight: Float[Array, ""] = eqx.field(converter=jnp.asarray, default=1.0)

    def init(self, model):
        moving = eqx.filter(model, self.trainable)
        zero = jnp.zeros(())
        return TrainingState(self.optimiser.init(moving), zero, zero, zero)

    def step(self, model, state, batch, grid, key):
        moving, fixed = eqx.partition(model, self.trainable)
        (loss, (terms, belief)), slope = self._data_gradient(moving, fixed, batch, grid, key)
        energy, pull = self._restraint_gradient(moving, fixed, terms.conformation, batch)
        state, factor = self._balanced(state, norm(slope), norm(pull))
        factor = factor * self.restraint_weight
        total = jax.tree.map(lambda a, b: a + factor.astype(a.dtype) * b, slope, pull)
        finite = jnp.isfinite(norm(total))
        changes, optimiser = self.optimiser.update(total, state.optimiser, moving)
        if self.units is not None:
            changes = jax.tree.map(lambda change, unit: unit * change, changes, self.units)
        moved = eqx.apply_updates(moving, changes)
        keep = lambda new, old: jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
        state = eqx.tree_at(lambda s: s.optimiser, state, keep(optimiser, state.optimiser))
        model = eqx.combine(keep(moved, moving), fixed)
        images = jnp.sum(batch.weight)
        metrics = {
            "images": images,
            "gain": batch.weight @ terms.gain,
            "divergence": batch.weight @ terms.divergence,
            "loss": images * loss,
            "energy": images * energy,
            "factor": images * factor,
            "not_finite": jnp.where(finite, 0.0, images),
        }
        return model, state, belief, metrics

    def sweep(self, model, state):
        return model, state

    def _data_gradient(self, moving, fixed, batch, grid: FourierGrid, key):
        def loss(moving):
            model = eqx.combine(moving, fixed)
            terms, belief = evidence_terms(model, batch, grid, key)
            value = expected_loss(terms, batch.weight, self.divergence_weight, self.free)
            return value, (terms, belief)

        return eqx.filter_value_and_grad(loss, has_aux=True)(moving)

    def _restraint_gradient(self, moving, fixed, conformations, batch):
        restraint = self.restraint
        if restraint is None:
            return jnp.zeros(()), jax.tree.map(jnp.zeros_like, moving)
        conformations, weight = conformations[::_EVERY], batch.weight[::_EVERY]
        share = weight / jnp.maximum(jnp.sum(weight), 1)

        def energy(moving):
            volume = _displaced(eqx.combine(moving, fixed))
            one = lambda z: restraint.energy(volume, z)
            return share @ jax.vmap(one)(conformations)

        return eqx.filter_value_and_grad(energy)(moving)

    def _balanced(self, state, data, restraints):
        """Running means with the new norms, as of a mean since the start, and the factor."""
        memory = jnp.minimum(_MEMORY, state.steps / (state.steps + 1))
        latest = lambda old, new: jnp.where(
            jnp.isfinite(new), memory * old + (1 - memory) * new, old
        )
        state = TrainingState(
            state.optimiser,
            latest(state.data, data),
            latest(state.restraints, restraints),
            state.steps + 1,
        )
        return state, self.balance.factor(state.data, state.restraints)


def _displaced(model: Model) -> DisplacedMixture:
    if not isinstance(model.volume, DisplacedMixture):
        kind = type(model.volume).__name__
        raise TypeError(f"Restraints need a `DisplacedMixture`. Got {kind}.")
    return model.volume
