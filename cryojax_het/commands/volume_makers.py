"""Ways to make a map at a latent: a class each, opened on a finished run.

A new model of volumes is one more class for `--by model`, named in `MODELS` by the `volume` of the
run's settings.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import jax
import numpy as np

from ..analysis.expanded_maps import ExpandedMaps, expanded_maps
from ..analysis.flow_maps import FlowMaps, flow_maps
from ..analysis.map_series import LinearMaps, linear_maps
from ..analysis.neural_field_maps import NeuralFieldMaps, neural_field_maps
from ..imaging.grid import FourierGrid
from ..inference.regression.graph import graph_basis
from ..inference.regression.kernel_regression import KernelRegression
from ..inference.regression.spectral import SpectralVolumes, spectral_volumes
from ..results.mixture_store import load_mixture
from ..volumes.band_limited import band_limited_density
from ..volumes.gaussian_mixture import GaussianMixture
from .fit import FLOWS, MIXTURES, NEURAL_FIELDS
from .volume_deformed import DeformedMaker
from .volume_makers_base import AbstractMaker
from .volume_run import FittedRun
from .volume_tables import gathered

_TERMS = 10  # at most; held-out images choose


@final
@dataclass(frozen=True)
class LinearMaker(AbstractMaker):
    """`V(z) = mean + Σ_k z_k X_k`."""

    maps: LinearMaps

    @classmethod
    def of_run(cls, run):
        return cls(linear_maps(run.folder))

    def volume(self, wanted):
        return next(self.maps(wanted.target.latent[None]))


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


@final
@dataclass(frozen=True)
class MixtureMaker(AbstractMaker):
    """Gaussians where their displacement puts them, as far as voxels can tell."""

    at: Callable[[np.ndarray], GaussianMixture]
    grid: FourierGrid

    @classmethod
    def of_run(cls, run):
        mixture = load_mixture(run.folder).volume
        mean = run.folder.volume("mean")
        return cls(
            jax.jit(lambda latent: mixture.at(latent)),
            FourierGrid(len(mean.data), mean.voxel_size[0]),
        )

    def volume(self, wanted):
        mixture = self.at(np.asarray(wanted.target.latent, np.float32))
        return np.asarray(band_limited_density(mixture, self.grid), np.float32)


@final
@dataclass(frozen=True)
class ExpandedMaker(AbstractMaker):
    """`V(τ) = Σ_p T_p(τ) X_p`."""

    maps: ExpandedMaps

    @classmethod
    def of_run(cls, run):
        return cls(expanded_maps(run.folder))

    def volume(self, wanted):
        return next(self.maps(wanted.target.latent[None]))


@final
@dataclass(frozen=True)
class FlowMaker(AbstractMaker):
    """The reference map where its field puts it."""

    maps: FlowMaps

    @classmethod
    def of_run(cls, run):
        return cls(flow_maps(run.folder))

    def volume(self, wanted):
        return next(self.maps(wanted.target.latent[None]))


@final
@dataclass(frozen=True)
class NeuralFieldMaker(AbstractMaker):
    """The field on voxels."""

    maps: NeuralFieldMaps

    @classmethod
    def of_run(cls, run):
        return cls(neural_field_maps(run.folder))

    def volume(self, wanted):
        return next(self.maps(wanted.target.latent[None]))


MODELS: Mapping[str, type[AbstractMaker]] = {
    "linear": LinearMaker,
    "prolate": ExpandedMaker,
    **dict.fromkeys(MIXTURES, MixtureMaker),
    **dict.fromkeys(FLOWS, FlowMaker),
    **dict.fromkeys(NEURAL_FIELDS, NeuralFieldMaker),
}


def of_model(run: FittedRun) -> AbstractMaker:
    """By the model of the run. `ValueError` where its kind makes no maps at latents."""
    kind = run.folder.config().get("volume", "none")
    if kind not in MODELS:
        raise ValueError(
            f"{run.folder.path}: a model of the kind {kind!r} makes no maps at latents here; "
            f"known: {', '.join(MODELS)}. Use `--by regression`."
        )
    return MODELS[kind].of_run(run)


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
    "model": of_model,
    "regression": RegressionMaker.of_run,
    "spectral": SpectralMaker.of_run,
    "deformed": of_mixture,
}
