"""How an analysis may cluster latents."""

from collections.abc import Callable, Mapping

from ..analysis.cluster_density import DenseClusters
from ..analysis.cluster_mixture import BestMixture
from ..analysis.latent_clusters import AbstractClustering, KMeans
from .analyse import AnalyseConfig

# By the settings. A new way is one more entry.
CLUSTERINGS: Mapping[str, Callable[[AnalyseConfig], AbstractClustering]] = {
    "kmeans": lambda config: KMeans(count=config.clusters, seed=config.seed),
    "mixture": lambda config: BestMixture(most=config.clusters, seed=config.seed),
    "dense": lambda _: DenseClusters(),
}
