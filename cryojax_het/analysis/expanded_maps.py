"""Maps of a run whose model is expanded in functions of the latents: a hyper-molecule."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from ..particles.mrc import MrcVolume
from ..results.hyper_molecule_store import load_latent_functions
from ..results.run import RunFolder
from ..volumes.expanded import Expanded
from ..volumes.latent_functions.base import AbstractLatentFunctions
from .map_series import LinearMaps

_STEPS = 21  # along each latent, that a mean over its range is from


@final
@dataclass(frozen=True, kw_only=True)
class ExpandedMaps:
    """`V(τ) = mean + Σ_{p>0} T_p(τ) X_p`."""

    mean: MrcVolume
    terms: Float32[np.ndarray, "p n n n"]
    functions: AbstractLatentFunctions

    @property
    def latent_size(self) -> int:
        """Coordinates of a latent."""
        return self.functions.latent_size

    def coordinates(self, latent: Float[np.ndarray, "m k"]) -> Float[np.ndarray, "m p"]:
        """Weights of the `terms` at points of the latent."""
        values = jax.vmap(self.functions)(jnp.asarray(latent, jnp.float32))
        return np.asarray(values)[:, 1:]

    def __call__(self, latent: Float[np.ndarray, "m k"]) -> Iterator[Float32[np.ndarray, "n n n"]]:
        """The map at each point. Raises `ValueError` for points of other coordinates."""
        if latent.shape[1] != self.latent_size:
            raise ValueError(
                f"Points of {latent.shape[1]} coordinates do not fit {self.latent_size} of the "
                "model."
            )
        yield from LinearMaps(mean=self.mean, components=self.terms)(self.coordinates(latent))

    def volume(self, mask: Float[np.ndarray, "n n n"]) -> Expanded:
        """The model that images are compared with, under a mask: what lies outside is noise of
        these same images."""
        maps = LinearMaps(mean=self.mean, components=self.terms)
        return Expanded(self.functions, maps.volume(mask))

    def eigenvalues(self) -> Float[np.ndarray, " k"]:
        """Variance of the map along each latent over the power of the mean, the other latents in
        the middle of their range."""
        flat = self.terms.reshape(len(self.terms), -1).astype(np.float64)
        gram = flat @ flat.T / np.sum(np.square(self.mean.data, dtype=np.float64))
        found = []
        for axis in range(self.latent_size):
            # Of a circle in the plane the middle is nowhere: it is passed at a small distance.
            points = np.full((_STEPS, self.latent_size), 1e-3)
            points[:, axis] = (2 * np.arange(_STEPS) + 1) / _STEPS - 1
            spread = np.cov(self.coordinates(points).T, bias=True).reshape(gram.shape)
            found.append(np.sum(spread * gram))
        return np.array(found)


def expanded_maps(run: RunFolder) -> ExpandedMaps:
    """Of `volumes/mean.mrc` and `volumes/term_01.mrc` onwards. Raises `FileNotFoundError` where the
    run has none: it is of no hyper-molecule."""
    names = sorted(path.stem for path in run.folder("volumes").glob("term_*.mrc"))
    if not names:
        raise FileNotFoundError(
            f"{run.path} has no volumes/term_01.mrc: it is no run of `fit --volume prolate`."
        )
    terms = np.stack([np.asarray(run.volume(name).data, np.float32) for name in names])
    return ExpandedMaps(mean=run.volume("mean"), terms=terms, functions=load_latent_functions(run))
