"""The information ceiling: what the images allow anyone to know of the states.

    p(s | y_i) ∝ p_s exp(Re<y_i, x_is> - ½ <x_is, x_is>),   <u, v> = Σ_k w(k) ū(k) v(k) / σ²(|k|)

with `x_is` the noiseless image of state `s` under the true pose, contrast and microscope, and the
true population `p_s`: the posterior of an observer who knows all but the state. No method that sees
the images alone has better latents, or better classes, on average.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int
from tqdm import tqdm

from ..imaging.grid import FourierGrid
from ..imaging.image import Batch, translate
from ..imaging.noise import ColouredNoise
from ..particles.loader import split_rows
from ..particles.source import AbstractImageSource
from ..simulate.states import States
from ..simulate.truth import GroundTruth
from ..volumes.kernel import cubic
from ..volumes.voxels import FourierVoxels, Voxels
from .state_sums import true_batches, true_grid, true_noise

_WORKERS = 2  # states in the making: a program that maps over images fills one core
_BATCH = 64


@final
@dataclass(frozen=True, kw_only=True)
class StatePosterior:
    """Posterior over S states of the images `rows`.

    - `log_likelihood`: relative to that of the best state; `prior`: the true populations.
    """

    rows: Int[np.ndarray, " m"]
    log_likelihood: Float[np.ndarray, "m s"] = field(repr=False)
    prior: Float[np.ndarray, " s"] = field(repr=False)

    def probability(self) -> Float[np.ndarray, "m s"]:
        """`p(s | y_i)`; rows sum to 1."""
        from scipy.special import softmax

        with np.errstate(divide="ignore"):
            return softmax(self.log_likelihood + np.log(self.prior), axis=1)

    def ideal_latent(self, states: States) -> Float[np.ndarray, "m e"]:
        """The ideal observer's latent: the posterior mean of `States.embedding`, which has the
        least mean squared error of all functions of the images."""
        return self.probability() @ states.embedding()

    def most_probable(self) -> Int[np.ndarray, " m"]:
        """The most probable state of each image: no other choice is right more often."""
        return np.argmax(self.probability(), axis=1)

    def expected_accuracy(self) -> float:
        """How often the most probable state is the true one, by the posteriors' own account."""
        return float(self.probability().max(axis=1).mean())

    def entropy(self) -> float:
        """Mean entropy of the posteriors, nats; `ln S` where images tell nothing."""
        from scipy.special import entr

        return float(entr(self.probability()).sum(axis=1).mean())


class Evidence(eqx.Module):
    """Of images `y = A x + ε` all that the likelihood of slices `x` needs,
    `log p(y | x) = Re<x, right> - ½ Σ left |x|² + const`.

    `right = A* Λ⁻¹ y` and `left = diag(A* Λ⁻¹ A)`, Hermitian weights included; `frame` is what to
    slice with. A leading axis means a batch.
    """

    right: Complex[Array, "*b y x"]
    left: Float[Array, "*b y x"]
    frame: Float[Array, "*b 3 3"]


def state_posterior(
    source: AbstractImageSource, truth: GroundTruth, rows: Int[np.ndarray, " m"]
) -> StatePosterior:
    """The posterior of the images `rows`, which are held in memory; a progress bar over states.

    States are projected from their true maps by the cubic kernel, of an error below 0.1 %.
    """
    evidence, grid = gather_evidence(source, truth, rows), true_grid(truth)

    def one(state: int) -> Float[np.ndarray, " m"]:
        kind = grid.pixel_size.dtype
        voxels = jnp.asarray(truth.map(state), kind)
        volume = _prepared(voxels, grid)
        return np.asarray(_log_likelihood(volume, evidence, grid), np.float64)

    count = len(truth.states)
    columns = np.zeros((len(rows), count))
    with tqdm(total=count, unit="state", desc="ceiling", disable=None) as bar:
        for state, column in enumerate(_in_threads(one, count)):
            columns[:, state] = column
            bar.update()
    # About the best state: what all states share would only cost digits.
    columns -= columns.max(axis=1, keepdims=True)
    return StatePosterior(rows=rows, log_likelihood=columns, prior=truth.states.population)


def gather_evidence(
    source: AbstractImageSource, truth: GroundTruth, rows: Int[np.ndarray, " m"]
) -> Evidence:
    """The evidence of the images `rows` under their true latents, noise and optics."""
    noise, grid = true_noise(source, truth), true_grid(truth)
    batches = true_batches(source, truth, split_rows(rows, _BATCH), _BATCH)
    parts = [_evidence(batch, noise, grid) for batch in batches]
    return jax.tree.map(lambda *x: jnp.concatenate(x)[: len(rows)], *parts)


@jax.jit
def _evidence(batch: Batch, noise: ColouredNoise, grid: FourierGrid) -> Evidence:
    def one(image, latents, optics):
        transfer = latents.contrast * optics.transfer(grid)
        precision = noise.of_group(optics.group).precision(grid)
        centred = translate(image, -latents.shift, grid)
        return Evidence(
            right=precision * jnp.conj(transfer) * centred,
            left=precision * jnp.abs(transfer) ** 2,
            frame=optics.frame(latents.rotation),
        )

    return jax.vmap(one)(batch.images, batch.latents, batch.optics)


@jax.jit
def _prepared(voxels: Float[Array, "n n n"], grid: FourierGrid) -> FourierVoxels:
    return Voxels(voxels=voxels, spacing=grid.pixel_size, kernel=cubic()).prepare(grid)


@jax.jit
def _log_likelihood(
    volume: FourierVoxels, evidence: Evidence, grid: FourierGrid
) -> Float[Array, " m"]:
    """Of each image, but for terms that no volume changes."""

    def one(row: Evidence):
        x = volume.slice(jnp.zeros(0), row.frame, grid)
        product = x.real * row.right.real + x.imag * row.right.imag
        return jnp.sum(product - 0.5 * row.left * (x.real**2 + x.imag**2))

    # One image at a time: its samples stay in the cache.
    return jax.lax.map(one, evidence)


def _in_threads(function, count: int) -> Iterator:
    """`function(0)` to `function(count - 1)` in order, a few at a time."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        numbers = iter(range(count))
        waiting = [pool.submit(function, number) for number in islice(numbers, _WORKERS)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(function, number) for number in islice(numbers, 1)]
