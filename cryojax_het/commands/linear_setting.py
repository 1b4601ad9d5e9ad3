"""What is fixed during a fit of principal volumes, and what follows from it for each box."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer

from ..inference.posteriors.band_limited import BandLimited
from ..inference.posteriors.linear_gaussian import LinearGaussianPosterior
from ..inference.prior import LocalPrior
from ..inference.updates.principal_volumes import PrincipalVolumes
from ..volumes.kernel import quadratic
from .consensus_setting import ConsensusSetting
from .fit_linear import LinearConfig

_HELD_OUT, _MOST_HELD_OUT = 0.1, 5000  # of the images, for the number of components


@final
@dataclass(frozen=True)
class LinearSetting(ConsensusSetting):
    """Everything fixed during a fit."""

    config: LinearConfig

    @cached_property
    def latent_box(self) -> int:
        """Pixels that latents are inferred from."""
        return self.resolved_box(self.config.latent_box)

    @property
    def prior(self) -> LocalPrior:
        """Latents standard normal, contrast about 1; poses do not move."""
        return LocalPrior.of_contrast(self.config.contrast)

    @cached_property
    def first_shell(self) -> int:
        """The first shell that latents look at."""
        high_pass = self.config.high_pass
        if high_pass is None:
            return 0
        length = self.data.stored * self.data.pixel_size
        return int(np.ceil(length / high_pass))

    def posterior(self, box: int) -> BandLimited:
        """Of latents, from `box` pixels."""
        return BandLimited(LinearGaussianPosterior(), box, self.first_shell)

    def update(self, box: int, count: int) -> PrincipalVolumes:
        """EM for `count` components of `box` voxels: with exact equations, where memory allows."""
        grid, kernel = self.grid(box), quadratic()
        mask = jnp.asarray(self.mask(box), jnp.float32)
        equations = self.block_equations(box, count + 1)
        return PrincipalVolumes(grid.pixel_size, mask, box, count, self.mesh, equations, kernel)

    @cached_property
    def held_out(self) -> Integer[np.ndarray, " h"]:
        """Images kept apart where the number of components is to be chosen."""
        count = len(self.data.particles)
        if self.config.components is not None:
            return np.zeros(0, np.int64)
        part = min(int(_HELD_OUT * count), _MOST_HELD_OUT)
        chosen = np.random.default_rng(self.config.seed).permutation(count)[:part]
        return np.sort(chosen)
