"""Stochastic gradients for a hyper-molecule: batches of images, latents summed over on nodes.

    v ← β v + D g,   a ← a + η v,
    g = ∂/∂a (n/b Σ_i log p(y_i | a) + log p(a)),   D_kp = 1 / (n w_k + 1/σ²_kp)

`w_k` is what an image says of function `k`, mean over images and over all views,

    w_k = r₀³/4π Σ_f precision(f) |transfer(f)|² φ_k(|f|)²,   φ_k the radial transform,

the diagonal of the normal equations where latents are even and functions of them orthonormal: steps
are then of one size for strong and weak frequencies. Nothing of `k²` numbers is made: what is held
of an image is a slice of each function of the latent.
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...imaging.grid import FourierGrid, inside_circle
from ...imaging.image import Batch
from ...imaging.noise import AbstractGaussianNoise
from ...volumes.hyper_molecule import HyperMolecule
from ...volumes.prolate.basis import ProlateBasis
from ...volumes.prolate.spatial_basis import products
from ..linear_statistics import LinearStatistics, centred_image, image_power
from ..requirements import gaussian_noise, local_prior
from ..update import AbstractUpdate
from .nodes import Contrast, Nodes, belief_on_nodes, on_nodes


class GradientState(eqx.Module):
    """`v` of the equations above."""

    velocity: Float[Array, "k p"]


@final
class HyperMoleculeGradient(AbstractUpdate[GradientState]):
    """A step for each batch; nothing at a pass's end. For a `HyperMolecule` and a `LocalPrior`, of
    which the contrast is looked at; poses are as given.

    - `nodes`: of the latent; `variance`: prior variances `σ²` of coefficients, which stay as they
      are where it is 0;
    - `images`: `n`, of the data set; `rate`: `η`; `momentum`: `β`.

    `TypeError` for another volume or prior, or noise that is not Gaussian.
    """

    nodes: Nodes
    variance: Float[Array, "k p"]
    images: int = eqx.field(static=True)
    rate: float = eqx.field(static=True, default=0.5)
    momentum: float = eqx.field(static=True, default=0.9)

    def init(self, model):
        return GradientState(jnp.zeros_like(_molecule(model.volume).coefficients))

    def step(self, model, state, batch, grid, key):
        del key
        volume = _molecule(model.volume)
        noise = gaussian_noise(model.noise, "HyperMoleculeGradient")
        prior = local_prior(model.prior, "HyperMoleculeGradient")
        contrast = Contrast(prior.contrast_mean, prior.contrast_width)
        share = self.images / jnp.maximum(jnp.sum(batch.weight), 1)
        a = volume.coefficients

        def objective(a):
            found = statistics(volume.basis, a, noise, batch, grid)
            belief = belief_on_nodes(found, self.nodes, contrast)
            gain = batch.weight @ belief.log_likelihood
            return share * gain, (belief, gain)

        slope, (belief, gain) = jax.grad(objective, has_aux=True)(a)
        told = share * batch.weight @ mean_diagonal(volume.basis, noise, batch, grid)
        # Of the objective's slope `- a / σ²`, both over `1/σ²`: a variance of 0 is then no error.
        towards = (self.variance * slope - a) / (self.variance * told[:, None] + 1)
        velocity = self.momentum * state.velocity + jnp.where(self.variance > 0, towards, 0)
        model = eqx.tree_at(lambda m: m.volume.coefficients, model, a + self.rate * velocity)
        metrics = {"images": jnp.sum(batch.weight), "log_likelihood": gain}
        posterior = on_nodes(belief, self.nodes, volume.functions, batch.latents)
        return model, GradientState(velocity), posterior, metrics

    def sweep(self, model, state):
        return model, state


def statistics(
    basis: ProlateBasis,
    coefficients: Float[Array, "k p"],
    noise: AbstractGaussianNoise,
    batch: Batch,
    grid: FourierGrid,
) -> LinearStatistics:
    """Of each image of `batch` among the volumes of all functions of the latent."""
    inside = inside_circle(grid.size)

    def one(image, latents, optics):
        right, left = centred_image(image, latents.shift, optics, noise, grid)
        views = basis.transform(coefficients, grid.plane(optics.frame(latents.rotation))[inside])
        right, left = right[inside], left[inside]
        gram, cross = products(
            jnp.concatenate([views.real, views.imag]),
            jnp.concatenate([left, left]),
            jnp.concatenate([right.real, right.imag]),
        )
        return LinearStatistics(gram, cross, image_power(image, optics, noise, grid))

    return jax.vmap(one)(batch.images, batch.latents, batch.optics)


def mean_diagonal(
    basis: ProlateBasis, noise: AbstractGaussianNoise, batch: Batch, grid: FourierGrid
) -> Float[Array, "b k"]:
    """`w_k` of each image: the diagonal of its normal equations, mean over all views."""
    inside = inside_circle(grid.size)
    radial = basis.radial(jnp.sqrt(grid.k_squared()[inside]))

    def one(image, latents, optics):
        _, left = centred_image(image, latents.shift, optics, noise, grid)
        return jnp.matmul(left[inside], radial**2, precision="highest")

    each = jax.vmap(one)(batch.images, batch.latents, batch.optics)
    return basis.radius**3 / (4 * jnp.pi) * each[:, basis.columns()]


def _molecule(volume) -> HyperMolecule:
    if not isinstance(volume, HyperMolecule):
        raise TypeError(
            f"`HyperMoleculeGradient` needs a `HyperMolecule`. Got {type(volume).__name__}."
        )
    return volume
