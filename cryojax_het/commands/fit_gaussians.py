"""`cryojax-het fit --volume gaussians` and its kin: Gaussians moved by a trained network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

from .trained_settings import TrainedSettings


@final
@dataclass(frozen=True, kw_only=True)
class GaussiansConfig(TrainedSettings):
    """Settings of a fit of moving Gaussians (e2gmm: Chen & Ludtke 2021, Nat. Methods 18; with
    anchors: Chen, Toader & Lederman 2023, J. Mol. Biol. 435)."""

    volume: Literal["gaussians"] = "gaussians"
    """Gaussians moved by a network."""


def fit_trained(config: TrainedSettings, command: Sequence[str]) -> dict:
    """Runs, or takes up, the fit of `config`; returns the summary of its `run.json`.

    Raises `ValueError` and `OSError`, saying what is wrong and the remedy, before anything is
    written where the input is at fault.
    """
    from ..inference.devices import keep_compilations, use_cpu_devices
    from .reconstruct_data import load_data
    from .reconstruct_method import affordable_devices, choose_method
    from .trained_run import run

    data = load_data(config)
    keep_compilations()
    use_cpu_devices(
        config.devices or affordable_devices(choose_method("auto", data.size), data.size)
    )
    return run(config, data, command)
