"""Poses and latents both unknown: every rotation of a grid is scored with its latent summed over.

At each rotation, the images of the functions of the latent give an image's statistics `G` and `b`,
and these the likelihood of that rotation, exactly and for all nodes at once. A few rotations of
each image are kept; EM over them and over the nodes is then that of known poses, with each pair of
an image and a rotation for an image and its moments weighted by the belief in it. (Lederman &
Singer 2017, arXiv:1704.02899, search so; for what is summed, see `nodes`.)
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...imaging import rotation as so3
from ...imaging.grid import FourierGrid, inside_circle
from ...imaging.image import Batch
from ...imaging.noise import AbstractGaussianNoise
from ...volumes.prolate.spatial_basis import AbstractSpatialBasis
from ..linear_statistics import LinearStatistics, centred_image, image_power
from .exact_em import ExactEM
from .image_equations import ImageEquations, image_equations
from .nodes import NodeBelief, Nodes, belief_on_nodes

_TOGETHER = 8  # rotations whose slices are held at once


class Candidates(NamedTuple):
    """Rotations kept of each image, the best first, and `log p(y) - log p(y | no particle)` at
    each."""

    rotation: Float[Array, "b h 3 3"]
    log_likelihood: Float[Array, "b h"]


class Sought(NamedTuple):
    """Images and what is known of them; `grid`: up to which frequencies they are looked at."""

    batch: Batch
    noise: AbstractGaussianNoise
    grid: FourierGrid


def search(
    em: ExactEM,
    coefficients: Float[Array, "k p"],
    nodes: Nodes,
    sought: Sought,
    rotations: Float[Array, "r 3 3"],
    keep: int,
) -> Candidates:
    """The `keep` likeliest of `rotations` for each image.

    `ValueError` for images that are magnified, each of which sees a slice of its own.
    """
    right, left, power = _held_against(*sought)

    def score(rotation):
        gram, cross = _statistics(em.basis, coefficients, rotation, right, left, sought.grid)
        return belief_on_nodes(LinearStatistics(gram, cross, power), nodes, em.contrast)

    every = lambda rotation: score(rotation).log_likelihood
    likelihood = jax.lax.map(every, rotations, batch_size=_TOGETHER).T
    best, place = jax.lax.top_k(likelihood, keep)
    return Candidates(rotations[place], best)


def refined(
    em: ExactEM,
    coefficients: Float[Array, "k p"],
    nodes: Nodes,
    sought: Sought,
    around: Candidates,
    step: Float[Array, ""],
) -> Candidates:
    """As many rotations of each image, of those kept and their 26 neighbours at `step` radians.

    `ValueError` as of `search`."""
    near = so3.local_grid(step, 1)
    right, left, power = _held_against(*sought)

    def one(image):
        rotation, right, left, power = image
        turned = jnp.einsum("nij,hjk->hnik", near, rotation).reshape(-1, 3, 3)

        def score(each):
            found = _statistics(em.basis, coefficients, each, right[None], left[None], sought.grid)
            statistics = LinearStatistics(*found, power[None])
            return belief_on_nodes(statistics, nodes, em.contrast).log_likelihood[0]

        likelihood = jax.lax.map(score, turned, batch_size=27)
        best, place = jax.lax.top_k(likelihood, len(rotation))
        return turned[place], best

    return Candidates(*jax.lax.map(one, (around.rotation, right, left, power)))


def _held_against(batch, noise, grid):
    """`right` and `left` of each image inside the Nyquist circle `[b, f]`, and its power."""
    if batch.optics.magnification is not None:
        raise ValueError(
            "A search over rotations needs images without anisotropic magnification: correct the "
            "images for it."
        )
    inside = inside_circle(grid.size)

    def one(image, latents, optics):
        right, left = centred_image(image, latents.shift, optics, noise, grid)
        return right[inside], left[inside], image_power(image, optics, noise, grid)

    return jax.vmap(one)(batch.images, batch.latents, batch.optics)


def _statistics(basis: AbstractSpatialBasis, coefficients, rotation, right, left, grid):
    """`G` and `b` of each image at one rotation."""
    points = grid.plane(rotation)[inside_circle(grid.size)]
    views = basis.transform(coefficients, points)
    pairs = (views[:, :, None].conj() * views[:, None]).real
    gram = jnp.tensordot(left, pairs, axes=1, precision="highest")
    parts = jnp.concatenate([right.real, right.imag], axis=1)
    columns = jnp.concatenate([views.real, views.imag])
    return gram, jnp.matmul(parts, columns, precision="highest")


def spread_equations(
    em: ExactEM, sought: Sought, rotation: Float[Array, "b h 3 3"]
) -> ImageEquations:
    """What each image says at each of its rotations, `[b · h]`, image after image."""
    batch, noise, grid = sought
    count = rotation.shape[1]
    rows = np.repeat(np.arange(len(rotation)), count)
    again = jax.tree.map(lambda x: x[rows], batch)
    again = eqx.tree_at(lambda b: b.latents.rotation, again, rotation.reshape(-1, 3, 3))
    return image_equations(em.basis, noise, again, grid)


class PosedBelief(NamedTuple):
    """Belief of each image over its rotations and nodes.

    - `log_pose`: of each rotation, normalised; `log_node`: of each node, over all rotations;
    - `moments`: of functions of the latent at each pair of an image and a rotation, weighted.
    """

    log_pose: Float[Array, "b h"]
    log_node: Float[Array, "b g"]
    moments: tuple[Float[Array, "c p"], Float[Array, "c p p"]]
    log_likelihood: Float[Array, " b"]


def over_poses(belief: NodeBelief, count: int) -> PosedBelief:
    """From beliefs at each of `count` rotations of an image, `[b · count]`, a priori alike."""
    each = belief.log_likelihood.reshape(-1, count)
    total = jax.nn.logsumexp(each, axis=1)
    log_pose = each - total[:, None]
    weight = jnp.exp(log_pose).reshape(-1)
    nodes = belief.log_weight.reshape(*each.shape, -1) + log_pose[..., None]
    moments = weight[:, None] * belief.first, weight[:, None, None] * belief.second
    return PosedBelief(log_pose, jax.nn.logsumexp(nodes, axis=1), moments, total - jnp.log(count))
