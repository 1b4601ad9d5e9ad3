"""Neighbours of images in a latent space: are they those of the truth, or of another latent?"""

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from .chance import Score, as_points, check_paired


def nearest(
    latent: Float[np.ndarray, "n d"], count: int, seed: int = 0
) -> Int[np.ndarray, "n count"]:
    """The `count` nearest rows of every row, itself left out, nearest first.

    Euclidean distance. Rows at one and the same place (a class, a collapsed latent) come in random
    order, by `seed`, so that the order of the images cannot tell.

    Raises `ValueError` where `count` is not between 1 and `n - 1`.
    """
    from scipy.spatial import KDTree

    points = as_points(latent, "latent")
    if not 1 <= count < len(points):
        raise ValueError(f"Of {len(points)} rows, 1 to {len(points) - 1} are others. Got {count}.")
    places, place_of = np.unique(points, axis=0, return_inverse=True)
    reach = min(count + 1, len(places))
    distance, found = KDTree(places).query(places, reach, workers=-1)
    # One column short of the rest where there is a single place.
    distance, found = distance.reshape(-1, reach), found.reshape(-1, reach)
    if len(places) == len(points):
        row_of = np.argsort(place_of.ravel())
        return row_of[_without_self(found, count)][place_of.ravel()]
    return _nearest_of_places(distance, found, place_of.ravel(), count, seed)


def _without_self(found: Integer[np.ndarray, "n r"], count: int) -> Integer[np.ndarray, "n count"]:
    others = found != np.arange(len(found))[:, None]
    # Rounding may rank another place as near as the place itself: drop the last one then.
    others[others.all(axis=1), -1] = False
    return found[others].reshape(len(found), count)


def _nearest_of_places(distance, found, place_of, count, seed) -> Int[np.ndarray, "n count"]:
    rng = np.random.default_rng(seed)
    size = np.bincount(place_of)
    members = np.split(np.argsort(place_of, kind="stable"), np.cumsum(size)[:-1])
    result = np.empty((len(place_of), count), np.int64)
    for place, rows in enumerate(members):
        # One more than asked for: the row itself is among them.
        edge = distance[place][np.searchsorted(np.cumsum(size[found[place]]), count + 1)]
        inner, tied = found[place][distance[place] < edge], found[place][distance[place] == edge]
        within = np.concatenate([rows[:0], *(members[p] for p in inner)])
        apart = np.repeat(distance[place][: len(inner)], size[inner])
        border = np.concatenate([members[p] for p in tied])
        for row in rows:
            near = within[np.lexsort((rng.random(len(within)), apart))]
            near, rest = near[near != row], border[border != row]
            result[row, : len(near)] = near
            result[row, len(near) :] = rng.choice(rest, count - len(near), replace=False)
    return result


def true_neighbours(
    distances: Float[np.ndarray, "s s"], state: Integer[np.ndarray, " n"], count: int
) -> Bool[np.ndarray, "s s"]:
    """Whether an image of the second state is among the `count` nearest of one of the first.

    True where the distance is at most that of the image's `count`-th nearest other image: of
    states at the same distance, all count. False for a state without images.
    """
    images = np.bincount(state, minlength=len(distances))
    # Distances that are equal by symmetry differ by rounding.
    rounded = np.round(distances / max(distances.max(), np.finfo(float).tiny), 9)
    result = np.zeros(distances.shape, bool)
    for row in np.flatnonzero(images):
        others = images - (np.arange(len(images)) == row)
        order = np.argsort(rounded[row], kind="stable")
        last = order[np.searchsorted(np.cumsum(others[order]), count)]
        result[row] = rounded[row] <= rounded[row, last]
    return result


def neighbourhood_similarity(
    latent: Float[np.ndarray, "n d"],
    distances: Float[np.ndarray, "s s"],
    state: Integer[np.ndarray, " m"],
    count: int | None = None,
    seed: int = 0,
) -> Score:
    """Share of the nearest images in `latent` that are true neighbours, averaged over images.

    - `distances`: between states (`States.distances`); `state`: of each image.
    - `count`: nearest images looked at; None: 1 % of the images, at least 10.

    1 for a latent that orders neighbours as the truth does. Chance is exact: shuffled latents give
    `mean_i m_i / (n - 1)` on average, `m_i` being the number of true neighbours of image i.

    Raises `ValueError` where rows disagree or a state has no distances.
    """
    check_paired(latent, state, ("latent", "state"))
    check_states(distances, state)
    if count is None:
        count = min(max(10, len(state) // 100), len(state) - 1)
    near = state[nearest(latent, count, seed)]
    true = true_neighbours(distances, state, count)
    # The image itself is of the same state, and no neighbour of its own.
    neighbours = true @ np.bincount(state, minlength=len(distances)) - 1
    return Score(
        value=float(true[state[:, None], near].mean()),
        chance=float(neighbours[state].mean() / (len(state) - 1)),
    )


def neighbour_overlap(
    first: Float[np.ndarray, "n d"],
    second: Float[np.ndarray, "m e"],
    count: int = 30,
    seed: int = 0,
) -> Score:
    """Share of the `count` nearest images that two latents of the same images have in common.

    Chance is exact: `count / (n - 1)`. Raises `ValueError` where rows disagree.
    """
    check_paired(first, second, ("first", "second"))
    # Two seeds: latents that have collapsed must not agree by drawing the same numbers.
    one, other = nearest(first, count, seed), nearest(second, count, seed + 1)
    both = np.sort(np.concatenate([one, other], axis=1), axis=1)
    common = np.count_nonzero(both[:, 1:] == both[:, :-1])
    return Score(value=float(common / one.size), chance=count / (len(first) - 1))


def check_states(distances: Float[np.ndarray, "s s"], state: Integer[np.ndarray, " n"]) -> None:
    """Raises `ValueError` where a state is no row of `distances`."""
    if state.min() < 0 or state.max() >= len(distances):
        raise ValueError(
            f"`state` must be from 0 to {len(distances) - 1}, a row of the truth's states. "
            f"Got {state.min()} to {state.max()}."
        )
