"""What is fixed during a fit of normal modes."""

from dataclasses import dataclass
from functools import cached_property
from typing import final

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..inference.mode_prior import ModePrior
from ..inference.posteriors.coarse_to_fine import CoarseToFine
from ..inference.posteriors.gauss_newton import GaussNewton
from ..inference.posteriors.unknowns import (
    AbstractUnknowns,
    ConformationContrast,
    ConformationPoseContrast,
)
from ..inference.prior import LocalPrior
from ..particles.loader import HostLatents, Loader
from .consensus_setting import ConsensusSetting
from .fit_modes import ModesConfig
from .mixture_reference import Reference, reference_of
from .mode_basis import ModeBasis, basis_of

_BATCH = 32  # images: of each, several descents of a dozen derivatives are held
_SMALLEST = 16  # pixels of the crop that is searched

UNKNOWNS: dict[str, AbstractUnknowns] = {
    "refined": ConformationPoseContrast(),
    "given": ConformationContrast(),
}


@final
@dataclass(frozen=True)
class ModesSetting(ConsensusSetting):
    """Everything fixed during a fit of modes."""

    config: ModesConfig

    @cached_property
    def box(self) -> int:
        """Pixels that amplitudes are inferred from."""
        return self.resolved_box(self.config.latent_box)

    @cached_property
    def reference(self) -> Reference:
        """The mixture as the consensus has it."""
        return reference_of(self.config, self.consensus)

    @cached_property
    def basis(self) -> ModeBasis:
        """The modes that it moves along."""
        return basis_of(self.config, self.reference, self.config.modes, self.config.cutoff)

    @cached_property
    def shape(self) -> Float[np.ndarray, " k"]:
        """Widths of the amplitudes over that of the softest mode, at one temperature."""
        return 1 / np.sqrt(self.basis.eigenvalues)

    def prior(self, softest: float) -> ModePrior:
        """Of amplitudes (Å), poses and contrast."""
        real = lambda x: jnp.asarray(x, jnp.float32)
        config = self.config
        angle, shift = real(np.deg2rad(config.angle)), real(config.shift)
        pose = LocalPrior(angle, shift, real(1.0), real(config.contrast))
        return ModePrior(real(softest * self.shape), pose)

    @cached_property
    def posterior(self) -> CoarseToFine:
        """How the modes of the posterior of an image are found."""
        config = self.config
        search = GaussNewton(UNKNOWNS[config.pose], config.starts, config.steps)
        coarse = config.coarse_box or max(_SMALLEST, 2 * (self.box // 4))
        return CoarseToFine(search, min(coarse, self.box), self.kept, config.fine_steps)

    @property
    def kept(self) -> int:
        """Hypotheses of each image."""
        return min(self.config.kept, self.config.starts)

    @cached_property
    def images(self) -> Loader:
        """Batches of images, from the amplitudes of the reference."""
        loader = self.loader(self.box)
        wanted = self.config.batch or min(_BATCH, max(8, len(self.data.particles) // 4))
        loader.batch_size = -(-wanted // self.mesh.size) * self.mesh.size
        at = loader.latents
        still = np.zeros((len(at.contrast), self.config.modes), np.float32)
        loader.latents = HostLatents(still, at.rotation, at.shift, at.contrast)
        return loader

    @cached_property
    def rounds(self) -> list[Int[np.ndarray, " _"]]:
        """Images of each round: a few, then all."""
        count = len(self.data.particles)
        every = np.arange(count)
        few = min(self.config.calibration_images, count)
        rng = np.random.default_rng(self.config.seed)
        some = [np.sort(rng.permutation(count)[:few]) for _ in range(self.config.calibrations)]
        return [*some, *([every] * self.config.passes)]
