"""Which bandwidth each Fourier band and place of a kernel regression is best taken from.

With `V_h^A`, `V_h^B` the two half-sets' maps at bandwidth `h`, and `V_0` maps at a small one, which
is nearly without bias, the squared error of the mean of the halves is, in a band and a window about
a place,

    E_h = ⟨|½ (V_h^A + V_h^B)|² - ⟨V_0^A V_h^B + V_0^B V_h^A⟩⟩ + ⟨|V|²⟩

up to the bias of `V_0`: noise of one half is not in the other. The least is chosen, place by place:
rigid parts take all images, parts that move those of similar latents only. Where nothing is known
`E_h` is the noise, and all images are taken.

The squared error `|V_0^A - V_h^B|²` that RECOVAR minimises, in windows too (Gilles & Singer 2025,
PNAS 122), counts the noise of one half, which the mean of both and its filter do not have, and so
asks for larger bandwidths (measured: experiments/regression).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Int

from .bands import band, centres, running_mean, voxels, widths

_EDGE = 0.5  # of a band's window: the blur of the borders between bandwidths


def best_bandwidths(
    reference: Complex[Array, "2 n n k"], maps: Complex[Array, "h 2 n n k"]
) -> Int[Array, "b n n n"]:
    """Of each band and place, the number of the bandwidth of the least `E_h`; of equal ones, of the
    largest.

    - `reference`: transforms (`rfftn`) of `V_0` of either half; `maps`: of `V_h`, `h` increasing.
    """
    size, count = maps.shape[2], maps.shape[0]
    width = jnp.asarray(widths(size), reference.real.dtype)

    def of_band(index):
        known = _in_band(reference, index)

        def better(best, candidate):
            number, pair = candidate
            found = running_mean(_error(known, _in_band(pair, index)), width[index])
            ahead = found < best[0]
            return (jnp.where(ahead, found, best[0]), jnp.where(ahead, number, best[1])), None

        start = jnp.full((size,) * 3, jnp.inf, known.dtype), jnp.zeros((size,) * 3, jnp.int32)
        numbers = jnp.arange(count, dtype=jnp.int32)
        return jax.lax.scan(better, start, (numbers, maps), reverse=True)[0][1]

    return jax.lax.map(of_band, jnp.arange(len(centres(size))))


def share(
    transform: Complex[Array, "n n k"], pick: Int[Array, "b n n n"], number: Int[Array, ""]
) -> Float[Array, "n n n"]:
    """What the map of bandwidth `number` gives to the whole: each band of it where it was picked.

    The shares of all bandwidths sum to the map where these are all alike.
    """
    size = pick.shape[-1]
    width = jnp.asarray(_EDGE * widths(size), transform.real.dtype)

    def of_band(total, index):
        here = running_mean((pick[index] == number).astype(total.dtype), width[index])
        return total + here * _in_band(transform, index), None

    empty = jnp.zeros((size,) * 3, transform.real.dtype)
    return jax.lax.scan(of_band, empty, jnp.arange(len(pick)))[0]


def _in_band(transform: Complex[Array, "*m n n k"], index) -> Float[Array, "*m n n n"]:
    kept = band(transform.shape[-2], index)
    return voxels(transform * kept.astype(transform.real.dtype))


def _error(known: Float[Array, "2 n n n"], found: Float[Array, "2 n n n"]) -> Float[Array, "n n n"]:
    mean = 0.5 * (found[0] + found[1])
    return mean**2 - (known[0] * found[1] + known[1] * found[0])
