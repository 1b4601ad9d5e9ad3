"""A fitted field against the true displacement, and the map through it against the true flow's.

    cryojax-het fit SET/particles.star -o RUN --volume flex --latent-box 24 --epochs 20 --batch 32
    python compare.py RUN SET

Prints numbers of `table.md`. Latents: correlation with the true states' embedding, read out by a
quadratic polynomial of the latent, beside that of an observer who knows all but the state, of some
of the images. Field: of atoms that lie in the field's reach in the state whose latents are nearest
to the mean, how far each is from where it truly is, over images, both relative to that state;
beside it the error of standing still. Map: half-maps by conjugate gradients at the full box, all in
one window, through no field, the fitted and the true one; FSC in the moving region, where atoms
move by more than half of the largest displacement.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial import KDTree

from cryojax_het.analysis.ceiling import state_posterior
from cryojax_het.analysis.fsc import masked_fsc
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.noise import ColouredNoise
from cryojax_het.inference.deformed_reconstruction import (
    DeformedReconstruction,
    reconstruct_deformed,
    start,
)
from cryojax_het.inference.devices import data_mesh, own_part, place_batch
from cryojax_het.inference.half_maps import plan_batches
from cryojax_het.inference.updates.deformed_map import DeformedMap
from cryojax_het.particles.loader import HostLatents, Loader, Pixels, Placement
from cryojax_het.particles.open import open_particles
from cryojax_het.results.flow_store import load_flow
from cryojax_het.results.run import RunFolder
from cryojax_het.simulate.truth import GroundTruth, open_truth
from cryojax_het.volumes.carried import carried
from cryojax_het.volumes.displaced import DisplacedMixture
from cryojax_het.volumes.displacement import AbstractDisplacement
from cryojax_het.volumes.flow import principal_modes
from cryojax_het.volumes.mixture import Change
from cryojax_het.volumes.normal_modes import NormalModes
from cryojax_het.volumes.voxel_cloud import voxels_within

ATOMS, IMAGES, OBSERVED, BATCH, RATIO = 1500, 500, 400, 100, 0.1


class OfStates(AbstractDisplacement):
    """The true displacement of atoms; the latent is the number of the state."""

    table: Float[Array, "s a 3"]
    latent_size: int = eqx.field(static=True, default=1)

    def change(self, latent, positions):
        del positions
        return Change(self.table[jnp.rint(latent[0]).astype(jnp.int32)])


@dataclass(frozen=True)
class Case:
    """A run and what is true; `state`: the reference of the comparison."""

    run: RunFolder
    truth: GroundTruth
    volume: DisplacedMixture
    latents: np.ndarray
    state: int
    atoms: np.ndarray

    @property
    def own(self) -> np.ndarray:
        return self.truth.images.state


def opened(run: Path, folder: Path) -> Case:
    """The state whose images' latents are nearest to the mean is the reference."""
    folder_, truth = RunFolder(run), open_truth(folder)
    latents = np.array(folder_.latents().read("conformation"), np.float32)
    state, middle = truth.images.state, latents.mean(axis=0)
    present = np.unique(state)
    away = [np.linalg.norm(latents[state == s].mean(axis=0) - middle) for s in present]
    found = truth.atoms()
    assert found is not None
    rows = np.random.default_rng(0).permutation(found.positions.shape[1])[:ATOMS]
    chosen = int(present[np.argmin(away)])
    return Case(folder_, truth, load_flow(folder_), latents, chosen, found.positions[:, rows])


def read_out(latents, target) -> float:
    """Correlation of `target` with the best quadratic polynomial of `latents`, columns pooled."""
    count, size = latents.shape
    products = [latents[:, i] * latents[:, j] for i in range(size) for j in range(i, size)]
    design = np.column_stack([np.ones(count), latents, *products])
    fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    about = target - target.mean(axis=0)
    return float(np.sqrt(np.sum((fitted - fitted.mean(axis=0)) ** 2) / np.sum(about**2)))


def latents_line(case: Case) -> str:
    """How well latents tell the state, and the ceiling."""
    embedded = case.truth.states.embedding()[case.own]
    if not embedded.size or np.ptp(embedded) == 0:
        return f"latents: variance {np.round(case.latents.var(axis=0), 4)}"
    rows = np.random.default_rng(1).permutation(len(embedded))[:OBSERVED]
    source = open_particles(case.truth.particles)
    ideal = state_posterior(source, case.truth, rows).ideal_latent(case.truth.states)
    ceiling = read_out(ideal, embedded[rows])
    return f"latents: rho {read_out(case.latents, embedded):.3f}, ceiling {ceiling:.3f}"


def field_line(case: Case) -> str:
    """Error of the field at atoms, in units of pixels of the images."""
    here, pixel = case.atoms[case.state], case.truth.pixel_size
    places = np.asarray(case.volume.reference.positions, np.float64)
    flow = case.volume.displacement
    rows = np.random.default_rng(2).permutation(len(case.own))[:IMAGES]
    rest = case.latents[case.own == case.state].mean(axis=0)
    # Points of the reference that the reference state's latent brings to the atoms.
    at_state = places + moved(flow, rest[None])[0]
    distance, nearest = KDTree(at_state).query(here, 8)
    reached = distance[:, 0] < 2 * pixel
    weight = np.exp(-0.5 * (distance / pixel) ** 2)
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-30)
    away = moved(flow, case.latents[rows]) - (at_state - places)
    found = np.einsum("jm,njma->nja", weight, away[:, nearest])
    true = case.atoms[case.own[rows]] - here
    largest = np.linalg.norm(true, axis=-1).max(axis=0)
    moving = largest >= 0.5 * largest.max()
    error, still = (
        np.sqrt(np.mean(np.sum(x[:, reached & moving] ** 2, axis=-1))) / pixel
        for x in (found - true, true)
    )
    whole = np.sqrt(np.mean(np.sum((found - true)[:, reached] ** 2, axis=-1))) / pixel
    return (
        f"field: error in moving atoms {error:.2f} px of {still:.2f}, in all {whole:.2f}; "
        f"{reached.mean():.0%} of atoms within reach"
    )


def moved(flow, latents) -> np.ndarray:
    """Displacements of the flow's points, `[n, j, 3]`."""
    nowhere = jnp.zeros((1, 3), jnp.float32)
    one = jax.jit(lambda z: flow.change(z, nowhere).displacement)
    return np.stack([np.asarray(one(jnp.asarray(z))) for z in latents]).astype(np.float64)


def solve(case: Case, displacement, conformations, window) -> list[np.ndarray]:
    """Half-maps through a displacement, at true poses and noise."""
    truth, mesh = case.truth, data_mesh()
    grid = FourierGrid(truth.size, jnp.float32(truth.pixel_size))
    flat, positions = voxels_within(window, truth.pixel_size)
    at, shift = truth.images.rotation, truth.images.shift
    poses = HostLatents.of_poses(at, shift)
    latents = HostLatents(
        conformations.astype(np.float32), poses.rotation, poses.shift, poses.contrast
    )
    place = jnp.asarray(positions, jnp.float32)
    model = DeformedMap(jnp.asarray(flat), place, grid.pixel_size, displacement, truth.size)
    source = open_particles(truth.particles)
    put = Placement(place_batch(mesh), own_part)
    loader = Loader(source, latents, Pixels(grid, truth.size), BATCH, put)
    groups = int(source.table().group.max()) + 1
    noise = ColouredNoise(jnp.asarray(np.tile(truth.level.power, (groups, 1)), jnp.float32))
    ratio = jnp.full(truth.size // 2 + 1, RATIO, jnp.float32)
    setting, plan = DeformedReconstruction(model, noise, grid, ratio, mesh), []
    plan, course = plan_batches(truth.half, BATCH), start(setting)
    compare = lambda a, b: masked_fsc(a, b, window).corrected
    for _ in reconstruct_deformed(setting, loader, plan, course, compare):
        if course.stage > 1:
            break
    return course.half_maps()


def map_lines(case: Case) -> list[str]:
    """Mean FSC of half-maps in the moving region: rigid, fitted, true."""
    truth, pixel = case.truth, case.truth.pixel_size
    places = np.asarray(case.volume.reference.positions, np.float64)
    flow, here = case.volume.displacement, case.atoms[case.state]
    modes, amplitudes = principal_modes(flow, case.latents, 0.02 * pixel)
    window = window_of(places, truth.size, pixel)
    table = OfStates(jnp.asarray(case.atoms - here, jnp.float32))
    _, positions = voxels_within(window, pixel)
    reach = float(np.mean(KDTree(here).query(here, 9)[0][:, 1:]))
    oracle = carried(table, here, positions, max(reach, pixel / 2))
    states = case.own[:, None].astype(np.float64)
    still = NormalModes(jnp.zeros((1, len(positions), 3), jnp.float32))
    rest = case.latents[case.own == case.state].mean(axis=0)
    shift = places + moved(flow, rest[None])[0]
    largest = np.linalg.norm(case.atoms - here, axis=-1).max(axis=0)
    arm = here[largest >= 0.5 * largest.max()]
    lines = []
    cases = {
        "rigid": (still, 0 * states, here),
        "fitted": (modes, amplitudes, places),
        "true": (oracle, states, here),
    }
    for name, (displacement, conformations, _) in cases.items():
        halves = solve(case, displacement, conformations, window)
        # The fitted reference is in a frame of its own: the arm is where the field says.
        where = places[KDTree(shift).query(arm)[1]] if name == "fitted" else arm
        mask = soft_around(where, truth.size, pixel)
        curve = masked_fsc(*(h.astype(float) for h in halves), mask).corrected
        cut = int(case.run.record()["summary"]["latent_box"]) // 2
        told = f"arm FSC {curve[1:].mean():.3f}, beyond cut {curve[cut:].mean():.3f}"
        lines.append(f"map, {name}: {told}")
    return lines


def window_of(places, size, pixel) -> np.ndarray:
    """1 at these voxels."""
    index = np.rint(places / pixel).astype(int) + size // 2
    window = np.zeros((size,) * 3)
    window[tuple(index.T[::-1])] = 1.0
    return window


def soft_around(atoms, size, pixel, reach=1.5, edge=3.0) -> np.ndarray:
    """1 within `reach` pixels of any atom, then half a cosine down over `edge`."""
    axis = (np.arange(size) - size // 2) * pixel
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij")[::-1], axis=-1)
    distance = KDTree(atoms).query(grid)[0] / pixel - reach
    return 0.5 * (1 + np.cos(np.pi * np.clip(distance / edge, 0, 1)))


def main() -> None:
    """Print."""
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    made.add_argument("run", type=Path)
    made.add_argument("truth", type=Path)
    options = made.parse_args()
    case = opened(options.run, options.truth)
    for line in (field_line(case), latents_line(case), *map_lines(case)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
