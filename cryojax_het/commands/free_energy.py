"""`cryojax-het free-energy`: how probable the conformations along a path are, with error bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

ABOUT = """Tell the free energy along a path of conformations from the images of a run, with bands.

The path is along the latent of a run of `fit` (a coordinate, latents of some images, or any), or
is a series of maps or of structures in the frame of the run's maps. Each image is compared with
every node, its pose integrated out about the run's; the posterior of the free energy is sampled
under a prior. Comparing takes long and is kept: an interrupted command goes on where it was, and
another `--prior` of the same path starts from the likelihoods that are there.

OUTPUT/analysis/PRIOR/profile.csv, .npz, .json; OUTPUT/plots/free_energy_PRIOR.png.

examples:
  cryojax-het free-energy run1 -o energy1
  cryojax-het free-energy run1 -o energy2 --coordinate 2 --percentiles 1 99 --nodes 20
  cryojax-het free-energy run1 -o energy3 --images 12,4031 --rotation-error 5 --shift-error 2
  cryojax-het free-energy run1 -o energy4 --maps run1/analysis/path --off-path consensus
  cryojax-het free-energy run1 -o energy5 --structures a.pdb b.pdb c.pdb --prior entropic
"""


@final
@dataclass(frozen=True, kw_only=True)
class FreeEnergyConfig:
    """Settings of a free energy."""

    run: Path
    """Run folder, finished: its particles, poses and model."""
    output: Path
    """Folder of results; likelihoods of the same path there are taken up."""
    coordinate: int | None = None
    """Latent coordinate, from 1, that the path is along, the others at their means. 1 where no path
    is given."""
    percentiles: tuple[float, float] = (5.0, 95.0)
    """Of the images along that coordinate, between which the path runs."""
    images: str = ""
    """Rows of images, from 0, whose latents the path leads through: 3,17,42."""
    latents: Path | None = None
    """.npy file of latents [nodes, numbers]: the nodes themselves."""
    maps: tuple[Path, ...] = ()
    """Maps (.mrc) in order, or one folder of them: the nodes themselves."""
    structures: tuple[Path, ...] = ()
    """Structures (.pdb, .cif) in order, or one of many models, in the frame of the run's map: the
    nodes themselves."""
    nodes: int = 14
    """Nodes of a path along a coordinate or through images, evenly spaced."""
    rotation_error: float = 3.0
    """Standard deviation of the run's poses about each axis, degrees; 0: they are exact."""
    shift_error: float = 1.0
    """Standard deviation of the run's shifts along each axis, Å; 0: they are exact."""
    rotation_step: float | None = None
    """Between the rotations that are summed over, degrees; None: a pixel at the particle's rim."""
    shift_step: float | None = None
    """Between the shifts that are summed over, Å; None: half a pixel."""
    contrast_width: float = 0.2
    """Standard deviation of the contrast about 1, integrated out; 0: the run's contrasts are
    exact."""
    off_path: Literal["none", "consensus", "ensemble"] = "none"
    """What images may be of beside the path, an unknown share of them: nothing; the run's consensus
    map; or conformations all over the run's latents."""
    prior: Literal["random-walk", "published", "dirichlet", "entropic"] = "random-walk"
    """Of the free energy: a random walk along the path; cryo-BIFE's, within 10 k_BT; or of the
    weights of an ensemble, even or near those of the simulation."""
    counts: Path | None = None
    """.npy or text file: how often a simulation visited each node, for the last two priors; None:
    alike."""
    strength: float | None = None
    """Of the entropic prior, in images per image; None: what held-out images like best."""
    leave_one_out: bool = True
    """Leave each node out in turn, too."""
    chains: int = 4
    """Markov chains of the free energy."""
    warmup: int = 1000
    """Moves of each chain that are not kept."""
    draws: int = 1000
    """Moves of each chain that are kept."""
    particle_file: Path | None = None
    """The particle file, where it is not at its place of the run."""
    data_dir: Path | None = None
    """Folder that image paths start from, where the run had another."""
    seed: int = 0
    """Of the chains, and of draws of images."""
    batch: int | None = None
    """Images per batch; None: by box size."""
    devices: int | None = None
    """CPU devices to spread the work over; None: one per core where memory allows."""

    def __post_init__(self):
        given = [name for name in _PATHS if getattr(self, name) not in (None, "", ())]
        if len(given) > 1:
            flags = ", ".join(f"`--{name}`" for name in given)
            raise ValueError(f"Give one path: {flags} exclude each other.")
        least = {"nodes": 2, "chains": 1, "warmup": 10, "draws": 4}
        least |= {"rotation_error": 0, "shift_error": 0, "contrast_width": 0}
        for name, number in least.items():
            if not getattr(self, name) >= number:
                flag = name.replace("_", "-")
                raise ValueError(f"`--{flag}` must be {number} or more. Got {getattr(self, name)}.")
        for name in ("rotation_step", "shift_step", "strength"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"`--{name.replace('_', '-')}` must be positive. Got {value}.")
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"`--percentiles` must rise within 0 to 100. Got {self.percentiles}.")

    def of_likelihood(self) -> dict[str, Any]:
        """The settings that the likelihoods depend on, for the comparison with earlier ones."""
        from ..results.config import config_table

        table = config_table(self)
        return {name: value for name, value in table.items() if name not in _PROFILE}


_PATHS = ("coordinate", "images", "latents", "maps", "structures")
_PROFILE = {"output", "prior", "counts", "strength", "leave_one_out", "chains", "warmup", "draws"}
_PROFILE |= {"batch", "devices", "particle_file", "data_dir"}


def free_energy_line(line: Sequence[str]) -> None:
    """The free energy that a command line asks for."""
    from .settings import General, Replacing, parse

    config, (replacing, _) = parse(FreeEnergyConfig, "run", line, ABOUT, Replacing, General)
    with replacing.around(config.output):
        run_free_energy(config, line)


def run_free_energy(config: FreeEnergyConfig, command: Sequence[str]) -> dict[str, Any]:
    """Compare, sample and write; prints a few lines of it. Returns what `profile.json` holds.

    Raises `FileNotFoundError`, `FileExistsError`, `ValueError`, with the remedy, before any work.
    """
    from .free_energy_likelihood import likelihoods, opened
    from .free_energy_output import write_profile
    from .free_energy_profile import found_profile, prior_of

    source = opened(config)
    prior = prior_of(config, source.path.nodes)
    folder, log_likelihood = likelihoods(config, source, command)
    found = found_profile(config, source.path, prior, log_likelihood)
    summary = write_profile(folder, config, source.path, found)
    print(summary.pop("text"))
    return summary
