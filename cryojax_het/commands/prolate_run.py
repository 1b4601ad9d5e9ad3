"""The course of a fit of a hyper-molecule: consensus, coefficients, latents, maps."""

import time
from collections.abc import Sequence

import jax

from ..inference.devices import data_mesh
from ..results.run import RunFolder
from .fit_prolate import ProlateConfig
from .linear_consensus import consensus_of
from .one_run import in_run_folder
from .prolate_course import fit_coefficients
from .prolate_draws import draw_molecules
from .prolate_output import write_outputs
from .prolate_setting import ProlateSetting
from .reconstruct_data import Data


def run(config: ProlateConfig, data: Data, command: Sequence[str]) -> dict:
    """All of it, or what an earlier run left over; returns the summary."""
    return in_run_folder(config, command, lambda folder: _fit(config, data, command, folder))


def _fit(config: ProlateConfig, data: Data, command: Sequence[str], folder: RunFolder) -> dict:
    began = time.monotonic()
    setting = ProlateSetting(config, data, consensus_of(config, command), data_mesh())
    fitted = fit_coefficients(setting, folder)
    summary = write_outputs(setting, folder, fitted.coefficients)
    if config.draws:
        summary |= draw_molecules(setting, folder, fitted)
    summary["seconds"] = time.monotonic() - began
    if jax.process_index() == 0:
        folder.finish(summary)
    return summary
