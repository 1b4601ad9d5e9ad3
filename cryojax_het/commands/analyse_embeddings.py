"""Planes that the latents of a run are laid out in, as an analysis leaves them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from ..analysis.density import LatentPosteriors
from ..analysis.embedding import AbstractEmbedding
from ..analysis.embedding_diffusion import DiffusionMap
from ..analysis.embedding_pca import PCA
from ..analysis.embedding_tsne import TSNE
from ..analysis.embedding_umap import UMAP

# By seed. A new way is one more entry.
WAYS: Mapping[str, Callable[[int], AbstractEmbedding]] = {
    "pca": lambda _: PCA(),
    "diffusion": lambda seed: DiffusionMap(seed=seed),
    "tsne": lambda seed: TSNE(seed=seed),
    "umap": lambda seed: UMAP(seed=seed),
}


def planes_of(
    names: tuple[str, ...],
    posteriors: LatentPosteriors,
    kept: Bool[np.ndarray, " n"],
    seed: int,
) -> dict[str, Float[np.ndarray, "n 2"]]:
    """Each by its name, NaN for images that are not kept. `ImportError` where what one of them
    needs is missing."""
    found = {}
    for name in names:
        found[name] = np.full((len(kept), 2), np.nan)
        found[name][kept] = WAYS[name](seed).plane(posteriors.take(np.flatnonzero(kept)))
    return found


def write_embeddings(folder: Path, planes: Mapping[str, Float[np.ndarray, "n 2"]]) -> None:
    """Write `NAME.npy` for each."""
    for name, plane in planes.items():
        folder.mkdir(exist_ok=True)
        np.save(folder / f"{name}.npy", plane)
