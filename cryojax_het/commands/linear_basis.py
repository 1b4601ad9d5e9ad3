"""Principal volumes within the span of a few given ones: their covariance from the images, the
leading directions of it, and how many of them."""

import abc
import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

from ..inference.devices import BATCH, WHOLE, to_host
from ..inference.linear_statistics import linear_statistics
from ..inference.posteriors.band_limited import without_shells
from ..inference.projected_covariance import (
    CovarianceEquations,
    LatentCovariance,
    pooled,
    principal_volumes,
    without_contrast,
)
from ..inference.updates.principal_volumes import shell_power
from ..results.checkpoint import (
    checkpoint_note,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ..results.run import RunFolder
from ..volumes.kernel import quadratic
from ..volumes.linear import linear_of
from .image_pass import image_pass
from .linear_fit import Fitted, choose_count
from .linear_setting import LinearSetting

LOG = logging.getLogger("cryojax_het")

Rows = Integer[np.ndarray, " n"]
Basis = Float[np.ndarray, "k b b b"]


class AbstractBases(abc.ABC):
    """Where to look: orthonormal volumes that hold what varies, and which images are to tell their
    covariance. Where these had a part in the volumes, noise that both share counts as variance."""

    @abc.abstractmethod
    def find(self, setting: LinearSetting, rows: Rows) -> list[Basis]:
        """One or more bases, of the images `rows`."""

    @abc.abstractmethod
    def readers(self, setting: LinearSetting, rows: Rows) -> list[Rows]:
        """For each basis, the images of `rows` that tell the covariance within it."""


def volumes_in_bases(setting: LinearSetting, bases: AbstractBases) -> Fitted:
    """Mean and `largest` components, and no choice of fewer: what EM may start from."""
    rows = np.setdiff1d(np.arange(len(setting.data.particles)), setting.held_out)
    mean = setting.mean(setting.latent_box) * setting.mask(setting.latent_box)
    found = bases.find(setting, rows)
    return _with_power(setting, _within(setting, bases, mean, found, rows), [])


def fit_in_bases(setting: LinearSetting, folder: RunFolder, bases: AbstractBases) -> Fitted:
    """Mean and components at the box of the latents; a checkpoint is left after each stage."""
    stage, volumes, note = _resume(folder)
    rows = np.setdiff1d(np.arange(len(setting.data.particles)), setting.held_out)
    if stage < 1:
        mean = setting.mean(setting.latent_box) * setting.mask(setting.latent_box)
        found = bases.find(setting, rows)
        volumes = np.concatenate([mean[None], *found]).astype(np.float32)
        note = {"sizes": [len(basis) for basis in found]}
        _save(folder, 1, volumes, note)
    if stage < 2:
        parts = np.split(volumes[1:], np.cumsum(note["sizes"])[:-1])
        volumes = _within(setting, bases, volumes[0], parts, rows)
        _report(folder, volumes)
        fitted = _with_power(setting, volumes, [])
        if setting.config.components is None:
            fitted = choose_count(setting, fitted, spare=0)
        volumes, note = fitted.volumes, {"held_out": fitted.held_out}
        _save(folder, 2, volumes, note)
    return _with_power(setting, volumes, note["held_out"])


def _within(setting, bases, mean, parts, rows) -> Float[np.ndarray, "q b b b"]:
    """Mean and components by the covariance of the latents in each of the bases `parts`."""
    readers = bases.readers(setting, rows)
    covariance = pooled(
        [
            (latent_covariance(setting, np.stack([mean, *part]), own, name), float(len(own)))
            for part, own, name in zip(parts, readers, _names(len(parts)), strict=True)
        ]
    )
    volumes = np.concatenate([mean[None], *parts]).astype(np.float32)
    return of_covariance(volumes, covariance)[: setting.config.largest + 1]


def _names(count: int) -> list[str]:
    return [f"covariance {number + 1}/{count}" for number in range(count)]


def latent_covariance(
    setting: LinearSetting, volumes: Float[np.ndarray, "q b b b"], rows: Rows, name: str
) -> LatentCovariance:
    """Mean and covariance of the latents of `rows`, for a mean and components stacked: free of
    the bias of components that were made from other images."""
    box = volumes.shape[-1]
    loader, grid = setting.loader(box), setting.grid(box)
    noise = without_shells(setting.noise, setting.first_shell, grid)
    volume = linear_of(jnp.asarray(volumes), grid.pixel_size, quadratic()).prepare(grid)
    # Each device makes the slices of its own images, and no solver runs on any.
    everywhere = jax.shard_map(
        linear_statistics,
        mesh=setting.mesh,
        in_specs=(WHOLE, WHOLE, BATCH, WHOLE),
        out_specs=BATCH,
        check_vma=False,
    )
    gather = jax.jit(everywhere)
    contrast = (float(setting.prior.contrast_mean), float(setting.prior.contrast_width))
    equations = CovarianceEquations.zeros(len(volumes) - 1)
    for batch in image_pass(loader, setting.plan(rows, loader), name):
        found = to_host((gather(volume, noise, batch, grid), batch.weight))
        gram, projection = without_contrast(found[0], contrast)
        weight = np.asarray(found[1], np.float64)
        equations = equations.with_images(gram, projection, weight)
    return equations.solve()


def of_covariance(
    volumes: Float[np.ndarray, "q b b b"], found: LatentCovariance
) -> Float[np.ndarray, "q b b b"]:
    """Mean and components, the mean moved to that of the latents, the components to latents of
    covariance 1."""
    mean = volumes[0] + np.tensordot(found.mean, volumes[1:], axes=1)
    components = principal_volumes(volumes[1:], found.covariance)
    return np.concatenate([mean[None], components]).astype(volumes.dtype)


def _with_power(setting: LinearSetting, volumes, held_out) -> Fitted:
    """Priors of what a last M-step will make: the volumes' own spectra."""
    spacing = setting.grid(volumes.shape[-1]).pixel_size
    power = np.asarray(shell_power(jnp.asarray(volumes, jnp.float32), spacing))
    known = np.zeros((power.shape[1], len(power), len(power)), np.float32)
    return Fitted(volumes, power, known, held_out)


def _report(folder: RunFolder, volumes) -> None:
    norms = np.sum(volumes[1:].reshape(len(volumes) - 1, -1) ** 2, axis=1)
    shares = (norms / np.sum(volumes[0] ** 2)).tolist()
    LOG.info("Power over the mean's: %s", " ".join(f"{share:.4f}" for share in shares))
    if jax.process_index() == 0:
        folder.log(1, power=shares)


def _save(folder: RunFolder, stage: int, volumes, note: dict[str, Any]) -> None:
    if jax.process_index() == 0:
        note = {"stage": stage, "shape": list(volumes.shape), **note}
        save_checkpoint(folder.checkpoints, stage, {"volumes": volumes}, note)


def _resume(folder: RunFolder) -> tuple[int, Float[np.ndarray, "q b b b"], dict[str, Any]]:
    """The stage that is done, 0 to 2, and what it left."""
    path = latest_checkpoint(folder.checkpoints)
    if path is None:
        return 0, np.zeros((0, 0, 0, 0), np.float32), {}
    note = checkpoint_note(path)
    tree = load_checkpoint(path, {"volumes": np.zeros(note["shape"], np.float32)})
    LOG.info("Taken up after stage %d of 2.", note["stage"])
    return note["stage"], tree["volumes"], note
