"""The run folder of a linear model, made by formulas: images of known latents, their posteriors."""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.particles.mrc import MrcVolume
from cryojax_het.particles.new_star import new_star
from cryojax_het.particles.source import make_particles
from cryojax_het.particles.stack_writer import StackWriter
from cryojax_het.results.run import RunRecord, open_run
from cryojax_het.volumes.linear import LinearVolume
from cryojax_het.volumes.voxels import Voxels

SIZE, PIXEL = 24, 6.0


@dataclass(frozen=True)
class SyntheticRun:
    """Its folder, particle file, truth per image; `junk`: rows of pure noise."""

    path: object
    star: object
    latent: np.ndarray
    junk: np.ndarray
    volume: LinearVolume


def blobs(rng, count, height):
    """`count` Gaussians within 35 Å of the centre, as voxels."""
    r = (np.arange(SIZE) - SIZE // 2) * PIXEL
    centre = rng.normal(0, 16, (count, 3))
    profile = np.exp(-((r[:, None] - centre[:, None].transpose(2, 1, 0)) ** 2) / (2 * 9.0**2))
    sign = height * rng.uniform(0.6, 1.4, count)
    return np.einsum("j,zj,yj,xj->zyx", sign, *profile[::-1])


def linear_volume(seed=0):
    """A mean of 25 blobs; components of pairs that move density from one place to another."""
    rng = np.random.default_rng(seed)
    mean = blobs(rng, 25, 1.0)
    parts = [blobs(rng, 3, 0.9) - blobs(rng, 3, 0.9) for _ in range(2)]
    components = eqx.filter_vmap(lambda v: Voxels(v, PIXEL))(jnp.asarray(np.stack(parts)))
    return LinearVolume(mean=Voxels(jnp.asarray(mean), PIXEL), components=components, latent_size=2)


def write_synthetic_run(folder, count=300, junk=30, noise=1.0, volume=None):
    """Particles and a finished run on them; the last `junk` images hold noise alone."""
    rng = np.random.default_rng(1)
    volume, grid = volume or linear_volume(), FourierGrid(SIZE, PIXEL)
    particles = _particles(rng, count)
    latent = rng.normal(size=(count, 2))
    latents = Latents(
        jnp.asarray(latent),
        jnp.asarray(particles.rotation),
        jnp.asarray(particles.shift),
        jnp.ones(count),
    )
    optics, ready = Optics.from_columns(particles.optics()), volume.prepare(grid)
    draw = jax.jit(jax.vmap(lambda l, o: grid.to_image(render(ready, l, o, grid))))
    at = lambda z: np.asarray(draw(replace_latent(latents, z), optics))
    clean, mean = at(latent), at(np.zeros_like(latent))
    design = np.stack([at(np.tile(unit, (count, 1))) - mean for unit in np.eye(2)], axis=-1)
    sigma = noise * mean.std()
    signal = np.where(np.arange(count)[:, None, None] < count - junk, clean, 0.0)
    images = signal + sigma * rng.normal(size=clean.shape)
    design = design.reshape(count, -1, 2) / sigma
    covariance = np.linalg.inv(np.eye(2) + np.einsum("npa,npb->nab", design, design))
    left = (images - mean).reshape(count, -1) / sigma
    posterior = np.einsum("nab,npb,np->na", covariance, design, left)
    star = _write_particles(folder, particles, images)
    path = _write_run(folder / "run", star, volume, particles, (posterior, covariance))
    return SyntheticRun(path, star, latent, np.arange(count - junk, count), volume)


def replace_latent(latents, conformation):
    return replace(latents, conformation=jnp.asarray(conformation))


def _particles(rng, count):
    rotation = jax.vmap(so3.random)(jax.random.split(jax.random.key(0), count))
    return make_particles(
        count,
        pixel_size=PIXEL,
        size=SIZE,
        rotation=np.asarray(rotation, float),
        shift=rng.normal(size=(count, 2)) * 3,
        defocus_u=rng.uniform(1e4, 2e4, count),
        voltage=300.0,
        spherical_aberration=2.7,
        amplitude_contrast=0.1,
        half=np.arange(count) % 2 + 1,
    )


def _write_particles(folder, particles, images):
    with StackWriter(folder / "images.mrcs", SIZE, PIXEL) as stack:
        stack.append(images.astype(np.float32))
    names = [f"{i + 1}@images.mrcs" for i in range(len(images))]
    new_star(folder / "particles.star", particles, names)
    return folder / "particles.star"


def _write_run(path, star, volume, particles, posterior):
    config = {"particles": str(star), "volume": "linear", "components": 2, "read": {"threads": 2}}
    run = open_run(path, config, RunRecord(command=["cryojax-het", "fit"], seed=0, inputs=[star]))
    voxel = (PIXEL,) * 3
    maps = {"mean": volume.mean.voxels, "mask": np.ones((SIZE,) * 3)}
    maps |= {f"component_{k + 1:02d}": volume.components.voxels[k] for k in range(2)}
    for name, data in maps.items():
        run.write_volume(name, MrcVolume(np.asarray(data, np.float32), voxel))
    count = len(particles)
    tables = {"conformation": posterior[0], "conformation_covariance": posterior[1]}
    tables |= {"rotation": particles.rotation, "shift": particles.shift}
    tables |= {"contrast": np.ones(count), "log_likelihood": np.ones(count)}
    for name, rows in (tables | {"log_likelihood_mean": np.zeros(count)}).items():
        run.latents().create(name, rows.shape)
        run.latents().write(name, np.arange(count), rows)
    run.finish({"components": 2})
    return path
