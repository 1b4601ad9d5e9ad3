"""A map's pseudo-atoms laid over other maps, rigidly and along their own normal modes.

    min over (R, t, q) of  2 (1 - CC(V, Σ_a w_a N(r; R (c_a + Σ_k q_k Δ_ka) + t, σ²)))
                           + κ Σ_k (λ_k / λ_1) (q_k / σ)²

by damped Gauss-Newton steps: the first term is the squared difference of the two densities at unit
norm. Rigidly first, then all at once, at a coarse width before the fine one. The second term, a
thousandth where the softest mode moves by the width, keeps amplitudes that the map does not tell
from running away.

Jonić & Sorzano 2016, Biophys. J. 110 (StructMap).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..imaging.rotation import exp
from .elastic_model import ElasticModel

_STEPS = 14  # of each of three stages
_SAMPLING = 1.4  # widths: densities hardly have anything beyond the frequency that it holds
_COARSE = 2.0  # widths: blur of both densities in the first stages
_BENDING = 1e-3  # κ
_DAMPING, _EASED, _RAISED = 1e-2, 0.3, 5.0


class ElasticFits(NamedTuple):
    """Of a model on each of M maps: `correlation` of the rigid and of the elastic fit, and
    `amplitudes` of the modes, Å."""

    rigid: Float[np.ndarray, " m"]
    correlation: Float[np.ndarray, " m"]
    amplitudes: Float[np.ndarray, "m k"]


class Padded(NamedTuple):
    """Models of as many atoms each: what is added weighs nothing."""

    positions: Float[Array, "a 3"]
    weights: Float[Array, " a"]
    vectors: Float[Array, "k a 3"]
    stiffness: Float[Array, " k"]
    width: Float[Array, ""]


def fit_elastic(
    models: Sequence[ElasticModel], maps: Float[np.ndarray, "m n n n"], pixel_size: float
) -> list[ElasticFits]:
    """Every model on every map, whose frames are near to one another.

    Compared are the voxels of the smallest cube about the box's centre that holds all pseudo-atoms
    with three widths around: those on a coarser grid, as wide as the densities allow.
    """
    most = max(len(model.weights) for model in models)
    axis, inside = _window(models, maps.shape[1], pixel_size)
    targets = jnp.asarray(maps[inside], jnp.float32)
    axis = jnp.asarray(axis, jnp.float32)
    found = [_fit_all(_padded(model, most), targets, axis) for model in models]
    return [ElasticFits(*map(np.asarray, one)) for one in found]


def moved(model: ElasticModel, amplitudes: Float[np.ndarray, " k"]) -> Float[np.ndarray, "a 3"]:
    """Places of the pseudo-atoms at these amplitudes."""
    return model.positions + np.tensordot(amplitudes, model.vectors, axes=1)


def _window(models, size, pixel_size):
    """Coordinates along an axis of the cube, Å, and its slices in a stack of maps."""
    far = max(np.abs(model.positions).max() + 3 * model.width for model in models)
    step = max(1, int(_SAMPLING * min(model.width for model in models) / pixel_size))
    half = min(int(np.ceil(far / pixel_size / step)), size // 2 // step) * step
    part = slice(size // 2 - half, min(size // 2 + half + 1, size), step)
    rows = np.arange(size)[part]
    return (rows - size // 2) * pixel_size, (slice(None), part, part, part)


def _padded(model: ElasticModel, most: int) -> Padded:
    extra = most - len(model.weights)
    pad = lambda array, axis: np.pad(
        array, [(0, extra if a == axis else 0) for a in range(array.ndim)]
    )
    arrays = pad(model.positions, 0), pad(model.weights, 0), pad(model.vectors, 1)
    arrays = *arrays, model.stiffness, model.width
    return Padded(*(jnp.asarray(array, jnp.float32) for array in arrays))


@jax.jit
def _fit_all(model: Padded, targets, axis):
    """One map after the other: the Jacobians of all at once would fill the memory."""
    return jax.lax.map(lambda target: _fit(model, target, axis), targets)


def _fit(model: Padded, target, axis):
    """By two courses, of which the better counts: coarse densities of two domains may lead astray.
    Each is a row of stages: which density, and which unknowns are free."""
    start = jnp.zeros(6 + len(model.vectors))
    every = jnp.ones_like(start)
    rigid = every.at[6:].set(0)
    coarse = _unit(_blurred(target, _COARSE * model.width, axis))
    aims = jnp.stack([coarse, _unit(target)])
    widths = model.width * jnp.sqrt(jnp.array([1 + _COARSE**2, 1.0], jnp.float32))
    which = jnp.array([[0, 0, 1], [0, 1, 1]])
    free = jnp.stack([jnp.stack([rigid, every, every]), jnp.stack([rigid, rigid, every])])

    def stage(x, course):
        number, free = course
        x = _climb(x, model, (aims[number], widths[number], axis), free)
        return x, x

    _, found = jax.vmap(lambda *course: jax.lax.scan(stage, start, course))(which, free)
    fine = aims[1], widths[1], axis
    ends = found[:, 2]
    costs = jax.vmap(lambda x: jnp.sum(_left(x, model, fine) ** 2))(ends)
    best = ends[jnp.argmin(costs)]
    return _correlation(found[1, 1], model, fine), _correlation(best, model, fine), best[6:]


def _left(x, model: Padded, aim):
    """Numbers whose squares add up to the cost."""
    target, width, axis = aim
    bending = jnp.sqrt(_BENDING * model.stiffness) * x[6:] / model.width
    return jnp.concatenate([(target - _density(x, model, width, axis)).ravel(), bending])


def _climb(start, model: Padded, aim, free):
    """Damped Gauss-Newton steps in the unknowns that are `free` (1; 0 for those that are not)."""
    slopes = jax.jacfwd(lambda x: _left(x, model, aim))

    def step(_, state):
        x, damping, cost = state
        jacobian = slopes(x) * free
        gram, right = jacobian.T @ jacobian, jacobian.T @ _left(x, model, aim)
        scale = damping * jnp.diag(gram) + (1 - free) + 1e-12
        new = x - free * jnp.linalg.solve(gram + jnp.diag(scale), right)
        value = jnp.sum(_left(new, model, aim) ** 2)
        better = value < cost
        damping = jnp.where(better, _EASED, _RAISED) * damping
        return jnp.where(better, new, x), jnp.clip(damping, 1e-7, 1e7), jnp.minimum(value, cost)

    cost = jnp.sum(_left(start, model, aim) ** 2)
    state = start, jnp.asarray(_DAMPING, start.dtype), cost
    return jax.lax.fori_loop(0, _STEPS, step, state)[0]


def _correlation(x, model, aim):
    target, width, axis = aim
    return jnp.sum(target * _density(x, model, width, axis))


def _density(x, model: Padded, width, axis):
    """Of unit norm, at turn `x[:3]` (the path of a typical atom, Å), shift `x[3:6]`, modes."""
    total = jnp.sum(model.weights)
    centre = model.weights @ model.positions / total
    about = model.positions - centre
    radius = jnp.sqrt(model.weights @ jnp.sum(about**2, axis=1) / total)
    bent = about + jnp.tensordot(x[6:], model.vectors, axes=1)
    points = bent @ exp(x[:3] / radius).T + centre + x[3:6]
    profile = jnp.exp(-((axis[:, None, None] - points) ** 2) / (2 * width**2))
    across, rows, columns = (profile[..., one] for one in (2, 1, 0))
    plane = (across[:, None] * rows[None]).reshape(-1, len(points)) * model.weights
    return _unit((plane @ columns.T).reshape((len(axis),) * 3))


def _blurred(target, width, axis):
    """Convolved with a Gaussian, along one axis after the other; zeros beyond the faces."""
    kernel = jnp.exp(-((axis[:, None] - axis) ** 2) / (2 * width**2))
    return jnp.einsum("zyx,az,by,cx->abc", target, kernel, kernel, kernel)


def _unit(density):
    return density / jnp.maximum(jnp.linalg.norm(density), 1e-20)
