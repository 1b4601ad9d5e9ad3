"""The ways to principal volumes, one class each: `fit --volume linear --estimator`."""

import abc
from typing import final

from ..results.run import RunFolder
from .linear_basis import fit_in_bases, volumes_in_bases
from .linear_columns import ColumnBases
from .linear_fit import Fitted, fit_components
from .linear_resampling import ResampledBases
from .linear_setting import LinearSetting


class AbstractEstimator(abc.ABC):
    """From images to mean and components at the box of the latents."""

    @abc.abstractmethod
    def fit(self, setting: LinearSetting, folder: RunFolder) -> Fitted:
        """All of it, or what the checkpoints of `folder` leave to be done."""


@final
class ExpectationMaximisation(AbstractEstimator):
    """The most likely volumes under normal latents, by EM from those of the covariance."""

    def fit(self, setting, folder):
        start = lambda setting: volumes_in_bases(setting, ColumnBases())
        return fit_components(setting, folder, start)


@final
class LeastSquaresCovariance(AbstractEstimator):
    """Covariance by least squares: a basis from some of its columns, the covariance within it."""

    def fit(self, setting, folder):
        return fit_in_bases(setting, folder, ColumnBases())


@final
class Resampling(AbstractEstimator):
    """A basis from the scatter of resampled reconstructions, the covariance within it."""

    def fit(self, setting, folder):
        return fit_in_bases(setting, folder, ResampledBases())


ESTIMATORS: dict[str, AbstractEstimator] = {
    "em": ExpectationMaximisation(),
    "covariance": LeastSquaresCovariance(),
    "bootstrap": Resampling(),
}
