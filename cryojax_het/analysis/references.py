"""What the scores of a data set are held against, made once and kept beside its truth.

Masks, the two baselines, and the ideal observer's posteriors depend on the data set alone; every
method that is scored on it shares them.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float, Float32

from ..particles.files import replacing
from ..particles.source import AbstractImageSource
from ..simulate.truth import GroundTruth
from .baselines import (
    OracleChoice,
    choose_bandwidths,
    consensus,
    default_bandwidths,
    noise_maps,
    oracle_of_shells,
)
from .ceiling import StatePosterior, state_posterior
from .chance import some_rows
from .fsc import fourier_shell_correlation
from .map_scores import image_curves
from .regions import Regions, find_regions
from .spread import map_spread
from .state_sums import GroupSums, accumulate

FORMAT = "cryojax_het references 2"
HEADLINE = ("moving region", "molecule")  # the first that there is
_NOISE_MAPS = 10  # of a tenth of the images each

_logger = logging.getLogger(__name__)
Curves = Mapping[str, Float[np.ndarray, "s k"]]


@final
@dataclass(frozen=True, kw_only=True)
class References:
    """References of a data set of S states.

    - `consensus`, `oracle`: FSC of the baseline with the true map of each state, by mask.
    - `consensus_map`: the baseline itself; `choice`: the bandwidths that the oracle tried.
    - `noise_spread`: `molecule_spread` of maps of random tenths of the images, what noise alone
      makes differ; None for a molecule that moves.
    """

    regions: Regions
    consensus: Curves
    oracle: Curves
    consensus_map: Float32[np.ndarray, "n n n"]
    choice: OracleChoice
    posterior: StatePosterior
    noise_spread: float | None

    @property
    def headline(self) -> str:
        """The mask of the headline: the moving region, or the molecule where nothing moves."""
        return _headline(self.regions)


def molecule_spread(maps: Iterable[Float32[np.ndarray, "n n n"]], regions: Regions) -> float:
    """`map_spread` of two maps or more under the mask of the molecule, in shells 1 to n/2 - 1."""
    size = len(regions.molecule)
    return map_spread(np.stack(list(maps)), regions.molecule, (1, size // 2 - 1))


def references_of(
    source: AbstractImageSource,
    truth: GroundTruth,
    images: int = 3000,
    seed: int = 0,
    kept: Path | None = None,
) -> References:
    """References of a data set: those of the file `kept` where it has them, made otherwise, and
    written there.

    - `images`: how many, drawn by `seed`, the ideal observer looks at.

    Where `kept` cannot be written, they are made all the same and a warning says so.
    """
    key = _key(truth, images, seed)
    found = None if kept is None else read_references(kept, key)
    if found is not None:
        return found
    made = make_references(source, truth, images, seed)
    if kept is not None:
        try:
            write_references(kept, made, key)
        except OSError as error:
            _logger.warning(
                "%s could not be written (%s): the next validation on this data set makes the "
                "references again.",
                kept,
                error.strerror or error,
            )
    return made


def make_references(
    source: AbstractImageSource, truth: GroundTruth, images: int, seed: int
) -> References:
    """All references, in one pass over the stack and one over a sample of it."""
    count = len(truth.states)
    regions = find_regions(map(truth.map, range(count)), truth.states.population, truth.pixel_size)
    masks, every = regions.masks(), np.arange(count)
    sums = accumulate(source, truth, truth.images.state, count)
    choice = _choose(sums, truth, masks[_headline(regions)])
    common, true = consensus(sums), (truth.map, every)
    best = lambda state: oracle_of_shells(sums, truth.states, state, choice.best)
    return References(
        regions=regions,
        consensus=image_curves((lambda _: common, np.zeros_like(every)), true, masks),
        oracle=image_curves((best, every), true, masks),
        consensus_map=common,
        choice=choice,
        posterior=state_posterior(source, truth, some_rows(len(source), images, seed)),
        noise_spread=_noise_spread(source, truth, regions, seed),
    )


def _choose(
    sums: GroupSums, truth: GroundTruth, mask: Float32[np.ndarray, "n n n"]
) -> OracleChoice:
    """Of each shell the bandwidth of the largest FSC under the mask of the headline."""
    score = lambda found, true: fourier_shell_correlation(found * mask, true * mask)
    bandwidths = default_bandwidths(truth.states)
    return choose_bandwidths(sums, truth.map, truth.states, bandwidths, score)


def _noise_spread(
    source: AbstractImageSource, truth: GroundTruth, regions: Regions, seed: int
) -> float | None:
    if regions.moving is not None:
        return None
    maps = noise_maps(source, truth, _NOISE_MAPS, len(source) // _NOISE_MAPS, seed)
    return molecule_spread(maps, regions)


def _headline(regions: Regions) -> str:
    return next(mask for mask in HEADLINE if mask in regions.masks())


def write_references(path: Path, references: References, key: str) -> None:
    """Write all of it as HDF5, whole or not at all."""
    import h5py

    regions, choice, posterior = references.regions, references.choice, references.posterior
    arrays: dict[str, Any] = {
        "regions/molecule": regions.molecule,
        "regions/mean": regions.mean,
        "consensus_map": references.consensus_map,
        "choice/bandwidths": choice.bandwidths,
        "choice/scores": choice.scores,
        "choice/states": choice.states,
        "choice/best": choice.best,
        "posterior/rows": posterior.rows,
        "posterior/log_likelihood": posterior.log_likelihood,
        "posterior/prior": posterior.prior,
    }
    if regions.moving is not None:
        arrays["regions/moving"] = regions.moving
    for name, curves in (("consensus", references.consensus), ("oracle", references.oracle)):
        arrays |= {f"{name}/{mask}": curve for mask, curve in curves.items()}
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"format": FORMAT, "key": key})
        if references.noise_spread is not None:
            file.attrs["noise_spread"] = references.noise_spread
        for name, array in arrays.items():
            file.create_dataset(name, data=array)


def read_references(path: Path, key: str) -> References | None:
    """What `write_references` wrote under this key; None where there is no such file, or it is
    another's or damaged."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            if (file.attrs.get("format"), file.attrs.get("key")) != (FORMAT, key):
                return None
            return _read(file)
    except (OSError, KeyError):
        return None


def _read(held: Any) -> References:
    array = lambda name: held[name][()]
    moving = array("regions/moving") if "moving" in held["regions"] else None
    spread = held.attrs.get("noise_spread")
    return References(
        regions=Regions(
            molecule=array("regions/molecule"), moving=moving, mean=array("regions/mean")
        ),
        consensus={mask: curve[()] for mask, curve in held["consensus"].items()},
        oracle={mask: curve[()] for mask, curve in held["oracle"].items()},
        consensus_map=array("consensus_map"),
        choice=OracleChoice(
            bandwidths=array("choice/bandwidths"),
            scores=array("choice/scores"),
            states=array("choice/states"),
            best=array("choice/best"),
        ),
        posterior=StatePosterior(
            rows=array("posterior/rows"),
            log_likelihood=array("posterior/log_likelihood"),
            prior=array("posterior/prior"),
        ),
        noise_spread=None if spread is None else float(spread),
    )


def _key(truth: GroundTruth, images: int, seed: int) -> str:
    """Changes with the truth file and with what is asked for."""
    status = truth.path.stat()
    return f"{status.st_size} {status.st_mtime_ns} {images} {seed}"
