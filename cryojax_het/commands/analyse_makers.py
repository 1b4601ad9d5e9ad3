"""What makes the maps of an analysis at latents: the run's model, kernel regression, or both."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
from jaxtyping import Float

from ..analysis.map_series import MapsAt, Masked
from .analyse import AnalyseConfig
from .analyse_run import Analysed

if TYPE_CHECKING:
    from ..inference.regression.cloud import LatentCloud
    from ..inference.regression.kernel_regression import KernelRegression, RegressionMap


@final
@dataclass(frozen=True)
class RegressionAt:
    """Kernel regression at any latents of a run, as uncertain as its images typically are."""

    regression: "KernelRegression"
    cloud: "LatentCloud"

    def each(self, latent: Float[np.ndarray, "m d"]) -> Iterator["RegressionMap"]:
        """All that is found at each point."""
        for point in latent:
            yield self.regression.volume(self.cloud.point(point.astype(np.float64)))

    def __call__(self, latent: Float[np.ndarray, "m d"]) -> Iterator[np.ndarray]:
        """The map at each point."""
        return (found.map for found in self.each(latent))


@final
@dataclass(frozen=True, kw_only=True)
class MapMakers:
    """`model`; `regression`, None where nothing that is asked for needs it; `series`: what the maps
    along paths and at clusters are made by. `model` and `series` are masked where asked for."""

    model: MapsAt
    regression: RegressionAt | None
    series: MapsAt


def map_makers(analysed: Analysed, config: AnalyseConfig) -> MapMakers:
    """As the settings ask for; kernel regression reads all images here. Raises `FileNotFoundError`
    and `ValueError` where it does not find what it needs."""
    wanted = config.by == "regression" or config.side_by_side or config.local_resolution
    regression = regression_of(analysed) if wanted else None
    model = _masked(analysed.maps, analysed, config)
    by: dict[str, MapsAt] = {"model": model}
    if regression is not None:
        by["regression"] = _masked(regression, analysed, config)
    return MapMakers(model=model, regression=regression, series=by[config.by])


def regression_of(analysed: Analysed) -> RegressionAt:
    """Opened on the images of a run, by one pass over them."""
    from ..inference.devices import keep_compilations
    from ..inference.regression.cloud import LatentCloud
    from .volume_makers import RegressionMaker
    from .volume_run import FittedRun

    keep_compilations()
    found = analysed.posteriors
    cloud = LatentCloud(
        mean=found.mean.astype(np.float64), covariance=found.covariance.astype(np.float64)
    )
    maker = RegressionMaker.of_run(FittedRun(analysed.run, cloud, analysed.images))
    return RegressionAt(maker.regression, cloud)


def _masked(maps: MapsAt, analysed: Analysed, config: AnalyseConfig) -> MapsAt:
    return Masked(maps=maps, mask=analysed.mask) if config.masked else maps
