"""A row of latents for each image, begun where an encoder puts them: semi-amortised inference.

Kim et al. 2018, ICML (semi-amortized variational autoencoders).
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..inference.devices import replicated, to_host
from ..inference.encoders.encoded import Encoded
from ..inference.model import Model
from ..inference.posteriors.latent_table import LatentTable
from ..inference.requirements import gaussian_noise
from ..particles.loader import split_rows
from .image_pass import image_pass
from .training_setting import TrainingSetting


def with_rows(setting: TrainingSetting, model: Model) -> Model:
    """The model with the encoder's means of all images in a table in place of the encoder; as it is
    where it has a table already."""
    if isinstance(model.posterior, LatentTable):
        return model
    loader, grid = setting.loader(setting.box), setting.grid(setting.box)
    count = len(setting.data.particles)
    rows = np.zeros((count, setting.config.latent), np.float32)
    model = replicated(setting.mesh, model)
    for batch in image_pass(loader, split_rows(np.arange(count), loader.batch_size), "rows"):
        means, index, weight = to_host((_means(model, batch, grid), batch.index, batch.weight))
        rows[index[weight > 0]] = means[weight > 0]
    return _with(model, rows)


def with_empty_rows(setting: TrainingSetting, model: Model) -> Model:
    """The same with rows of zeros, to be read from a file."""
    count = len(setting.data.particles)
    return _with(model, np.zeros((count, setting.config.latent), np.float32))


def _with(model: Model, rows: np.ndarray) -> Model:
    return eqx.tree_at(lambda m: m.posterior, model, LatentTable(jnp.asarray(rows)))


@eqx.filter_jit
def _means(model: Model, batch, grid):
    assert isinstance(model.posterior, Encoded)
    belief = model.posterior.read(gaussian_noise(model.noise, "with_rows"), batch, grid)
    return belief.latents.conformation
