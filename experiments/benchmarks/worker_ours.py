"""Ours: cryojax_het on the work in an .npz, through the interface that the fits use."""

import sys
from collections.abc import Callable
from functools import partial

import closed_form
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import protocol

from cryojax_het.imaging import rotation
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.noise import WhiteNoise
from cryojax_het.imaging.optics import Optics
from cryojax_het.volumes.gaussians import Gaussians
from cryojax_het.volumes.kernel import Kernel, cubic, quadratic
from cryojax_het.volumes.linear import LinearVolume
from cryojax_het.volumes.voxels import Voxels


class Work:
    """The arrays of one box on the device."""

    def __init__(self, path: str):
        data = np.load(path)
        self.data = {k: jnp.asarray(data[k], jnp.float32) for k in data.files if data[k].ndim}
        self.width = jnp.asarray(data["width"], jnp.float32)
        self.grid = FourierGrid(int(data["size"]), jnp.asarray(data["pixel_size"], jnp.float32))
        self.noise = WhiteNoise.per_pixel(1.0, self.grid)
        self.observed = jax.vmap(self.grid.from_image)(self.data["images"])
        self.optics = optics_of(np.asarray(data["defocus"]))

    def voxels(self, kernel: Kernel):
        return Voxels(self.data["volume"], self.grid.pixel_size, kernel).prepare(self.grid)

    def gaussians(self) -> Gaussians:
        ones = jnp.ones(len(self.data["atoms"]))
        return Gaussians(self.data["atoms"], ones, self.width * ones)

    def latents(self) -> Latents:
        batch = len(self.data["rotation"])
        return Latents(
            jnp.zeros((batch, 0)), self.data["rotation"], self.data["shift"], jnp.ones(batch)
        )

    def misfit(self, images):
        """-log-likelihood of white noise of unit variance per pixel."""
        log_prob = jax.vmap(lambda o, m: self.noise.log_prob(o, m, self.grid))
        return -jnp.sum(log_prob(self.observed, images))


def optics_of(defocus: np.ndarray) -> Optics:
    fill = partial(np.full, defocus.shape)
    return Optics.from_columns(
        {
            "defocus_u": defocus,
            "defocus_v": defocus,
            "astigmatism_angle": fill(0.0),
            "voltage": fill(closed_form.VOLTAGE_KV),
            "spherical_aberration": fill(closed_form.CS_MM),
            "amplitude_contrast": fill(closed_form.AMPLITUDE_CONTRAST),
            "phase_shift": fill(0.0),
            "b_factor": fill(0.0),
            "scale": fill(1.0),
            "group": fill(0),
        }
    )


def images(work: Work, volume, latents: Latents, optics: Optics):
    return jax.vmap(lambda l, o: render(volume, l, o, work.grid))(latents, optics)


def slices(work: Work, make: Callable):
    """Projections without optics, for the accuracy column."""

    def all_of(volume, rotations):
        none = jnp.zeros(0)
        return jax.vmap(lambda r: volume.slice(none, r, work.grid))(rotations)

    return jax.jit(all_of), (make(), work.data["rotation"])


def forward(work: Work, make: Callable, latents: Latents):
    return jax.jit(partial(images, work)), (make(), latents, work.optics)


def gradient(work: Work, make: Callable):
    """Gradient in the prepared volume: its oversampled half-transform."""
    volume = make()

    def loss(transform, *rest):
        moved = eqx.tree_at(lambda v: v.transform, volume, transform)
        return work.misfit(images(work, moved, *rest))

    return jax.jit(jax.grad(loss)), (volume.transform, work.latents(), work.optics)


def gradient_positions(work: Work):
    def loss(positions, volume, *rest):
        moved = Gaussians(positions, volume.amplitudes, volume.widths)
        return work.misfit(images(work, moved, *rest))

    volume = work.gaussians()
    return jax.jit(jax.grad(loss)), (volume.positions, volume, work.latents(), work.optics)


def gradient_voxels(work: Work, kernel: Kernel):
    """Gradient in the real-space voxels: preparation once per batch included."""

    def loss(voxels, *rest):
        volume = Voxels(voxels, work.grid.pixel_size, kernel).prepare(work.grid)
        return work.misfit(images(work, volume, *rest))

    return jax.jit(jax.grad(loss)), (work.data["volume"], work.latents(), work.optics)


def gradient_poses(work: Work, make: Callable):
    """Gradient in a left rotation vector (rad) and the shift (Å), per image: [b, 5]."""

    def loss(moves, volume, latents, optics):
        turned = jax.vmap(lambda m, r: rotation.exp(m[:3]) @ r)(moves, latents.rotation)
        shift = latents.shift + moves[:, 3:]
        moved = Latents(latents.conformation, turned, shift, latents.contrast)
        return work.misfit(images(work, volume, moved, optics))

    moves = jnp.zeros((len(work.data["rotation"]), 5))
    return jax.jit(jax.grad(loss)), (moves, make(), work.latents(), work.optics)


def linear_images(work: Work, volume, conformation, latents: Latents, optics: Optics):
    moved = eqx.tree_at(lambda t: t.conformation, latents, conformation)
    return images(work, volume, moved, optics)


def linear(work: Work, kernel: Kernel):
    """A mean and K principal volumes, prepared: one table whose slices share their taps."""
    voxels = lambda v: Voxels(voxels=v, spacing=work.grid.pixel_size, kernel=kernel)
    components = eqx.filter_vmap(voxels)(work.data["components"])
    volume = LinearVolume(
        mean=voxels(work.data["volume"]),
        components=components,
        latent_size=len(work.data["components"]),
    )
    arguments = (volume.prepare(work.grid), work.data["latents"], work.latents(), work.optics)
    return jax.jit(partial(linear_images, work)), arguments


def linear_gradient(work: Work, kernel: Kernel):
    """Gradient of the misfit in the latents [b, K]."""
    function, arguments = linear(work, kernel)
    return jax.jit(jax.grad(lambda *a: work.misfit(function(*a)), argnums=1)), arguments


def builders(work: Work) -> dict[str, Callable]:
    table: dict[str, Callable] = {
        "gaussians:default": partial(forward, work, work.gaussians, work.latents()),
        "gaussians-gradient:default": partial(gradient_positions, work),
    }
    for name, kernel in (("default", quadratic()), ("cubic", cubic())):
        make = partial(work.voxels, kernel)
        table |= {
            f"slice:{name}": partial(slices, work, make),
            f"image:{name}": partial(forward, work, make, work.latents()),
            f"volume-gradient:{name}": partial(gradient, work, make),
            f"voxel-gradient:{name}": partial(gradient_voxels, work, kernel),
            f"pose-gradient:{name}": partial(gradient_poses, work, make),
            f"linear:{name}": partial(linear, work, kernel),
            f"linear-gradient:{name}": partial(linear_gradient, work, kernel),
        }
    return table


if __name__ == "__main__":
    protocol.serve(builders(Work(sys.argv[1])), jax.block_until_ready)
