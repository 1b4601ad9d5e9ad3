"""The figures of a validation, by file name: each a function that draws it at a path."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..analysis.landscape import assign_states, populations
from ..analysis.latent_scores import ScoredImages
from ..analysis.map_comparison import MapComparison
from ..analysis.map_scores import areas
from ..analysis.readout import read_out
from ..analysis.validation import LatentValidation, MapValidation
from .score_plots import (
    CoordinateReadout,
    plot_image_curves,
    plot_latents,
    plot_matrices,
    plot_populations,
    plot_states,
)

Figures = dict[str, Callable[[Path], None]]
_BARS = 25
_SHOWN = {"method": "this run", "consensus": "consensus", "oracle": "true labels"}


def map_figures(found: MapValidation) -> Figures:
    """FSC per image by mask, and the area of every state's mean map under that of the headline
    where there are several."""
    panels = {mask: _shown(found.sets(mask)) for mask in found.method}
    mask = found.references.headline
    by_state = {name: areas(c) for name, c in _shown(found.state_sets(mask)).items()}
    figures: Figures = {"fsc.png": lambda path: plot_image_curves(path, panels, found.length)}
    if len(found.states.states) > 1:
        figures["states.png"] = lambda path: plot_states(path, found.states.states, by_state, mask)
    return figures


def latent_figures(found: LatentValidation, seed: int = 0) -> Figures:
    """Latents coloured by the truth and read out against it, and populations of the states; none
    for a rigid molecule."""
    images = found.images
    if not images.varied:
        return {}
    readouts = list(coordinate_readouts(found.latent, images, seed))
    ones, count = np.ones(len(found.rows)), len(images.states)
    embedding = images.states.embedding()
    found_states = {"truth": images.state}
    for name, latent in (("this run", found.latent), ("best possible", found.ideal)):
        found_states[name] = assign_states(latent, embedding, images.state, seed)
    shares = {name: populations(state, ones, count) for name, state in found_states.items()}
    each = -(-count // _BARS)
    label = "state" if each == 1 else f"states, {each} at a time"
    return {
        "latents.png": lambda path: plot_latents(path, found.latent, readouts),
        "populations.png": lambda path: plot_populations(path, _grouped(shares, each), label),
    }


def coordinate_readouts(
    latent: Float[np.ndarray, "n d"], images: ScoredImages, seed: int = 0
) -> Iterator[CoordinateReadout]:
    """Each coordinate that varies, and what the latent says of it: the mean over neighbours, of
    angles that of cosine and sine, of classes the one that most neighbours have."""
    for number, coordinate in enumerate(images.states.coordinates):
        truth = images.coordinate(number)
        if np.ptp(truth) == 0:
            continue
        if coordinate.categorical:
            classes, member = np.unique(truth, return_inverse=True)
            votes = read_out(latent, np.eye(len(classes))[member.ravel()], seed).predicted
            found = classes[np.argmax(votes, axis=1)]
        elif coordinate.period is not None:
            angle = 2 * np.pi * truth / coordinate.period
            circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
            x, y = read_out(latent, circle, seed).predicted.T
            # The branch of the truth: from its least value on.
            start = truth.min()
            turn = np.arctan2(y, x) / (2 * np.pi) * coordinate.period
            found = start + np.mod(turn - start, coordinate.period)
        else:
            found = read_out(latent, truth[:, None], seed).predicted[:, 0]
        yield CoordinateReadout(
            name=coordinate.name,
            truth=truth,
            readout=found,
            period=coordinate.period,
            categorical=coordinate.categorical,
        )


def comparison_figures(found: MapComparison, length: float, names: tuple[str, str]) -> Figures:
    """FSC of the maps of each image in the two runs, and the areas of each map with each."""
    panels, matrices = {"maps": found.curves}, {"FSC area": found.areas}
    if found.curves_of_deviations is not None and found.deviations is not None:
        panels["deviations from the mean"] = found.curves_of_deviations
        matrices["FSC area of deviations"] = found.deviations
    labels, axis = (f"map of {names[0]}", f"map of {names[1]}"), "FSC of an image's two maps"
    return {
        "agreement.png": lambda path: plot_matrices(path, matrices, labels),
        "agreement_fsc.png": lambda path: plot_image_curves(path, panels, length, axis),
    }


def _grouped(shares: dict[str, np.ndarray], each: int) -> dict[str, np.ndarray]:
    """Shares of `each` consecutive states together: of many states, each has but a few images."""
    starts = np.arange(0, len(next(iter(shares.values()))), each)
    return {name: np.add.reduceat(share, starts) for name, share in shares.items()}


def _shown(sets: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {_SHOWN[name]: values for name, values in sets.items()}
