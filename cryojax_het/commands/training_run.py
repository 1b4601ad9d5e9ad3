"""The course of a trained fit: consensus, model, networks, latents."""

import time
from collections.abc import Callable, Sequence

import jax
from jax.sharding import Mesh

from ..inference.devices import data_mesh
from ..results.run import RunFolder
from .linear_consensus import Consensus, consensus_of
from .one_run import in_run_folder
from .training_course import train
from .training_output import write_outputs
from .training_setting import TrainingSetting
from .training_settings import TrainingSettings

# From the map of all images, and devices.
Maker = Callable[[Consensus, Mesh], TrainingSetting]


def run(config: TrainingSettings, command: Sequence[str], maker: Maker) -> dict:
    """All of it, or what an earlier run left over; returns the summary."""

    def work(folder: RunFolder) -> dict:
        began = time.monotonic()
        setting = maker(consensus_of(config, command), data_mesh())
        summary = write_outputs(setting, folder, train(setting, folder))
        summary["seconds"] = time.monotonic() - began
        if jax.process_index() == 0:
            folder.finish(summary)
        return summary

    return in_run_folder(config, command, work)
