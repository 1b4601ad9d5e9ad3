"""The images of a run that are sampled, on the device, with where their latents start."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from ..imaging.image import Batch
from ..particles.loader import HostLatents, Loader, Placement, split_rows
from .image_preparation import pose_latents, prepared_pixels
from .reconstruct_data import Data
from .sample import SampleConfig
from .volume_run import FittedRun
from .volume_tables import check_images

_READ = 64  # images at a time


def sampled_rows(config: SampleConfig, run: FittedRun) -> Int[np.ndarray, " n"]:
    """Rows of the images, in order. `ValueError` for one that the run does not have."""
    total = len(run.cloud)
    if not config.particles:
        rng = np.random.default_rng(config.seed)
        return np.sort(rng.permutation(total)[: config.count]).astype(np.int64)
    try:
        rows = sorted({int(part) for part in config.particles.split(",")})
    except ValueError:
        raise ValueError(
            f"`--particles` must be rows from 0, as in 3,17,42. Got {config.particles!r}."
        ) from None
    if rows[0] < 0 or rows[-1] >= total:
        raise ValueError(f"`--particles`: rows run from 0 to {total - 1}. Got {config.particles}.")
    return np.array(rows, np.int64)


def sampled_box(config: SampleConfig, run: FittedRun, data: Data) -> int:
    """Pixels that are looked at. `ValueError` for more than the run's images have."""
    found = run.folder.record().get("summary") or {}
    box = config.box or int(found.get("latent_box", data.size))
    if box > data.size:
        raise ValueError(f"`--box` must not exceed the {data.size} pixels of the run. Got {box}.")
    return box


def sampled_images(
    config: SampleConfig, run: FittedRun, data: Data, rows: Int[np.ndarray, " n"]
) -> Batch:
    """All of them as one batch, `index` their row.

    What is sampled starts where its prior is: poses as the particle file has them, conformation 0,
    contrast 1. What is not is held at the run's estimate.
    """
    check_images(run, data, run.noise(), run.mask())
    box = sampled_box(config, run, data)
    pixels = prepared_pixels(run.settings, data, box)
    place = Placement(lambda tree: jax.tree.map(_as_device, tree))
    loader = Loader(data.source, _starts(config, run, data), pixels, min(_READ, len(rows)), place)
    parts = list(loader.batches(split_rows(rows, loader.batch_size)))
    whole = jax.tree.map(lambda *each: jnp.concatenate(each)[: len(rows)], *parts)
    return whole


def _starts(config: SampleConfig, run: FittedRun, data: Data) -> HostLatents:
    given, table = pose_latents(data), run.folder.latents()
    held = lambda name: np.array(table.read(name), np.float32)
    wanted = config.unknowns
    rest = np.zeros((len(run.cloud), run.cloud.mean.shape[1]), np.float32)
    return HostLatents(
        rest if "conformation" in wanted else held("conformation"),
        given.rotation if "pose" in wanted else held("rotation"),
        given.shift if "shift" in wanted else held("shift"),
        given.contrast if "contrast" in wanted else held("contrast"),
    )


def _as_device(values):
    kind = jnp.result_type(float) if np.issubdtype(values.dtype, np.floating) else None
    return jnp.asarray(values, kind)
