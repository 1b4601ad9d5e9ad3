"""Ways to make a map at a latent: a class each, opened on a finished run.

What `--by model` makes is in `fitted_maps.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from ..inference.regression.graph import graph_basis
from ..inference.regression.kernel_regression import KernelRegression
from ..inference.regression.spectral import SpectralVolumes, spectral_volumes
from .fit import FLOWS, MIXTURES
from .fitted_maps import MODELS, FittedMaps
from .volume_deformed import DeformedMaker
from .volume_makers_base import AbstractMaker
from .volume_run import FittedRun
from .volume_tables import gathered

_TERMS = 10  # at most; held-out images choose


@final
@dataclass(frozen=True)
class ModelMaker(AbstractMaker):
    """By the model of the run."""

    maps: FittedMaps

    @classmethod
    def of_run(cls, run):
        kind = run.folder.config().get("volume", "none")
        if kind not in MODELS:
            raise ValueError(
                f"{run.folder.path}: a model of the kind {kind!r} makes no maps at latents here; "
                f"known: {', '.join(MODELS)}. Use `--by regression`."
            )
        return cls(MODELS[kind](run.folder))

    def volume(self, wanted):
        return next(iter(self.maps(wanted.target.latent[None])))


@final
@dataclass(frozen=True)
class RegressionMaker(AbstractMaker):
    """Kernel regression from the images near a latent."""

    regression: KernelRegression

    @classmethod
    def of_run(cls, run):
        found = gathered(run)
        return cls(
            KernelRegression(
                tables=found.tables,
                groups=found.groups,
                half=found.half,
                cloud=run.cloud,
                mask=found.mask,
                signal=found.signal,
            )
        )

    def volume(self, wanted):
        return self.regression.volume(wanted.target).map


@final
@dataclass(frozen=True)
class SpectralMaker(AbstractMaker):
    """Laplacian spectral volumes."""

    spectral: SpectralVolumes

    @classmethod
    def of_run(cls, run):
        found = gathered(run)
        terms = min(_TERMS, len(run.cloud) // 10)
        basis = graph_basis(run.cloud, max(1, terms))
        about = (found.signal, found.mask)
        return cls(spectral_volumes(found.tables, found.groups, found.half, basis, about))

    def volume(self, wanted):
        if wanted.row is not None:
            return self.spectral.image(wanted.row)
        return self.spectral.volume(wanted.target)


def of_mixture(run: FittedRun) -> AbstractMaker:
    """By deformed back-projection. `ValueError` where the run's model does not move anything."""
    kind = run.folder.config().get("volume", "none")
    if kind not in (*MIXTURES, *FLOWS):
        raise ValueError(
            f"{run.folder.path}: a model of the kind {kind!r} displaces nothing; known: "
            f"{', '.join((*MIXTURES, *FLOWS))}. Use `--by regression`."
        )
    return DeformedMaker.of_run(run)


WAYS: Mapping[str, Callable[[FittedRun], AbstractMaker]] = {
    "model": ModelMaker.of_run,
    "regression": RegressionMaker.of_run,
    "spectral": SpectralMaker.of_run,
    "deformed": of_mixture,
}
