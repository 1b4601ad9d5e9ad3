"""Damped Gauss-Newton for a sum of squares and a smooth penalty, a fixed number of steps."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_DAMPING = 1e-2
_LOWERED, _RAISED = 0.3, 4.0
_AT_REST = 100  # rounding errors of one nat: what one more whole step promises


class Rest(NamedTuple):
    """Where a descent ended.

    - `value`: of the objective, nats; `curvature`: `JᵀJ` and the penalty's second derivatives.
    - `promise`: by how much a whole Newton step would still lower it, to second order.
    """

    point: Float[Array, " p"]
    value: Float[Array, ""]
    gradient: Float[Array, " p"]
    curvature: Float[Array, "p p"]
    promise: Float[Array, ""]


class _State(NamedTuple):
    rest: Rest
    damping: Float[Array, ""]
    done: Bool[Array, ""]


def minimise(
    residual: Callable[[Float[Array, " p"]], Float[Array, " m"]],
    penalty: Callable[[Float[Array, " p"]], Float[Array, ""]],
    start: Float[Array, " p"],
    steps: int,
) -> Rest:
    """Minimises `½|r(u)|² + φ(u)`, of unknowns `u` in units in which `φ''` is about 1.

    `(JᵀJ + φ'' + μ D) δ = -(Jᵀr + φ')`, `D` the diagonal, at least 1. A step that does not lower
    the objective is refused and `μ` raised, else it is lowered. Once a whole step promises less
    than rounding can show, the point stays; every `vmap`ped problem takes all steps. (Marquardt
    1963, J. Soc. Indust. Appl. Math. 11.)
    """
    rest_at = _AT_REST * jnp.finfo(start.dtype).eps

    def step(_, state: _State):
        rest, damping, done = state
        diagonal = jnp.maximum(jnp.diagonal(rest.curvature), 1)
        damped = rest.curvature + damping * jnp.diag(diagonal)
        trial = _expansion(residual, penalty, rest.point - jnp.linalg.solve(damped, rest.gradient))
        better = trial.value < rest.value  # false for NaN too
        taken = better & ~done
        kept = jax.tree.map(lambda new, old: jnp.where(taken, new, old), trial, rest)
        damping = jnp.where(better, _LOWERED * damping, _RAISED * damping)
        return _State(kept, damping, done | (kept.promise < rest_at))

    # Before the first step, which is none: the loop alone expands, and is compiled once.
    endless = jnp.asarray(jnp.inf, start.dtype)
    flat = jnp.eye(len(start), dtype=start.dtype)
    nowhere = Rest(start, endless, jnp.zeros_like(start), flat, endless)
    state = _State(nowhere, jnp.asarray(_DAMPING / _LOWERED, start.dtype), jnp.asarray(False))
    return jax.lax.fori_loop(0, steps + 1, step, state).rest


def _expansion(residual, penalty, u) -> Rest:
    """The objective to second order about `u`."""

    def twice(u):
        r = residual(u)
        return r, r

    jacobian, r = jax.jacfwd(twice, has_aux=True)(u)
    value = 0.5 * jnp.vdot(r, r) + penalty(u)
    gradient = jnp.matmul(jacobian.T, r, precision="highest") + jax.grad(penalty)(u)
    curvature = jnp.matmul(jacobian.T, jacobian, precision="highest") + jax.hessian(penalty)(u)
    promise = 0.5 * jnp.vdot(gradient, jnp.linalg.solve(curvature, gradient))
    return Rest(u, value, gradient, curvature, jnp.abs(promise))
