"""The course of a trained fit: consensus, Gaussians, networks, latents."""

import time
from collections.abc import Sequence

import jax

from ..inference.devices import data_mesh
from ..results.run import RunFolder
from .linear_consensus import consensus_of
from .one_run import in_run_folder
from .reconstruct_data import Data
from .trained_course import train
from .trained_output import write_outputs
from .trained_setting import TrainedSetting
from .trained_settings import TrainedSettings


def run(config: TrainedSettings, data: Data, command: Sequence[str]) -> dict:
    """All of it, or what an earlier run left over; returns the summary."""
    return in_run_folder(config, command, lambda folder: _fit(config, data, command, folder))


def _fit(config: TrainedSettings, data: Data, command: Sequence[str], folder: RunFolder) -> dict:
    began = time.monotonic()
    setting = TrainedSetting(config, data, consensus_of(config, command), data_mesh())
    summary = write_outputs(setting, folder, train(setting, folder))
    summary["seconds"] = time.monotonic() - began
    if jax.process_index() == 0:
        folder.finish(summary)
    return summary
