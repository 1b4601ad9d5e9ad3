"""`cryojax-het fit`: which method fits which volume to the images."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..results.config import read_toml
from .fit_classes import ClassesConfig, fit_classes
from .fit_flow import FlexConfig, ZernikeConfig, fit_flow
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
from .fit_neural_field import (
    CryodrgnConfig,
    DrgnAiFixedConfig,
    NeuralFieldConfig,
    fit_neural_field,
)
from .fit_prolate import ProlateConfig, fit_prolate
from .settings import General, Replacing, config_path, parse

ABOUT = """Fit a flexible molecule to particle images with known poses.

What `--volume` may be, each with settings of its own (`cryojax-het fit --volume NAME --help`):

  linear         a mean and principal volumes (probabilistic PCA, 3DVA); the default
  classes        K rigid volumes, a probability of each for every image
  prolate        a hyper-molecule: prolate functions times functions of the latent
  modes          normal modes of a structure or of the consensus map (HEMNMA)
  deep-modes     these, amplitudes read off by a network (DeepHEMNMA)
  gaussians      Gaussians moved by a network (e2gmm)
  dynamight      pseudo-atoms moved each on its own (DynaMight)
  atoms          a structure that keeps its bonds (AtomVAE, CryoFold)
  regions        rigid regions driven by normal modes (WarpCraft)
  flex           the map in a flexible mesh, moved by a network (3DFlex)
  zernike        the map, deformed by a smooth field (Zernike3D)
  neural-field   a network of frequency and latent
  cryodrgn       that, with the defaults of cryoDRGN's train_vae
  drgn-ai-fixed  that, with those of DRGN-AI where poses are known

The same command takes an interrupted run up where it was.

examples:
  cryojax-het fit particles.star -o run1
  cryojax-het fit particles.star -o run2 --components 4 --latent-box 48
  cryojax-het fit particles.star -o run3 --volume classes --classes 4
  cryojax-het fit particles.star -o run4 --volume modes --structure 4ake.pdb --modes 8
  cryojax-het fit particles.mrcs --poses poses.pkl --ctf ctf.pkl -o run5 --volume gaussians
"""


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
    "flex": Method(FlexConfig, fit_flow),
    "zernike": Method(ZernikeConfig, fit_flow),
    "prolate": Method(ProlateConfig, fit_prolate),
    "neural-field": Method(NeuralFieldConfig, fit_neural_field),
    "cryodrgn": Method(CryodrgnConfig, fit_neural_field),
    "drgn-ai-fixed": Method(DrgnAiFixedConfig, fit_neural_field),
}
DEFAULT = "linear"
# Those whose model is a mixture of Gaussians and what moves it.
FLOWS = ("flex", "zernike")
NEURAL_FIELDS = ("neural-field", "cryodrgn", "drgn-ai-fixed")
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


def fit_line(line: Sequence[str]) -> None:
    """The fit that a command line asks for."""
    method = chosen_method(line[2:])
    config, (replacing, _) = parse(method.settings, "particles", line, ABOUT, Replacing, General)
    with replacing.around(config.output):
        method.fit(config, line)
    print(f"{config.output}: done. Next: cryojax-het analyse {config.output}")


def _flag(arguments: Sequence[str]) -> str | None:
    for place, argument in enumerate(arguments):
        if argument == "--volume" and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith("--volume="):
            return argument.removeprefix("--volume=")
    return None
