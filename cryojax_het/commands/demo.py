"""`cryojax-het demo`: the whole way from a molecule to a scored map, with nothing to download."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final


@final
@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Settings of the demonstration."""

    output: Path = Path("demo")
    """Folder for the simulated particles, the run and its figures."""
    count: int = 3000
    """Number of images."""
    size: int = 64
    """Pixels per side, of 4 Å."""
    snr: float = 0.03
    """Variance of the signal over that of the noise."""
    seed: int = 0
    """The same seed gives the same images."""


def run_demo(config: DemoConfig, command: Sequence[str]) -> None:
    """Simulate, reconstruct, score; prints each step and where its files are.

    Images that an earlier demo with the same settings left are used again, and its run is taken
    up. Raises `FileExistsError` where the folder has those of other settings.
    """
    from ..inference.devices import use_cpu_devices
    from .reconstruct_method import affordable_devices, choose_method

    # Before the simulation starts a backend.
    use_cpu_devices(affordable_devices(choose_method("auto", config.size), config.size))
    particles = _simulated(config)
    print("2/3  reconstruct", flush=True)
    from .reconstruct import ReconstructConfig, reconstruct

    run = config.output / "run"
    summary = reconstruct(ReconstructConfig(particles=particles, output=run), command)
    print("3/3  compare with the truth")
    print(_scored(config, summary))


def _simulated(config: DemoConfig) -> Path:
    from ..simulate.settings import Simulation
    from ..simulate.simulate import run_simulation

    folder = config.output / "particles"
    print(
        f"1/3  simulate {config.count:,} images of {config.size} pixels, SNR {config.snr:g}",
        flush=True,
    )
    if (folder / "particles.star").exists():
        _check_same(config, folder)
        print("     (there already)")
        return folder / "particles.star"
    for left in folder.glob("*"):
        # The STAR file comes last: without it these are from a simulation that was interrupted.
        if left.name in ("particles.mrcs", "truth.h5", "truth.mrc"):
            left.unlink()
    settings = Simulation(
        output=folder, count=config.count, size=config.size, snr=config.snr, seed=config.seed
    )
    return run_simulation(settings).particles


def _check_same(config: DemoConfig, folder: Path) -> None:
    from ..simulate.truth import open_truth

    truth = open_truth(folder)
    there = (len(truth.half), truth.size, truth.about["snr"], truth.about["seed"])
    if there != (config.count, config.size, config.snr, config.seed):
        raise FileExistsError(
            f"{folder} has images of other settings ({there[0]} of {there[1]} pixels, SNR "
            f"{there[2]:g}, seed {there[3]}): choose another output by `-o`, or remove it."
        )


def _scored(config: DemoConfig, summary: dict) -> str:
    from ..analysis.scores import score_against_truth
    from ..particles.mrc import cubic_voxel_size, read_volume
    from ..report.plots import plot_fsc, plot_slices
    from ..results.run import RunFolder

    run = RunFolder(config.output / "run")
    mean, mask = run.volume("mean"), run.volume("mask")
    path = config.output / "particles" / "truth.mrc"
    truth = read_volume(path)
    pixel_size = cubic_voxel_size(truth, path)
    score = score_against_truth(mean.data, truth.data, pixel_size, mask.data)
    plots, nyquist = run.folder("plots"), 2 * pixel_size
    curves = {
        "half-maps": run.metrics()[-1]["fsc"],
        "map and truth": score.fsc,
    }
    plot_fsc(plots / "truth_fsc.png", curves, config.size * pixel_size, (0.143, 0.5))
    plot_slices(plots / "truth_slices.png", {"map": mean.data, "truth": truth.data}, pixel_size)
    return f"""
resolution   {summary["resolution"]:.2f} Å between half-maps (FSC 0.143; Nyquist {nyquist:g} Å)
             {score.resolution:.2f} Å against the truth (FSC 0.5)
correlation  {score.correlation:.3f} with the true map, inside the mask
speed        {summary["images_per_second"]:.0f} images per second

{run.path}/volumes   mean.mrc, half1.mrc, half2.mrc, mask.mrc
{plots}     truth_fsc.png, truth_slices.png"""
