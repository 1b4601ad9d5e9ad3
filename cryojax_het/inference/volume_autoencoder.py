"""What maps have in common and how they differ, as the code of a convolutional autoencoder.

Residual blocks in three dimensions after each of two halvings of the box, and at the same boxes on
the way back: the code has a quarter of the box along each side. None is at the full box, where it
would cost eight times as much for the same channels. Trained to give back the maps it is shown.

Wu et al. 2022, Nat. Commun. 13 (AlphaCryo4D: deep manifold learning of bootstrapped volumes).
"""

import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Float, PRNGKeyArray
from tqdm import tqdm

_HELD = 0.1  # share of the maps that are not trained on


class Course(NamedTuple):
    """Passes over the maps, maps in a step, rate of Adam at the start, channels of the code and
    of the finest features."""

    epochs: int = 50
    batch: int = 8
    rate: float = 1e-3
    code: int = 2
    features: int = 16


class Trained(NamedTuple):
    """`code` of every map, flat; mean squared error of each pass over the maps trained on, and of
    the held-out ones after it, maps being of unit variance."""

    code: Float[np.ndarray, "m c"]
    losses: list[float]
    held_out: list[float]


class VolumeAutoencoder(nn.Module):
    """`[b, n, n, n, 1]` to itself; `n` a multiple of four."""

    code: int
    features: int

    def setup(self):
        wide = 2 * self.features
        self.into = [
            _convolution(self.features, 2),
            _Residual(self.features),
            _convolution(wide, 2),
            _Residual(wide),
            _convolution(self.code),
        ]
        self.out = [
            _convolution(wide),
            _Residual(wide),
            nn.Dense(8 * self.features),
            _doubled,
            _Residual(self.features),
            _convolution(8),
            _doubled,
        ]

    def __call__(self, maps):
        """The maps that the codes of `maps` stand for."""
        hidden = self.encode(maps)
        for layer in self.out:
            hidden = layer(hidden)
        return hidden

    def encode(self, maps):
        """The code, `[b, n/4, n/4, n/4, code]`."""
        for layer in self.into:
            maps = layer(maps)
        return maps


class _Residual(nn.Module):
    features: int

    @nn.compact
    def __call__(self, hidden):
        inner = _convolution(self.features)(nn.gelu(hidden))
        return hidden + _convolution(self.features)(nn.gelu(inner))


def _doubled(hidden):
    """`[b, n, n, n, 8f]` as `[b, 2n, 2n, 2n, f]`: eight voxels of each."""
    b, n, _, _, many = hidden.shape
    parts = hidden.reshape(b, n, n, n, 2, 2, 2, many // 8).transpose(0, 1, 4, 2, 5, 3, 6, 7)
    return parts.reshape(b, 2 * n, 2 * n, 2 * n, many // 8)


def _convolution(features: int, stride: int = 1) -> nn.Conv:
    return nn.Conv(features, (3, 3, 3), strides=(stride,) * 3)


def train_autoencoder(
    key: PRNGKeyArray, maps: Float[np.ndarray, "m n n n"], course: Course | None = None
) -> Trained:
    """Train on nine in ten of the maps, each of mean 0 and variance 1, and code all.

    Raises `ValueError` where a side is no multiple of four, or there are fewer than four maps.
    """
    course = Course() if course is None else course
    if maps.shape[1] % 4 or len(maps) < 4:
        raise ValueError(
            f"An autoencoder takes 4 maps or more whose sides are multiples of 4. Got {maps.shape}."
        )
    network = VolumeAutoencoder(code=course.code, features=course.features)
    data = jnp.asarray(maps[..., None], jnp.float32)
    first, second, third = jax.random.split(key, 3)
    order = np.asarray(jax.random.permutation(first, len(maps)))
    held, kept = np.split(order, [max(1, int(_HELD * len(maps)))])
    parameters = network.init(second, data[:1])
    steps = course.epochs * _steps(len(kept), course.batch)
    optimiser = optax.adam(optax.cosine_decay_schedule(course.rate, steps))
    step = jax.jit(_step(network, optimiser))
    error = jax.jit(lambda parameters, some: _error(network, parameters, some))
    state, losses, apart = optimiser.init(parameters), [], []
    passes = range(course.epochs)
    for epoch in tqdm(passes, desc="autoencoder", unit=" passes", file=sys.stderr):
        rows = np.asarray(jax.random.permutation(jax.random.fold_in(third, epoch), kept))
        parameters, state, loss = _pass(step, (parameters, state), data, rows, course.batch)
        losses.append(loss)
        apart.append(float(error(parameters, data[held])))
    code = jax.jit(lambda one: network.apply(parameters, one[None], method="encode"))
    return Trained(np.stack([np.ravel(np.asarray(code(one))) for one in data]), losses, apart)


def _steps(count: int, batch: int) -> int:
    return max(1, count // batch)


def _pass(step, carry, data, rows, batch: int) -> tuple[Any, Any, float]:
    """A pass over the maps, whole batches alone: others get their turn in the next order. In a loop
    of Python: XLA's convolutions on a CPU are many times slower within one of its own."""
    parameters, state = carry
    losses = []
    for part in np.array_split(rows[: _steps(len(rows), batch) * batch], _steps(len(rows), batch)):
        parameters, state, loss = step(parameters, state, data[part])
        losses.append(float(loss))
    return parameters, state, float(np.mean(losses))


def _step(network, optimiser):
    def one(parameters, state, some):
        loss, slope = jax.value_and_grad(lambda p: _error(network, p, some))(parameters)
        changes, state = optimiser.update(slope, state)
        return optax.apply_updates(parameters, changes), state, loss

    return one


def _error(network, parameters, maps):
    return jnp.mean((network.apply(parameters, maps) - maps) ** 2)
