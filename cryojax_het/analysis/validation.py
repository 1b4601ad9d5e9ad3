"""All scores of a method on a data set with a known truth, as plain numbers.

Maps beside the consensus and back-projection with the true labels; latents and labels beside chance
and the ideal observer; what should not be in latents; populations; what is found where there is
nothing; whether posteriors keep their promises.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, final

import numpy as np
from jaxtyping import Float, Int

from ..particles.source import Particles
from ..simulate.truth import GroundTruth
from .calibration import gaussian_coverage, sample_coverage, told_directions
from .latent_scores import (
    PopulationScore,
    RelativeScore,
    ScoredImages,
    score_latents,
    score_leaks,
    score_populations,
)
from .local_alignment import align_locally
from .map_scores import areas, draw_images, gap_closed, image_curves, summarise
from .map_sets import MapSet
from .outputs import Outputs
from .references import References, molecule_spread
from .spread import latent_spread
from .state_scores import StateCurves, state_curves

_SPREAD_MAPS = 40  # of a rigid molecule, compared with each other
_STATE_IMAGES = 2000  # whose maps are averaged, state by state


@final
@dataclass(frozen=True, kw_only=True)
class MapValidation:
    """FSC of the images `rows` with their true maps, by mask: the method's, and the baselines'.

    - `states`: FSC of the mean map of each true state, over more images.
    - `state`: the true state of each of `rows`; `length`: side of the box, Å.
    """

    rows: Int[np.ndarray, " m"]
    method: Mapping[str, Float[np.ndarray, "m k"]] = field(repr=False)
    states: StateCurves = field(repr=False)
    references: References = field(repr=False)
    state: Int[np.ndarray, " m"] = field(repr=False)
    length: float

    def sets(self, mask: str) -> dict[str, Float[np.ndarray, "m k"]]:
        """Curves of the method, of the consensus and of the oracle under one mask, by image."""
        references = self.references
        return {
            "method": self.method[mask],
            "consensus": references.consensus[mask][self.state],
            "oracle": references.oracle[mask][self.state],
        }

    def state_sets(self, mask: str) -> dict[str, Float[np.ndarray, "t k"]]:
        """The same by state, for the states that have images."""
        references, states = self.references, self.states.states
        return {
            "method": self.states.curves[mask],
            "consensus": references.consensus[mask][states],
            "oracle": references.oracle[mask][states],
        }

    def table(self) -> dict[str, dict[str, Any]]:
        """Summaries by mask and set, and the share of the gap that is closed."""
        return {mask: self._summary(self.sets(mask)) for mask in self.method}

    def state_table(self) -> dict[str, Any]:
        """The same over states, each weighing the same, and area and resolution (Å, at 0.5) of
        every state under the mask of the headline."""
        mask = self.references.headline
        return {
            "by mask": {name: self._summary(self.state_sets(name)) for name in self.method},
            "mask": mask,
            "state": self.states.states,
            "images": self.states.images,
            "resolution": self.states.resolutions(mask, self.length),
            "area": {name: areas(curves) for name, curves in self.state_sets(mask).items()},
        }

    def headline(self) -> dict[str, Any]:
        """The fraction of the gap closed under the mask that counts, and what it is made of."""
        mask = self.references.headline
        score = self._summary(self.sets(mask))
        medians = {name: score[name]["median"] for name in ("consensus", "oracle")}
        found = {"value": score["method"]["median"], "gap_closed": score["gap_closed"]}
        return {"mask": mask} | found | medians

    def _summary(self, sets: Mapping[str, Float[np.ndarray, "m k"]]) -> dict[str, Any]:
        found = {name: asdict(summarise(curves, self.length)) for name, curves in sets.items()}
        value, low, high = (found[name]["median"] for name in ("method", "consensus", "oracle"))
        # Noise may put the oracle below the consensus where little moves: no gap, no share of it.
        closed = gap_closed(value, low, high) if high > low else float("nan")
        return found | {"gap_closed": closed}


def validate_maps(
    maps: MapSet, truth: GroundTruth, references: References, count: int = 200, seed: int = 0
) -> MapValidation:
    """Score at most `count` images that have a map, drawn by state.

    Raises `ValueError` where no image has one.
    """
    images, masks = truth.images.state, references.regions.masks()
    if not maps.rows().size:
        raise ValueError(f"No image has a map of {maps.paths[0].parent}: all labels are -1.")
    rows = draw_images(images, maps.rows(), count, seed)
    more = draw_images(images, maps.rows(), max(count, _STATE_IMAGES), seed)
    of = lambda chosen: ((maps.map, maps.of_image[chosen]), (truth.map, images[chosen]))
    return MapValidation(
        rows=rows,
        method=image_curves(*of(rows), masks),
        states=state_curves(*of(more), masks),
        references=references,
        state=images[rows],
        length=truth.size * truth.pixel_size,
    )


def scored_images(
    truth: GroundTruth, particles: Particles, rows: Int[np.ndarray, " m"]
) -> ScoredImages:
    """What is true of the images `rows`."""
    return ScoredImages(
        states=truth.states,
        state=truth.images.state[rows],
        rotation=truth.images.rotation[rows],
        defocus=0.5 * (particles.defocus_u + particles.defocus_v)[rows],
    )


@final
@dataclass(frozen=True, kw_only=True)
class LatentValidation:
    """Scores of latents on the images `rows`; `populations` is None for a rigid molecule.

    - `latent`, `ideal`: the method's and the ideal observer's, of these images.
    """

    rows: Int[np.ndarray, " m"]
    latent: Float[np.ndarray, "m d"] = field(repr=False)
    ideal: Float[np.ndarray, "m e"] = field(repr=False)
    images: ScoredImages = field(repr=False)
    scores: Mapping[str, RelativeScore]
    leaks: Mapping[str, Any]
    populations: PopulationScore | None

    def table(self) -> dict[str, dict[str, Any]]:
        """Value, chance, ceiling and share of each score; values of leaks; populations."""
        found: dict[str, dict[str, Any]] = {"latents": relative_table(self.scores)}
        found["leaks"] = {name: asdict(s) for name, s in self.leaks.items()}
        if self.populations is not None:
            energy = relative_table({"free_energy": self.populations.free_energy})
            found["populations"] = asdict(self.populations) | energy
        return found


def relative_table(scores: Mapping[str, RelativeScore]) -> dict[str, dict[str, float]]:
    """Value, chance, ceiling and share of each score."""
    return {
        name: asdict(s.score) | {"ceiling": s.ceiling, "share": s.share}
        for name, s in scores.items()
    }


def validate_latents(
    latents: Float[np.ndarray, "n d"],
    truth: GroundTruth,
    particles: Particles,
    references: References,
    seed: int = 0,
) -> LatentValidation:
    """Score latents on the images that the ideal observer has seen, as it is scored on them.

    Images whose latent is not finite (no estimate) are left out.
    """
    posterior = references.posterior
    there = np.isfinite(latents[posterior.rows]).all(axis=1)
    rows = posterior.rows[there]
    images = scored_images(truth, particles, rows)
    ideal = posterior.ideal_latent(truth.states)[there]
    latent = latents[rows]
    return LatentValidation(
        rows=rows,
        latent=latent,
        ideal=ideal,
        images=images,
        scores=score_latents(latent, ideal, images, seed),
        leaks=score_leaks(latent, images, seed),
        populations=score_populations(latent, ideal, images, seed) if images.varied else None,
    )


def validate_null(
    outputs: Outputs, maps: MapSet | None, truth: GroundTruth, references: References, seed: int = 0
) -> dict[str, float]:
    """False heterogeneity of a rigid molecule: the spread of decoded maps and of latents, and what
    noise alone explains of each. Empty where the molecule moves.

    Decoded maps of images are held against maps of random tenths of the images
    (`References.noise_spread`), latents against their own posterior variance.
    """
    found: dict[str, float] = {}
    if references.noise_spread is None:
        return found
    if maps is not None:
        rows = draw_images(truth.images.state, maps.rows(), _SPREAD_MAPS, seed)
        decoded = [maps.map(int(number)) for number in np.unique(maps.of_image[rows])]
        # One map for all images: nothing is spread.
        spread = molecule_spread(decoded, references.regions) if len(decoded) > 1 else 0.0
        found["spread of maps"] = spread
        found["spread of maps of tenths of the images"] = references.noise_spread
        found["ratio of the two"] = spread / references.noise_spread
    if outputs.latents is not None and outputs.covariance is not None:
        there = np.isfinite(outputs.latents).all(axis=1)
        latent = latent_spread(outputs.latents[there], outputs.covariance[there])
        found["latent variance over posterior variance"] = latent.ratio
    return found


def validate_calibration(
    outputs: Outputs, truth: GroundTruth, seed: int = 0
) -> list[dict[str, float]]:
    """Coverage of 50 % and 90 % regions of the posteriors of latents, brought to the truth's
    coordinates by affine maps of least squares that follow its bends (`align_locally`), fitted on
    one half of the images and tested on the other. Directions of the latent that no image tells of
    (`told_directions`) have no part in it. Empty where there are no posteriors, or the truth does
    not vary.

    Raises `ValueError` where fewer latent dimensions than coordinates leave nothing to align, or
    posteriors cannot be used.
    """
    target = truth.states.embedding()[truth.images.state]
    found = _posteriors(outputs)
    if found is None or not target.shape[1]:
        return []
    latents, covariance = found
    order = np.random.default_rng(seed).permutation(np.flatnonzero(np.isfinite(latents).all(1)))
    fitted, tested = order[::2], order[1::2]
    told = told_directions(latents[fitted], covariance[fitted])
    if told.shape[1] < target.shape[1]:
        raise ValueError(
            f"Latents of {latents.shape[1]} dimensions, of which images tell {told.shape[1]}, "
            f"cannot be brought to {target.shape[1]} coordinates: their calibration cannot be "
            "tested."
        )
    means = latents[tested] @ told
    onto = align_locally(latents[fitted] @ told, target[fitted], means)
    if outputs.samples is not None:
        samples = onto.points(outputs.samples[tested] @ told)
        coverage = sample_coverage(samples, target[tested])
    else:
        carried = onto.covariances(told.T @ covariance[tested] @ told)
        coverage = gaussian_coverage(onto.points(means[:, None])[:, 0], carried, target[tested])
    return [asdict(each) for each in coverage]


def _posteriors(outputs: Outputs):
    """Means and covariances, those of samples where there are any; None without."""
    if outputs.latents is None:
        return None
    if outputs.samples is not None:
        away = outputs.samples - outputs.samples.mean(axis=1, keepdims=True)
        return outputs.latents, np.einsum("nkd,nke->nde", away, away) / away.shape[1]
    return None if outputs.covariance is None else (outputs.latents, outputs.covariance)
