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
class Progress(eqx.Module):
    """Between two iterations: what they need of each other. `energy` is `rᵀPr`, and `scale` that
    of the right-hand side."""

    x: Float[Array, "..."]
    residual: Float[Array, "..."]
    direction: Float[Array, "..."]
    energy: Float[Array, ""]
    scale: Float[Array, ""]
    iterations: Int[Array, ""]

    def relative(self) -> Float[Array, ""]:
        """`sqrt(rᵀPr)` over that of the right-hand side."""
        positive = jnp.where(self.scale > 0, self.scale, 1)
        return jnp.sqrt(jnp.maximum(self.energy, 0) / positive)


def begin(
    right: Float[Array, "..."],
    precondition: Operator,
    start: Float[Array, "..."],
    image: Float[Array, "..."],
) -> Progress:
    """Before the first iteration, from `start` and what the operator makes of it, `image`."""
    residual = right - image
    first = precondition(residual)
    scale = jnp.vdot(right, precondition(right))
    return Progress(start, residual, first, jnp.vdot(residual, first), scale, jnp.asarray(0))


def advance(at: Progress, image: Float[Array, "..."], precondition: Operator) -> Progress:
    """One iteration, from what the operator makes of `at.direction`, `image`. For an operator that
    is a pass over data; `conjugate_gradients` is the loop of these."""
    curvature = jnp.vdot(at.direction, image)
    descends = curvature > 0
    step = jnp.where(descends, at.energy / jnp.where(descends, curvature, 1), 0)
    residual = at.residual - step * image
    towards = precondition(residual)
    energy = jnp.vdot(residual, towards)
    direction = towards + energy / at.energy * at.direction
    # No descent left: an energy of zero ends the loop with what has been reached.
    x, left = at.x + step * at.direction, jnp.where(descends, energy, 0)
    return Progress(x, residual, direction, left, at.scale, at.iterations + 1)


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
    first = begin(right, precondition, start, operator(start))
    enough = stopping.tolerance**2 * first.scale

    def unfinished(at: Progress):
        return (at.energy > enough) & (at.iterations < stopping.limit)

    def improved(at: Progress):
        return advance(at, operator(at.direction), precondition)

    end = jax.lax.while_loop(unfinished, improved, first)
    final_energy = jnp.vdot(end.residual, precondition(end.residual))
    positive = jnp.where(end.scale > 0, end.scale, 1)
    return Solution(end.x, end.iterations, jnp.sqrt(jnp.maximum(final_energy, 0) / positive))
