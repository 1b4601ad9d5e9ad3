"""The likelihood of every image at every conformation of a path: all that free energies need.

`ℓ_im = log ∫ p(y_i | x_m, φ) p(φ) dφ - log p(y_i | 0)`, φ pose and contrast; the last term, the
likelihood of an image of nothing, is one number to an image, and drops out of all comparisons
between conformations. (Giraldo-Barreto et al. 2021, Sci. Rep. 11, 13657.)
"""

from collections.abc import Iterator, Sequence
from typing import final

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Integer

from ...imaging.image import Batch
from ...particles.loader import Loader
from ..devices import to_host
from .poses import AbstractPoses, ImageModel


@final
class PathLikelihood(eqx.Module):
    """Conformations `path` of a volume's latent, and what images are compared with there.

    A series of maps is a path of `ClassVolumes`: `path` is then the identity.
    """

    model: ImageModel
    path: Float[Array, "m d"]
    poses: AbstractPoses

    def __check_init__(self):
        wanted = self.model.volume.latent_size
        if self.path.shape[1] != wanted or len(self.path) < 2:
            raise ValueError(
                f"`path` must be two conformations or more of {wanted} numbers. Got "
                f"{self.path.shape}."
            )

    def rows(self, batch: Batch) -> Float[Array, "b m"]:
        """`ℓ` of every image of a batch, in nats."""
        one = lambda image, latents, optics: self.poses.log_likelihood(
            self.model, self.path, image, latents, optics
        )
        return jax.vmap(one)(batch.images, batch.latents, batch.optics)

    def each(
        self, loader: Loader, plan: Sequence[Integer[np.ndarray, " _"]]
    ) -> Iterator[tuple[Integer[np.ndarray, " r"], Float[np.ndarray, "r m"]]]:
        """Goes through the images of `plan`; after each batch, its images' numbers and rows.

        Raises `FloatingPointError`, naming an image, where a likelihood is not finite.
        """
        compute = eqx.filter_jit(lambda path, batch: path.rows(batch))
        # Prepared once: not in every batch.
        volume = self.model.volume.prepare(self.model.grid)
        ready = eqx.tree_at(lambda p: p.model.volume, self, volume)
        for batch in loader.batches(plan):
            found, index, weight = to_host((compute(ready, batch), batch.index, batch.weight))
            index, found = index[weight > 0], found[weight > 0]
            broken = ~np.isfinite(found).all(axis=1)
            if broken.any():
                raise FloatingPointError(
                    f"Image {index[broken][0]} has no finite likelihood: are its pixels, its "
                    "defocus and its pose numbers?"
                )
            yield index, found
