"""The peer: cryojax 0.6.0's public simulator on the work in an .npz, under cryojax's interpreter.

Each choice is the fastest public way found by reading its source: volumes prepared once, one
`LinearImageModel` per image under `vmap` and one `jit` around all, frequency grids precomputed
(`precompute_mode="rfft"`, its documentation's advice), images left in Fourier space, the
likelihood summed there (its own white-noise model goes through real space, which costs more).
"""

import sys
from collections.abc import Callable
from functools import partial

import closed_form
import cryojax.ndimage as ndimage
import cryojax.simulator as cxs
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import protocol
from cryojax.rotations import SO3


class Work:
    """The arrays of one box on the device, and the public objects built from them once."""

    def __init__(self, path: str):
        data = np.load(path)
        self.data = {k: jnp.asarray(data[k], jnp.float32) for k in data.files if data[k].ndim}
        self.size, self.pixel_size = int(data["size"]), float(data["pixel_size"])
        self.width = float(data["width"])
        self.plane = closed_form.Plane(self.size, self.pixel_size)
        self.quaternion = jax.vmap(lambda r: SO3.from_matrix(r).wxyz)(self.data["rotation"])
        self.poses = (self.quaternion, self.data["shift"], self.data["defocus"])
        self.config = cxs.BasicImageConfig(
            (self.size, self.size), self.pixel_size, closed_form.VOLTAGE_KV, precompute_mode="rfft"
        )
        self.precision = jnp.asarray(self.plane.weights() / self.size**2, jnp.float32)
        # its CTF is the negative of RELION's, hence the sign of the data
        self.observed = -jnp.fft.rfft2(self.data["images"])

    def voxels(self, interp: str, pad: float) -> cxs.FourierVoxelGridVolume:
        return cxs.FourierVoxelGridVolume.from_real_voxel_grid(
            self.data["volume"], interp=interp, pad_scale=pad
        )

    def gaussians(self) -> cxs.GaussianMixtureVolume:
        return cxs.GaussianMixtureVolume(self.data["atoms"], 1.0, self.width**2)

    def scatterers(self) -> cxs.GaussianFourierVolume:
        kernel = ndimage.FourierGaussian(b_factor=8 * np.pi**2 * self.width**2)
        return cxs.GaussianFourierVolume(self.data["atoms"], kernel)

    def misfit(self, simulated):
        """-log-likelihood of white noise of unit variance per pixel, up to a constant."""
        residual = simulated - self.observed
        return 0.5 * jnp.sum(self.precision * (residual.real**2 + residual.imag**2))


def pose_of(quaternion, shift, turn=None) -> cxs.QuaternionPose:
    """A pose, turned on the left by the rotation vector `turn`."""
    rotation = SO3(quaternion) if turn is None else SO3.exp(turn) @ SO3(quaternion)
    return cxs.QuaternionPose.from_rotation_and_translation(rotation, shift)


def theory_of(defocus) -> cxs.ContrastTransferTheory:
    return cxs.ContrastTransferTheory(
        cxs.AstigmaticCTF(defocus, spherical_aberration_in_mm=closed_form.CS_MM),
        amplitude_contrast_ratio=closed_form.AMPLITUDE_CONTRAST,
    )


def image(work: Work, volume, integrator, pose, defocus):
    """One CTF-modulated image in Fourier space."""
    model = cxs.LinearImageModel(volume, pose, work.config, theory_of(defocus), integrator)
    return model.simulate(outputs_real_space=False)


def images(work: Work, integrator, volume, *poses):
    return jax.vmap(lambda q, s, d: image(work, volume, integrator, pose_of(q, s), d))(*poses)


def forward(work: Work, make: Callable, integrator):
    return jax.jit(partial(images, work, integrator)), (make(), *work.poses)


def slices(work: Work, make: Callable, integrator):
    """Projections without optics, for the accuracy column."""

    def one(volume, q):
        model = cxs.ProjectionImageModel(volume, pose_of(q, jnp.zeros(2)), work.config, integrator)
        return model.simulate(outputs_real_space=False)

    return jax.jit(jax.vmap(one, in_axes=(None, 0))), (make(), work.quaternion)


def gradient(work: Work, make: Callable, integrator, leaf: Callable):
    """Gradient in one array of the volume: its Fourier voxels, or the positions of atoms."""
    volume = make()

    def loss(values, *poses):
        return work.misfit(images(work, integrator, eqx.tree_at(leaf, volume, values), *poses))

    return jax.jit(jax.grad(loss)), (leaf(volume), *work.poses)


def gradient_voxels(work: Work, interp: str, pad: float):
    """Gradient in the real-space voxels: the same, and the preparation once per batch."""

    def loss(values, *poses):
        volume = cxs.FourierVoxelGridVolume.from_real_voxel_grid(
            values, interp=interp, pad_scale=pad
        )
        return work.misfit(images(work, cxs.FourierSliceExtraction(), volume, *poses))

    return jax.jit(jax.grad(loss)), (work.data["volume"], *work.poses)


def gradient_poses(work: Work, make: Callable, integrator):
    """Gradient in a left rotation vector (rad) and the shift (Å), per image: [b, 5]."""

    def loss(moves, volume, *poses):
        def one(m, q, s, d):
            return image(work, volume, integrator, pose_of(q, s + m[3:], m[:3]), d)

        return work.misfit(jax.vmap(one)(moves, *poses))

    return jax.jit(jax.grad(loss)), (jnp.zeros((len(work.quaternion), 5)), make(), *work.poses)


class LinearVolume(cxs.AbstractVolumeParametrization):
    """V(z) = mean + Σ z_k component_k, formed before each projection: the documented extension."""

    stack: jax.Array
    latent: jax.Array
    template: cxs.FourierVoxelGridVolume

    def to_representation(self, rng_key=None):
        values = jnp.tensordot(jnp.append(1.0, self.latent), self.stack, 1)
        return eqx.tree_at(lambda v: v.values, self.template, values)


def linear_formed(work: Work, integrator, template, stack, latents, *poses):
    def one(z, q, s, d):
        return image(work, LinearVolume(stack, z, template), integrator, pose_of(q, s), d)

    return jax.vmap(one)(latents, *poses)


def linear_summed(work: Work, integrator, template, stack, latents, *poses):
    """Projections of the K+1 volumes summed with weights (1, z), then CTF and shift once."""
    shape = work.config.shape

    def one(z, q, s, d):
        pose = pose_of(q, s)

        def project(values):
            volume = eqx.tree_at(lambda v: v.values, template, values)
            return integrator.integrate(volume.rotate_to_pose(pose), work.config)

        spectrum = jnp.tensordot(jnp.append(1.0, z), jax.vmap(project)(stack), 1)
        spectrum = theory_of(d).propagate_object(spectrum, work.config)
        operator = pose.compute_translation_operator(shape, work.config.pixel_size)
        return pose.translate_image(spectrum, operator, shape)

    return jax.vmap(one)(latents, *poses)


def linear(work: Work, interp: str, pad: float, render: Callable):
    volumes = [
        cxs.FourierVoxelGridVolume.from_real_voxel_grid(v, interp=interp, pad_scale=pad)
        for v in (work.data["volume"], *work.data["components"])
    ]
    stack = jnp.stack([v.values for v in volumes])
    fixed = partial(render, work, cxs.FourierSliceExtraction(), volumes[0])
    return jax.jit(fixed), (stack, work.data["latents"], *work.poses)


def linear_gradient(work: Work, interp: str, pad: float, render: Callable):
    """Gradient of the misfit in the latents [b, K]."""
    function, arguments = linear(work, interp, pad, render)
    return jax.jit(jax.grad(lambda *a: work.misfit(function(*a)), argnums=1)), arguments


def voxel_builders(work: Work, interp: str, pad: float) -> dict[str, Callable]:
    name, cut = f"{interp}-pad{pad:g}", cxs.FourierSliceExtraction()
    make = partial(work.voxels, interp, pad)
    table = {
        f"slice:{name}": partial(slices, work, make, cut),
        f"image:{name}": partial(forward, work, make, cut),
        f"volume-gradient:{name}": partial(gradient, work, make, cut, lambda v: v.values),
        f"voxel-gradient:{name}": partial(gradient_voxels, work, interp, pad),
        f"pose-gradient:{name}": partial(gradient_poses, work, make, cut),
    }
    for how, render in (("formed", linear_formed), ("summed", linear_summed)):
        table[f"linear:{name}-{how}"] = partial(linear, work, interp, pad, render)
        table[f"linear-gradient:{name}-{how}"] = partial(linear_gradient, work, interp, pad, render)
    return table


def gaussian_builders(work: Work) -> dict[str, Callable]:
    """Dense error functions (the default), dense points, truncated spreading, and NUFFT."""
    spread = cxs.suggest_n_spread(work.gaussians(), work.pixel_size)
    point = partial(cxs.GaussianMixtureProjection, sampling_mode="point")
    ways = {
        "dense-average": (work.gaussians, cxs.GaussianMixtureProjection()),
        "dense-point": (work.gaussians, point()),
        "spread": (work.gaussians, point(n_spread=spread)),
        "nufft": (work.scatterers, cxs.GaussianFourierProjection(sampling_mode="point")),
    }
    table: dict[str, Callable] = {}
    for name, (make, integrator) in ways.items():
        table[f"gaussians:{name}"] = partial(forward, work, make, integrator)
        table[f"gaussians-gradient:{name}"] = partial(
            gradient, work, make, integrator, lambda v: v.positions
        )
    return table


def builders(work: Work) -> dict[str, Callable]:
    table = gaussian_builders(work)
    for interp in ("linear", "cubic"):
        for pad in (1.0, 2.0):
            table |= voxel_builders(work, interp, pad)
    return table


if __name__ == "__main__":
    protocol.serve(builders(Work(sys.argv[1])), jax.block_until_ready)
