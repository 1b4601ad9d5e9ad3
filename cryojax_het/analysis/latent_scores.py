"""What the latents of a method tell of the truth, each score beside chance and the best possible.

The ceiling of a score is the score of the ideal observer's latent: the mean, over the exact
posterior of the state of each image under the true forward model, of the points of the states
(`ceiling.py`). No method that sees the images alone can be expected to do better.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Int

from ..simulate.states import Coordinate, States
from .chance import Score
from .composition import adjusted_rand_index, cluster, match_classes, neighbour_accuracy
from .correlation import circular_readout_correlation, linear_correlation, readout_correlation
from .imbalance import Labelled, Points, information_imbalance, viewing_directions
from .landscape import assign_states, free_energy_error, populations
from .neighbours import neighbourhood_similarity
from .transport import population_distance


@final
@dataclass(frozen=True, kw_only=True)
class ScoredImages:
    """What is true of the images that latents are scored on: their states, where they were seen
    from, and their mean defocus in Å."""

    states: States
    state: Int[np.ndarray, " n"]
    rotation: Float[np.ndarray, "n 3 3"]
    defocus: Float[np.ndarray, " n"]

    @property
    def varied(self) -> bool:
        """Whether the molecule has more than one state."""
        return self.states.embedding().shape[1] > 0

    def coordinate(self, number: int) -> Float[np.ndarray, " n"]:
        """The true value of a coordinate of every image."""
        return self.states.conformation[self.state, number]


@final
@dataclass(frozen=True)
class RelativeScore:
    """A score, and its value for the ideal observer."""

    score: Score
    ceiling: float

    @property
    def share(self) -> float:
        """0 by chance, 1 for the best that the data allow; NaN where that is no better."""
        return self.score.share(self.ceiling)


def score_latents(
    latent: Float[np.ndarray, "n d"],
    ideal: Float[np.ndarray, "n e"],
    images: ScoredImages,
    seed: int = 0,
) -> dict[str, RelativeScore]:
    """All scores that fit the shape of the truth, by name; none for a rigid molecule.

    - `ideal`: the ideal observer's latent of the same images.

    None of them changes when the latent is turned, flipped, scaled or, but for the linear one,
    bent; all but the information imbalance are better the larger.
    """
    if not images.varied:
        return {}
    mine = dict(_scores(latent, images, seed))
    best = dict(_scores(ideal, images, seed))
    return {name: RelativeScore(mine[name], best[name].value) for name in mine}


def _scores(
    latent: Float[np.ndarray, "n d"], images: ScoredImages, seed: int
) -> Iterator[tuple[str, Score]]:
    states, state = images.states, images.state
    distances = states.distances()
    similarity = neighbourhood_similarity(latent, distances, state, seed=seed)
    yield "neighbourhood similarity", similarity
    yield "linear correlation", linear_correlation(latent, states.embedding()[state])
    truth = Labelled(distances, state)
    yield "imbalance to the state", information_imbalance(Points(latent), truth, seed=seed)
    for number, coordinate in enumerate(states.coordinates):
        if np.ptp(states.conformation[:, number]) > 0:
            value = images.coordinate(number)
            yield from _of_coordinate(latent, coordinate, value, seed)


def _of_coordinate(
    latent: Float[np.ndarray, "n d"],
    coordinate: Coordinate,
    value: Float[np.ndarray, " n"],
    seed: int,
) -> Iterator[tuple[str, Score]]:
    name = coordinate.name
    if coordinate.categorical:
        classes = np.unique(value, return_inverse=True)[1].ravel().astype(np.int64)
        found = cluster(latent, int(classes.max()) + 1, seed)
        yield f"{name}: adjusted Rand index", adjusted_rand_index(found, classes)
        yield f"{name}: accuracy of clusters", match_classes(found, classes).accuracy
        yield f"{name}: accuracy of neighbours", neighbour_accuracy(latent, classes, seed=seed)
    elif coordinate.period is not None:
        angle = 2 * np.pi * value / coordinate.period
        yield f"{name}: circular correlation", circular_readout_correlation(latent, angle, seed)
    else:
        yield f"{name}: rank correlation", readout_correlation(latent, value, seed)


def score_leaks(
    latent: Float[np.ndarray, "n d"], images: ScoredImages, seed: int = 0
) -> dict[str, Score]:
    """Information imbalance from the latent to what should not be in it: 1 where it tells nothing
    (chance), towards 0 where it is read from the latent."""
    nuisances = {
        "viewing direction": viewing_directions(images.rotation),
        "defocus": Points(images.defocus[:, None]),
    }
    return {
        name: information_imbalance(Points(latent), space, seed=seed)
        for name, space in nuisances.items()
    }


@final
@dataclass(frozen=True, kw_only=True)
class PopulationScore:
    """Recovered populations of the states against those of the scored images.

    - `distance`: earth mover's, in units of a coordinate's range; `flat`: that of equal
      populations; `ceiling`: that of the ideal observer's point estimates.
    - `free_energy`: rms error in k_B T, chance being that of a flat landscape.
    """

    recovered: Float[np.ndarray, " s"]
    distance: float
    flat: float
    ceiling: float
    free_energy: RelativeScore


def score_populations(
    latent: Float[np.ndarray, "n d"],
    ideal: Float[np.ndarray, "n e"],
    images: ScoredImages,
    seed: int = 0,
) -> PopulationScore:
    """Populations of states read out of the latent, scored beside the ideal observer's."""
    states, count = images.states, len(images.states)
    ones = np.ones(len(latent))
    true = populations(images.state, ones, count)
    embedding, distances = states.embedding(), states.distances()
    found = [
        populations(assign_states(z, embedding, images.state, seed), ones, count)
        for z in (latent, ideal)
    ]
    mine, best = (population_distance(p, true, distances) for p in found)
    error, least = (free_energy_error(p, true) for p in found)
    return PopulationScore(
        recovered=found[0],
        distance=mine.distance,
        flat=mine.uniform,
        ceiling=best.distance,
        free_energy=RelativeScore(error, least.value),
    )
