"""The command line: `cryojax-het COMMAND ...`. Nothing heavy is imported before a command runs."""

import difflib
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from . import __version__
from .commands.terminal_messages import terminal_messages

HELP = """usage: cryojax-het COMMAND [options]

Models of continuous heterogeneity in cryo-EM.

commands:
  demo         a molecule made by formula: simulated, reconstructed, scored and shown
  inspect      what a particle file holds, and what a reconstruction of it will need
  simulate     particle images of a structure or a map, with complete truth
  reconstruct  half-maps, their FSC and a Wiener-filtered map from known poses
  fit          a flexible molecule, by one of many models
  validate     scores of any method against the truth, or against another run
  analyse      maps along a run's latents, free energies, clusters, outliers
  report       one HTML page on a run: images, the molecule in 3-D, curves, choices to save
  compare      one HTML page on several runs of the same images: where they agree
  select       some images of a run as a particle file, for another refinement
  map-manifold maps as points, near where they are alike: StructMap, AlphaCryo4D
  volumes      maps at the latents of images, or at any others, of a finished run
  sample       draws from the posterior of latents, poses and noise of a finished run
  latent-prior the density of a run's latents, learned by a diffusion
  free-energy  free energy along a path of conformations, with error bars

examples:
  cryojax-het demo
  cryojax-het inspect particles.star --data-dir /data/project
  cryojax-het reconstruct particles.star -o run1
  cryojax-het reconstruct particles.star -o run1        (again: goes on where it was)
  cryojax-het COMMAND --help
"""

_DEMO = """Simulate a molecule made by formula, reconstruct it, score the map against the truth.

examples:
  cryojax-het demo
  cryojax-het demo -o /tmp/demo --count 10000 --snr 0.05
"""

_INSPECT = """Show what a particle file holds and what a reconstruction of it will need.

examples:
  cryojax-het inspect particles.star --data-dir /data/project
  cryojax-het inspect J42/particles.cs --passthrough J42/passthrough.cs
  cryojax-het inspect particles.mrcs --poses poses.pkl --ctf ctf.pkl
"""

_SIMULATE = """Simulate particle images of a moving structure or a map, with complete truth.

A suite of settings may come first, by its TOML file or the name of one that is shipped:
{suites}. Those of real structures look for them in `--data-dir`, or in CRYOJAX_HET_DATA.

examples:
  cryojax-het simulate hinge -o sim
  cryojax-het simulate CaM-1D -o cam --count 2000
  cryojax-het simulate 1hzh.pdb -o sim --count 10000 --size 64 --pixel-size 4 --snr 0.05
  cryojax-het simulate map.mrc -o sim --ctf-file particles.star
"""

_RECONSTRUCT = """Reconstruct half-maps, their FSC and a Wiener-filtered map from known poses.

The same command takes an interrupted run up where it was.

examples:
  cryojax-het reconstruct particles.star -o run1 --data-dir /data/project
  cryojax-het reconstruct J42/particles.cs -o run2 --box 128
  cryojax-het reconstruct particles.mrcs --poses poses.pkl --ctf ctf.pkl -o run3
  cryojax-het reconstruct particles.star -o run4 --passes 3 --refine
  cryojax-het reconstruct --config run1/config.toml -o run5 --passes 2
  srun -n 4 cryojax-het reconstruct particles.star -o run6 --distributed
"""

_VALIDATE = """Score a run, or plain files of any method, against the truth or against another run.

RUN is a run folder, or a folder with latents.npy, labels.npy (one row per image, in the order of
the particle file) and maps/: particle_000123.mrc by image row; latent_000.mrc with their latents
in maps/latents.npy; class_000.mrc by label; or mean.mrc. What the scores of a data set are held
against (masks, consensus, back-projection with true labels, ideal observer) is made by the first
validation, which takes minutes, and kept beside the truth as references.h5.

examples:
  cryojax-het validate run1 --truth sim
  cryojax-het validate cryodrgn_files --truth sim/truth.h5 -o scores
  cryojax-het validate run1 --against run2
  cryojax-het validate run1 --against run2 --truth sim
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code: 0 done, 1 a fault of the program, 2 of its input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if given[0] == "--version":
        print(f"cryojax-het {__version__}")
        return 0
    command = COMMANDS.get(given[0])
    if command is None:
        near = difflib.get_close_matches(given[0], COMMANDS, 1)
        hint = f"Did you mean `{near[0]}`?" if near else f"Commands: {', '.join(COMMANDS)}."
        return _fail(f"`{given[0]}` is no command. {hint}")
    return _guarded(command, ["cryojax-het", *given])


def demo(line: Sequence[str]) -> None:
    """`cryojax-het demo`."""
    from .commands.demo import DemoConfig, run_demo
    from .commands.settings import General, parse

    config, _ = parse(DemoConfig, None, line, _DEMO, General)
    run_demo(config, line)


def inspect(line: Sequence[str]) -> None:
    """`cryojax-het inspect`."""
    from .commands.inspect import InspectConfig, describe
    from .commands.settings import General, parse

    config, _ = parse(InspectConfig, "particles", line, _INSPECT, General)
    print(describe(config))


def simulate(line: Sequence[str]) -> None:
    """`cryojax-het simulate`."""
    from .commands.settings import General, parse
    from .commands.simulate import SUITES, Simulation, simulate_command, with_suite

    about = _SIMULATE.format(suites=", ".join(SUITES))
    config, _ = parse(Simulation, "source", with_suite(line), about, General)
    simulate_command(config, line)


def reconstruct(line: Sequence[str]) -> None:
    """`cryojax-het reconstruct`."""
    from .commands.reconstruct import ReconstructConfig
    from .commands.reconstruct import reconstruct as run_reconstruction
    from .commands.settings import Cluster, General, Replacing, parse

    config, (replacing, cluster, _) = parse(
        ReconstructConfig, "particles", line, _RECONSTRUCT, Replacing, Cluster, General
    )
    if replacing.overwrite and cluster.distributed:
        raise ValueError(
            "`--overwrite` and `--distributed` exclude each other: remove the old run first."
        )
    with replacing.around(config.output):
        cluster.start()
        summary = run_reconstruction(config, line)
    print(f"{config.output}: {summary['resolution']:.2f} Å (FSC 0.143, masked and corrected).")


def validate(line: Sequence[str]) -> None:
    """`cryojax-het validate`."""
    from .commands.settings import General, parse
    from .commands.validate import ValidateConfig
    from .commands.validate import validate as run_validation

    config, _ = parse(ValidateConfig, "run", line, _VALIDATE, General)
    run_validation(config, line)


def analyse(line: Sequence[str]) -> None:
    """`cryojax-het analyse`."""
    from .commands.analyse import analyse_line

    analyse_line(line)


def select(line: Sequence[str]) -> None:
    """`cryojax-het select`."""
    from .commands.select import select_line

    select_line(line)


def report(line: Sequence[str]) -> None:
    """`cryojax-het report`."""
    from .commands.report import report_line

    report_line(line)


def map_manifold(line: Sequence[str]) -> None:
    """`cryojax-het map-manifold`."""
    from .commands.map_manifold import map_manifold_line

    map_manifold_line(line)


def compare(line: Sequence[str]) -> None:
    """`cryojax-het compare`."""
    from .commands.compare import compare_line

    compare_line(line)


def fit(line: Sequence[str]) -> None:
    """`cryojax-het fit`."""
    from .commands.fit import fit_line

    fit_line(line)


def volumes(line: Sequence[str]) -> None:
    """`cryojax-het volumes`."""
    from .commands.volumes import volumes_line

    volumes_line(line)


def free_energy(line: Sequence[str]) -> None:
    """`cryojax-het free-energy`."""
    from .commands.free_energy import free_energy_line

    free_energy_line(line)


def sample(line: Sequence[str]) -> None:
    """`cryojax-het sample`."""
    from .commands.sample import sample_line

    sample_line(line)


def latent_prior(line: Sequence[str]) -> None:
    """`cryojax-het latent-prior`."""
    from .commands.latent_prior import latent_prior_line

    latent_prior_line(line)


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "demo": demo,
    "inspect": inspect,
    "simulate": simulate,
    "reconstruct": reconstruct,
    "fit": fit,
    "validate": validate,
    "analyse": analyse,
    "report": report,
    "compare": compare,
    "select": select,
    "map-manifold": map_manifold,
    "volumes": volumes,
    "sample": sample,
    "latent-prior": latent_prior,
    "free-energy": free_energy,
}


def _guarded(command: Callable[[Sequence[str]], None], line: Sequence[str]) -> int:
    try:
        with terminal_messages():
            command(line)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:
        # The reader of a pipe went away; what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, ImportError, MemoryError, FloatingPointError) as error:
        if "--debug" in line:
            traceback.print_exc()
        return _fail(_sentence(error))
    except RuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error) or "--debug" in line:
            raise
        return _fail("the device is out of memory: give a smaller `--batch` or `--box`.")
    except KeyboardInterrupt:
        print("\ninterrupted: the same command takes a run up where it was.", file=sys.stderr)
        return 130


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return where + error.strerror
    return str(error) or type(error).__name__


def _fail(sentence: str) -> int:
    print(f"cryojax-het: error: {sentence}", file=sys.stderr)
    return 2
