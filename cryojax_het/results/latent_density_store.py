"""A density of latents in a run folder: `model/latent_density.npz` and `.json`."""

import jax.numpy as jnp
import numpy as np

from ..inference.latent_diffusion.latent_density import LatentDensity
from ..inference.latent_diffusion.score_network import ScoreNetwork, score_network
from .model_files import model_about, model_arrays, save_model
from .network_weights import any_key, filled, weight_arrays
from .run import RunFolder

FORMAT = 1
_NAME, _KIND = "latent_density", "a density of latents"


def save_latent_density(folder: RunFolder, density: LatentDensity) -> None:
    """Write both files, each whole or not at all. `TypeError` unless a `ScoreNetwork` is inside."""
    network = density.diffusion
    if not isinstance(network, ScoreNetwork):
        raise TypeError(f"A {type(network).__name__} cannot be kept.")
    arrays = weight_arrays(network.parameters, "network")
    arrays |= {"mean": np.asarray(density.mean), "factor": np.asarray(density.factor)}
    layers = [network.network.width, network.network.blocks]
    save_model(folder, _NAME, arrays, {"format": FORMAT, "size": network.size, "layers": layers})


def load_latent_density(folder: RunFolder) -> LatentDensity:
    """What `save_latent_density` wrote. Raises `FileNotFoundError` where there is none,
    `ValueError` where another version wrote it."""
    about, arrays = model_about(folder, _NAME, _KIND, FORMAT), model_arrays(folder, _NAME)
    empty = score_network(any_key(), about["size"], tuple(about["layers"]))
    parameters = filled(empty.parameters, "network", arrays)
    network = ScoreNetwork(parameters=parameters, network=empty.network, size=empty.size)
    return LatentDensity(network, jnp.asarray(arrays["mean"]), jnp.asarray(arrays["factor"]))
