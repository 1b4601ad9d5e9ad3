"""The course of a fit of principal volumes: consensus, components, latents, maps."""

import time
from collections.abc import Sequence

import jax

from ..inference.devices import data_mesh
from ..results.run import RunFolder
from .fit_linear import LinearConfig
from .linear_consensus import consensus_of
from .linear_estimators import ESTIMATORS
from .linear_output import write_outputs
from .linear_setting import LinearSetting
from .one_run import in_run_folder
from .reconstruct_data import Data


def run(config: LinearConfig, data: Data, command: Sequence[str]) -> dict:
    """All of it, or what an earlier run left over; returns the summary."""
    return in_run_folder(config, command, lambda folder: _fit(config, data, command, folder))


def _fit(config: LinearConfig, data: Data, command: Sequence[str], folder: RunFolder) -> dict:
    began = time.monotonic()
    setting = LinearSetting(config, data, consensus_of(config, command), data_mesh())
    fitted = ESTIMATORS[config.estimator].fit(setting, folder)
    summary = write_outputs(setting, folder, fitted)
    summary["seconds"] = time.monotonic() - began
    if jax.process_index() == 0:
        folder.finish(summary)
    return summary
