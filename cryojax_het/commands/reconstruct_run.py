"""The passes of a reconstruction, their checkpoints, and what is left in the run folder."""

import logging
import sys
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ..imaging.grid import FourierGrid
from ..inference.devices import (
    data_mesh,
    own_part,
    place_batch,
)
from ..inference.half_maps import (
    Clock,
    HalfMaps,
    first_pass,
    later_pass,
    plan_batches,
    run_pass,
)
from ..inference.model import Model
from ..inference.noise_estimation import group_count, noise_from_residuals
from ..inference.posteriors.as_given import AsGiven
from ..inference.prior import LocalPrior
from ..inference.updates.least_squares import LeastSquares
from ..particles.loader import Placement
from ..results.run import RunFolder
from ..volumes.voxels import Voxels
from .image_preparation import image_loader, initial_noise
from .one_run import in_run_folder
from .reconstruct import ReconstructConfig
from .reconstruct_checkpoint import Setting, resume, save, set_models
from .reconstruct_data import Data
from .reconstruct_maps import (
    Compared,
    compare_halves,
    filtered_halves,
    final_map,
    write_maps,
)
from .reconstruct_method import choose_method

LOG = logging.getLogger("cryojax_het")


def run(config: ReconstructConfig, data: Data, command: Sequence[str]) -> dict:
    """All passes, or those that an earlier run left over; returns the summary."""
    mesh = data_mesh()
    return in_run_folder(
        config, command, lambda folder: _passes(_setting(config, data, mesh), folder)
    )


def _setting(config, data, mesh) -> Setting:
    grid = FourierGrid(data.stored, data.pixel_size).crop(data.size)
    update = LeastSquares(
        grid.pixel_size, data.size, mesh, method=choose_method(config.method, data.size)
    )
    placement = Placement(place_batch(mesh), own_part)
    batch = data.batch_size(config.batch, mesh.size)
    loader = image_loader(config, data, data.size, batch, placement)
    particles = data.particles
    return Setting(config, data, grid, update, loader, group_count(particles.group))


def _start(setting: Setting) -> HalfMaps:
    """Before the first pass: background noise, no volume, poses as given."""
    config, data = setting.config, setting.data
    noise = initial_noise(config, data, setting.loader.pixels)
    empty = Voxels(voxels=jnp.zeros((data.size,) * 3, jnp.float32), spacing=setting.grid.pixel_size)
    prior = LocalPrior(
        np.deg2rad(config.refine_angle), config.refine_shift, jnp.ones(()), 0.3 * jnp.ones(())
    )
    model = Model(empty, noise, prior, AsGiven())
    power = np.zeros((setting.groups, data.size // 2 + 1), np.float32)
    states = [setting.update.init(model) for _ in range(2)]
    images = np.zeros(setting.groups, np.float32)
    return HalfMaps([model, model], states, power, images, setting.loader.latents)


def _passes(setting: Setting, folder: RunFolder) -> dict:
    config = setting.config
    plan = plan_batches(setting.data.particles.half, setting.loader.batch_size)
    maps, first, start = resume(folder, _start(setting), setting)
    began = time.monotonic()
    solved = None
    for number in range(first, config.passes):
        how = (
            first_pass(setting.update, setting.grid)
            if number == 0
            else later_pass(setting.update, setting.grid, setting.groups)
        )
        _one_pass(setting, folder, maps, how, plan, (number, start))
        start = 0
        solved = compare_halves(setting, maps.states)
        _report(folder, number, solved, setting)
        if number + 1 < config.passes:
            _prepare_next(setting, maps, solved)
            save(folder, maps, number + 1, 0, len(plan))
    assert solved is not None
    return _finish(setting, folder, maps, solved, began)


def _one_pass(setting, folder, maps, how, plan, place):
    number, start = place
    clock = Clock(setting.config.checkpoint_seconds)
    total = sum(len(batch.rows) for batch in plan)
    done = sum(len(batch.rows) for batch in plan[:start])
    hidden = jax.process_index() != 0
    with tqdm(
        total=total,
        initial=done,
        desc=f"pass {number + 1}/{setting.config.passes}",
        unit=" images",
        disable=hidden,
        file=sys.stderr,
    ) as bar:
        for position, count in enumerate(run_pass(how, maps, setting.loader, plan, start), start):
            bar.update(count)
            if clock.due() and position + 1 < len(plan):
                save(folder, maps, number, position + 1, len(plan))


def _prepare_next(setting, maps, solved: Compared):
    """Models of the next pass: each half's own filtered map, noise from residuals."""
    noise = maps.models[0].noise
    if maps.images.sum() > 0:
        noise = noise_from_residuals(maps.power, maps.images, setting.grid, noise)
    set_models(setting, maps, filtered_halves(setting, solved), noise)
    maps.states = [setting.update.init(model) for model in maps.models]
    maps.power[:] = 0
    maps.images[:] = 0


def _report(folder, number, solved: Compared, setting):
    LOG.info(
        "Pass %d: resolution %.2f Å (FSC 0.143, masked and corrected), %.2f Å unmasked.",
        number + 1,
        solved.resolution,
        solved.unmasked_resolution,
    )
    if jax.process_index() == 0:
        folder.log(
            number + 1,
            resolution=solved.resolution,
            unmasked_resolution=solved.unmasked_resolution,
            fsc=solved.fsc.corrected,
            loader_wait_share=setting.loader.waits.share(),
        )


def _finish(setting, folder, maps, solved: Compared, began) -> dict:
    particles = setting.data.particles
    mean = final_map(setting, solved)
    seconds = time.monotonic() - began
    summary = {
        "images": len(particles),
        "box": setting.data.size,
        "pixel_size": float(setting.grid.pixel_size),
        "resolution": solved.resolution,
        "unmasked_resolution": solved.unmasked_resolution,
        "seconds": seconds,
        "images_per_second": len(particles) * setting.config.passes / seconds,
        "loader_wait_share": setting.loader.waits.share(),
    }
    if jax.process_index() == 0:
        write_maps(setting, folder, maps, solved, mean)
        folder.finish(summary)
    return summary
