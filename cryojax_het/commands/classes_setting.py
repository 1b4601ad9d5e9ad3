"""What is fixed during a classification, and what follows from it for each band of frequencies."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int, Integer

from ..analysis.mask import spherical_mask
from ..imaging.grid import FourierGrid
from ..imaging.noise import ColouredNoise
from ..inference.class_contrast import AbstractClassContrast, CommonContrast, GivenContrast
from ..inference.class_halves import AbstractSignalRule, OfClasses, OfDepartures
from ..inference.class_rounds import ClassPass, class_pass
from ..inference.devices import own_part, place_batch
from ..inference.posterior import AbstractPosterior
from ..inference.posteriors.band_limited import BandLimited
from ..inference.posteriors.classes import ClassesAtPose, ClassesNearPose
from ..inference.prior import LocalPrior
from ..inference.updates.classes import AbstractClassUpdate, Classes
from ..particles.loader import Loader, Placement
from ..particles.mrc import read_volume
from ..volumes.kernel import quadratic
from .classes_algorithm import AbstractAlgorithm, choose_algorithm
from .fit_classes import ClassesConfig
from .image_preparation import image_loader, initial_noise, particle_radius, prepared_pixels
from .reconstruct_data import Data
from .reconstruct_method import TABLE_MEMORY

_SMALLEST = 8  # pixels of a crop


def affordable_class_devices(count: int, size: int) -> int:
    """One CPU device per core, as far as the tables of both half-sets fit `TABLE_MEMORY`."""
    table = 2 * count * 6.0 * quadratic().padded_size(size) ** 3
    return max(1, min(len(os.sched_getaffinity(0)), int(TABLE_MEMORY // table)))


@final
@dataclass(frozen=True)
class ClassesSetting:
    """Everything fixed during a classification."""

    config: ClassesConfig
    data: Data
    mesh: Mesh
    _loaders: dict[int, Loader] = field(default_factory=dict, repr=False)
    _passes: dict[tuple[int, str], ClassPass] = field(default_factory=dict, repr=False)

    @cached_property
    def algorithm(self) -> AbstractAlgorithm:
        """Full or stochastic EM."""
        return choose_algorithm(self.config.algorithm)

    @property
    def iterations(self) -> int:
        """Passes at most."""
        wanted = self.config.iterations
        return self.algorithm.iterations if wanted is None else wanted

    @property
    def low_iterations(self) -> int:
        """Passes at the low band; none where the start is informed, and would only be blurred."""
        if self.config.start is not None:
            return 0
        wanted = self.config.low_iterations
        return self.algorithm.low_iterations if wanted is None else wanted

    def box(self, iteration: int) -> int:
        """Pixels of the images that pass `iteration` sees; 0 lays down the start."""
        if iteration <= self.low_iterations and self.low_iterations > 0:
            return min(self._box_of(self.config.low_pass), self.full_box)
        return self.full_box

    def signal_rule(self, iteration: int) -> AbstractSignalRule:
        """How the priors of the volumes are found at the end of pass `iteration`: subsets have to
        part first, before half-sets can agree upon how."""
        return OfDepartures() if iteration > self.low_iterations // 2 else OfClasses()

    @cached_property
    def full_box(self) -> int:
        """Pixels of the images that classes are told apart by in the end."""
        wanted = self.config.resolution
        return self.data.size if wanted is None else self._box_of(wanted)

    def _box_of(self, resolution: float) -> int:
        shell = self.data.stored * self.data.pixel_size / resolution
        return min(max(2 * (int(shell) + 1), _SMALLEST), self.data.size)

    def grid(self, box: int) -> FourierGrid:
        """Of images cropped to `box` pixels."""
        return FourierGrid(self.data.stored, self.data.pixel_size).crop(box)

    def loader(self, box: int) -> Loader:
        """Batches of images of `box` pixels, poses as given."""
        if box not in self._loaders:
            placement = Placement(place_batch(self.mesh), own_part)
            batch = self.data.batch_size(self.config.batch, self.mesh.size)
            self._loaders[box] = image_loader(self.config, self.data, box, batch, placement)
        return self._loaders[box]

    @cached_property
    def noise(self) -> ColouredNoise:
        """The spectrum of the background, per optics group."""
        pixels = prepared_pixels(self.config, self.data, self.data.size)
        return initial_noise(self.config, self.data, pixels)

    @cached_property
    def mask(self) -> Float[np.ndarray, "n n n"]:
        """Where classes may have density: the mask given, or the ball of the particle's diameter. A
        mask of the consensus would cut off what few images have."""
        if self.config.mask is not None:
            return np.asarray(read_volume(self.config.mask).data, np.float32)
        scale = self.data.size / self.data.stored
        radius = particle_radius(self.config, self.data) * scale
        return spherical_mask(self.data.size, radius, max(3 * scale, 1.0)).astype(np.float32)

    @cached_property
    def update(self) -> AbstractClassUpdate:
        """Of the algorithm asked for."""
        return self._made(self.algorithm.update)

    @cached_property
    def last_update(self) -> Classes:
        """For the last pass, which sees all images whatever the algorithm."""
        return self._made(Classes)

    def _made(self, kind):
        spacing = self.grid(self.data.size).pixel_size
        return kind(spacing, jnp.asarray(self.mask), self.data.size, self.mesh)

    @property
    def contrast(self) -> AbstractClassContrast:
        """How the contrast of an image is found."""
        return CommonContrast() if self.config.contrast > 0 else GivenContrast()

    def posterior(self, iteration: int) -> AbstractPosterior:
        """Of class and pose in pass `iteration`: annealed in the first passes, poses refined when
        all detail is seen."""
        if iteration <= self.low_iterations:
            left = 1 - iteration / self.low_iterations
            return ClassesAtPose(self.contrast, jnp.float32(self.config.sharpness**left))
        if self.config.refine:
            return ClassesNearPose(self.contrast)
        return ClassesAtPose(self.contrast, jnp.float32(1.0))

    def last_posterior(self) -> AbstractPosterior:
        """Of the last pass, whose images are of the full box."""
        return BandLimited(self.posterior(self.low_iterations + 1), self.full_box)

    @property
    def pose_prior(self) -> LocalPrior:
        """Poses near those given, contrast about 1."""
        config, real = self.config, lambda x: jnp.asarray(x, jnp.float32)
        angle = real(np.deg2rad(config.refine_angle))
        # Without a contrast to estimate its width is never looked at, but may not be 0.
        width = real(config.contrast or 1.0)
        return LocalPrior(angle, real(config.refine_shift), real(1.0), width)

    def how(self, update: AbstractClassUpdate, box: int) -> ClassPass:
        """A compiled pass of images of `box` pixels."""
        key = (box, type(update).__name__)
        if key not in self._passes:
            self._passes[key] = class_pass(update, self.grid(box))
        return self._passes[key]

    @cached_property
    def held_out(self) -> Integer[np.ndarray, " h"]:
        """Images kept apart where several fits are compared."""
        if len(self.config.candidates()) == 1:
            return np.zeros(0, np.int64)
        count = len(self.data.particles)
        order = np.random.default_rng(self.config.seed).permutation(count)
        return np.sort(order[: max(1, int(self.config.held_out * count))])

    @cached_property
    def half(self) -> Int[np.ndarray, " n"]:
        """Half-set, 1 or 2, of each image; 0 for those kept apart."""
        half = np.array(self.data.particles.half)
        half[self.held_out] = 0
        return half


@eqx.filter_jit
def infer_batch(model, batch, grid):
    """What the model believes of the images of a batch."""
    posterior = model.posterior
    key = jax.random.key(0)  # no posterior here draws
    return posterior.infer(key, model.volume, model.noise, model.prior, batch, grid)
