"""Several motions, one after the other."""

from itertools import chain

import equinox as eqx

from ..states import Coordinate
from .base import AbstractMotion


class Composed(AbstractMotion):
    """`f_m ∘ ... ∘ f_1`: the coordinates of all, in the order of `motions`; of none: rigid."""

    motions: tuple[AbstractMotion, ...]
    coordinates: tuple[Coordinate, ...] = eqx.field(static=True)

    def __init__(self, motions: tuple[AbstractMotion, ...]):
        self.motions = motions
        self.coordinates = tuple(chain.from_iterable(motion.coordinates for motion in motions))

    def __call__(self, conformer, values):
        first = 0
        for motion in self.motions:
            last = first + len(motion.coordinates)
            conformer = motion(conformer, values[first:last])
            first = last
        return conformer
