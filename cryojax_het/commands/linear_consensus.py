"""The homogeneous reconstruction that a fit starts from, a run of its own inside the fit's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from jaxtyping import Float

from ..analysis.fsc import crossing
from ..results.run import RunFolder
from .image_settings import ImageSettings
from .reconstruct import ReconstructConfig, reconstruct


@final
@dataclass(frozen=True, kw_only=True)
class Consensus:
    """`mean`: the filtered map; `mask`; `fsc`: of the half-maps, masked and corrected."""

    folder: RunFolder
    mean: Float[np.ndarray, "n n n"]
    mask: Float[np.ndarray, "n n n"]
    fsc: Float[np.ndarray, " s"]

    def unfiltered(self) -> Float[np.ndarray, "n n n"]:
        """The mean of the half-maps, which no prior has damped."""
        return (self.folder.volume("half1").data + self.folder.volume("half2").data) / 2

    @property
    def last_shell(self) -> int:
        """The shell of the half-maps' resolution (FSC 0.143)."""
        return int(np.floor(crossing(self.fsc, 0.143)))


def consensus_of(config: ImageSettings, command: Sequence[str]) -> Consensus:
    """Reconstruct into `consensus/` of the run folder, or read what is there."""
    settings = replace(ReconstructConfig(**config.shared()), output=config.output / "consensus")
    reconstruct(settings, command)
    folder = RunFolder(settings.output)
    curves = np.loadtxt(folder.path / "analysis" / "fsc.csv", delimiter=",", skiprows=1)
    return Consensus(
        folder=folder,
        mean=folder.volume("mean").data,
        mask=folder.volume("mask").data,
        fsc=curves[:, -1],
    )
