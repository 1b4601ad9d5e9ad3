"""`cryojax-het fit`: which method fits which volume to the images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..results.config import read_toml
from .fit_classes import ClassesConfig, fit_classes
from .fit_gaussians import (
    AtomsConfig,
    DeepModesConfig,
    DynamightConfig,
    GaussiansConfig,
    RegionsConfig,
    fit_trained,
)
from .fit_linear import LinearConfig, fit_linear
from .fit_modes import ModesConfig, fit_modes
from .fit_prolate import ProlateConfig, fit_prolate
from .settings import config_path


class Method(NamedTuple):
    """Settings of a method, and the function that runs them and returns a summary."""

    settings: type
    fit: Callable[[Any, Sequence[str]], dict]


METHODS = {
    "linear": Method(LinearConfig, fit_linear),
    "classes": Method(ClassesConfig, fit_classes),
    "gaussians": Method(GaussiansConfig, fit_trained),
    "dynamight": Method(DynamightConfig, fit_trained),
    "atoms": Method(AtomsConfig, fit_trained),
    "deep-modes": Method(DeepModesConfig, fit_trained),
    "regions": Method(RegionsConfig, fit_trained),
    "modes": Method(ModesConfig, fit_modes),
    "prolate": Method(ProlateConfig, fit_prolate),
}
DEFAULT = "linear"
# Those whose model is a mixture of Gaussians and what moves it.
MIXTURES = ("modes", "gaussians", "dynamight", "atoms", "deep-modes", "regions")


def chosen_method(arguments: Sequence[str]) -> Method:
    """The method that `--volume` names, or the `--config` file, or the default.

    Raises `ValueError` for an unknown one.
    """
    name = _flag(arguments)
    path = config_path(arguments)
    if name is None and path is not None:
        name = read_toml(Path(path)).get("volume")
    name = DEFAULT if name is None else name
    if name not in METHODS:
        raise ValueError(f"`--volume` must be one of {', '.join(METHODS)}. Got {name!r}.")
    return METHODS[name]


def _flag(arguments: Sequence[str]) -> str | None:
    for place, argument in enumerate(arguments):
        if argument == "--volume" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--volume="):
            return argument.removeprefix("--volume=")
    return None
