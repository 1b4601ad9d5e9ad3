"""cryojax's atom projections of the work in an .npz, under cryojax's own interpreter.

    CRYOJAX/bin/python worker.py WORK.npz RESULT.npz

Writes half-planes `[rotation, y, x]` in our convention by method, and cryojax's scattering table.
"""

import sys

import cryojax.simulator as cxs
import jax
import jax.numpy as jnp
import numpy as np
from cryojax.constants import PengScatteringFactorParameters
from cryojax.rotations import SO3

jax.config.update("jax_enable_x64", True)
FINER = 4


def mixture(work, uniform):
    """Five Gaussians per atom, each atom with its own B-factor."""
    parameters = PengScatteringFactorParameters(work["numbers"])
    b_factors = work["uniform_b_factor"] if uniform else work["b_factors"]
    return cxs.GaussianMixtureVolume.from_tabulated_parameters(
        work["positions"], parameters, extra_b_factors=b_factors
    )


def by_element(work):
    """One B-factor for all atoms: what its Fourier projection can express."""
    elements = np.unique(work["numbers"])
    positions = tuple(work["positions"][work["numbers"] == number] for number in elements)
    parameters = PengScatteringFactorParameters(elements)
    return cxs.GaussianFourierVolume.from_tabulated_parameters(
        positions, parameters, b_factor_by_element=float(work["uniform_b_factor"])
    )


def projections(volume, integrator, work, finer=1):
    """Transforms of the images, cropped to the grid asked for."""
    size, pixel_size = int(work["size"]), float(work["pixel_size"])
    config = cxs.BasicImageConfig((finer * size,) * 2, pixel_size / finer, 300.0)

    @jax.jit
    def one(matrix):
        pose = cxs.QuaternionPose.from_rotation(SO3.from_matrix(matrix))
        plane = integrator.integrate(volume.rotate_to_pose(pose), config, outputs_real_space=True)
        plane = jnp.fft.rfft2(jnp.fft.ifftshift(plane)) * (pixel_size / finer) ** 2
        rows = np.r_[0 : size // 2, finer * size - size // 2 : finer * size]
        return plane[rows, : size // 2 + 1]

    return np.stack([np.asarray(one(jnp.asarray(r))) for r in work["rotations"]])


def main():
    """All methods, by name."""
    work = np.load(sys.argv[1])
    gaussians = lambda mode: cxs.GaussianMixtureProjection(sampling_mode=mode, n_batches=8)
    fourier = lambda mode, **more: cxs.GaussianFourierProjection(sampling_mode=mode, **more)
    common, own = mixture(work, True), mixture(work, False)
    elements = by_element(work)
    found = {
        "mixture, point": projections(common, gaussians("point"), work),
        "mixture, average (default)": projections(common, gaussians("average"), work),
        "mixture, point, 4 times finer": projections(common, gaussians("point"), work, FINER),
        "mixture, own B, point, 4 times finer": projections(own, gaussians("point"), work, FINER),
        "Fourier, point": projections(elements, fourier("point"), work),
        "Fourier, point, eps 1e-10": projections(elements, fourier("point", eps=1e-10), work),
        "Fourier, average (default)": projections(elements, fourier("average"), work),
    }
    table = PengScatteringFactorParameters(work["elements"])
    np.savez(sys.argv[2], a=table.a, b=table.b, **found)


if __name__ == "__main__":
    main()
