"""The frame of every command that works on images and leaves a run folder."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import jax

from ..inference.devices import first_process_first
from ..results.config import config_table, default_table
from ..results.run import RunFolder, RunRecord, open_run
from .image_settings import ImageSettings

LOG = logging.getLogger("cryojax_het")


def in_run_folder(
    config: ImageSettings, command: Sequence[str], work: Callable[[RunFolder], dict]
) -> dict:
    """`work(folder)` in the run folder of `config`, new or taken up; the summary that it returns.

    A finished run is left as it is, and its summary returned. Raises as `open_run` does.
    """
    record = RunRecord(
        command=command,
        seed=config.seed,
        devices=[str(d) for d in jax.devices()],
        inputs=config.inputs(),
    )
    settings = config.result_settings()
    folder = first_process_first(
        lambda: open_run(config.output, config_table(settings), record, default_table(settings)),
        lambda: RunFolder(config.output),
    )
    if folder.finished:
        LOG.info("%s is finished already.", config.output)
        return folder.record()["summary"]
    # One log, by one process: the others would say the same.
    with folder.logging() if jax.process_index() == 0 else nullcontext():
        return work(folder)
