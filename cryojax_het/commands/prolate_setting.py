"""What is fixed during a fit of a hyper-molecule."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..imaging.grid import FourierGrid
from ..inference.hyper_molecules.coefficient_prior import prior_variance
from ..inference.hyper_molecules.nodes import Nodes
from ..inference.posteriors.band_limited import BandLimited
from ..inference.posteriors.node_posterior import NodePosterior
from ..inference.prior import LocalPrior
from ..inference.updates.hyper_molecule import HyperMoleculeUpdate
from ..volumes.latent_functions.base import AbstractLatentFunctions
from ..volumes.latent_functions.choice import latent_functions
from ..volumes.prolate.basis import ProlateBasis, prolate_basis
from ..volumes.prolate.projection import projected
from .consensus_setting import ConsensusSetting
from .fit_prolate import ProlateConfig
from .image_preparation import particle_radius

_NODES = {1: 41, 2: 21, 3: 11}


@final
@dataclass(frozen=True)
class ProlateSetting(ConsensusSetting):
    """Everything fixed during a fit."""

    config: ProlateConfig

    @cached_property
    def box(self) -> int:
        """Pixels that latents are inferred from."""
        return self.resolved_box(self.config.latent_box)

    @cached_property
    def latent_grid(self) -> FourierGrid:
        """Of images cropped to them."""
        return self.grid(self.box)

    @cached_property
    def basis(self) -> ProlateBasis:
        """Of the ball of the particle's diameter, up to the crop's Nyquist frequency."""
        radius = particle_radius(self.config, self.data) * self.data.pixel_size
        nyquist = self.box / 2 / (self.data.stored * self.data.pixel_size)
        return prolate_basis(radius, nyquist, self.config.share)

    @cached_property
    def functions(self) -> AbstractLatentFunctions:
        """Of the latents."""
        return latent_functions(self.functions_name, self.config.latents, self.config.order)

    @property
    def functions_name(self) -> str:
        """Of their kind."""
        return "fourier" if self.config.path == "circle" else self.config.functions

    @cached_property
    def nodes(self) -> Nodes:
        """Where beliefs are."""
        return Nodes.over(self.functions, self.config.nodes or _NODES[self.config.latents])

    @property
    def prior(self) -> LocalPrior:
        """Contrast about 1; poses do not move."""
        return LocalPrior.of_contrast(self.config.contrast)

    @cached_property
    def posterior(self) -> BandLimited:
        """Of latents, from the crop."""
        return BandLimited(NodePosterior(self.nodes), self.box)

    @cached_property
    def update(self) -> HyperMoleculeUpdate:
        """EM at the crop. `ValueError` where its tables would be beyond 32-bit indices."""
        return HyperMoleculeUpdate(self.basis, self.functions, self.latent_grid, self.mesh)

    @cached_property
    def consensus_coefficients(self) -> Float[Array, " k"]:
        """Of the mean over all images."""
        mean = jnp.asarray(self.mean(self.box) * self.mask(self.box), jnp.float32)
        return projected(self.basis, mean[None], self.latent_grid)[:, 0]

    @cached_property
    def variance(self) -> Float[Array, "k p"]:
        """Prior variances of all coefficients, before any is learned."""
        return prior_variance(self.basis, self.consensus_coefficients, self.functions)
