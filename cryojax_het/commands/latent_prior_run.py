"""The course of a density of latents: read, learn, draw, tell anew, write."""

import json
import logging
import sys
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ..analysis.two_sample import two_sample_p
from ..inference.devices import keep_compilations
from ..inference.latent_diffusion.fit_diffusion import Beliefs, Fitted, Schedule, fit_diffusion
from ..inference.latent_diffusion.latent_density import LatentDensity
from ..inference.latent_diffusion.map_latents import PriorDraws, Retold, prior_draws, retold
from ..inference.latent_diffusion.score_network import score_network
from ..report.latent_plots import plot_latent_density
from ..results.config import config_table, default_table
from ..results.disk import explained, write_arrays, write_text
from ..results.latent_density_store import save_latent_density
from ..results.run import RunFolder, RunRecord, open_run
from .latent_prior import LatentPriorConfig
from .volume_run import cloud_of

LOG = logging.getLogger("cryojax_het")
_TOGETHER = 256  # images whose posteriors are told at once


def run(config: LatentPriorConfig, command: Sequence[str]) -> dict[str, Any]:
    """All of it; a finished run is left as it is. Returns the summary."""
    source = RunFolder(config.run)
    source.check_finished()
    cloud = cloud_of(source)
    if not cloud.mean.shape[1]:
        raise ValueError(f"{source.path}: its latents have no coordinate.")
    beliefs = Beliefs(cloud.mean.astype(np.float32), cloud.covariance.astype(np.float32))
    record = RunRecord(
        command=command,
        seed=config.seed,
        devices=[str(d) for d in jax.devices()],
        inputs=[source.path / "run.json"],
    )
    folder = open_run(config.output, config_table(config), record, default_table(config))
    if folder.finished:
        LOG.info("%s is finished already.", config.output)
        return folder.record()["summary"]
    keep_compilations()
    with folder.logging():
        keys = jax.random.split(jax.random.key(config.seed), 4)
        fitted = _learned(config, beliefs, keys[0])
        draws = prior_draws(fitted.density, keys[1], config.samples)
        told = _told(fitted.density, draws, beliefs)
        summary = _summary(config, beliefs, fitted, draws, keys[2:])
        _write(folder, fitted, (draws, told), beliefs, summary)
        folder.finish(summary)
    return summary


def _learned(config: LatentPriorConfig, beliefs: Beliefs, key) -> Fitted:
    schedule = Schedule(config.steps, config.draws, config.rate, config.layers)
    with tqdm(total=config.steps, desc="density", unit=" steps", file=sys.stderr) as bar:

        def progress(steps: int, loss: float) -> None:
            bar.update(min(steps, config.steps) - bar.n)
            bar.set_postfix(loss=f"{loss:.4f}")

        return fit_diffusion(key, beliefs, schedule, progress)


def _told(density: LatentDensity, draws: PriorDraws, beliefs: Beliefs) -> Retold:
    """Every image's posterior under the density, and its `log p` there."""
    single = lambda x: jnp.asarray(x, jnp.float32)
    many = eqx.filter_jit(
        lambda means, spreads: jax.vmap(lambda m, c: retold(density, draws, m, c))(means, spreads)
    )
    count, found = len(beliefs.mean), []
    with tqdm(total=count, desc="latents", unit=" images", file=sys.stderr) as bar:
        for start in range(0, count, _TOGETHER):
            # The last rows come again where a batch is short: one program for all.
            rows = np.minimum(np.arange(start, start + _TOGETHER), count - 1)
            part = many(single(beliefs.mean[rows]), single(beliefs.covariance[rows]))
            found.append(jax.device_get(part))
            bar.update(min(_TOGETHER, count - start))
    return jax.tree.map(lambda *x: np.concatenate(x)[:count], *found)


def _summary(config, beliefs: Beliefs, fitted: Fitted, draws: PriorDraws, keys) -> dict[str, Any]:
    """Losses, and whether draws differ from latents of images that were not trained on."""
    rng = np.random.default_rng(config.seed)
    root = np.linalg.cholesky(beliefs.covariance[fitted.held])
    normal = rng.normal(size=(len(fitted.held), beliefs.mean.shape[1]))
    truth = beliefs.mean[fitted.held] + np.einsum("nij,nj->ni", root, normal)
    base = score_network(keys[0], beliefs.mean.shape[1], (1, 1))
    gaussian = eqx.tree_at(lambda d: d.diffusion, fitted.density, base)
    other = prior_draws(gaussian, keys[1], min(config.samples, len(truth)))
    return {
        "images": len(beliefs.mean),
        "latent": beliefs.mean.shape[1],
        "held_out": len(fitted.held),
        "held_out_loss": fitted.held_out,
        "normal_loss": fitted.normal,
        "two_sample_p": two_sample_p(np.asarray(draws.latent), truth, config.seed),
        "normal_two_sample_p": two_sample_p(np.asarray(other.latent), truth, config.seed),
    }


def _write(folder: RunFolder, fitted: Fitted, found, beliefs: Beliefs, summary) -> None:
    (draws, told), density = found, fitted.density
    save_latent_density(folder, density)
    log_density = eqx.filter_jit(lambda z: jax.lax.map(density.log_prob, z, batch_size=_TOGETHER))
    columns: dict[str, Float[np.ndarray, "n *_"]] = {
        "conformation": told.most_probable,
        "conformation_mean": told.mean,
        "conformation_covariance": told.covariance,
        "effective_draws": told.effective,
        "log_density": np.asarray(log_density(jnp.asarray(told.most_probable))),
    }
    table, rows = folder.latents(), np.arange(len(beliefs.mean))
    for name, values in columns.items():
        table.create(name, values.shape)
        table.write(name, rows, values)
    place = folder.folder("analysis")
    with explained(place):
        np.save(place / "samples.npy", np.asarray(draws.latent))
        write_arrays(
            place / "latent_prior.npz",
            {"course": np.array(fitted.course), "log_density": np.asarray(draws.log_prob)},
        )
        write_text(place / "latent_prior.json", json.dumps(summary, indent=1) + "\n")
    plots = folder.folder("plots")
    plot_latent_density(
        plots / "latent_prior.png", beliefs.mean, told.most_probable, np.asarray(draws.latent)
    )
