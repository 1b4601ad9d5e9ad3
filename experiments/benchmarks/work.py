"""One box's work from formulae and a seed: volume, poses, optics, components, noisy images."""

from pathlib import Path

import numpy as np
from closed_form import Plane, molecule_slice, rotation_from_vector, transfer, voxels

PIXEL_SIZE, WIDTH_PIXELS, MOLECULE, ATOMS, COMPONENTS = 2.0, 1.5, 300, 2000, 4


def random_ball(count: int, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Points uniform in a ball: [count, 3] as (x, y, z)."""
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return direction * radius * rng.uniform(size=(count, 1)) ** (1 / 3)


def random_rotations(count: int, rng: np.random.Generator) -> np.ndarray:
    """Haar-distributed rotations [count, 3, 3] from random unit quaternions."""
    w, x, y, z = (q := rng.normal(size=(4, count))) / np.linalg.norm(q, axis=0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def make_work(size: int, batch: int, radius: float, seed: int = 0) -> dict[str, np.ndarray]:
    """Every input of both workers. `radius` is that of the molecule, as a part of the box.

    `images` [b, y, x] are projections in real space of the molecule turned by about 1 degree and
    moved by about 0.5 Å from the poses given, plus white noise of variance 1 per pixel: every
    gradient is far from zero. The `linear` images belong to the same poses and the latents.
    """
    rng, plane, width = np.random.default_rng(seed), Plane(size, PIXEL_SIZE), WIDTH_PIXELS * 2.0
    molecule = random_ball(MOLECULE, radius * size * PIXEL_SIZE, rng)
    atoms = random_ball(ATOMS, radius * size * PIXEL_SIZE, rng)
    rotation, shift = random_rotations(batch, rng), rng.normal(scale=3.0, size=(batch, 2))
    defocus = rng.uniform(8000.0, 25000.0, size=batch)
    turned = np.stack([rotation_from_vector(v) for v in rng.normal(scale=0.02, size=(batch, 3))])
    moved = shift + rng.normal(scale=0.5, size=(batch, 2))
    density = voxels(molecule, width, plane)
    scale = 1 / density.max()
    clean = [
        scale * molecule_slice(molecule, width, t @ r, plane) * transfer(d, s, plane)
        for t, r, d, s in zip(turned, rotation, defocus, moved, strict=True)
    ]
    parts = np.array_split(molecule, COMPONENTS)
    return {
        "size": np.int64(size),
        "pixel_size": np.float64(PIXEL_SIZE),
        "width": np.float64(width),
        "scale": np.float64(scale),
        "molecule": molecule,
        "atoms": atoms,
        "volume": scale * density,
        "components": scale * np.stack([voxels(p, width, plane) for p in parts]),
        "latents": rng.normal(scale=0.3, size=(batch, COMPONENTS)),
        "rotation": rotation,
        "shift": shift,
        "defocus": defocus,
        "images": plane.image(np.stack(clean)) + rng.normal(size=(batch, size, size)),
    }


def write_work(path: Path, work: dict[str, np.ndarray]) -> None:
    """One .npz for both workers."""
    np.savez(path, **work)
