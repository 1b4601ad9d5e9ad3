"""Latents of a volume expanded in functions of them, on nodes over their whole range."""

from ...volumes.linear import FourierLinear
from ..hyper_molecules.nodes import Contrast, Nodes, belief_on_nodes, on_nodes
from ..linear_statistics import linear_statistics
from ..posterior import AbstractPosterior, OnNodes
from ..requirements import expanded_volume, gaussian_noise, local_prior


class NodePosterior(AbstractPosterior[OnNodes]):
    """The posterior of conformation and contrast at the poses given, the conformation even over
    its range: exact but for the spacing of the nodes, however many modes there are.

    `TypeError` for a volume that is not `Expanded`, another prior than a `LocalPrior` (of which
    the contrast is looked at), or noise that is not Gaussian.
    """

    nodes: Nodes

    def infer(self, key, volume, noise, prior, batch, grid):
        del key
        noise = gaussian_noise(noise, "NodePosterior")
        prior = local_prior(prior, "NodePosterior")
        volume = expanded_volume(volume, "NodePosterior")
        ready = volume.prepare(grid).terms
        assert isinstance(ready, FourierLinear)
        statistics = linear_statistics(ready, noise, batch, grid)
        contrast = Contrast(prior.contrast_mean, prior.contrast_width)
        belief = belief_on_nodes(statistics, self.nodes, contrast)
        return on_nodes(belief, self.nodes, volume.functions, batch.latents)
