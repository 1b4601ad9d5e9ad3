"""What the methods that move Gaussians are told of the molecule."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .image_settings import ImageSettings


@dataclass(frozen=True, kw_only=True)
class MixtureSettings(ImageSettings):
    """Where the Gaussians come from: a structure, or the consensus map.

    A base for the settings of methods of `fit`.
    """

    structure: Path | None = None
    """PDB or mmCIF file that Gaussians are made of; None: pseudo-atoms of the consensus map."""
    beads: Literal["residue", "two", "atoms"] = "residue"
    """Gaussians of a structure: one to a residue, two (backbone and side chain), or all atoms but
    hydrogens."""
    in_frame: bool = False
    """The structure lies in the frame of the poses already: do not fit it into the map."""
    pseudo_width: float | None = None
    """Standard deviation of a pseudo-atom of the map, Å; None: 0.375 of the map's resolution."""
    pseudo_residual: float = 0.05
    """Share (in norm) that pseudo-atoms may leave of the map blurred by their width."""

    def __post_init__(self):
        if self.pseudo_width is not None and self.pseudo_width <= 0:
            raise ValueError(f"`--pseudo-width` must be positive. Got {self.pseudo_width}.")
        if not 0 < self.pseudo_residual < 1:
            raise ValueError(
                f"`--pseudo-residual` must lie between 0 and 1. Got {self.pseudo_residual}."
            )

    def inputs(self) -> list[Path]:
        """The files whose change would make another run of this."""
        own = [] if self.structure is None else [self.structure]
        return [*super().inputs(), *own]
