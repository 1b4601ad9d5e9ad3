"""The distances and embeddings of maps, by name, and what is computed of a set of maps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float

from ..analysis.classical_scaling import ClassicalScaling, principal_coordinates
from ..analysis.correlation_distance import CorrelationDistance
from ..analysis.distance_embedding import AbstractDistanceEmbedding, Embedding
from ..analysis.elastic_distance import Bending, ElasticDisplacement, ElasticDissimilarity
from ..analysis.feature_distance import FeatureDistance
from ..analysis.fsc_distance import FSCDistance
from ..analysis.map_distance import AbstractMapDistance
from ..analysis.map_landscape import AlongPath, MapLandscape, along_path
from ..analysis.neighbour_embedding import NeighbourEmbedding
from ..analysis.resampled_clusters import Votes, vote
from ..analysis.stress_scaling import StressScaling
from ..inference.volume_autoencoder import Course
from .map_manifold import MapManifoldConfig
from .map_manifold_maps import ManifoldMaps, Origin

Distances = Mapping[str, Callable[[MapManifoldConfig, np.ndarray], AbstractMapDistance]]

DISTANCES: Distances = {
    "fsc": lambda config, mask: FSCDistance(mask=mask),
    "correlation": lambda config, mask: CorrelationDistance(mask=mask),
    "structmap": lambda config, mask: ElasticDissimilarity(
        mask=mask, bending=Bending(modes=config.modes)
    ),
    "displacement": lambda config, mask: ElasticDisplacement(
        mask=mask, bending=Bending(modes=config.modes)
    ),
    "alphacryo4d": lambda config, mask: FeatureDistance(
        mask=mask, course=Course(epochs=config.epochs), seed=config.seed
    ),
}
EMBEDDINGS: Mapping[str, Callable[[MapManifoldConfig], AbstractDistanceEmbedding]] = {
    "classical": lambda config: ClassicalScaling(),
    "stress": lambda config: StressScaling(),
    "tsne": lambda config: NeighbourEmbedding(seed=config.seed),
}


@final
@dataclass(frozen=True, kw_only=True)
class Landscape:
    """Free energy over the points, the path, where the maps are along it, and the images' votes."""

    energy: MapLandscape
    path: Float[np.ndarray, "k d"]
    along: AlongPath
    votes: Votes


@final
@dataclass(frozen=True, kw_only=True)
class Manifold:
    """What was found of M maps. `eigenvalues`: of classical scaling, all M."""

    distances: Float[np.ndarray, "m m"]
    eigenvalues: Float[np.ndarray, " m"]
    embedding: Embedding
    landscape: Landscape | None


def embedding_name(config: MapManifoldConfig) -> str:
    """The embedding asked for, or the usual one of the distance."""
    return config.embedding or ("tsne" if config.by == "alphacryo4d" else "classical")


def lay_out(config: MapManifoldConfig, maps: ManifoldMaps) -> Manifold:
    """Distances, coordinates and, of resampled maps, the landscape."""
    way = DISTANCES[config.by](config, maps.mask)
    distances = way.between(maps.maps, maps.pixel_size)
    count = min(config.dimensions, len(distances) - 1)
    embedding = EMBEDDINGS[embedding_name(config)](config).place(distances, count)
    return Manifold(
        distances=distances,
        eigenvalues=principal_coordinates(distances)[0],
        embedding=embedding,
        landscape=None if maps.origin is None else _landscape(config, maps.origin, embedding),
    )


def _landscape(config, origin: Origin, embedding: Embedding) -> Landscape:
    energy = MapLandscape.of(embedding.coordinates, origin.clusters.counts)
    path = energy.path()
    along = along_path(embedding.coordinates, path, config.states)
    votes = vote(origin.clusters.member, along.group)
    return Landscape(energy=energy, path=path, along=along, votes=votes)
