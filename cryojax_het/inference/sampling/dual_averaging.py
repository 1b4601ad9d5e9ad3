"""The step size at which trajectories are accepted as often as wanted."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_SHRINKAGE, _DELAY, _FORGETTING = 0.05, 10, 0.75  # γ, t₀ and κ of the paper


class StepSize(NamedTuple):
    """Nesterov's dual averaging of the logarithm of a step.

    `log ε_{t+1} = μ - (√t / γ) H̄_t` of `H̄` the mean shortfall of acceptance, and averages that
    weigh late steps by `t^(-κ)`. (Hoffman & Gelman 2014, J. Mach. Learn. Res. 15, § 3.2.)
    """

    log_step: Float[Array, ""]
    log_average: Float[Array, ""]
    shortfall: Float[Array, ""]
    count: Float[Array, ""]
    centre: Float[Array, ""]  # μ

    @classmethod
    def starting(cls, step: Float[Array, ""]) -> "StepSize":
        """Before any move, at `step`; larger ones are tried first."""
        zero = jnp.zeros_like(step)
        return cls(jnp.log(step), jnp.log(step), zero, zero, jnp.log(10 * step))

    def now(self, warming: Bool[Array, ""]) -> Float[Array, ""]:
        """The size of the next step: the latest while warming up, then the average."""
        return jnp.exp(jnp.where(warming, self.log_step, self.log_average))

    def learnt(
        self, acceptance: Float[Array, ""], wanted: float, warming: Bool[Array, ""]
    ) -> "StepSize":
        """`after` a move of the warm-up; itself later."""
        new = self.after(acceptance, wanted)
        return jax.tree.map(lambda new, old: jnp.where(warming, new, old), new, self)

    def after(self, acceptance: Float[Array, ""], wanted: float) -> "StepSize":
        """After a move that was accepted with probability `acceptance`."""
        count = self.count + 1
        share = 1 / (count + _DELAY)
        shortfall = (1 - share) * self.shortfall + share * (wanted - acceptance)
        log_step = self.centre - jnp.sqrt(count) / _SHRINKAGE * shortfall
        late = count**-_FORGETTING
        average = late * log_step + (1 - late) * self.log_average
        return StepSize(log_step, average, shortfall, count, self.centre)
