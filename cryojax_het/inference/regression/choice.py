"""Which bandwidth each Fourier shell of a kernel regression is best taken from.

With `V_h^A`, `V_h^B` the two half-sets' maps at bandwidth `h`, and `V_0` unregularised maps at the
smallest, which is nearly without bias, the share of the truth that the mean of the halves holds is

    ρ_h² ∝ X_h² / P_h,   X_h = ½ Re(⟨V_0^A, V_h^B⟩ + ⟨V_0^B, V_h^A⟩),   P_h = |½ (V_h^A + V_h^B)|²

up to a factor that all bandwidths share: noise of one half is not in the other, so that `X_h` is an
unbiased product with the truth. The largest is chosen, shell by shell. The squared error
`|V_0^A - V_h^B|²` that RECOVAR minimises (Gilles & Singer 2025, PNAS 122) counts the noise of one
half, which the mean of both and its filter do not have, and so asks for too large bandwidths
(measured: experiments/regression).

Both sums are taken where the molecule moves: what is rigid is best averaged over all images, and
would outvote a small part that is not.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .shells import cross, transforms

SMOOTHING = 1.5  # voxels: of the map of what moves


def moving_weight(
    sharp: Float[Array, "2 n n n"], blurred: Float[Array, "2 n n n"], mask: Float[Array, "n n n"]
) -> Float[Array, "n n n"]:
    """Where both half-sets agree that a map at a small bandwidth differs from the consensus:
    `(smooth(Δ^A Δ^B)₊)^½` under the mask, of maximum 1; the mask itself where nothing does."""
    apart = sharp - blurred
    size = mask.shape[0]
    squared = sum(x**2 for x in jnp.meshgrid(*_frequencies(size), indexing="ij"))
    window = jnp.exp(-2 * (jnp.pi * SMOOTHING) ** 2 * squared)
    smooth = jnp.fft.irfftn(jnp.fft.rfftn(apart[0] * apart[1]) * window, s=(size,) * 3)
    both = jnp.maximum(smooth, 0) * mask
    top = both.max()
    return jnp.where(top > 0, jnp.sqrt(both / jnp.where(top > 0, top, 1)), mask)


def best_bandwidths(
    reference: Float[Array, "2 n n n"],
    maps: Float[Array, "2 h n n n"],
    weight: Float[Array, "n n n"],
) -> Int[Array, " s"]:
    """Of each shell 0 to n//2, the bandwidth of the largest `X_h₊ / P_h^½` under `weight`.

    - `reference`: `V_0` of either half; `maps`: `V_h` of either. The largest bandwidth where no
      product is positive.
    """
    known = transforms(reference * weight)

    def score(pair):
        found = transforms(pair * weight)
        product = 0.5 * (cross(known[0], found[1]) + cross(known[1], found[0]))
        mean = 0.5 * (found[0] + found[1])
        power = cross(mean, mean)
        return jnp.where(power > 0, jnp.maximum(product, 0) / jnp.sqrt(power + (power <= 0)), 0)

    scores = jax.lax.map(score, jnp.moveaxis(maps, 1, 0))
    last = len(scores) - 1
    return jnp.where(scores.max(axis=0) > 0, jnp.argmax(scores, axis=0), last).astype(jnp.int32)


def _frequencies(size):
    full, half = jnp.fft.fftfreq(size), jnp.fft.rfftfreq(size)
    return full, full, half
