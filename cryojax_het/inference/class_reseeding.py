"""What becomes of a class that no image is in: a second chance beside the largest, then the end.

Of its own it would stay empty, since a volume of few images suits all others less than theirs; and
the largest class is where shapes are most likely still mixed.
"""

from dataclasses import dataclass, field, replace
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .class_prior import ClassPrior
from .model import Model
from .requirements import class_volumes
from .updates import wiener

PATIENCE = 2  # passes that a class may be empty
CHANCES = 3  # times that classes are put beside the largest, in all
SHARE = 0.05  # of an even share: fewer images are none
DEVIATION = 0.1  # of the largest class's power, as noise


@final
@dataclass(frozen=True)
class Emptiness:
    """`passes` in a row that each class was empty; `reseeded` so far; classes that were `dropped`,
    by their first number."""

    passes: Int[np.ndarray, " k"]
    reseeded: int = 0
    dropped: tuple[int, ...] = ()
    fewest: float = field(default=0.0)  # images that make a class

    @classmethod
    def start(cls, count: int, images: int, fewest: int) -> "Emptiness":
        """Nothing is empty yet. A class needs `fewest` images, but no more than a fifth of an even
        share, and `SHARE` of it at least."""
        even = images / count
        least = float(max(min(fewest, 0.2 * even), SHARE * even))
        return cls(np.zeros(count, np.int64), fewest=least)

    def after(self, population: Float[np.ndarray, " k"], images: int) -> "Emptiness":
        """One pass later."""
        few = (population * images < self.fewest) & (population > 0)
        return replace(self, passes=np.where(few, self.passes + 1, 0))

    def due(self) -> list[int]:
        """Classes whose patience is over."""
        return [int(k) for k in np.flatnonzero(self.passes >= PATIENCE)]


def treat_empty(
    model: Model, state: Emptiness, key: PRNGKeyArray
) -> tuple[Model, Emptiness, list[str]]:
    """The model with classes that are `due` put beside the largest, or dropped when there have been
    `CHANCES` of these; and what was done, in words."""
    said = []
    for number in state.due():
        largest = int(np.argmax(np.asarray(_populations(model))))
        passes = np.where(np.arange(len(state.passes)) == number, 0, state.passes)
        if state.reseeded < CHANCES:
            model = reseeded(model, number, largest, jax.random.fold_in(key, number))
            state = replace(state, passes=passes, reseeded=state.reseeded + 1)
            said.append(f"class {number} was empty: put beside class {largest}")
        else:
            model = without(model, number)
            state = replace(state, passes=passes, dropped=(*state.dropped, number))
            said.append(f"class {number} is empty and dropped")
    return model, state, said


def reseeded(model: Model, number: int, largest: int, key: PRNGKeyArray) -> Model:
    """Class `number` as a copy of the largest, with noise of the same spectrum and `DEVIATION` of
    its power; they halve its population."""
    voxels, prior = class_volumes(model.volume, "reseeded").voxels, _populations(model)
    noise = _noise_like(voxels[largest], key)
    noise = jnp.sqrt(DEVIATION) * noise * jnp.linalg.norm(voxels[largest])
    voxels = voxels.at[number].set(voxels[largest] + noise)
    half = prior[largest] / 2
    population = prior.at[number].add(half).at[largest].set(half)
    return _with(model, voxels, population / population.sum())


def without(model: Model, number: int) -> Model:
    """With population 0 for class `number`, whose place stays."""
    population = _populations(model).at[number].set(0)
    voxels = class_volumes(model.volume, "without").voxels.at[number].set(0)
    return _with(model, voxels, population / population.sum())


def _populations(model):
    assert isinstance(model.prior, ClassPrior)
    return model.prior.population


def _with(model, voxels, population):
    places = lambda m: (m.volume.voxels, m.prior.population)
    return eqx.tree_at(places, model, (voxels, population))


def _noise_like(voxels: Float[Array, "n n n"], key: PRNGKeyArray) -> Float[Array, "n n n"]:
    """Noise of norm 1, its spectrum and its place those of `voxels`."""
    n = voxels.shape[0]
    shells, inside = wiener.shells_inside(n, n)
    power = jnp.abs(jnp.fft.rfftn(voxels)) ** 2
    amplitude = jnp.sqrt(wiener.shell_mean(power, shells, inside, n))[shells] * inside
    white = jnp.fft.rfftn(jax.random.normal(key, voxels.shape, voxels.dtype))
    noise = jnp.fft.irfftn(white * amplitude, s=voxels.shape) * (voxels != 0)
    norm = jnp.linalg.norm(noise)
    return noise / jnp.where(norm > 0, norm, 1)
