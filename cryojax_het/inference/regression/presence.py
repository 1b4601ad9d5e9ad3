"""Where a map holds more than noise, by its half-sets: a soft mask.

    r(x) = ⟨V^A V^B⟩ / ⟨|½ (V^A + V^B)|²⟩

in a window about `x` is the share of the local power that is no noise, `2F/(1 + F)` for the local
correlation `F` of the halves. The mask rises from 0 at `r` = 0.7 to 1 at 0.9: the window spreads
the power of a molecule beyond its surface. Faint density that both halves show is kept; density
below the noise is not (what other widths and thresholds cost: experiments/regression).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..updates.wiener import shells_inside
from .bands import running_mean, voxels
from .shells import transforms

_NONE, _FULL = 0.7, 0.9
_WIDTH = 1.25  # voxels where all shells hold signal: the window's standard deviation
_LEAST = 1e-6  # of the largest local power: empty places must not divide by zero


def presence(halves: Float[Array, "2 n n n"], fsc: Float[Array, " s"]) -> Float[Array, "n n n"]:
    """The mask, from 0 to 1.

    - `fsc`: of the halves, shell by shell; shells count by `2F/(1 + F)`, and the fewer of them hold
      signal, the larger the window, so that it has as many independent values.
    """
    size = halves.shape[-1]
    known = 2 * jnp.clip(fsc, 0, 1) / (1 + jnp.clip(fsc, 0, 1))
    width = jnp.minimum(_WIDTH * (size / 2) / jnp.maximum(known[1:].sum(), 1), size / 8)
    kept = voxels(transforms(halves) * known[shells_inside(size, size)[0]])
    power = running_mean((0.5 * (kept[0] + kept[1])) ** 2, width)
    least = jnp.maximum(_LEAST * power.max(), jnp.finfo(power.dtype).tiny)
    ratio = running_mean(kept[0] * kept[1], width) / jnp.maximum(power, least)
    return jnp.clip((ratio - _NONE) / (_FULL - _NONE), 0, 1)
