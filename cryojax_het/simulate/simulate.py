"""A particle stack with complete truth: render, add noise, write.

    image = s C S(t) P R V(z) + ε,   SNR = var(pixels of the first term) / σ²

with one noise level for the whole data set.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..imaging.grid import FourierGrid
from ..imaging.noise import ColouredNoise
from ..particles.mrc import MrcVolume, write_volume
from ..particles.new_star import new_star
from ..particles.source import Particles, assign_halves, make_particles
from ..particles.stack_writer import StackWriter
from . import draws
from .images import Scene, image_batches, noise_spectrum, signal_statistics
from .settings import Simulation
from .specimen import MAPS, STRUCTURES, demo_scene, is_exact, map_scene, prepared, structure_scene
from .truth import NoiseLevel, Truth, write_truth

_SAMPLE = 512  # clean images that fix the noise level
_STATES = 16  # states whose densities are averaged for the true map


class SimulatedFiles(NamedTuple):
    """What a simulation wrote."""

    particles: Path  # .star
    stack: Path  # .mrcs
    truth: Path  # .npz
    volume: Path  # .mrc: the mean density over the states


def run_simulation(settings: Simulation) -> SimulatedFiles:
    """Simulate and write a data set; images are never all in memory.

    The STAR file is written last: where it is, all is complete. Raises `FileExistsError` where the
    folder has a data set; `FileNotFoundError`, `ValueError` for unusable inputs.
    """
    names = ("particles.star", "particles.mrcs", "truth.npz", "truth.mrc")
    files = SimulatedFiles(*(Path(settings.output) / name for name in names))
    for path in files:
        if path.exists():
            raise FileExistsError(f"{path} exists: choose another output folder, or remove it.")
    scene = make_scene(settings)
    particles, truth = draw_particles(settings, scene)
    ready = prepared(scene)
    level = noise_level(settings, ready, particles, truth)
    files.particles.parent.mkdir(parents=True, exist_ok=True)
    write_stack(files.stack, settings, ready, (particles, truth, level))
    write_volume(files.volume, _true_map(scene, truth))
    about = {"size": scene.grid.size, "pixel_size": float(scene.grid.pixel_size)}
    about |= {"snr": settings.snr, "seed": settings.seed, "exact_projection": is_exact(scene)}
    write_truth(files.truth, truth, level, half=particles.half, **about)
    names = [f"{i + 1:06d}@{files.stack.name}" for i in range(len(particles))]
    new_star(files.particles, particles, names)
    return files


def make_scene(settings: Simulation) -> Scene:
    """The volume and grid that the settings ask for. Raises `ValueError` for another ending."""
    path = settings.source
    if path is not None and _ending(path) in MAPS:
        return map_scene(path, settings.size, settings.pixel_size)
    spacing = 4.0 if settings.pixel_size is None else settings.pixel_size
    size = 64 if settings.size is None else settings.size
    grid = FourierGrid(size, jnp.asarray(spacing, jnp.result_type(float)))
    if path is None:
        return demo_scene(grid)
    if _ending(path) in STRUCTURES:
        return structure_scene(path, grid, settings.atom_b_factor)
    known = ", ".join(STRUCTURES + MAPS)
    raise ValueError(f"{path} is neither a structure nor a map: expected {known}.")


def draw_particles(settings: Simulation, scene: Scene) -> tuple[Particles, Truth]:
    """The table as a file has it, and the truth per image."""
    count, size = settings.count, scene.grid.size
    # One generator per quantity: changing how one is drawn leaves the others as they were.
    rngs = map(np.random.default_rng, np.random.SeedSequence(settings.seed).spawn(5))
    pose_rng, shift_rng, ctf_rng, contrast_rng, state_rng = rngs
    if settings.poses is None:
        rotation = draws.haar_rotations(pose_rng, count)
        extent = settings.shift * float(scene.grid.length)
        shift = draws.uniform_shifts(shift_rng, count, extent)
    else:
        rotation, shift = draws.read_poses(settings.poses, count)
    if settings.ctf_file is None:
        ctf = draws.draw_ctf(ctf_rng, count, settings.ctf)
    else:
        ctf = draws.read_ctf(ctf_rng, count, settings.ctf_file)
    contrast = draws.normal_contrast(contrast_rng, count, settings.contrast_spread)
    low, high = np.deg2rad(settings.hinge)
    state = state_rng.uniform(low, high, (count, 1))[:, : scene.volume.latent_size]
    group = draws.optics_groups(ctf)
    particles = make_particles(
        count,
        rotation=rotation,
        shift=shift,
        b_factor=settings.b_factor,
        pixel_size=float(scene.grid.pixel_size),
        size=size,
        group=group,
        group_names=[f"opticsGroup{g + 1}" for g in range(group.max() + 1)],
        **ctf,
    )
    truth = Truth(conformation=state, rotation=rotation, shift=shift, contrast=contrast)
    return assign_halves(particles, settings.seed), truth


def noise_level(
    settings: Simulation, scene: Scene, particles: Particles, truth: Truth
) -> NoiseLevel:
    """The level that gives the wanted ratio, from a sample of clean images."""
    variance, spectrum = signal_statistics(scene, particles, truth, _SAMPLE, settings.batch)
    sigma = float(np.sqrt(variance / settings.snr))
    return NoiseLevel(
        sigma=sigma,
        signal_variance=variance,
        power=noise_spectrum(settings.noise, scene.grid, sigma),
        signal_power=spectrum,
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


def _true_map(scene: Scene, truth: Truth) -> MrcVolume:
    """The mean density over the states of the data set, a few of them where they are many."""
    states = np.unique(truth.conformation, axis=0)
    chosen = states[np.linspace(0, len(states) - 1, min(len(states), _STATES)).astype(int)]
    density = jax.jit(lambda s, scene: scene.volume.density(s, scene.grid))
    real = jnp.result_type(float)
    total = sum(np.asarray(density(jnp.asarray(s, real), scene), np.float64) for s in chosen)
    voxel, size = float(scene.grid.pixel_size), scene.grid.size
    origin = -(size // 2) * voxel
    data = np.asarray(total / len(chosen), np.float32)
    return MrcVolume(data, (voxel, voxel, voxel), (origin, origin, origin))


def _ending(path: Path) -> str:
    path = Path(path)
    return (Path(path.stem) if path.suffix == ".gz" else path).suffix.lower()
