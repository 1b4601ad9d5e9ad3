"""What every fit that begins with a consensus leaves in its run folder for later commands."""

import jax
import numpy as np

from ..particles.mrc import MrcVolume
from ..results.latents import LatentTable
from ..results.run import RunFolder
from .consensus_setting import ConsensusSetting
from .image_preparation import pose_latents


def latent_tables(setting: ConsensusSetting, folder: RunFolder, latent: int) -> LatentTable:
    """Tables of latents, poses and gains, to be filled row by row. Until then, and for ever where
    an image is left out, a row is what is known without its image: the prior `z ~ N(0, I)`, the
    pose of the particle file, contrast 1, no gain."""
    table, poses = folder.latents(), pose_latents(setting.data)
    images = len(poses.contrast)
    shapes = {"conformation": (latent,), "conformation_covariance": (latent, latent)}
    shapes |= {"rotation": (3, 3), "shift": (2,), "contrast": ()}
    shapes |= {"log_likelihood": (), "log_likelihood_mean": ()}
    if jax.process_index() == 0:
        unseen = {"conformation_covariance": np.eye(latent), "rotation": poses.rotation}
        unseen |= {"shift": poses.shift, "contrast": poses.contrast}
        for name, shape in shapes.items():
            table.create(name, (images, *shape), unseen.get(name, 0.0))
    return table


def write_map(setting: ConsensusSetting, folder: RunFolder, name: str, data: np.ndarray) -> None:
    """Voxels of the full box."""
    spacing = float(setting.grid(setting.data.size).pixel_size)
    voxels = np.asarray(data, np.float32)
    folder.write_volume(name, MrcVolume(voxels, (spacing, spacing, spacing)))


def write_data(setting: ConsensusSetting, folder: RunFolder) -> None:
    """What maps from images need: mask, half-maps, the noise, and the half-set of each image."""
    write_map(setting, folder, "mask", setting.mask(setting.data.size))
    for name in ("half1", "half2"):
        folder.write_volume(name, setting.consensus.folder.volume(name))
    analysis = folder.folder("analysis")
    np.save(analysis / "noise.npy", np.asarray(setting.noise.power))
    np.save(analysis / "half.npy", setting.data.particles.half)
