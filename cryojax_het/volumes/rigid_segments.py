"""Displacement by rigid motions of segments of the chain."""

import equinox as eqx
import jax.numpy as jnp

from ..imaging.grid import FourierGrid
from .displaced import DisplacedMixture, example_reference
from .displacement import AbstractDisplacement
from .mixture import Change
from .segments import AbstractSegments, even_segments
from .skinning import AbstractMotions, blended, free_motions


class RigidSegments(AbstractDisplacement):
    """`u_j = Σ_s w_js ((R_s - I)(r_j - c_s) + t_s)`, `c_s` the centroid of segment `s`.

    Each segment turns about its own centroid, by a rotation vector, and moves. Atoms of one
    segment alone keep their distances; others follow the blend of their segments'.
    """

    segments: AbstractSegments
    motion: AbstractMotions
    latent_size: int = eqx.field(static=True)

    def __init__(self, segments: AbstractSegments, motion: AbstractMotions):
        self.segments, self.motion = segments, motion
        self.latent_size = motion.latent_size

    def change(self, latent, positions):
        weights = self.segments.weights().astype(positions.dtype)
        share = weights / jnp.maximum(weights.sum(axis=0), 1e-6)  # empty segments have no centre
        centres = jnp.matmul(share.T, positions, precision="highest")
        return Change(blended(weights, centres, self.motion.motions(latent), positions))


def example(key, grid: FourierGrid) -> DisplacedMixture:
    """Two soft segments that move on their own; found by the law tests."""
    reference = example_reference(key, grid)
    place = jnp.arange(len(reference.amplitudes), dtype=reference.amplitudes.dtype)
    segments = even_segments(place, 2, temperature=0.5)
    return DisplacedMixture(reference, RigidSegments(segments, free_motions(2, 0.2, 0.5)))
