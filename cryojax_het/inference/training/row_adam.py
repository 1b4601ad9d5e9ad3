"""Adam on the rows of a table that a batch has, and on no others."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class RowMoments(eqx.Module):
    """Running means of each row's slopes and of their squares, and how often it was visited."""

    first: Float[Array, "n d"]
    second: Float[Array, "n d"]
    visits: Int[Array, " n"]


class RowAdam(eqx.Module):
    """Each row as if it had an optimiser of its own, whose clock runs when it is visited: a dense
    Adam would go on moving rows that no image of the batch has, by what it remembers.

    - `rate`: length of a step; an array, so that a schedule does not compile again;
    - `decay`: of the two running means, a visit. (Kingma & Ba 2015, ICLR.)
    """

    rate: Float[Array, ""] = eqx.field(converter=jnp.asarray)
    decay: tuple[float, float] = eqx.field(static=True, default=(0.9, 0.999))
    epsilon: float = eqx.field(static=True, default=1e-8)

    def init(self, table: Float[Array, "n d"]) -> RowMoments:
        """No row visited."""
        return RowMoments(
            jnp.zeros_like(table), jnp.zeros_like(table), jnp.zeros(len(table), jnp.int32)
        )

    def step(
        self,
        table: Float[Array, "n d"],
        moments: RowMoments,
        slopes: Float[Array, "b d"],
        index: Int[Array, " b"],
        weight: Float[Array, " b"],
    ) -> tuple[Float[Array, "n d"], RowMoments]:
        """The table and the moments with the rows `index` moved down `slopes`.

        Rows of weight 0 are padding, which names a row of the batch again: nothing is written for
        them. Others occur once.
        """
        visits = moments.visits[index] + 1
        first, second = (
            decay * old[index] + (1 - decay) * new
            for decay, old, new in zip(
                self.decay, (moments.first, moments.second), (slopes, slopes**2), strict=True
            )
        )
        # As of a mean since the first visit, not since a start at zero.
        right, wide = (1 - jnp.power(decay, visits)[:, None] for decay in self.decay)
        change = self.rate * (first / right) / (jnp.sqrt(second / wide) + self.epsilon)
        target = jnp.where(weight > 0, index, len(table))
        write = lambda old, new: old.at[target].set(new.astype(old.dtype), mode="drop")
        moved = write(table, table[index] - change)
        return moved, RowMoments(
            write(moments.first, first),
            write(moments.second, second),
            write(moments.visits, visits),
        )
