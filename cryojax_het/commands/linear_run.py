"""The course of a fit of principal volumes: consensus, components, latents, maps."""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext

import jax

from ..inference.devices import data_mesh, first_process_first
from ..results.config import config_table
from ..results.run import RunFolder, RunRecord, open_run
from .fit_linear import LinearConfig
from .linear_consensus import Consensus, consensus_of
from .linear_estimators import ESTIMATORS
from .linear_fit import Fitted
from .linear_output import write_outputs
from .linear_setting import LinearSetting
from .reconstruct_data import Data

LOG = logging.getLogger("cryojax_het")


def run(config: LinearConfig, data: Data, command: Sequence[str]) -> dict:
    """All of it, or what an earlier run left over; returns the summary."""
    record = RunRecord(
        command=command,
        seed=config.seed,
        devices=[str(d) for d in jax.devices()],
        inputs=config.inputs(),
    )
    folder = first_process_first(
        lambda: open_run(config.output, config_table(config.result_settings()), record),
        lambda: RunFolder(config.output),
    )
    if folder.finished:
        LOG.info("%s is finished already.", config.output)
        return folder.record()["summary"]
    with folder.logging() if jax.process_index() == 0 else nullcontext():
        began = time.monotonic()
        consensus: Consensus = consensus_of(config, command)
        setting = LinearSetting(config, data, consensus, data_mesh())
        fitted: Fitted = ESTIMATORS[config.estimator].fit(setting, folder)
        summary = write_outputs(setting, folder, fitted)
        summary["seconds"] = time.monotonic() - began
        if jax.process_index() == 0:
            folder.finish(summary)
        return summary
