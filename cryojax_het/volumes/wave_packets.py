"""Plane waves at equally spaced frequencies, `exp(2πi k u)` for `k = 0, 1, ...`, and damped ones,
`exp(-d k²) exp(2πi k u)`.

The transform of a Gaussian is a product of these over the axes. The compiler's sine and cosine are
scalar calls on a CPU, forty times slower than these polynomials, which fill vector registers.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Taylor series in t² of sin(πt)/t and cos(πt): below 1e-11 for |t| <= ½.
_SINE = [(-1) ** i * math.pi ** (2 * i + 1) / math.factorial(2 * i + 1) for i in range(8)]
_COSINE = [(-1) ** i * math.pi ** (2 * i) / math.factorial(2 * i) for i in range(9)]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def wave_packets(
    count: int, turns: Float[Array, " j"], decay: Float[Array, " j"]
) -> Float[Array, "w j"]:
    """Real parts, then imaginary parts, for `k` from 0 to `count - 1`: `[2 count, j]`.

    `turns` is `u` in whole turns per step of `k`, and `decay` is `d`.
    """
    k = _numbers(count, turns)
    envelope = jnp.exp(-decay * (k * k))
    return jnp.concatenate([envelope * part for part in _waves(k, turns)])


@wave_packets.defjvp
def _wave_packets_jvp(count, primals, tangents):
    packets = wave_packets(count, *primals)
    real, imag = packets[:count], packets[count:]
    k = _numbers(count, packets)
    turned, damped = 2 * np.pi * k * tangents[0], k * k * tangents[1]
    change = [-turned * imag - damped * real, turned * real - damped * imag]
    return packets, jnp.concatenate(change)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def plane_waves(count: int, turns: Float[Array, " j"]) -> Float[Array, "w j"]:
    """`wave_packets` without decay: real parts, then imaginary parts, `[2 count, j]`."""
    return jnp.concatenate(_waves(_numbers(count, turns), turns))


@plane_waves.defjvp
def _plane_waves_jvp(count, primals, tangents):
    waves = plane_waves(count, *primals)
    turned = 2 * np.pi * _numbers(count, waves) * tangents[0]
    return waves, jnp.concatenate([-turned * waves[count:], turned * waves[:count]])


@jax.custom_jvp
def waves(turns: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Cosine and sine of `turns`, whole turns."""
    return _waves(1, turns)


@waves.defjvp
def _waves_jvp(primals, tangents):
    cosine, sine = waves(*primals)
    turned = 2 * np.pi * tangents[0]
    return (cosine, sine), (-turned * sine, turned * cosine)


def _waves(k, turns):
    phase = k * turns
    phase = phase - jnp.floor(phase + 0.5)
    # Half angles: one series each on half a turn, then the double-angle formulas.
    square = phase * phase
    sine, cosine = phase * _polynomial(_SINE, square), _polynomial(_COSINE, square)
    return 1 - 2 * sine * sine, 2 * sine * cosine


def _numbers(count, like):
    return jnp.asarray(np.arange(count)[:, None], like.dtype)


def _polynomial(coefficients, x):
    return functools.reduce(lambda total, c: total * x + c, coefficients[-2::-1], coefficients[-1])
