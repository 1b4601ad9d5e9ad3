"""The pass of an analysis over all images, and what it says of each."""

import sys
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Bool

from ..analysis.outliers import ImageScores, score_images
from .analyse import AnalyseConfig
from .analyse_run import Analysed


@final
@dataclass(frozen=True, kw_only=True)
class Scored:
    """Scores of all images, None where none were wanted, and which images are kept."""

    scores: ImageScores | None
    kept: Bool[np.ndarray, " n"]


def no_scores(analysed: Analysed, config: AnalyseConfig) -> Scored:
    """All images are kept."""
    del config
    return Scored(scores=None, kept=np.ones(len(analysed.posteriors), bool))


def scores_of_images(analysed: Analysed, config: AnalyseConfig) -> Scored:
    """Render every image at its latents and compare; those above the threshold are not kept.

    Raises `FileNotFoundError` where the particles are gone, `ValueError` where they are others.
    """
    from ..inference.devices import keep_compilations, use_cpu_devices
    from .reconstruct_data import load_data
    from .reconstruct_method import affordable_devices, choose_method

    try:
        data = load_data(analysed.images)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}\nGive where the images are now by `--particles` or `--data-dir`, or leave "
            "their scores out by `--no-scores`."
        ) from error
    count = len(analysed.posteriors)
    if len(data.particles) != count:
        raise ValueError(
            f"{analysed.images.particles} has {len(data.particles)} images, the run's latents "
            f"{count} rows: give the particle file of the run by `--particles`."
        )
    keep_compilations()
    method = choose_method("diagonal", data.size)
    use_cpu_devices(config.devices or affordable_devices(method, data.size))
    products = _products(analysed, data)
    scores = score_images(products, analysed.posteriors, data.particles.group)
    kept = ~scores.flagged(config.threshold)
    if kept.sum() < 3:
        raise ValueError(
            f"Only {kept.sum()} of {count} images are explained by the model: look at the run, or "
            "leave scores out by `--no-scores`."
        )
    return Scored(scores=scores, kept=kept)


def _products(analysed: Analysed, data):
    import jax.numpy as jnp
    from tqdm import tqdm

    from ..imaging.grid import FourierGrid
    from ..inference.devices import data_mesh, own_part, place_batch
    from ..inference.image_scores import ScorePass, band_edges
    from ..particles.loader import Loader, Placement, split_rows
    from .image_preparation import prepared_pixels
    from .run_images import noise_of_run

    mesh, settings = data_mesh(), analysed.images
    pixels = prepared_pixels(settings, data, data.size)
    batch = data.batch_size(settings.batch, mesh.size)
    placement = Placement(place_batch(mesh), own_part)
    loader = Loader(data.source, _latents(analysed), pixels, batch, placement)
    grid = FourierGrid(data.stored, data.pixel_size).crop(data.size)
    scores = ScorePass(
        volume=analysed.maps.volume(analysed.mask),
        noise=noise_of_run(analysed.run, settings, data, pixels),
        neutral=jnp.zeros(analysed.posteriors.mean.shape[1], jnp.float32),
        grid=grid,
        edges=tuple(band_edges(grid).tolist()),
    )
    count = len(analysed.posteriors)
    held, plan = scores.table(count), split_rows(np.arange(count), batch)
    with tqdm(total=count, desc="scores", unit=" images", file=sys.stderr) as bar:
        for done in scores.fill(held, loader, plan):
            bar.update(done)
    return held


def _latents(analysed: Analysed):
    from ..particles.loader import HostLatents

    table = analysed.run.latents()
    names = ("conformation", "rotation", "shift", "contrast")
    return HostLatents(*(np.array(table.read(name), np.float32) for name in names))
