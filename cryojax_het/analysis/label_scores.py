"""Classes that a method gives to images, against classes that are true, beside the ideal observer.

For molecules whose states are classes (composition); what labels tell of a motion is scored as
that of a latent (`label_latent`).
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from ..simulate.truth import GroundTruth
from .ceiling import StatePosterior
from .chance import Score
from .composition import adjusted_rand_index, match_classes
from .latent_scores import RelativeScore
from .outputs import Outputs


def label_latent(labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n k"]:
    """A latent that says what labels say: a corner of a simplex for every class, so that any two
    classes are equally far apart. NaN for an image without a class (-1)."""
    corners = np.eye(int(max(labels.max(), 0)) + 1)[np.maximum(labels, 0)]
    corners[labels < 0] = np.nan
    return corners


def latent_of(outputs: Outputs) -> Float[np.ndarray, "n d"] | None:
    """The latents of a method; where it has none, what its labels say; None without either."""
    if outputs.latents is not None and outputs.latents.shape[1]:
        return outputs.latents
    return None if outputs.labels is None else label_latent(outputs.labels)


def score_labels(
    labels: Int[np.ndarray, " n"], truth: GroundTruth, posterior: StatePosterior
) -> dict[str, RelativeScore]:
    """Scores of labels for each coordinate of the truth that is a class, by name; on the images of
    the ideal observer, whose most probable class is the ceiling.

    Images without a class (-1) are a class of their own. Hubert & Arabie 1985, J. Classification 2.
    """
    rows, found = posterior.rows, {}
    for number, coordinate in enumerate(truth.states.coordinates):
        classes, class_of = np.unique(truth.states.conformation[:, number], return_inverse=True)
        class_of = class_of.ravel().astype(np.int64)
        if not coordinate.categorical or len(classes) < 2:
            continue
        true = class_of[truth.images.state[rows]]
        # The probability of a class is that of all states that are of it.
        probability = posterior.probability() @ np.eye(len(classes))[class_of]
        mine = dict(_scores(labels[rows], true))
        best = dict(_scores(np.argmax(probability, axis=1), true))
        for name, score in mine.items():
            found[f"{coordinate.name}: {name}"] = RelativeScore(score, best[name].value)
    return found


def _scores(
    found: Int[np.ndarray, " m"], true: Int[np.ndarray, " m"]
) -> Iterator[tuple[str, Score]]:
    matched = match_classes(found, true)
    yield "adjusted Rand index", adjusted_rand_index(found, true)
    yield "accuracy", matched.accuracy
    # One class for all has the error 1 - max p, as `accuracy` has the chance max p.
    yield "population error", Score(matched.population_error, 1 - matched.accuracy.chance)
