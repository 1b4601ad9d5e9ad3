"""The diagonal solution where the power of the signal is known, rather than its ratio to the noise.

V̂(ξ) = B(ξ) / (L(ξ) + 1/τ²(|ξ|))
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .updates import wiener
from .updates.normal_equations import NormalEquations

LEAST = 1e-9  # of the strongest shell: a signal of no power would be an infinite prior


def finer(equations: NormalEquations) -> float:
    """Cells of the table per independent frequency of the box."""
    return (equations.kernel.padded_size(equations.size) / equations.size) ** 3


def solve_for_signal(
    equations: NormalEquations, signal: Float[Array, " s"]
) -> Float[Array, "n n n"]:
    """The volume, for `τ²` per shell 0 to n//2, mean of `|V(k)|²` in (density·Å³)²."""
    mean = wiener.shell_weights(equations)
    power = finer(equations) * jnp.maximum(signal, LEAST * signal.max())
    return wiener.solve(equations, jnp.where(mean > 0, 1 / (power * mean), 0))


def signal_from_fsc(equations: NormalEquations, fsc: Float[Array, " s"]) -> Float[Array, " s"]:
    """`τ²` per shell, from the equations of all images and the FSC of two half-maps:
    `F/(1 - F)` is `τ²⟨L⟩` of a half. 0 where no image has a weight."""
    mean = wiener.shell_weights(equations)
    scale = wiener.noise_to_signal(fsc) * mean * finer(equations)
    return jnp.where(mean > 0, 1 / jnp.where(mean > 0, scale, 1), 0)
