"""The reference map through the true deformation, beside the rigid reconstruction.

    cryojax-het simulate hinge -o HINGE --count 4000 --size 48 --pixel-size 4
    python compare.py HINGE --state 50 --images 1000 4000

Prints rows of `table.md`. Poses, CTF, noise and the state of each image are the true ones: what
deformed back-projection gains at most, whatever finds the deformation. Voxels of the reference
state follow the eight nearest of 2,000 atoms. The moving region is where in the reference state
atoms are that any state moves by more than a pixel. All maps come from the same solver and prior.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial import KDTree

from cryojax_het.analysis.fsc import fourier_shell_correlation, masked_fsc, resolution
from cryojax_het.analysis.mask import spherical_mask
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.deformed_reconstruction import (
    DeformedReconstruction,
    reconstruct_deformed,
    start,
)
from cryojax_het.inference.devices import data_mesh, own_part, place_batch
from cryojax_het.inference.half_maps import plan_batches
from cryojax_het.inference.noise_estimation import group_count
from cryojax_het.inference.updates.conjugate_gradients import Stopping
from cryojax_het.inference.updates.deformed_map import DeformedMap
from cryojax_het.particles.loader import HostLatents, Loader, Pixels, Placement
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.truth import GroundTruth, open_truth
from cryojax_het.volumes.carried import carried
from cryojax_het.volumes.displacement import AbstractDisplacement
from cryojax_het.volumes.mixture import Change
from cryojax_het.volumes.voxel_cloud import voxels_within

CARRIERS, BATCH = 2000, 100


class Still(AbstractDisplacement):
    """Nothing moves: the rigid reconstruction."""

    latent_size: int = eqx.field(static=True, default=1)

    def change(self, latent, positions):
        del latent
        return Change(jnp.zeros_like(positions))


class OfStates(AbstractDisplacement):
    """The true displacement of atoms; the latent is the number of the state."""

    table: Float[Array, "s a 3"]
    latent_size: int = eqx.field(static=True, default=1)

    def change(self, latent, positions):
        del positions
        return Change(self.table[jnp.rint(latent[0]).astype(jnp.int32)])


@dataclass(frozen=True)
class World:
    """A simulated set, its reference state and the masks of that."""

    truth: GroundTruth
    state: int
    molecule: np.ndarray
    moving: np.ndarray
    field: OfStates
    atoms: np.ndarray

    @property
    def pixel(self) -> float:
        return self.truth.pixel_size

    def displacement(self, positions) -> AbstractDisplacement:
        spacing = KDTree(self.atoms).query(self.atoms, k=9)[0][:, 1:].mean()
        return carried(self.field, self.atoms, positions, reach=max(spacing, self.pixel / 2))


def soft_around(atoms, size, pixel, reach=1.5, edge=3.0):
    """1 within `reach` pixels of any atom, then half a cosine down over `edge`."""
    axis = (np.arange(size) - size // 2) * pixel
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")[::-1], axis=-1)
    distance = KDTree(atoms).query(grid)[0] / pixel - reach
    return 0.5 * (1 + np.cos(np.pi * np.clip(distance / edge, 0, 1)))


def make_world(folder: Path, state: int) -> World:
    truth = open_truth(folder)
    atoms = truth.atoms()
    assert atoms is not None
    positions = atoms.positions
    rows = np.random.default_rng(0).permutation(positions.shape[1])[:CARRIERS]
    reference = positions[state]
    far = np.linalg.norm(positions - reference, axis=-1).max(axis=0)
    around = lambda chosen: soft_around(chosen, truth.size, truth.pixel_size)
    return World(
        truth,
        state,
        around(reference),
        around(reference[far > truth.pixel_size]),
        OfStates(table=jnp.asarray(positions[:, rows] - reference[rows], jnp.float32)),
        reference[rows],
    )


def loader_of(world: World, mesh) -> Loader:
    truth = world.truth
    source = open_particles(truth.particles)
    latents = HostLatents.of_poses(truth.images.rotation, truth.images.shift)
    states = truth.images.state[:, None].astype(np.float32)
    contrast = truth.images.contrast.astype(np.float32)
    latents = HostLatents(states, latents.rotation, latents.shift, contrast)
    grid = FourierGrid(truth.size, jnp.float32(truth.pixel_size))
    pixels = Pixels(grid, truth.size)
    return Loader(source, latents, pixels, BATCH, Placement(place_batch(mesh), own_part))


def solve(world: World, window, displacement, count, ratio, stopping):
    """Half-maps and the filtered map of the first `count` images; CPU seconds of each pass."""
    truth, mesh = world.truth, data_mesh()
    grid = FourierGrid(truth.size, jnp.float32(truth.pixel_size))
    flat, positions = voxels_within(window, truth.pixel_size)
    model = DeformedMap(
        jnp.asarray(flat),
        jnp.asarray(positions, jnp.float32),
        grid.pixel_size,
        displacement(positions),
        truth.size,
    )
    loader = loader_of(world, mesh)
    groups = group_count(loader.source.table().group)
    noise = ColouredNoise(jnp.asarray(np.tile(truth.level.power, (groups, 1)), jnp.float32))
    setting = DeformedReconstruction(model, noise, grid, ratio, mesh, stopping)
    plan = plan_batches(truth.half[:count], BATCH)
    course = start(setting)
    compare = lambda a, b: masked_fsc(a, b, world.molecule).corrected
    seconds, began = [], time.process_time()
    for _ in reconstruct_deformed(setting, loader, plan, course, compare):
        if course.batch == len(plan):
            seconds.append((course.stage, time.process_time() - began))
            began = time.process_time()
    return course, seconds, len(flat)


def figures(world: World, found, truth) -> list[str]:
    """FSC = 0.5 with the truth (Å) and the mean of that FSC up to Nyquist, in the molecule and in
    the moving region."""
    length = world.truth.size * world.pixel
    out = []
    for mask in (world.molecule, world.moving):
        curve = fourier_shell_correlation(found * mask, truth * mask)
        out += [f"{resolution(curve, 0.5, length):.1f}", f"{curve[1:].mean():.3f}"]
    return out


def row(world: World, name: str, case, count: int, options) -> str:
    """One line of the table."""
    size = world.truth.size
    truth = world.truth.map(options.state).astype(float)
    ratio = jnp.full(size // 2 + 1, options.ratio, jnp.float32)
    stopping = Stopping(options.tolerance, options.limit)
    course, seconds, voxels = solve(world, case[0], case[1], count, ratio, stopping)
    each = float(np.median([s for _, s in seconds[2:]]))
    half = figures(world, course.half_maps()[0].astype(float), truth)[3]
    steps = [int(course.halves[0].iterations), int(course.whole.iterations)]
    cells = [options.folder.name, size, count, name, voxels]
    cells += [*figures(world, np.asarray(course.whole.x, float), truth), half, *steps]
    return "| " + " | ".join(map(str, [*cells, f"{each:.2f}", f"{count / each:.0f}"])) + " |"


def main() -> None:
    """Print one row per number of images and case."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("folder", type=Path)
    made.add_argument("--images", type=int, nargs="+", default=[1000, 4000])
    made.add_argument("--state", type=int, default=0, help="the reference")
    made.add_argument("--ratio", type=float, default=0.1, help="prior of the half-maps")
    made.add_argument("--tolerance", type=float, default=1e-2)
    made.add_argument("--limit", type=int, default=30)
    made.add_argument("--cases", nargs="+", default=["rigid", "rigid, mask", "deformed"])
    options = made.parse_args()
    world = make_world(options.folder, options.state)
    sphere = spherical_mask(world.truth.size, world.truth.size / 2 - 3, 2.0)
    cases = {
        "rigid": (sphere, lambda positions: Still()),
        "rigid, mask": (world.molecule, lambda positions: Still()),
        "deformed": (world.molecule, world.displacement),
    }
    for count in options.images:
        for name in options.cases:
            print(row(world, name, cases[name], count, options), flush=True)


if __name__ == "__main__":
    main()
