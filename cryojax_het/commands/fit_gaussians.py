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


@final
@dataclass(frozen=True, kw_only=True)
class DynamightConfig(TrainedSettings):
    """Settings of a fit as DynaMight's (Schwab et al. 2024, Nat. Methods 21): pseudo-atoms moved
    each on its own, by a network that is told their places, neighbours held together.

    Unlike there: latents are read off the score (`--encoder pixels` as there), and the elastic
    network is a weak density instead of pulling as hard as the images do (`--balance 0.9`). Either
    held noisy sets back: `experiments/moving_gaussians/table.md`."""

    volume: Literal["dynamight"] = "dynamight"
    """Pseudo-atoms moved each on its own."""
    displacement: Literal["anchors", "network", "segments", "modes", "regions"] = "network"
    decoder_layers: tuple[int, int] = (32, 3)
    elastic: float = 0.1


@final
@dataclass(frozen=True, kw_only=True)
class DeepModesConfig(TrainedSettings):
    """Settings of a fit of normal modes by a network (DeepHEMNMA: Hamitouche & Jonić 2022, Front.
    Mol. Biosci. 9): an encoder taught by the fitted amplitudes of some images, then trained by the
    likelihood of all."""

    volume: Literal["deep-modes"] = "deep-modes"
    """Gaussians moved along normal modes, amplitudes read off by a network."""
    displacement: Literal["anchors", "network", "segments", "modes", "regions"] = "modes"
    lesson_images: int = 1000


@final
@dataclass(frozen=True, kw_only=True)
class RegionsConfig(TrainedSettings):
    """Settings of a fit of rigid regions that follow normal modes (as WarpCraft, by our
    reading)."""

    volume: Literal["regions"] = "regions"
    """Rigid regions driven by the amplitudes of normal modes."""
    displacement: Literal["anchors", "network", "segments", "modes", "regions"] = "regions"


@final
@dataclass(frozen=True, kw_only=True)
class AtomsConfig(TrainedSettings):
    """Settings of a fit of a structure that keeps its bonds, as AtomVAE's (Rosenbaum et al. 2021,
    arXiv:2106.14108) or CryoFold's (Zhong et al. 2021: two beads to a residue).

    Restraints are loose at first: whole from the start they stop the motion on its way
    (`experiments/moving_gaussians/table.md`)."""

    volume: Literal["atoms"] = "atoms"
    """A structure moved by a network, within what its chemistry allows."""
    beads: Literal["residue", "two", "atoms"] = "two"
    displacement: Literal["anchors", "network", "segments", "modes", "regions"] = "network"
    bonds: float = 1.0
    angles: float = 1.0
    dihedrals: float = 1.0
    clash: float = 1.0
    elastic: float = 1.0
    elastic_width: float = 4.0
    loose: float = 0.003

    def __post_init__(self):
        super().__post_init__()
        if self.structure is None:
            raise ValueError("`--volume atoms` needs `--structure`: a PDB or mmCIF file.")


def fit_trained(config: TrainedSettings, command: Sequence[str]) -> dict:
    """Runs, or takes up, the fit of `config`; returns the summary of its `run.json`.

    Raises `ValueError` and `OSError`, saying what is wrong and the remedy, before anything is
    written where the input is at fault.
    """
    from .fit_start import opened_data
    from .mixture_reference import structure_atoms
    from .trained_setting import TrainedSetting
    from .training_run import run

    if config.structure is not None:
        structure_atoms(config)  # a file that cannot be read is told at once
    data = opened_data(config)
    return run(config, command, lambda *found: TrainedSetting(config, data, *found))
