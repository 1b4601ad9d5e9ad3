"""A particle stack with complete truth: render, add noise, write.

    image = s C S(t) P R V(z) + ε,   SNR = var(pixels of the first term) / σ²

with one noise level for the whole data set.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ..imaging.noise import ColouredNoise
from ..particles.mrc import MrcVolume, write_volume
from ..particles.new_star import new_star
from ..particles.source import Particles, assign_halves, make_particles
from ..particles.stack_writer import StackWriter
from . import draws
from .images import Scene, image_batches, noise_spectrum, signal_statistics
from .settings import PoseError, Simulation
from .specimen import Specimen, is_exact, make_specimen, prepared
from .state_maps import state_atoms, state_maps
from .truth import NewTruth, NoiseLevel, Truth, write_truth

_SAMPLE = 512  # clean images that fix the noise level


class SimulatedFiles(NamedTuple):
    """What a simulation wrote."""

    particles: Path  # .star
    stack: Path  # .mrcs
    truth: Path  # .h5
    volume: Path  # .mrc: the mean density over the population


def run_simulation(settings: Simulation) -> SimulatedFiles:
    """Simulate and write a data set; neither images nor maps are ever all in memory.

    The STAR file is written last: where it is, all is complete. Raises `FileExistsError` where the
    folder has a data set; `FileNotFoundError`, `ValueError` for unusable inputs.
    """
    names = ("particles.star", "particles.mrcs", "truth.h5", "truth.mrc")
    files = SimulatedFiles(*(Path(settings.output) / name for name in names))
    for path in files:
        if path.exists():
            raise FileExistsError(f"{path} exists: choose another output folder, or remove it.")
    specimen = make_specimen(settings)
    particles, truth = draw_particles(settings, specimen)
    ready = prepared(specimen.scene)
    level = noise_level(settings, ready, particles, truth)
    files.particles.parent.mkdir(parents=True, exist_ok=True)
    write_stack(files.stack, settings, ready, (particles, truth, level))
    mean = _write_truth(files.truth, settings, specimen, (particles, truth, level))
    write_volume(files.volume, mean)
    names = [f"{i + 1:06d}@{files.stack.name}" for i in range(len(particles))]
    new_star(files.particles, told_particles(settings, particles, truth), names)
    return files


def draw_particles(settings: Simulation, specimen: Specimen) -> tuple[Particles, Truth]:
    """The table of the images, with true poses, and the truth per image."""
    count, grid, states = settings.count, specimen.scene.grid, specimen.states
    pose_rng, shift_rng, ctf_rng, contrast_rng, state_rng, _ = _generators(settings.seed)
    if settings.poses is None:
        rotation = draws.view_rotations(pose_rng, count, settings.views)
        extent = settings.shift * float(grid.length)
        shift = draws.uniform_shifts(shift_rng, count, extent)
    else:
        rotation, shift = draws.read_poses(settings.poses, count)
    if settings.ctf_file is None:
        ctf = draws.draw_ctf(ctf_rng, count, settings.ctf)
    else:
        ctf = draws.read_ctf(ctf_rng, count, settings.ctf_file)
    contrast = draws.normal_contrast(contrast_rng, count, settings.contrast_spread)
    state = state_rng.choice(len(states), size=count, p=states.population)
    group = draws.optics_groups(ctf)
    particles = make_particles(
        count,
        rotation=rotation,
        shift=shift,
        b_factor=settings.b_factor,
        pixel_size=float(grid.pixel_size),
        size=grid.size,
        group=group,
        group_names=[f"opticsGroup{g + 1}" for g in range(group.max() + 1)],
        **ctf,
    )
    truth = Truth(
        conformation=states.conformation[state],
        state=state,
        rotation=rotation,
        shift=shift,
        contrast=contrast,
    )
    return assign_halves(particles, settings.seed), truth


def told_particles(settings: Simulation, particles: Particles, truth: Truth) -> Particles:
    """The table as its file tells it: with the errors of poses that the settings ask for."""
    if settings.pose_error == PoseError():
        return particles
    rng = _generators(settings.seed)[-1]
    poses = (truth.rotation, truth.shift)
    rotation, shift = draws.disturbed_poses(rng, poses, settings.pose_error)
    return replace(particles, rotation=rotation, shift=shift)


def noise_level(
    settings: Simulation, scene: Scene, particles: Particles, truth: Truth
) -> NoiseLevel:
    """The level that gives the wanted ratio, from a sample of clean images."""
    signal = signal_statistics(scene, particles, truth, _SAMPLE, settings.batch)
    sigma = float(np.sqrt(signal.variance / settings.snr))
    return NoiseLevel(
        sigma=sigma,
        signal_variance=signal.variance,
        footprint_variance=signal.footprint_variance,
        power=noise_spectrum(settings.noise, scene.grid, sigma),
        signal_power=signal.power,
    )


def write_stack(
    path: Path, settings: Simulation, scene: Scene, drawn: tuple[Particles, Truth, NoiseLevel]
) -> None:
    """Render all images into an MRC stack, with a progress bar where the output is a terminal."""
    from tqdm import tqdm

    particles, truth, level = drawn
    noise = ColouredNoise(jnp.asarray(level.power, scene.grid.pixel_size.dtype))
    images = image_batches(scene, particles, truth, noise, settings.seed, settings.batch)
    bar = tqdm(total=len(particles), unit="image", desc="simulate", disable=None)
    with bar, StackWriter(path, scene.grid.size, float(scene.grid.pixel_size)) as stack:
        for batch in images:
            stack.append(batch)
            bar.update(len(batch))


def _write_truth(
    path: Path,
    settings: Simulation,
    specimen: Specimen,
    drawn: tuple[Particles, Truth, NoiseLevel],
) -> MrcVolume:
    """Write the truth; the mean density over the population."""
    particles, truth, level = drawn
    scene, states = specimen.scene, specimen.states
    size, voxel = scene.grid.size, float(scene.grid.pixel_size)
    footprint = level.footprint_variance / level.signal_variance * settings.snr
    about = {"snr": settings.snr, "snr_in_footprint": footprint, "seed": settings.seed}
    mean = np.zeros((size,) * 3)

    def maps():
        for share, density in zip(states.population, state_maps(specimen), strict=True):
            mean[:] += share * density
            yield density

    write_truth(
        path,
        NewTruth(
            images=truth,
            half=particles.half,
            states=states,
            level=level,
            atoms=state_atoms(specimen),
            maps=maps(),
            size=size,
            pixel_size=voxel,
            about=about | {"exact_projection": is_exact(scene)},
        ),
    )
    origin = -(size // 2) * voxel
    return MrcVolume(mean.astype(np.float32), (voxel, voxel, voxel), (origin, origin, origin))


def _generators(seed: int) -> list[np.random.Generator]:
    """One per quantity: changing how one is drawn leaves the others as they were."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(6)]
