"""The class of each image, its pose as given or refined near there."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid
from ...imaging.image import Batch, Latents, render
from ...imaging.noise import AbstractGaussianNoise
from ...volumes.base import AbstractVolume
from ..class_contrast import AbstractClassContrast, CommonContrast, Products
from ..class_prior import class_count, class_prior
from ..posterior import AbstractPosterior, ClassBelief
from ..prior import LocalPrior
from ..requirements import gaussian_noise, local_prior
from .local_refinement import LocalRefinement


class ClassesAtPose(AbstractPosterior[ClassBelief]):
    """Responsibilities `r_k = softmax_k(log π_k + log p(y | V_k, s))` at the pose given.

    The contrast `s` is the same for all classes. Populations are those of a `ClassPrior`; equal
    under another prior. A volume without a latent is a single class. `TypeError` for a prior that
    is not local, or noise that is not Gaussian. Scheres et al. 2007, Nat. Methods 4:27.

    - `sharpness`: power of the likelihoods in responsibilities. Below 1, classes that images hardly
      tell apart stay alike, and split along what varies most as it rises (deterministic annealing,
      Ueda & Nakano 1998, Neural Networks 11:271).
    """

    contrast: AbstractClassContrast = CommonContrast()
    sharpness: Float[Array, ""] = eqx.field(default=1.0, converter=jnp.asarray)

    def infer(self, key, volume, noise, prior, batch, grid):
        del key
        model = _Known.of(volume, noise, prior, grid, "ClassesAtPose")
        poses = jax.tree.map(lambda x: x[:, None], batch.latents)
        belief = _belief(model, self.contrast, batch, poses, grid)
        left = jnp.isfinite(model.log_population)
        likelihood = belief.log_weight - jnp.where(left, model.log_population, 0)
        weight = jax.nn.log_softmax(model.log_population + self.sharpness * likelihood, axis=-1)
        return eqx.tree_at(lambda b: b.log_weight, belief, weight)


class ClassesNearPose(AbstractPosterior[ClassBelief]):
    """The pose refined under each of the `leading` classes at the pose given; all classes are then
    compared at all of these poses.

    A pose counts by its prior density; `leading` poses at one place count as one. Errors and priors
    as for `ClassesAtPose`; refinement as `LocalRefinement`, by `steps`.
    """

    contrast: AbstractClassContrast = CommonContrast()
    leading: int = eqx.field(static=True, default=2)
    steps: int = eqx.field(static=True, default=6)

    def infer(self, key, volume, noise, prior, batch, grid):
        model = _Known.of(volume, noise, prior, grid, "ClassesNearPose")
        first = ClassesAtPose(self.contrast).infer(key, model.volume, noise, prior, batch, grid)
        poses = min(self.leading, model.classes)
        _, leaders = jax.lax.top_k(first.log_weight[:, 0], poses)
        size = model.volume.latent_size
        chosen = jnp.eye(model.classes, size, dtype=first.log_weight.dtype)[leaders.ravel()]
        every = jax.tree.map(lambda x: jnp.repeat(x, poses, axis=0), batch)
        every = eqx.tree_at(lambda b: b.latents.conformation, every, chosen)
        refine = LocalRefinement(self.steps).infer
        refined = refine(key, model.volume, noise, model.local, every, grid).latents
        refined = jax.tree.map(lambda x: x.reshape(len(batch.index), poses, *x.shape[1:]), refined)
        return _belief(model, self.contrast, batch, refined, grid)


class _Known(NamedTuple):
    """What all images share, checked."""

    volume: AbstractVolume
    noise: AbstractGaussianNoise
    local: LocalPrior
    log_population: Float[Array, " k"]

    @property
    def classes(self) -> int:
        return len(self.log_population)

    @classmethod
    def of(cls, volume, noise, prior, grid, who):
        prior = class_prior(prior, class_count(volume.latent_size))
        local = local_prior(prior.rest, who)
        log_population = jnp.log(prior.population)
        return cls(volume.prepare(grid), gaussian_noise(noise, who), local, log_population)


def _belief(
    model: _Known,
    contrast: AbstractClassContrast,
    batch: Batch,
    poses: Latents,
    grid: FourierGrid,
) -> ClassBelief:
    """Of all classes at `poses` `[b, p]`."""

    def one(image, start, optics, poses):
        own = model.noise.of_group(optics.group)
        precision = own.precision(grid)

        def at(pose: Latents):
            products = _products(model, pose, optics, (image, precision), grid)
            found = contrast.of(products, model.log_population, model.local, pose.contrast)
            gain = model.log_population + products.gain(found[0])
            return found[0], gain + found[1] + _log_pose(model.local, pose, start)

        contrasts, log_joint = jax.vmap(at)(poses)
        log_joint = log_joint - jnp.log(len(log_joint))  # equal poses count as one
        total = jax.nn.logsumexp(log_joint)
        empty = own.log_prob(image, jnp.zeros_like(image), grid)
        return contrasts, log_joint - total, empty + total

    contrasts, log_weight, total = jax.vmap(one)(batch.images, batch.latents, batch.optics, poses)
    size = model.volume.latent_size
    none = jnp.zeros((*contrasts.shape, size), contrasts.dtype)
    latents = eqx.tree_at(lambda t: (t.contrast, t.conformation), poses, (contrasts, none))
    return ClassBelief(latents, log_weight, total)


def _products(model, pose, optics, data, grid) -> Products:
    image, precision = data
    size = model.volume.latent_size
    chosen = jnp.eye(model.classes, size, dtype=pose.contrast.dtype)

    def of(latent):
        unit = Latents(latent, pose.rotation, pose.shift, jnp.ones_like(pose.contrast))
        x = render(model.volume, unit, optics, grid)
        square = jnp.sum(precision * (x.real**2 + x.imag**2))
        return square, jnp.sum(precision * (x.real * image.real + x.imag * image.imag))

    return Products(*jax.vmap(of)(chosen))


def _log_pose(prior: LocalPrior, pose, start):
    """Log prior density of the pose over that of the start; contrast and class aside."""
    bare = lambda t: Latents(t.conformation[:0], t.rotation, t.shift, prior.contrast_mean)
    return prior.log_prob(bare(pose), bare(start)) - prior.log_prob(bare(start), bare(start))
