"""A molecule that is linear in its latents, written as particle files, and what can be known of it.

    y = c C T P R (μ + Σ_k z_k X_k) + noise,   z ~ N(0, 1),   c ~ N(1, 0.2²) above 0.4

`μ` is a sum of thirty Gaussians, `X_1` half of those at x > 5 Å, `X_2` 0.4 of others: parts that
grow and shrink, in a box of 32 at 4 Å. Noise is white, its deviation 1.5 of that of the images of
`μ`, or 1.2 of the largest variance over those of all: an SNR of about 0.5 per pixel.
"""

from dataclasses import dataclass
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from cryojax_het.commands.fit_linear import LinearConfig
from cryojax_het.commands.image_preparation import image_loader, initial_noise
from cryojax_het.commands.reconstruct_data import load_data
from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.inference.posteriors.linear_gaussian import LinearGaussianPosterior
from cryojax_het.inference.prior import LocalPrior
from cryojax_het.particles.loader import Placement, split_rows
from cryojax_het.particles.new_star import new_star
from cryojax_het.particles.source import make_particles
from cryojax_het.particles.stack_writer import StackWriter
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.kernel import quadratic
from cryojax_het.volumes.linear import linear_of

BOX, PIXEL, SIGMA, SPREAD, BATCH = 32, 4.0, 1.5, 0.2, 500
SCALE = (1.0, 0.5, 0.4)


@dataclass(frozen=True)
class World:
    """A set on disk, its latents `z` and contrasts, and the halves of its STAR file."""

    star: Path
    halves: tuple[Path, Path]
    z: Float[np.ndarray, "n 2"]
    contrast: Float[np.ndarray, " n"]


def parts() -> list[Gaussians]:
    """`μ`, `X_1`, `X_2`."""
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(30, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    positions = 40 * directions * rng.uniform(0.2, 1, (30, 1)) + [5.0, -4.0, 3.0]
    side, high = positions[:, 0] > 5, positions[:, 1] > 0
    amplitudes = np.linspace(50.0, 150.0, 30)
    of = lambda kept, scale: Gaussians(
        positions=jnp.asarray(positions[kept]),
        amplitudes=jnp.asarray(scale * amplitudes[kept]),
        widths=jnp.full(int(np.sum(kept)), 6.0),
    )
    return [of(k, s) for k, s in zip((side | ~side, side, ~side & high), SCALE, strict=True)]


def make_world(folder: Path, count: int, seed: int) -> World:
    """Written once; the same for the same count and seed."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, 2)).astype(np.float32)
    contrast = (1 + SPREAD * rng.normal(size=count)).clip(0.4).astype(np.float32)
    star = folder / "particles.star"
    halves = (folder / "half1.star", folder / "half2.star")
    if not halves[1].is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder, (star, *halves), z, contrast, rng)
    return World(star, halves, z, contrast)


def _write(folder, paths, z, contrast, rng):
    count, grid = len(z), FourierGrid(BOX, PIXEL)
    keys = jax.random.split(jax.random.key(int(rng.integers(2**31))), count)
    defocus = rng.uniform(8e3, 2e4, count)
    known = {
        "rotation": np.asarray(jax.vmap(so3.random)(keys), float),
        "shift": rng.normal(size=(count, 2)) * 4,
        "defocus_u": defocus,
        "defocus_v": defocus - 200.0,
        "astigmatism_angle": rng.uniform(0, np.pi, count),
        "voltage": np.full(count, 300.0),
        "spherical_aberration": np.full(count, 2.7),
        "amplitude_contrast": np.full(count, 0.1),
    }
    table = make_particles(count, size=BOX, pixel_size=PIXEL, **known)
    poses = Latents(
        jnp.zeros((count, 0)),
        jnp.asarray(table.rotation, jnp.float32),
        jnp.asarray(table.shift, jnp.float32),
        jnp.ones(count),
    )
    optics = Optics.from_columns(table.optics())
    clean = [_images(part, poses, optics, grid) for part in parts()]
    level = SIGMA * float(np.std(clean[0]))
    signal = clean[0] + np.einsum("nk,knyx->nyx", z, np.stack(clean[1:]))
    pixels = contrast[:, None, None] * signal + level * rng.normal(size=signal.shape)
    with StackWriter(folder / "images.mrcs", BOX, PIXEL) as stack:
        stack.append(pixels.astype(np.float32))
    names = np.array([f"{i + 1}@images.mrcs" for i in range(count)])
    for path, rows in zip(
        paths, (np.arange(count), np.arange(0, count, 2), np.arange(1, count, 2)), strict=True
    ):
        some = make_particles(
            len(rows), size=BOX, pixel_size=PIXEL, **{k: v[rows] for k, v in known.items()}
        )
        new_star(path, some, list(names[rows]))


def _images(part, poses, optics, grid):
    draw = jax.jit(jax.vmap(lambda t, o: grid.to_image(render(part, t, o, grid))))
    take = lambda tree, i: jax.tree.map(lambda x: x[i : i + BATCH], tree)
    starts = range(0, len(poses.contrast), BATCH)
    return np.concatenate([np.asarray(draw(take(poses, i), take(optics, i))) for i in starts])


def true_maps() -> Float[np.ndarray, "3 b b b"]:
    """`μ` and the components, voxel by voxel."""
    grid = FourierGrid(BOX, PIXEL)
    return np.stack([np.asarray(part.density(jnp.zeros(0), grid)) for part in parts()])


def latents_under(volumes: Float[np.ndarray, "q b b b"], star: Path, count: int):
    """Means and covariances of latents, and contrasts, of every image under given volumes."""
    config = LinearConfig(particles=star, output=star.parent / "none")
    data, grid = load_data(config), FourierGrid(BOX, PIXEL)
    placement = Placement(lambda t: jax.tree.map(jnp.asarray, t))
    loader = image_loader(config, data, BOX, BATCH, placement)
    noise = initial_noise(config, data, loader.pixels)
    volume = linear_of(jnp.asarray(volumes, jnp.float32), grid.pixel_size, quadratic())
    prior = LocalPrior(*map(jnp.float32, (1.0, 1.0, 1.0, SPREAD)))
    method = LinearGaussianPosterior()
    infer = eqx.filter_jit(
        lambda batch: method.infer(jax.random.key(0), volume, noise, prior, batch, grid)
    )
    found = [infer(batch) for batch in loader.batches(split_rows(np.arange(count), BATCH))]
    join = lambda of: np.concatenate([np.asarray(of(f)) for f in found])[:count]
    return (
        join(lambda f: f.latents.conformation),
        join(lambda f: f.covariance),
        join(lambda f: f.latents.contrast),
    )
