"""`cryojax-het fit --volume flex` and `--volume zernike`: the map, deformed by a field in space."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from .flow_settings import FlowSettings
from .training_settings import check_counts, check_positive


@final
@dataclass(frozen=True, kw_only=True)
class FlexConfig(FlowSettings):
    """Settings of a fit as 3DFlex's (Punjani & Fleet 2023, Nat. Methods 20): vertices of a
    tetrahedral mesh moved by a network, cells that resist stretching."""

    volume: Literal["flex"] = "flex"
    """The map in a flexible mesh."""
    cells: int = 1500
    """Tetrahedra of the mesh, about."""
    rigidity: float = 0.2
    """Weight of the cells' resistance to stretching; 1: as if each cell stretched for itself."""
    strain: float = 0.2
    """Stretching that costs a dense cell half a nat."""

    def __post_init__(self):
        super().__post_init__()
        check_counts(self, "cells")
        check_positive(self, "strain")
        if self.rigidity < 0:
            raise ValueError(f"`--rigidity` must not be negative. Got {self.rigidity}.")


@final
@dataclass(frozen=True, kw_only=True)
class ZernikeConfig(FlowSettings):
    """Settings of a fit of a smooth field, expanded in Zernike functions (Herreros et al. 2023,
    Nat. Commun. 14: Zernike3D)."""

    volume: Literal["zernike"] = "zernike"
    """The map, deformed by a field of Zernike functions."""
    order: tuple[int, int] = (7, 5)
    """Greatest radial and angular order: (3, 2) are 13 functions, (7, 5) are 92."""
    regions: int = 1
    """Balls with functions of their own, and smooth windows between them."""
    smallness: float = 1e-4
    """Weight of the sum of squares of the coefficients, 1/Å²."""

    def __post_init__(self):
        super().__post_init__()
        check_counts(self, "regions")
        if self.smallness < 0:
            raise ValueError(f"`--smallness` must not be negative. Got {self.smallness}.")
        if not 0 <= self.order[1] <= self.order[0]:
            raise ValueError(f"`--order` is radial >= angular >= 0. Got {self.order}.")


def fit_flow(config: FlowSettings, command: Sequence[str]) -> dict:
    """Runs, or takes up, the fit of `config`; returns the summary of its `run.json`.

    Raises `ValueError` and `OSError`, saying what is wrong and the remedy, before anything is
    written where the input is at fault.
    """
    from .fit_start import opened_data
    from .flow_setting import FlowSetting
    from .training_run import run

    data = opened_data(config)
    return run(config, command, lambda *found: FlowSetting(config, data, *found))
