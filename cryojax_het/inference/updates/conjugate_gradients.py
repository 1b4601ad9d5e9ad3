"""Preconditioned conjugate gradients for a symmetric operator on one array."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Operator = Callable[[Float[Array, "..."]], Float[Array, "..."]]


@final
@dataclass(frozen=True)
class Stopping:
    """Stop when `sqrt(rᵀPr)` has fallen to `tolerance` of that of the right-hand side, or after
    `limit` iterations. In this norm the residual estimates the error weighted by the operator."""

    tolerance: float = 3e-4
    limit: int = 40


@final
class Solution(eqx.Module):
    """`x`; the number of iterations taken; `sqrt(rᵀPr)` over that of the right-hand side."""

    x: Float[Array, "..."]
    iterations: Int[Array, ""]
    residual: Float[Array, ""]


@final
class _Progress(eqx.Module):
    x: Float[Array, "..."]
    residual: Float[Array, "..."]
    direction: Float[Array, "..."]
    energy: Float[Array, ""]
    iterations: Int[Array, ""]


def conjugate_gradients(
    operator: Operator,
    right: Float[Array, "..."],
    precondition: Operator,
    start: Float[Array, "..."],
    stopping: Stopping,
) -> Solution:
    """Solves `operator(x) = right` from `start`.

    Where `precondition` is singular, `x - start` stays in its range: the constrained solution.
    Iterations also end where rounding has left no descent (Hestenes & Stiefel 1952).
    """
    scale = jnp.vdot(right, precondition(right))
    enough = stopping.tolerance**2 * scale

    def unfinished(at: _Progress):
        return (at.energy > enough) & (at.iterations < stopping.limit)

    def improved(at: _Progress):
        image = operator(at.direction)
        curvature = jnp.vdot(at.direction, image)
        descends = curvature > 0
        step = jnp.where(descends, at.energy / jnp.where(descends, curvature, 1), 0)
        residual = at.residual - step * image
        towards = precondition(residual)
        energy = jnp.vdot(residual, towards)
        direction = towards + energy / at.energy * at.direction
        # No descent left: an energy of zero ends the loop with what has been reached.
        x, left = at.x + step * at.direction, jnp.where(descends, energy, 0)
        return _Progress(x, residual, direction, left, at.iterations + 1)

    residual = right - operator(start)
    first = precondition(residual)
    begin = _Progress(start, residual, first, jnp.vdot(residual, first), jnp.asarray(0))
    end = jax.lax.while_loop(unfinished, improved, begin)
    final_energy = jnp.vdot(end.residual, precondition(end.residual))
    positive = jnp.where(scale > 0, scale, 1)
    return Solution(end.x, end.iterations, jnp.sqrt(jnp.maximum(final_energy, 0) / positive))
