"""The course of `cryojax-het sample`: the run, its images, sweeps, files."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax

from ..imaging.grid import FourierGrid
from ..inference.devices import keep_compilations
from ..inference.gibbs.block import World
from ..results.config import config_table, default_table
from ..results.inference_data import check_arviz
from ..results.run import RunFolder, RunRecord, open_run
from .reconstruct_data import load_data
from .sample import SampleConfig
from .sample_course import run_sweeps
from .sample_images import sampled_box, sampled_images, sampled_rows
from .sample_models import sampled_model
from .sample_output import write_outputs
from .volume_run import fitted_run

LOG = logging.getLogger("cryojax_het")


def run(config: SampleConfig, command: Sequence[str]) -> dict[str, Any]:
    """All of it, or what an earlier run left over; returns the summary."""
    check_arviz()
    source = fitted_run(config.run, config.particle_file, None)
    joint, blocks = sampled_model(source, config)
    rows, data = sampled_rows(config, source), load_data(source.settings)
    grid = FourierGrid(data.stored, data.pixel_size).crop(sampled_box(config, source, data))
    batch = sampled_images(config, source, data, rows)
    keep_compilations()
    devices = [str(device) for device in jax.devices()]
    inputs = [config.run / "run.json", source.settings.particles]
    record = RunRecord(command=command, seed=config.seed, devices=devices, inputs=inputs)
    folder = open_run(config.output, config_table(config), record, default_table(config))
    if folder.finished:
        LOG.info("%s is finished already.", config.output)
        return folder.record()["summary"]
    with folder.logging():
        world = eqx.filter_jit(World.of)(joint, batch, grid)
        return _sampled(config, folder, source, world, blocks)


def _sampled(config, folder: RunFolder, source, world: World, blocks) -> dict[str, Any]:
    began = time.monotonic()
    draws = run_sweeps(config, folder, world, blocks)
    summary = write_outputs(folder, source, world, draws)
    summary["seconds"] = time.monotonic() - began
    for sentence in summary["failures"]:
        LOG.warning("%s", sentence)
    folder.finish(summary)
    return summary
