"""A source whose pixels lie in MRC stacks and whose table some file described."""

from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float32, Integer

from .source import AbstractImageSource, Particles
from .stack import ImageStacks


@final
class StackSource(AbstractImageSource):
    """Images of `stacks` with the table read from the file `path`.

    `stacks.problems()` tells what is wrong with the files before any pixel is read.
    """

    def __init__(self, path: Path, particles: Particles, stacks: ImageStacks):
        self.path = path
        self.stacks = stacks
        self._particles = particles

    def __len__(self) -> int:
        return len(self._particles)

    def table(self) -> Particles:
        """The table that `path` describes."""
        return self._particles

    def read(self, index: Integer[np.ndarray, " b"]) -> Float32[np.ndarray, "b n n"]:
        """Pixels of these images; errors as `ImageStacks.read`."""
        return self.stacks.read(index)
