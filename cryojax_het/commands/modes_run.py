"""The course of a fit of normal modes: consensus, reference, modes, images, population, files."""

import logging
import time
from collections.abc import Sequence

from ..inference.devices import data_mesh
from ..results.run import RunFolder
from .fit_modes import ModesConfig
from .linear_consensus import consensus_of
from .modes_output import write_outputs
from .modes_round import next_round, run_round
from .modes_setting import ModesSetting
from .modes_state import resume, save
from .one_run import in_run_folder
from .reconstruct_data import Data

LOG = logging.getLogger("cryojax_het")


def run(config: ModesConfig, data: Data, command: Sequence[str]) -> dict:
    """All of it, or what an earlier run left over; returns the summary."""
    return in_run_folder(config, command, lambda folder: _fit(config, data, command, folder))


def _fit(config: ModesConfig, data: Data, command: Sequence[str], folder: RunFolder) -> dict:
    began = time.monotonic()
    setting = ModesSetting(config, data, consensus_of(config, command), data_mesh())
    basis = setting.basis
    LOG.info(
        "%d modes, cutoff %.1f Å; stiffness over the softest: %s; collectivity: %s.",
        config.modes,
        basis.cutoff,
        " ".join(f"{value:.2f}" for value in basis.eigenvalues),
        " ".join(f"{value:.2f}" for value in basis.collectivity),
    )
    state = resume(folder, setting)
    last = len(setting.rounds) - 1
    while True:
        said = run_round(setting, folder, state)
        folder.log(state.number + 1, **said)
        if state.number == last:
            break
        next_round(setting, folder, state)
    save(folder, state)
    summary = write_outputs(setting, folder, state)
    summary |= {"images_per_second": said["images_per_second"]}
    summary["seconds"] = time.monotonic() - began
    folder.finish(summary)
    return summary
