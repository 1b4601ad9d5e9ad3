"""The maps that two runs give to the same images, compared without truth.

Nothing here changes with the gauge of a latent, the names of classes or the scale of maps. The mean
alone makes maps agree: what counts is the agreement of their deviations from it. Runs on the same
images share their noise, and agree in that too; half-sets do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np
from jaxtyping import Float, Float32, Int

from ..particles.mrc import cubic_voxel_size, read_volume
from .chance import Score, some_rows
from .map_agreement import deviations, fsc_areas, fsc_curves, paired_agreement, set_agreement
from .map_sets import MapSet
from .mask import automatic_mask

Curves = Mapping[str, Float[np.ndarray, "m k"]]

_MOST = 50  # maps of each run that are compared all with all,
_BYTES = 5e8  # if as many fit in this


@final
@dataclass(frozen=True, kw_only=True)
class MapComparison:
    """Maps of two runs, for the same images `rows`.

    - `first`, `second`: number of each image's map among the A and B that are compared.
    - `areas`: FSC area of each map of the first with each of the second, in an order that puts
      alike beside alike; of their `deviations` from each run's mean too (None where a run has one
      map).
    - `curves`, `curves_of_deviations`: FSC of every image's two maps ("same image"), and of its map
      with that of an image drawn at random ("any image").
    """

    rows: Int[np.ndarray, " m"]
    first: Int[np.ndarray, " m"] = field(repr=False)
    second: Int[np.ndarray, " m"] = field(repr=False)
    areas: Float[np.ndarray, "a b"] = field(repr=False)
    deviations: Float[np.ndarray, "a b"] | None = field(repr=False)
    curves: Curves = field(repr=False)
    curves_of_deviations: Curves | None = field(repr=False)

    def scores(self) -> dict[str, Score]:
        """Agreement image by image, and of the two sets at their best matching (optimal transport
        between their populations), whichever image has which map."""
        found: dict[str, Score] = {}
        if self.deviations is not None:
            found["deviations of maps, by image"] = self._paired(self.deviations)
            found["deviations of maps, as sets"] = self._matched(self.deviations)
        found["maps, by image"] = self._paired(self.areas)
        found["maps, as sets"] = self._matched(self.areas)
        return found

    def _paired(self, matrix: Float[np.ndarray, "a b"]) -> Score:
        return paired_agreement(matrix[np.ix_(self.first, self.second)])

    def _matched(self, matrix: Float[np.ndarray, "a b"]) -> Score:
        shares = (_shares(self.first, matrix.shape[0]), _shares(self.second, matrix.shape[1]))
        return set_agreement(matrix, *shares)


def compare_maps(
    first: MapSet,
    second: MapSet,
    mask: Float32[np.ndarray, "n n n"],
    images: int = 200,
    seed: int = 0,
) -> MapComparison:
    """Compare the maps that both runs give to the same images, at most `images` of them.

    Fewer where these have more different maps than memory is given for (50, or 500 MB). Raises
    `ValueError` where fewer than two images have a map in both.
    """
    rows = _shared_rows(first, second, images, seed)
    (one, of_first), (other, of_second) = _loaded(first, rows), _loaded(second, rows)
    last = len(mask) // 2 - 1
    partners = {"same image": of_second}
    partners["any image"] = np.random.default_rng(seed).permutation(of_second)
    curves = lambda a, b: {
        name: _pair_curves(a, b, (of_first, of_b), mask) for name, of_b in partners.items()
    }
    areas = fsc_areas(one, other, mask, last)
    changes, change_curves = None, None
    if len(one) > 1 and len(other) > 1:
        one_change = deviations(one, _shares(of_first, len(one)))
        other_change = deviations(other, _shares(of_second, len(other)))
        changes = fsc_areas(one_change, other_change, mask, last)
        change_curves = curves(one_change, other_change)
    order = _alike_beside_alike(areas if changes is None else changes)
    place = tuple(np.argsort(o) for o in order)
    return MapComparison(
        rows=rows,
        first=place[0][of_first],
        second=place[1][of_second],
        areas=areas[np.ix_(*order)],
        deviations=None if changes is None else changes[np.ix_(*order)],
        curves=curves(one, other),
        curves_of_deviations=change_curves,
    )


def on_common_grid(first: MapSet, second: MapSet) -> tuple[MapSet, MapSet]:
    """Both on the grid of the one whose maps have fewer voxels."""
    grids = []
    for maps in (first, second):
        volume = read_volume(maps.paths[0])
        grids.append((volume.data.shape[0], cubic_voxel_size(volume, maps.paths[0])))
    size, pixel_size = min(grids)
    one, other = (replace(m, size=size, pixel_size=pixel_size) for m in (first, second))
    return one, other


def common_mask(first: MapSet, second: MapSet, seed: int = 0) -> Float32[np.ndarray, "n n n"]:
    """`automatic_mask` of the mean of both runs' maps, where there is no truth to make one from.

    Each run's mean is brought to the same scale first.
    """
    rows = _shared_rows(first, second, 10 * _MOST, seed)
    total = np.zeros((first.size,) * 3)
    for maps in (first, second):
        loaded, of_image = _loaded(maps, rows)
        mean = np.average(loaded, axis=0, weights=_shares(of_image, len(loaded)))
        total += mean / mean.std()
    return automatic_mask(total, first.pixel_size).astype(np.float32)


def _shared_rows(first: MapSet, second: MapSet, images: int, seed: int) -> Int[np.ndarray, " m"]:
    both = np.intersect1d(first.rows(), second.rows())
    if len(both) < 2:
        raise ValueError(
            f"{len(both)} images have a map in both {first.paths[0].parent} and "
            f"{second.paths[0].parent}: decode maps of the same images (particle_000123.mrc) in "
            "both, or put the maps' latents beside them (latents.npy)."
        )
    rows = both[some_rows(len(both), images, seed)]
    most = max(2, min(_MOST, int(_BYTES / (4 * first.size**3))))
    # Half of the images at a time: where maps are shared by many, more than `most` can stay.
    while max(len(np.unique(maps.of_image[rows])) for maps in (first, second)) > most:
        rows = rows[some_rows(len(rows), max(most, len(rows) // 2), seed)]
    return rows


def _loaded(maps: MapSet, rows: Int[np.ndarray, " m"]):
    """The maps `[a, n, n, n]` of these images, and which of them each image has."""
    numbers, of_image = np.unique(maps.of_image[rows], return_inverse=True)
    return np.stack([maps.map(int(number)) for number in numbers]), of_image.ravel()


def _shares(of_image: Int[np.ndarray, " m"], count: int) -> Float[np.ndarray, " a"]:
    return np.bincount(of_image, minlength=count) / len(of_image)


def _pair_curves(one, other, numbers, mask) -> Float[np.ndarray, "m k"]:
    """FSC of every image's two maps; each pair of maps is compared once."""
    pairs, which = np.unique(np.stack(numbers, axis=1), axis=0, return_inverse=True)
    curves = fsc_curves((one[a] for a, _ in pairs), (other[b] for _, b in pairs), mask)
    return curves[which.ravel()]


def _alike_beside_alike(matrix: Float[np.ndarray, "a b"]):
    """Orders of rows and columns along the leading singular vectors of the centred matrix: where
    both runs follow one motion, high values then lie on a diagonal."""
    centred = matrix - matrix.mean(axis=0) - matrix.mean(axis=1, keepdims=True) + matrix.mean()
    left, _, right = np.linalg.svd(centred, full_matrices=False)
    return np.argsort(left[:, 0]), np.argsort(right[0])
